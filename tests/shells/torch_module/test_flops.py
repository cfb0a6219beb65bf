import pytest
import torch
from networks import draw, mlp, named
from torch import nn

from coreprune.shells.calls import Call
from coreprune.shells.torch_module.flops import flops


@pytest.mark.parametrize(
    ("model", "x", "expected"),
    [
        (mlp(6, 12, 3), draw(4, 6), 2 * 4 * (6 * 12 + 12 * 3)),
        (mlp(6, 12, 3, bias=False), draw(4, 6), 2 * 4 * (6 * 12 + 12 * 3)),
        (mlp(6, 12, 3), draw(4, 5, 6), 2 * 20 * (6 * 12 + 12 * 3)),
        (
            named(c=nn.Conv2d(1, 2, 3), f=nn.Flatten(), m=nn.Linear(32, 3)),
            draw(4, 1, 6, 6),
            2 * 4 * (16 * 9 * 2 + 32 * 3),
        ),
        (nn.ReLU(), draw(4, 6), 0),
    ],
    ids=["dense", "without bias", "sequence", "convolution", "no product"],
)
def test_a_multiply_add_counts_as_two(model, x, expected):
    assert flops(model, Call(args=(x,))) == expected


def test_fused_layers_count_like_their_parts():
    """In evaluation mode torch takes a whole encoder layer in one kernel that counts nothing."""
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    dense = 2 * 10 * (8 * 24 + 8 * 8 + 8 * 16 + 16 * 8)
    assert flops(layer, Call(args=(draw(2, 5, 8),))) >= dense


def test_counting_leaves_the_model_as_it_was():
    model, x = mlp(6, 12, 3), draw(4, 6)
    before = model(x)
    flops(model, Call(args=(x,)))
    assert torch.equal(model(x), before)
    assert all(p.grad is None for p in model.parameters())
