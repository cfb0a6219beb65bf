"""Prices: what neurons are worth to the outputs, against what happens."""

import math

import pytest
import torch
from networks import Forward, draw, mlp, named
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 (as everybody writes it)

from coreprune import Gaussian, Impressions, Samples, prune
from coreprune.coresets.moments import GroupMoments
from coreprune.coresets.prices import FLOOR, price_list, responses
from coreprune.graph.partition import find_groups
from coreprune.shells.torch_module.subject import prepare


def moments_of(net, x, law=None):
    subject = prepare(net, x)
    return GroupMoments(subject, find_groups(subject.graph).groups, law=law or Gaussian(), seed=0)


def seeded(*widths, act=nn.ReLU):
    torch.manual_seed(0)
    return mlp(*widths, act=act)


def test_the_root_of_the_last_layer_is_one_in_the_number_of_outputs():
    """Its errors are the outputs' own: M / outputs is I / k, and the floor a thousandth of it."""
    found = responses(moments_of(seeded(6, 12, 4), draw(4, 6)))
    root = found.roots["2.weight"]
    largest = (1 + FLOOR) / 4
    torch.testing.assert_close(
        root.T @ root, largest * torch.eye(4).double(), atol=0.15 * largest, rtol=0
    )
    assert found.note is None


def test_a_cut_reader_leaves_the_columns_of_its_rows():
    found = responses(moments_of(seeded(6, 12, 9, 4), draw(4, 6)))
    kept = torch.tensor([1, 5, 7])
    assert torch.equal(found.root("2.weight", kept), found.roots["2.weight"][:, kept])
    assert torch.equal(found.root("2.weight", None), found.roots["2.weight"])


def test_prices_rise_from_nothing():
    moments = moments_of(seeded(6, 12, 9, 4), draw(4, 6))
    found = price_list(moments, "optimal")
    for group in moments.groups:
        path, price = found.paths[group.name], found.prices[group.name]
        assert sorted(path.order.tolist()) == list(range(group.neurons))
        assert price.errors.shape == (group.neurons,)
        assert price.errors[0] == 0
        assert (price.errors.diff() >= -1e-12).all()


@pytest.mark.parametrize("law", [Gaussian(), Impressions()], ids=["closed", "sampled"])
@pytest.mark.parametrize("share", [0.95, 0.8, 0.6])
def test_the_expected_error_of_small_cuts_is_the_measured_one(law, share):
    net = seeded(10, 60, 40, 5, act=nn.Tanh)
    result = prune(net, draw(4, 10), keep=share, queries=law)
    assert result.measured_error == pytest.approx(result.expected_error, rel=0.25)


def test_the_expected_error_of_one_cut_before_the_outputs_is_exact():
    net = seeded(10, 60, 5)
    result = prune(net, draw(4, 10), keep=0.5, queries=Gaussian())
    (group,) = result.groups
    assert result.expected_error == group.output_error
    assert group.output_error == pytest.approx(group.expected_error, rel=0.1)
    assert result.measured_error == pytest.approx(result.expected_error, rel=0.1)


def test_a_reader_that_outputs_heed_more_has_dearer_neurons():
    class Heads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c, self.d = (nn.Linear(6, n) for n in (20, 20, 2, 2))
            self.c, self.d = nn.Linear(20, 2), nn.Linear(20, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.c(F.relu(self.a(x))) + 0.01 * self.d(F.relu(self.b(x)))

    torch.manual_seed(0)
    moments = moments_of(Heads(), draw(4, 6))
    prices = price_list(moments, "optimal").prices
    loud, quiet = (prices[group.name].errors for group in moments.groups)
    assert quiet[10] < 1e-2 * loud[10]


NO_DERIVATIVES = {
    "a step": lambda z: (z > 0).float(),
    "detached": lambda z: z.detach() * 1,
    "infinite": lambda z: (z * 0).sqrt(),
    "a class": lambda z: (z.argmax(1), z.detach()),
}


@pytest.mark.parametrize("name", NO_DERIVATIVES)
def test_without_derivatives_a_note_says_how_errors_are_compared(name):
    torch.manual_seed(0)
    net = Forward(
        lambda m, x: NO_DERIVATIVES[name](m.b(m.a(x).relu())),
        a=nn.Linear(6, 12),
        b=nn.Linear(12, 3),
    )
    result = prune(net, draw(4, 6), keep=0.5)
    (note,) = (note for note in result.notes if "no finite derivatives" in note)
    assert note in str(result)
    assert result.expected_error is None  # it would not be in the outputs' units
    assert all(math.isfinite(group.output_error) for group in result.groups)


@pytest.mark.parametrize("name", NO_DERIVATIVES)
def test_without_derivatives_every_reader_counts_by_what_it_gives(name):
    net = Forward(lambda m, x: NO_DERIVATIVES[name](m.n(x)), n=seeded(6, 12, 9, 3))
    found = responses(moments_of(net, draw(4, 6)))
    assert torch.equal(found.roots["n.2.weight"], torch.eye(9).double())


def test_a_model_whose_backward_pass_raises_is_priced_all_the_same():
    class Forbidden(torch.autograd.Function):
        @staticmethod
        def forward(_, x):
            return x.clone()

        @staticmethod
        def backward(*_):
            raise RuntimeError("no way back")

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.n = seeded(6, 12, 3)

        def forward(self, x: Tensor) -> Tensor:
            y = self.n(x)
            return y if torch.compiler.is_exporting() else Forbidden.apply(y)

    found = responses(moments_of(Net(), draw(4, 6)))
    assert found.note is not None


def test_few_samples_have_a_price_as_well():
    net = named(n=seeded(6, 12, 3))
    with pytest.warns(UserWarning, match="fewer queries than neurons"):
        result = prune(net, draw(4, 6), keep=0.5, queries=Samples(draw(3, 6)))
    assert result.measured_error < 0.01 * result.output_spread
