"""Budgets of every kind: reached, never exceeded, refused with what can be reached."""

import itertools

import numpy as np
import pytest
import torch

from coreprune.budget import Budget, check_keep, widths
from coreprune.errors import ArgumentError
from coreprune.graph.groups import Consumer, Group
from coreprune.graph.ir import Affine, Norm
from coreprune.sizes.allocation import Price
from coreprune.sizes.costs import Cost, Term, byte_cost, neuron_cost, parameter_cost


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
    "b.weight": torch.zeros(10, 20, dtype=torch.float16),
    "b.bias": torch.zeros(10),
    "c.weight": torch.zeros(3, 10),
    "c.bias": torch.zeros(3),
}
COSTS = {
    "parameters": parameter_cost(GROUPS, PARAMETERS),
    "flops": Cost(
        fixed=50,
        terms=(
            Term(factor=10, groups=("a",)),
            Term(factor=2, groups=("b", "a")),
            Term(factor=6, groups=("b",)),
        ),
    ),
    "bytes": byte_cost(GROUPS, PARAMETERS),
    "neurons": neuron_cost(GROUPS),
}
FULL = {"a": 20, "b": 10}
PRICES = {
    "a": Price(neurons=20, errors=torch.arange(20) ** 2 / 100),
    "b": Price(neurons=10, errors=torch.arange(10) / 10),
}
KINDS = [*COSTS]


def found(keep, *, prices=PRICES, round_to=1):
    return widths(keep, GROUPS, COSTS, prices=prices, round_to=round_to)


def error_of(kept):
    return (
        sum(float(PRICES[name].errors[FULL[name] - width]) for name, width in kept.items()) ** 0.5
    )


@pytest.mark.parametrize("prices", [PRICES, {}], ids=["priced", "without prices"])
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
        *[(Budget(**{kind: 1.0}), 1, (20, 10)) for kind in KINDS],
        (Budget(neurons=2 / 30), 1, (1, 1)),
    ],
)
def test_widths(keep, round_to, expected, prices):
    assert tuple(found(keep, prices=prices, round_to=round_to).values()) == expected


