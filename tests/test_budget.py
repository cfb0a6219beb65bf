import numpy as np
import pytest
import torch

from coreprune.budget import Budget, check_keep, parameters_kept, widths
from coreprune.errors import ArgumentError
from coreprune.graph.groups import Consumer, Group
from coreprune.graph.ir import Affine, Norm


def affine(name):
    return Affine(name=name, input="", output="", weight=f"{name}.weight", bias=f"{name}.bias")


NORM = Norm(name="n", input="", output="", mean="n.mean", variance="n.var", weight="n.weight")
GROUPS = (
    Group(
        producer=affine("a"),
        consumers=(Consumer(affine=affine("b"), passengers=(NORM,)),),
        neurons=20,
    ),
    Group(
        producer=affine("b"),
        consumers=(Consumer(affine=affine("c"), passengers=()),),
        neurons=10,
    ),
)
PARAMETERS = {
    "a.weight": torch.zeros(20, 5),
    "a.bias": torch.zeros(20),
    "n.weight": torch.zeros(20),
    "b.weight": torch.zeros(10, 20),
    "b.bias": torch.zeros(10),
    "c.weight": torch.zeros(3, 10),
    "c.bias": torch.zeros(3),
}
TOTAL = sum(tensor.numel() for tensor in PARAMETERS.values())


def test_parameters_are_bilinear_in_the_widths():
    kept = parameters_kept({"a": 7, "b": 4}, GROUPS, PARAMETERS)
    assert kept == 7 * 5 + 7 + 7 + 4 * 7 + 4 + 3 * 4


def test_everything_kept_is_every_touched_parameter():
    assert parameters_kept({"a": 20, "b": 10}, GROUPS, PARAMETERS) == TOTAL - 3


@pytest.mark.parametrize(
    ("keep", "round_to", "expected"),
    [
        (1.0, 1, (20, 10)),
        (1, 8, (20, 10)),
        (0.5, 1, (10, 5)),
        (0.25, 1, (5, 3)),
        (1e-9, 1, (1, 1)),
        (0.5, 8, (8, 8)),
        (0.01, 8, (8, 8)),
        (0.5, 16, (16, 10)),
        (np.float32(0.5), 1, (10, 5)),
        ({"a": 0.5}, 1, (10, 10)),
        ({"a": 0.5, "b": 0.1}, 1, (10, 1)),
        (Budget(neurons=1.0), 1, (20, 10)),
        (Budget(neurons=0.5), 1, (10, 5)),
        (Budget(neurons=2 / 30), 1, (1, 1)),
    ],
)
def test_widths(keep, round_to, expected):
    found = widths(keep, GROUPS, PARAMETERS, round_to=round_to)
    assert (found["a"], found["b"]) == expected


@pytest.mark.parametrize("round_to", [1, 2])
@pytest.mark.parametrize("target", np.linspace(0.1, 1.0, 19).tolist())
def test_a_budget_is_used_up_and_never_exceeded(target, round_to):
    def share(of):
        return (parameters_kept(of, GROUPS, PARAMETERS) + 3) / TOTAL

    found = widths(Budget(parameters=target), GROUPS, PARAMETERS, round_to=round_to)
    assert share(found) <= target
    full = {"a": 20, "b": 10}
    wider = {name: min(full[name], width + round_to) for name, width in found.items()}
    assert found == full or share(wider) > target


@pytest.mark.parametrize(
    ("target", "least"),
    [("parameters", 0.0392), ("neurons", 0.0667)],  # 15 / 383 and 2 / 30, rounded up
)
def test_an_unreachable_budget_says_what_can_be_reached(target, least):
    with pytest.raises(ArgumentError, match=f"cannot be reached.*{least:.4f} of the") as refusal:
        widths(Budget(**{target: 0.01}), GROUPS, PARAMETERS)
    assert "ask for that share or more" in str(refusal.value)
    assert widths(Budget(**{target: least}), GROUPS, PARAMETERS) == {"a": 1, "b": 1}


@pytest.mark.parametrize(
    "targets",
    [
        {},
        {"parameters": 0.1, "neurons": 0.1},
        {"parameters": 0},
        {"neurons": 1.5},
        {"neurons": "x"},
    ],
)
def test_a_budget_has_one_target_in_range(targets):
    with pytest.raises(ArgumentError):
        Budget(**targets)


@pytest.mark.parametrize("keep", [0, -1, 1.1, float("nan"), "0.5", None, True, [0.5], {"a": 0}])
def test_keep_must_be_shares(keep):
    with pytest.raises(ArgumentError, match="must be a number in"):
        check_keep(keep)


def test_keep_must_name_groups():
    with pytest.raises(ArgumentError, match=r"keep names c, .*layers that can: a, b"):
        widths({"a": 0.5, "c": 0.5}, GROUPS, PARAMETERS)


def test_an_empty_keep_is_no_request():
    with pytest.raises(ArgumentError, match="at least one layer"):
        check_keep({})


@pytest.mark.parametrize("keep", [0.5, {"a": 0.5}, Budget(neurons=0.9)])
def test_a_multiple_wider_than_every_layer_is_no_silent_request_for_nothing(keep):
    with pytest.raises(ArgumentError, match=r"round_to=1000 .*whole|cannot be reached"):
        widths(keep, GROUPS, PARAMETERS, round_to=1000)
    for everything in (1, {"a": 1.0}):
        assert widths(everything, GROUPS, PARAMETERS, round_to=1000)["a"] > 1
