import math
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from asserts import GRID, assert_envelope, assert_extent, assert_lipschitz, columns
from torch import Tensor, nn

from coreprune.core import activations as family
from coreprune.core.elementwise import Activation

SLOPES = torch.tensor([-1.5, -0.2, 0.25, 1.0, 2.0])


@dataclass(frozen=True, kw_only=True)
class Member:
    activation: Activation
    reference: Callable[[Tensor], Tensor]
    width: int = 1


def _prelu(slopes: Tensor) -> nn.PReLU:
    module = nn.PReLU(len(slopes))
    module.weight.data = slopes
    return module


FAMILY = {
    "relu": Member(activation=family.relu(), reference=nn.ReLU()),
    "relu6": Member(activation=family.relu6(), reference=nn.ReLU6()),
    "sigmoid": Member(activation=family.sigmoid(), reference=nn.Sigmoid()),
    "tanh": Member(activation=family.tanh(), reference=nn.Tanh()),
    "gelu": Member(activation=family.gelu(), reference=nn.GELU()),
    "gelu tanh": Member(activation=family.gelu("tanh"), reference=nn.GELU(approximate="tanh")),
    "silu": Member(activation=family.silu(), reference=nn.SiLU()),
    "mish": Member(activation=family.mish(), reference=nn.Mish()),
    "hardswish": Member(activation=family.hardswish(), reference=nn.Hardswish()),
    "hardsigmoid": Member(activation=family.hardsigmoid(), reference=nn.Hardsigmoid()),
    "selu": Member(activation=family.selu(), reference=nn.SELU()),
    "step": Member(
        activation=family.step(),
        reference=lambda z: torch.heaviside(z, torch.zeros((), dtype=z.dtype)),
    ),
    "prelu per channel": Member(
        activation=family.prelu(SLOPES), reference=_prelu(SLOPES), width=len(SLOPES)
    ),
    "prelu of one slope": Member(
        activation=family.prelu(SLOPES[:1]), reference=_prelu(SLOPES[:1]), width=3
    ),
}
FAMILY |= {
    f"leaky_relu {slope}": Member(
        activation=family.leaky_relu(slope), reference=nn.LeakyReLU(slope)
    )
    for slope in (-2.0, -0.3, 0.01, 0.5, 1.0, 3.0)
}
FAMILY |= {
    f"hardtanh {low} {high}": Member(
        activation=family.hardtanh(low, high), reference=nn.Hardtanh(low, high)
    )
    for low, high in ((-1, 1), (-3, 5), (-5, 3), (0, 1), (-6, 0), (2, 7), (-7, -2), (-0.2, 0.3))
}
FAMILY |= {
    f"softplus {beta} {threshold}": Member(
        activation=family.softplus(beta, threshold), reference=nn.Softplus(beta, threshold)
    )
    for beta, threshold in ((1, 20), (3, 20), (0.8, 30), (-2, 20), (2, 1), (7, 0.7), (-1, 2))
}
FAMILY |= {
    f"elu {alpha}": Member(activation=family.elu(alpha), reference=nn.ELU(alpha))
    for alpha in (-2.0, 0.0, 0.3, 0.5, 1.0, 2.5)
}
FAMILY |= {
    f"celu {alpha}": Member(activation=family.celu(alpha), reference=nn.CELU(alpha))
    for alpha in (-5.0, 0.25, 1.0, 3.0)
}
MEMBERS = [pytest.param(member, id=name) for name, member in FAMILY.items()]
LIPSCHITZ = [
    pytest.param(member, id=name)
    for name, member in FAMILY.items()
    if torch.isfinite(torch.as_tensor(member.activation.lipschitz)).all()
]
ENVELOPED = [
    pytest.param(member, id=name)
    for name, member in FAMILY.items()
    if member.activation.envelope is not None
]


@pytest.mark.parametrize("member", MEMBERS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_the_function_is_torch_s_own(member: Member, dtype: torch.dtype):
    z = columns(GRID, member.width).to(dtype)
    reference = member.reference
    if isinstance(reference, nn.PReLU):
        reference = _prelu(reference.weight.data.to(dtype))
    with torch.no_grad():
        torch.testing.assert_close(member.activation(z), reference(z), rtol=0, atol=0)


@pytest.mark.parametrize("member", MEMBERS)
def test_the_extent_is_the_brute_force_range(member: Member):
    steepest = 60.0 if "celu" in member.activation.name else 3.0
    assert_extent(member.activation, width=member.width, slope=steepest)


@pytest.mark.parametrize("member", LIPSCHITZ)
def test_the_lipschitz_constant_is_exact(member: Member):
    assert_lipschitz(member.activation, width=member.width)


@pytest.mark.parametrize("member", ENVELOPED)
def test_the_envelope_holds_and_is_attained(member: Member):
    assert_envelope(member.activation, width=member.width)


def test_what_jumps_or_explodes_is_not_called_lipschitz():
    assert set(FAMILY) - {param.id for param in LIPSCHITZ} == {
        "step",
        "softplus 2 1",
        "softplus 7 0.7",
        "softplus -1 2",
        "celu -5.0",
    }


def test_what_has_no_envelope_is_known():
    assert set(FAMILY) - {param.id for param in ENVELOPED} == {
        "softplus 2 1",
        "softplus 7 0.7",
        "softplus -1 2",
        "elu -2.0",
        "celu -5.0",
    }


def test_a_softplus_jump_counts_even_where_its_place_is_rounded():
    for threshold in (0.7, 1.0, 2.0, 3.0, 5.0):
        for beta in torch.linspace(0.1, 7, 200, dtype=torch.float64).tolist():
            switch, jump = threshold / beta, math.log1p(math.exp(-threshold)) / beta
            low, high = torch.tensor([-30.0, switch + jump / 2], dtype=torch.float64)[:, None]
            supremum = family.softplus(beta, threshold).supremum(low, high).item()
            assert supremum == pytest.approx(switch + jump, rel=1e-9)
