"""Queries matched to batch normalisations, through a network."""

import pytest
import torch
from networks import Forward, draw, mlp, named
from torch import nn
from torch.nn import functional as F  # noqa: N812 (as everybody writes it)

from coreprune import ArgumentError, BatchNormMatched, prune
from coreprune.laws.calls import calls_of, drawn, make_ready
from coreprune.laws.matched import _statistics, remembers_inputs
from coreprune.progress import silent
from coreprune.queries.batch_norm import mismatch
from coreprune.shells.calls import batch_size
from coreprune.shells.torch_module.subject import prepare

LAW = BatchNormMatched(examples=12, steps=20, batch=4)


def images(**norm):
    """Two convolutions with batch normalisations that saw images of a mean and scale of theirs."""
    torch.manual_seed(3)
    net = named(
        c=nn.Conv2d(2, 4, 3, padding=1),
        n=nn.BatchNorm2d(4, **norm),
        r=nn.ReLU(),
        d=nn.Conv2d(4, 6, 3, stride=2),
        m=nn.BatchNorm2d(6, **norm),
        f=nn.Flatten(),
        h=mlp(54, 20, 3),
    )
    for _ in range(60):
        net(3 + 2 * torch.randn(32, 2, 8, 8))
    return net.eval()


def of(net=None, *args):
    return prepare(net or images(), args or (draw(2, 2, 8, 8),))


def queries(subject, law=LAW, seed=0, **options):
    return [call.args[0] for call in calls_of(law, subject, seed=seed, **options)]


def test_queries_come_nearer_to_what_is_remembered():
    subject = of()
    far, near = (
        mismatch(_statistics(subject, queries(subject, BatchNormMatched(examples=16, steps=s))[0]))
        for s in (0, 100)
    )
    assert near < 0.05 * far


def test_there_are_as_many_as_the_law_says_in_batches_alike():
    subject = of()
    assert [len(x) for x in queries(subject)] == [4, 4, 4]
    assert [len(x) for x in queries(subject, BatchNormMatched(examples=9, steps=0, batch=4))] == [
        3
    ] * 3
    assert [batch_size(c) for c in drawn(LAW, subject, seed=0, examples=5)] == [4, 4]


def test_large_inputs_come_in_small_batches(monkeypatch):
    monkeypatch.setattr("coreprune.laws.matched.NUMBERS", 300)
    monkeypatch.setattr("coreprune.laws.matched.FEWEST", 1)
    assert [len(x) for x in queries(of())] == [2] * 6


def test_the_seed_decides_and_batches_differ():
    one, again, other = (queries(of(), seed=s) for s in (3, 3, 4))
    assert all(map(torch.equal, one, again))
    assert not any(map(torch.equal, one, other))
    assert not torch.equal(one[0], one[1])


@pytest.fixture
def count(monkeypatch):
    """How many batches are made, not taken from a store."""
    made = []
    sample = BatchNormMatched.sample

    def counting(*args, **kwargs):
        made.append(args)
        return sample(*args, **kwargs)

    monkeypatch.setattr(BatchNormMatched, "sample", counting)
    return made


def test_queries_are_made_once_for_a_model_under_work(count):
    subject = of()
    assert all(map(torch.equal, queries(subject), queries(subject)))
    assert len(count) == 3


def test_queries_are_kept_for_the_next_run(count, monkeypatch, tmp_path):
    monkeypatch.setenv("COREPRUNE_CACHE", str(tmp_path))
    assert all(map(torch.equal, queries(of()), queries(of())))
    assert len(count) == 3


def test_an_interrupted_run_goes_on_where_it_stopped(count, monkeypatch, tmp_path):
    monkeypatch.setenv("COREPRUNE_CACHE", str(tmp_path))
    interrupted = calls_of(LAW, of(), seed=0)
    first = [next(interrupted).args[0] for _ in range(2)]
    rest = queries(of())
    assert all(map(torch.equal, first, rest))
    assert len(count) == 3


