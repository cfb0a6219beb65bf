"""How far two models are apart."""

import math

import pytest
import torch
from networks import Forward, draw, mlp
from torch import nn

from coreprune.measured_error import output_change
from coreprune.shells.calls import Call


def changed(one, other, *inputs):
    pair = [Running(net) for net in (one, other)]
    return output_change(*pair, [Call(args=(x,)) for x in inputs])


class Running:
    """As much of a network as is asked for here."""

    def __init__(self, net):
        self.net = net

    @torch.no_grad()
    def run(self, call):
        return self.net(*call.args)


def giving(function):
    return Forward(lambda _, x: function(x))


def test_a_model_is_not_apart_from_itself():
    net, x = mlp(6, 12, 3), draw(50, 6)
    found = changed(net, net, x)
    assert found.error == 0
    assert found.spread == pytest.approx(
        float(net(x).detach().double().std(0, False).square().mean().sqrt()), rel=1e-5
    )


def test_it_is_the_root_mean_square_over_examples_and_outputs():
    x, y = draw(30, 4), draw(20, 4)
    found = changed(giving(lambda x: 2 * x), giving(lambda x: 2 * x + x**2), x, y)
    both = torch.cat([x, y]).double()
    assert found.error == pytest.approx(float((both**2).square().mean().sqrt()), rel=1e-6)
    assert found.spread == pytest.approx(
        float((2 * both).std(0, False).square().mean().sqrt()), rel=1e-6
    )


def test_all_floating_outputs_count_whatever_holds_them():
    found = changed(
        giving(lambda x: {"a": x, "b": (x.sum(1), "word", x.argmax(1))}),
        giving(lambda x: {"a": x, "b": (x.sum(1) + 3, "other", x.argmin(1))}),
        draw(10, 4),
    )
    assert found.error == pytest.approx(3 / math.sqrt(5))


@pytest.mark.parametrize("axes", [0, 1, 2])
def test_outputs_without_a_row_an_example_are_compared_whole(axes):
    shift = [torch.tensor(0.0), torch.zeros(7), torch.zeros(7, 2)][axes]
    found = changed(giving(lambda x: (x, shift)), giving(lambda x: (x, shift + 1)), draw(3, 2))
    numbers = 6 + shift.numel()
    assert found.error == pytest.approx(math.sqrt(shift.numel() / numbers))


@pytest.mark.parametrize(
    "function",
    [lambda x: x.argmax(1), lambda _: "words", lambda x: x[:0], lambda x: x / 0 * 0],
    ids=["integers", "words", "no rows", "NaN"],
)
def test_without_floating_numbers_there_is_no_change_to_speak_of(function):
    assert changed(giving(function), giving(function), draw(3, 2)) is None


def test_without_calls_there_is_none():
    assert changed(nn.Identity(), nn.Identity()) is None


def test_outputs_of_other_shapes_cannot_be_compared():
    assert changed(nn.Identity(), giving(lambda x: x[:, :1]), draw(3, 2)) is None


def test_outputs_that_are_infinite_by_design_are_left_out():
    """A mask of −∞ is no change: ∞ − ∞ is no number."""
    mask = torch.tensor([0.0, -torch.inf])
    found = changed(giving(lambda x: x + mask), giving(lambda x: x + 1 + mask), draw(40, 2))
    assert found.error == pytest.approx(1.0)
    spread = draw(40, 2)[:, 0].double().std(correction=0)
    assert found.spread == pytest.approx(float(spread), rel=1e-5)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_pruned_model_without_numbers_is_infinitely_far(value):
    assert changed(nn.Identity(), giving(lambda x: x * value), draw(3, 2)).error == math.inf


def test_sequences_of_several_lengths_have_a_spread_each():
    """Each output about its own mean: constant outputs have none, whatever their lengths."""
    net = giving(lambda x: torch.arange(float(x[0].numel())).expand(len(x), -1) + 5)
    found = changed(net, net, draw(4, 3), draw(5, 7), draw(6, 3))
    assert found.spread == pytest.approx(0.0, abs=1e-6)


def test_the_spread_does_not_drown_in_a_large_mean():
    found = changed(nn.Identity(), nn.Identity(), draw(4000, 2).double() + 1e5)
    assert found.spread == pytest.approx(1.0, rel=0.05)


def test_outputs_that_do_not_vary_have_no_spread_left_by_rounding():
    net = giving(lambda x: torch.full((len(x), 3), 0.1).double() / 3)
    assert changed(net, net, draw(7, 3), draw(11, 3)).spread == 0
