import math

import pytest
import torch
from torch.nn import functional

from coreprune.shells.onnx_file.recognition import GRID, recognised, with_factor

X = GRID
SPELLINGS = {
    "silu": (X * torch.sigmoid(X), "silu", 1),
    "gelu": (X * 0.5 * (1 + torch.erf(X / 1.4142135)), "gelu", 1),
    "gelu twice": (X * (1 + torch.erf(X * math.sqrt(0.5))), "gelu", 2),
    "tanh gelu": (
        0.5 * X * (1 + torch.tanh(0.7978846 * (X + 0.044715 * X**3))), "gelu_tanh", 1
    ),
    "quick gelu": (X * torch.sigmoid(1.702 * X), "affine → silu → affine", 1),
    "hardswish": (X * (X + 3).clamp(0, 6) / 6, "hardswish", 1),
    "hardswish by six": (X * (X + 3).clamp(0, 6), "hardswish", 6),
    "hardsigmoid": ((X + 3).clamp(0, 6) / 6, "hardsigmoid", 1),
    "relu": (torch.where(X > 0, X, 0 * X), "relu", 1),
    "leaky relu": (torch.maximum(X, 0.1 * X), "leaky_relu", 1),
    "elu": (torch.where(X > 0, X, 0.7 * (X.exp() - 1)), "elu", 1),
    "softplus": (torch.log(1 + X.exp()), "softplus", 1),
    "mish": (X * torch.tanh(functional.softplus(X)), "mish", 1),
    "clip": (torch.minimum(X.clamp_min(-2), torch.tensor(3.0)), "hardtanh", 1),
    "relu6": (X.clamp(0, 6), "relu6", 1),
    "tanh": (2 * torch.sigmoid(2 * X) - 1, "tanh", 1),
}  # fmt: skip


@pytest.mark.parametrize("name", SPELLINGS)
def test_functions_are_known_however_they_are_spelled(name):
    values, member, factor = SPELLINGS[name]
    found = recognised(values, 1e-6)
    assert found is not None
    assert found.build().name == member
    assert found.factor == pytest.approx(factor, rel=1e-6)
    finite = values.isfinite()
    torch.testing.assert_close(
        with_factor(found)()(GRID)[finite], values[finite], rtol=1e-6, atol=1e-6
    )


@pytest.mark.parametrize(
    "values",
    [X, 2 * X + 1, 0 * X, 0 * X + 1, X**2, X**3, torch.exp(X), X * torch.sigmoid(1.5 * X),
     X.relu() ** 2, torch.sin(X), X * torch.sigmoid(X) + 1e-4, (X * torch.sigmoid(X)).clamp_max(9)],
    ids=["x", "line", "zero", "one", "square", "cube", "exp", "swish of 1.5", "relu²", "sine",
         "silu moved", "silu cut off"],
)  # fmt: skip
def test_other_functions_are_not_taken_for_members(values):
    assert recognised(values, 1e-6) is None


def test_coarse_constants_do_not_confuse_the_two_gelus():
    root = float(torch.tensor(1 / math.sqrt(2)).half())
    found = recognised(0.5 * X * (1 + torch.erf(root * X)), 2e-3)
    assert found is not None
    assert found.build().name == "gelu"
