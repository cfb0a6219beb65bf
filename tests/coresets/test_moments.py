"""Moments of groups: closed form along chains, sampled elsewhere, and what pruning gains."""

import pytest
import torch
from networks import draw
from torch import Tensor, nn
from torch.nn import functional

from coreprune import Gaussian, Impressions, Samples, prune
from coreprune.core.selection.paths import Reader, solved
from coreprune.coresets import moments as module
from coreprune.coresets.moments import GroupMoments
from coreprune.coresets.views import Run
from coreprune.graph.cut import Cut, shrink
from coreprune.graph.partition import find_groups
from coreprune.shells.torch_module.subject import prepare


class Residual(nn.Module):
    """A block inside a residual sum: its input is no longer the network's."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.inner, self.back = nn.Linear(6, 6), nn.Linear(6, 40), nn.Linear(40, 6)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.tanh(self.first(x))
        return h + self.back(functional.relu(self.inner(h)))


def chain() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Flatten(), nn.Linear(12, 30), nn.ReLU(), nn.Linear(30, 20), nn.GELU(), nn.Linear(20, 3)
    ).double()


def moments_for(model: nn.Module, example: Tensor, law: Gaussian | None):
    subject = prepare(model, example)
    groups = find_groups(subject.graph).groups
    return subject, groups, GroupMoments(subject, groups, law=law, seed=0)


def test_a_chain_has_closed_forms_that_agree_with_running_it():
    model, law = chain(), Gaussian(0.5)
    subject, groups, moments = moments_for(model, torch.randn(2, 3, 4).double(), law)
    run = Run(moments)
    x = law.sample((200_000, 12), generator=torch.Generator().manual_seed(1)).double()
    first = model[2](model[1](x))
    closed = run.of(groups[0], subject.graph.parameters)[0]
    spread = first.std(0)
    assert ((closed.mean - first.mean(0)).abs() < 6 * spread / 200_000**0.5).all()
    torch.testing.assert_close(closed.covariance, first.T.cov(), rtol=0.02, atol=0.002)
    second = model[4](model[3](first))
    above = run.of(groups[1], subject.graph.parameters)[0]  # Gaussian by approximation only
    torch.testing.assert_close(above.mean, second.mean(0), rtol=0.02, atol=0.003)
    assert "in closed form" in moments.words()


def test_a_block_in_a_residual_sum_is_sampled():
    torch.manual_seed(0)
    model = Residual()
    subject, groups, moments = moments_for(model, torch.randn(3, 6), Gaussian())
    got = Run(moments).of(groups[0], subject.graph.parameters)[0]
    x = torch.randn(100_000, 6, generator=torch.Generator().manual_seed(1))
    h = torch.relu(model.inner(torch.tanh(model.first(x)))).double()
    assert moments.words().endswith("sampled")
    torch.testing.assert_close(got.mean, h.mean(0), rtol=0.2, atol=0.05)
    torch.testing.assert_close(got.covariance, h.T.cov(), rtol=0.3, atol=0.05)


def test_later_groups_see_what_earlier_cuts_left():
    model = chain()
    subject, groups, moments = moments_for(model, torch.randn(2, 3, 4).double(), Gaussian())
    run = Run(moments)
    run.of(groups[0], subject.graph.parameters)
    run.cut(groups[0], torch.arange(10))
    assert run.of(groups[0], subject.graph.parameters)[0].mean.shape == (10,)


@pytest.mark.parametrize("order", ["bottom_up", "top_down"])
def test_optimal_weights_beat_every_sampler_on_their_law(order):
    model, x = chain(), torch.randn(4000, 3, 4, generator=torch.Generator().manual_seed(2)).double()
    target = model(x)
    errors = {}
    for method in ("optimal", "importance", "priority", "uniform", "magnitude"):
        pruned = prune(model, x[:2], keep=0.5, method=method, order=order).model
        errors[method] = float((pruned(x) - target).detach().square().mean())
    assert errors.pop("optimal") < 0.25 * min(errors.values())


def test_the_expected_error_is_what_happens_under_the_law():
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(9, 40), nn.ReLU(), nn.Linear(40, 5))
    result = prune(model, torch.randn(1, 9), keep=0.4, queries=Gaussian())
    x = torch.randn(100_000, 9, generator=torch.Generator().manual_seed(3))
    measured = float((model(x) - result.model(x)).detach().square().mean().sqrt())
    assert result.groups[0].expected_error == pytest.approx(measured, rel=0.03)
    assert not torch.equal(result.model[2].bias, model[2].bias)


def test_a_reader_without_a_bias_keeps_none():
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(9, 40), nn.ReLU(), nn.Linear(40, 5, bias=False))
    result = prune(model, torch.randn(1, 9), keep=0.4, queries=Gaussian())
    x = torch.randn(100_000, 9, generator=torch.Generator().manual_seed(3))
    measured = float((model(x) - result.model(x)).detach().square().mean().sqrt())
    assert result.model[2].bias is None
    assert result.groups[0].expected_error == pytest.approx(measured, rel=0.03)


def test_a_bias_that_another_layer_reads_too_is_left_alone():
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(5, 30), nn.ReLU(), nn.Linear(30, 5), nn.ReLU(), nn.Linear(5, 5))
    model[4].bias = model[2].bias
    result = prune(model, torch.randn(1, 5), keep={"0": 0.5})
    assert torch.equal(result.model[2].bias, model[2].bias)


def test_readers_with_functions_of_their_own_share_the_neurons():
    class Heads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.left, self.right = nn.Linear(6, 40), nn.Linear(40, 2), nn.Linear(40, 3)

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            h = self.body(x)
            return self.left(torch.relu(h)), self.right(torch.tanh(h))

    torch.manual_seed(0)
    model, x = Heads(), torch.randn(4000, 6)
    optimal = prune(model, x[:2], keep=0.5).model
    uniform = prune(model, x[:2], keep=0.5, method="uniform").model
    for wanted, good, poor in zip(model(x), optimal(x), uniform(x), strict=True):
        assert (good - wanted).square().mean() < 0.1 * (poor - wanted).square().mean()


def normalised(x: Tensor) -> nn.Sequential:
    """A network whose batch normalisations have seen x."""
    torch.manual_seed(2)
    model = nn.Sequential(
        nn.Linear(20, 60), nn.BatchNorm1d(60), nn.ReLU(),
        nn.Linear(60, 40), nn.BatchNorm1d(40), nn.Tanh(), nn.Linear(40, 3),
    )  # fmt: skip
    for layer in (model[1], model[4]):
        layer.momentum = None
        nn.init.uniform_(layer.weight, 0.5, 1.5)
        nn.init.normal_(layer.bias)
    for batch in torch.split(x, 500):
        model(batch)
    return model.eval()


def inputs_far_from_standard(rows: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 2 + torch.linspace(-3, 3, 20) + 0.2 * torch.randn(rows, 20, generator=generator)


def test_batch_normalisations_tell_what_inputs_are_like():
    x = inputs_far_from_standard(4000, 0)
    model = normalised(x)
    subject, groups, moments = moments_for(model, x[:2], None)
    got = Run(moments).of(groups[0], subject.graph.parameters)[0]
    h = model[2](model[1](model[0](x))).detach().double()
    torch.testing.assert_close(got.mean, h.mean(0), rtol=0.1, atol=0.1)
    assert "matched to the running statistics" in moments.words()
    assert "matched" not in moments_for(model, x[:2], Gaussian())[2].words()


def test_matched_moments_prune_better_than_standard_ones():
    x = inputs_far_from_standard(4000, 0)
    model, fresh = normalised(x), inputs_far_from_standard(4000, 1)
    wanted = model(fresh).detach()

    def error(queries: Gaussian | None) -> float:
        pruned = prune(model, x[:2], keep=0.3, queries=queries).model
        return float((pruned(fresh) - wanted).detach().square().mean())

    assert error(None) < 0.2 * error(Gaussian())


def follow(net: nn.Module, x: Tensor, law, kept: int):
    """The views of the second group before and after the first is cut, and the cut network."""
    subject, groups, moments = moments_for(net, x, law)
    run, parameters = Run(moments), subject.graph.parameters
    before = run.views(groups[1], parameters)
    views = run.views(groups[0], parameters)
    readers = [Reader(view.weights, view.moments) for view in views]
    indices = torch.arange(kept)
    cut = Cut(
        group=groups[0],
        indices=indices,
        weights=tuple(subset.weights for subset in solved(readers, indices)),
        shifts={
            consumer.affine.bias: subset.bias_shift
            for consumer, subset in zip(groups[0].consumers, solved(readers, indices), strict=True)
            if consumer.affine.bias is not None
        },
    )
    small = shrink(parameters, cut)
    run.cut(groups[0], indices)
    return before, run.views(groups[1], small), small, groups


@pytest.mark.parametrize("bias", [True, False])
def test_later_groups_fit_what_the_original_gave(bias):
    """(W + D) h' + offset is the least-squares fit of W h, over the samples, and so at least as
    near as W h' with its mean put right."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Linear(6, 30), nn.ReLU(), nn.Linear(30, 20), nn.ReLU(), nn.Linear(20, 4, bias=bias)
    ).double()
    x = torch.randn(3000, 6, generator=torch.Generator().manual_seed(1)).double()
    _, (view,), small, _ = follow(net, x[:2], Samples(x), 12)
    with torch.no_grad():
        wanted = net[3](net[2](net[1](net[0](x)))) @ net[4].weight.T
        first = (x @ small["0.weight"].T + small["0.bias"]).relu()
        now = (first @ small["2.weight"].T + small["2.bias"]).relu()
    fit = now @ view.weights.T + view.offset
    columns = torch.cat([now, torch.ones(len(now), 1).double()], 1) if bias else now
    best = columns @ torch.linalg.lstsq(columns, wanted).solution
    plain = now @ net[4].weight.detach().T
    plain = plain + (wanted - plain).mean(0) if bias else plain
    error, least, unfitted = (
        float((wanted - given).square().sum(1).mean()) for given in (fit, best, plain)
    )
    assert least <= error <= 1.001 * least
    assert error < 0.9 * unfitted
    assert bias or not view.offset.any()
    torch.testing.assert_close(view.moments.mean, now.mean(0) if bias else torch.zeros(20).double())


