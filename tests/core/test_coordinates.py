import torch
from certified import normal
from torch import Generator

from coreprune.core.coordinates import coordinates
from coreprune.core.query_set import ball, box


def test_the_span_keeps_every_product_and_little_is_lost():
    generator = Generator().manual_seed(0)
    rows = normal(5, 40, generator=generator)
    line = normal(3, 5, generator=generator) @ rows
    frame = coordinates(rows, line, ball(1.0, dimension=40))
    assert frame.rows.shape == (5, 5)
    torch.testing.assert_close(frame.rows @ frame.rows.T, rows @ rows.T)
    torch.testing.assert_close(frame.line @ frame.rows.T, line @ rows.T)
    assert ((frame.row_defect > 0) & (frame.row_defect < 1e-11)).all()
    assert ((frame.line_defect > 0) & (frame.line_defect < 1e-11)).all()


def test_what_is_outside_the_span_is_a_defect():
    rows = torch.eye(5, 40, dtype=torch.float64)
    outside = torch.zeros(1, 40, dtype=torch.float64)
    outside[0, 39] = 3.0
    frame = coordinates(rows, outside, ball(1.0, dimension=40))
    assert 3.0 <= frame.line_defect.item() < 3.0 + 1e-11


def test_a_cube_keeps_its_own():
    rows = normal(5, 40, generator=Generator().manual_seed(0))
    frame = coordinates(rows, rows, box(-torch.ones(40), torch.ones(40)))
    assert torch.equal(frame.rows, rows)
    assert (frame.row_defect == 0).all()