@pytest.mark.parametrize("prices", [PRICES, {}], ids=["priced", "without prices"])
@pytest.mark.parametrize("round_to", [1, 2, 3])
@pytest.mark.parametrize("target", np.linspace(0.25, 1.0, 16).tolist())
@pytest.mark.parametrize("kind", KINDS)
def test_a_budget_is_used_up_and_never_exceeded(kind, target, round_to, prices):
    cost = COSTS[kind]
    kept = found(Budget(**{kind: target}), prices=prices, round_to=round_to)
    limit = target * cost.of(FULL) * (1 + 1e-12)
    assert cost.of(kept) <= limit
    above = {
        name: min(FULL[name], (width // round_to + 1) * round_to) for name, width in kept.items()
    }
    if prices:  # no group alone could have more
        for name in FULL:
            assert above[name] == kept[name] or cost.of({**kept, name: above[name]}) > limit
    else:  # they could not have more together
        assert kept == FULL or cost.of(above) > limit
    for name, width in kept.items():
        assert width == FULL[name] or width % round_to == 0


@pytest.mark.parametrize("target", np.linspace(0.1, 1.0, 10).tolist())
def test_methods_without_prices_keep_one_common_share(target):
    kept = found(Budget(neurons=target), prices={})
    assert abs(kept["a"] / 20 - kept["b"] / 10) <= 0.5 / 20 + 0.5 / 10
    assert sum(kept.values()) <= 30 * target + 1e-9


def test_prices_move_neurons_to_where_they_matter():
    dear = {**PRICES, "a": Price(neurons=20, errors=100.0 * torch.arange(20))}
    assert found(Budget(neurons=0.7), prices=dear) == {"a": 20, "b": 1}
    dear = {**PRICES, "b": Price(neurons=10, errors=100.0 * torch.arange(10))}
    assert found(Budget(neurons=0.7), prices=dear) == {"a": 11, "b": 10}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("prices", [PRICES, {}], ids=["priced", "without prices"])
def test_an_unreachable_budget_says_what_can_be_reached(kind, prices):
    with pytest.raises(
        ArgumentError, match=r"cannot be reached.*0\.\d{4} of the " + kind
    ) as refusal:
        found(Budget(**{kind: 0.01}), prices=prices)
    assert "ask for that share or more" in str(refusal.value)
    least = float(str(refusal.value).split("least widths ")[1].split()[0])
    assert found(Budget(**{kind: least}), prices=prices) == {"a": 1, "b": 1}
    with pytest.raises(ArgumentError, match="cannot be reached"):
        found(Budget(**{kind: least - 1e-3}), prices=prices)


@pytest.mark.parametrize("prices", [PRICES, {}], ids=["priced", "without prices"])
def test_a_target_that_nothing_counts_towards_is_refused(prices):
    costs = {**COSTS, "parameters": Cost(fixed=0, terms=())}
    with pytest.raises(ArgumentError, match="nothing to save: the network has no parameters"):
        widths(Budget(parameters=0.5), GROUPS, costs, prices=prices)


@pytest.mark.parametrize("round_to", [1, 3])
@pytest.mark.parametrize("target", [1e-9, 0.05, 0.3, 0.5, 1.0, 100.0])
def test_an_error_budget_is_kept_and_the_next_step_would_break_it(target, round_to):
    kept = found(Budget(error=target), round_to=round_to)
    assert error_of(kept) <= target
    steps = [
        {**kept, name: max(least, round_to * ((width - 1) // round_to))}
        for name, width in kept.items()
        for least in [min(round_to, FULL[name])]
    ]
    assert kept == {"a": round_to, "b": round_to} or any(error_of(step) > target for step in steps)


def test_a_larger_error_budget_keeps_no_more_parameters():
    kept = [COSTS["parameters"].of(found(Budget(error=e))) for e in np.linspace(0.01, 3, 40)]
    assert all(after <= before for before, after in itertools.pairwise(kept))
    assert kept[0] > kept[-1]


def test_an_error_budget_cuts_nothing_that_saves_nothing():
    """b has no parameters of its own: leaving its neurons out costs accuracy and saves none."""
    costs = {**COSTS, "parameters": Cost(fixed=0, terms=(Term(factor=1, groups=("a",)),))}
    kept = widths(Budget(error=1000.0), GROUPS, costs, prices=PRICES)
    assert kept == {"a": 1, "b": 10}


def test_an_error_budget_needs_a_method_that_knows_errors():
    with pytest.raises(ArgumentError, match=r"Budget\(error=0.1\) needs a method.*'optimal'"):
        found(Budget(error=0.1), prices={})


@pytest.mark.parametrize(
    "targets",
    [
        {},
        {"parameters": 0.1, "neurons": 0.1},
        {"error": 0.1, "flops": 0.1},
        {"parameters": 0},
        {"bytes": -1},
        {"flops": float("nan")},
        {"neurons": 1.5},
        {"neurons": "x"},
        {"error": 0},
        {"error": -1.0},
        {"error": float("inf")},
        {"error": float("nan")},
        {"error": "x"},
        {"error": True},
        {"certified": 0},
        {"certified": -1.0},
        {"certified": float("inf")},
        {"certified": True},
        {"certified": 1.0, "error": 1.0},
    ],
)
def test_a_budget_has_one_target_in_range(targets):
    with pytest.raises(ArgumentError, match=r"exactly one|must be a"):
        Budget(**targets)


@pytest.mark.parametrize("kind", [*KINDS, "error", "certified"])
def test_a_budget_tells_its_kind_and_target(kind):
    budget = Budget(**{kind: 0.25})
    assert (budget.kind, budget.target) == (kind, 0.25)
    assert repr(budget) == f"Budget({kind}=0.25)"


@pytest.mark.parametrize("keep", [0, -1, 1.1, float("nan"), "0.5", None, True, [0.5], {"a": 0}])
def test_keep_must_be_shares(keep):
    with pytest.raises(ArgumentError, match="must be a number in"):
        check_keep(keep)


def test_keep_must_name_groups():
    with pytest.raises(ArgumentError, match=r"keep names c, .*layers that can: a, b"):
        found({"a": 0.5, "c": 0.5})


def test_an_empty_keep_is_no_request():
    with pytest.raises(ArgumentError, match="at least one layer"):
        check_keep({})


@pytest.mark.parametrize("prices", [PRICES, {}], ids=["priced", "without prices"])
@pytest.mark.parametrize("keep", [0.5, {"a": 0.5}, Budget(neurons=0.9), Budget(error=9.0)])
def test_a_multiple_wider_than_every_layer_is_no_silent_request_for_nothing(keep, prices):
    words = r"round_to=1000 .*whole|cannot be reached|needs a method"
    with pytest.raises(ArgumentError, match=words):
        found(keep, prices=prices, round_to=1000)
    for everything in (1, {"a": 1.0}, Budget(bytes=1.0)):
        assert found(everything, prices=prices, round_to=1000) == FULL