def test_without_a_cut_before_it_a_group_keeps_its_weights():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 30), nn.ReLU(), nn.Linear(30, 20), nn.ReLU(), nn.Linear(20, 4))
    (view,), _, _, groups = follow(net, torch.randn(2, 6), Samples(torch.randn(3000, 6)), 12)
    assert torch.equal(view.weights, net[4].weight.detach().double())
    assert not view.offset.any()
    assert groups[1].name == "2"


def test_sums_of_the_present_are_taken_beside_those_of_the_original():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 30), nn.ReLU(), nn.Linear(30, 20), nn.ReLU(), nn.Linear(20, 4))
    x = torch.randn(500, 6)
    subject, groups, moments = moments_for(net, x[:2], Samples(x))
    parameters = dict(subject.graph.parameters)
    sums = moments.against(groups[1], parameters)["4.weight"]
    assert sums[0].count == sums[1].count == 500
    assert sums[1].mean().abs().max() < 1e-12
    parameters["2.bias"] = parameters["2.bias"] + 1
    present, lost = moments.against(groups[1], parameters)["4.weight"]
    with torch.no_grad():
        before = net[:4](x).double()
        now = (net[2](net[1](net[0](x))) + 1).relu().double()
        missing = (before - now) @ net[4].weight.double().T
    torch.testing.assert_close(present.moments().mean, now.mean(0), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(lost.mean(), missing.mean(0), rtol=1e-5, atol=1e-5)
    expected = (missing - missing.mean(0)).T @ (now - now.mean(0)) / 500
    torch.testing.assert_close(lost.covariance(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("law", [Samples(draw(4000, 8)), Impressions()], ids=["own", "made"])
def test_fitting_the_original_beats_fitting_each_layer_for_itself(law, monkeypatch):
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Linear(8, 60), nn.ReLU(), nn.Linear(60, 50), nn.ReLU(), nn.Linear(50, 40), nn.ReLU(),
        nn.Linear(40, 4),
    )  # fmt: skip
    joint = prune(net, torch.randn(2, 8), keep=0.4, queries=law).measured_error
    monkeypatch.setattr(
        "coreprune.coresets.views.refitted", lambda cross, _: torch.zeros_like(cross)
    )
    alone = prune(net, torch.randn(2, 8), keep=0.4, queries=law).measured_error
    assert joint < 0.98 * alone


def test_fewer_samples_than_neurons_are_told_once_and_the_ridge_is_in_the_record():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 30), nn.ReLU(), nn.Linear(30, 20), nn.ReLU(), nn.Linear(20, 4))
    with pytest.warns(UserWarning, match="fewer queries than neurons") as told:
        result = prune(net, torch.randn(2, 6), keep=0.5, queries=Samples(torch.randn(10, 6)))
    (warning,) = told
    assert "0 (10 for 30), 2 (10 for 20)" in str(warning.message)
    assert str(warning.message) in result.notes
    assert all(group.ridge > 0 and group.condition_number > 1e3 for group in result.groups)


