import pytest
import torch
from certified import normal
from torch import Generator

from coreprune.core.spectral import norm_bound


@pytest.mark.parametrize("shape", [(1, 1), (3, 7), (7, 3), (60, 60), (200, 11)], ids=str)
def test_it_is_above_the_norm_and_close(shape):
    matrix = normal(*shape, generator=Generator().manual_seed(0))
    exact = torch.linalg.matrix_norm(matrix, ord=2).item()
    assert exact <= norm_bound(matrix) <= exact * (1 + 1e-9)


def test_no_vector_is_stretched_more():
    generator = Generator().manual_seed(1)
    matrix = torch.outer(normal(9, generator=generator), normal(5, generator=generator))
    bound = norm_bound(matrix)
    x = torch.nn.functional.normalize(normal(1000, 5, generator=generator))
    x = torch.cat([x, torch.nn.functional.normalize(matrix[:1])])
    reached = torch.linalg.vector_norm(x @ matrix.T, dim=1).amax().item()
    assert 0.999 * bound <= reached <= bound


def test_degenerate_matrices():
    assert norm_bound(torch.zeros(0, 3, dtype=torch.float64)) == 0
    assert norm_bound(torch.zeros(4, 3, dtype=torch.float64)) == 0
    assert norm_bound(torch.full((2, 2), torch.inf, dtype=torch.float64)) == torch.inf