@pytest.mark.parametrize("change", ["weights", "settings", "shape", "seed", "network", "code"])
def test_kept_queries_of_another_origin_are_not_taken(count, monkeypatch, tmp_path, change):
    monkeypatch.setenv("COREPRUNE_CACHE", str(tmp_path))
    queries(of())
    net, law, seed, x = images(), LAW, 0, draw(2, 2, 8, 8)
    if change == "weights":
        net.n.running_mean[0] += 1
    elif change == "settings":
        law = BatchNormMatched(examples=12, steps=20, batch=4, rate=0.2)
    elif change == "shape":
        law = BatchNormMatched(examples=12, steps=20, batch=3)
    elif change == "seed":
        seed = 1
    elif change == "network":
        net.r = nn.LeakyReLU()
    else:
        plain = type(net).forward
        monkeypatch.setattr(type(net), "forward", lambda self, x: plain(self, x.relu()))
    list(calls_of(law, of(net, x), seed=seed))
    assert len(count) == 3 + 12 // law.batch


def test_progress_is_told_to_the_end(monkeypatch, tmp_path):
    monkeypatch.setenv("COREPRUNE_CACHE", str(tmp_path))
    for rise in (60, 3):  # made step by step, then batch by batch from the disk
        told: list[tuple[str, int, int]] = []
        make_ready(LAW, of(), seed=0, tell=lambda *args, told=told: told.append(args))
        assert {(what, of) for what, _, of in told} == {("matching batch normalisations", 60)}
        done = [done for _, done, _ in told]
        assert done == sorted(done)
        assert len(set(done)) == rise
        assert done[-1] == 60


def test_other_laws_have_nothing_to_make_ready(count):
    make_ready(BatchNormMatched(examples=4, steps=0), of(), seed=0, tell=silent)
    assert len(count) == 1


def test_a_model_of_a_fixed_batch_gets_its_own_size():
    net = Forward(lambda m, x: m.n(x.view(2, 2, 8, 8)), n=images())
    assert [len(x) for x in queries(of(net))] == [2] * 6


def test_functions_and_half_precision_are_matched_alike():
    mean, variance = torch.tensor([4.0, -4.0]), torch.tensor([1.0, 9.0])
    net = Forward(
        lambda m, x: m.h(F.batch_norm(x, mean.to(x), variance.to(x)).flatten(1)), h=mlp(18, 9, 2)
    )
    subject = of(net.bfloat16(), draw(2, 2, 3, 3).bfloat16())
    (x,) = queries(subject, BatchNormMatched(examples=32, steps=200))
    assert x.dtype == torch.bfloat16
    torch.testing.assert_close(x.float().mean((0, 2, 3)), mean, atol=0.2, rtol=0)
    torch.testing.assert_close(x.float().var((0, 2, 3)), variance, atol=1.0, rtol=0)


@pytest.mark.parametrize(
    "net",
    [
        images(track_running_stats=False),
        named(c=nn.Conv2d(2, 4, 3), f=nn.Flatten(), h=mlp(144, 20, 3)),
        Forward(lambda m, x: m.n(x.detach()), n=images()),
    ],
    ids=["no running statistics", "no norm", "no derivative"],
)
def test_a_network_with_nothing_to_match_is_refused_with_a_way_out(net):
    subject = of(net)
    assert not remembers_inputs(subject, subject.call.args[0])
    with pytest.raises(ArgumentError, match=r"track_running_stats=True.*pass coreprune.Samples"):
        queries(subject)


def test_other_inputs_than_one_of_numbers_are_refused():
    net = Forward(lambda m, x, y: m.n(x + y), n=images())
    with pytest.raises(ArgumentError, match="one floating-point input"):
        queries(of(net, draw(2, 2, 8, 8), draw(2, 2, 8, 8)))


def test_few_queries_are_noted_without_a_warning():
    law = BatchNormMatched(examples=24, steps=1, batch=8)
    result = prune(images(), draw(2, 2, 8, 8), keep=0.5, queries=law)
    assert any("fewer queries than neurons" in note for note in result.notes)


@pytest.mark.parametrize("method", ["optimal", "uniform"])
def test_networks_of_images_are_pruned_under_it(method, count):
    told = []
    law = BatchNormMatched(examples=72, steps=20, batch=24)
    result = prune(
        images(), draw(2, 2, 8, 8), keep=0.5, queries=law, method=method,
        progress=lambda what, *_: told.append(what),
    )  # fmt: skip
    assert ("matching batch normalisations" in told) is (method == "optimal")
    assert len(count) == (4 if method == "optimal" else 0)  # three to choose by, one to measure
    if method == "optimal":
        assert result.law.startswith("72 inputs moved from random pictures in 20 steps at most")
        assert 0 < result.measured_error < result.output_spread