def test_as_many_samples_as_neurons_are_no_reason_for_a_warning(recwarn):
    net = nn.Sequential(nn.Linear(6, 30), nn.ReLU(), nn.Linear(30, 4))
    prune(net, torch.randn(2, 6), keep=0.5, queries=Samples(torch.randn(30, 6)))
    assert not recwarn.list


def test_impressions_are_made_once_for_all_groups():
    net = nn.Sequential(nn.Linear(6, 30), nn.ReLU(), nn.Linear(30, 20), nn.ReLU(), nn.Linear(20, 4))
    _, groups, moments = moments_for(net, torch.randn(2, 6), Impressions(steps=1))
    one, again = list(moments.calls(groups)), list(moments.calls([groups[1]]))
    assert all(a is b for a, b in zip(one, again, strict=True))


def test_no_more_impressions_are_made_than_are_asked_for():
    net = nn.Sequential(nn.Linear(6, 30), nn.ReLU(), nn.Linear(30, 4))
    _, groups, moments = moments_for(net, torch.randn(2, 6), Impressions(steps=1))
    next(moments.calls(groups))
    assert len(moments.drawn) == 1


def test_impressions_too_large_to_keep_are_made_anew_and_the_same(monkeypatch):
    net = nn.Sequential(nn.Linear(6, 30), nn.ReLU(), nn.Linear(30, 4))
    _, groups, moments = moments_for(net, torch.randn(2, 6), Impressions(steps=1))
    one = list(moments.calls(groups))
    monkeypatch.setattr(module, "KEPT", 0)
    again = list(moments.calls(groups))
    assert all(torch.equal(a.args[0], b.args[0]) for a, b in zip(one, again, strict=True))
    assert not any(a is b for a, b in zip(one, again, strict=True))


def test_sequences_give_rows_enough_in_fewer_queries():
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))
    subject, groups, moments = moments_for(net, torch.randn(2, 50, 4), Gaussian())
    kept = torch.arange(4)
    cut = Cut(group=groups[0], indices=kept, weights=(net[2].weight[:, :4].detach(),), shifts={})
    ((present, lost),) = moments.against(groups[1], shrink(subject.graph.parameters, cut)).values()
    assert 10_000 <= present.count == lost.count < 2 * 50 * 1024


def test_what_is_drawn_is_what_batch_normalisations_recall():
    x = inputs_far_from_standard(4000, 0)
    model = normalised(x)
    _, _, moments = moments_for(model, x[:2], None)
    drawn = next(iter(moments.calls(moments.groups))).args[0]
    hidden, wanted = model[0](drawn).detach(), model[0](x).detach()
    torch.testing.assert_close(hidden.mean(0), wanted.mean(0), rtol=0.2, atol=0.2)
    assert "mean of their own" in moments.words()


def test_the_measured_error_of_matched_moments_is_near_the_expected_one():
    x = inputs_far_from_standard(4000, 0)
    result = prune(normalised(x), x[:2], keep=0.5)
    assert result.measured_error == pytest.approx(result.expected_error, rel=0.5)
