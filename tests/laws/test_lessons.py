"""What teaches a pruned network and what judges it."""

import itertools

import pytest
import torch
from networks import draw, mlp, named
from torch import nn

from coreprune import ArgumentError, BatchNormMatched, Repair, Samples, prune
from coreprune.laws.calls import calls_of
from coreprune.laws.lessons import lessons
from coreprune.queries.gaussian import Gaussian
from coreprune.shells.torch_module.subject import prepare

LAW = BatchNormMatched(examples=24, steps=2, batch=8)


def subject():
    torch.manual_seed(3)
    net = named(c=nn.Conv2d(2, 4, 3), n=nn.BatchNorm2d(4), f=nn.Flatten(), h=mlp(144, 20, 3))
    return prepare(net.eval(), (draw(2, 2, 8, 8),))


def first(law, count, of, *, held_back=2):
    calls = lessons(law, of, seed=0, held_back=held_back, most=16)
    return [call.tensors()[0] for call in itertools.islice(calls, count)]


def columns(batches):
    """Every position's channels, whichever query it has come from."""
    queries = torch.cat(list(batches))
    return {tuple(row) for row in queries.movedim(1, -1).flatten(0, -2).tolist()}


def test_matched_queries_teach_or_judge():
    of = subject()
    calls = first(LAW, 30, of)
    known = columns(call.tensors()[0] for call in calls_of(LAW, of, seed=0))
    judges, teachers = columns(calls[:2]), columns(calls[2:])
    assert not judges & teachers
    assert judges | teachers == known
    assert len(judges) == len(known) / 8
    assert {len(call) for call in calls} == {8}


def test_matched_queries_are_never_the_same_again_but_for_the_same_seed():
    calls = first(LAW, 5, subject())
    assert all(map(torch.equal, calls, first(LAW, 5, subject())))
    assert not any(torch.equal(calls[2], other) for other in calls[3:])


@pytest.mark.parametrize("array", [torch.as_tensor, torch.Tensor.numpy])
def test_rows_teach_or_judge(array):
    rows = draw(600, 6)
    of = prepare(mlp(6, 12, 3), (draw(4, 6),))
    calls = first(Samples(array(rows)), 7, of, held_back=3)
    assert [len(call) for call in calls] == [25, 25, 25, 256, 256, 13, 256]
    torch.testing.assert_close(torch.cat(calls[:6]), rows)
    torch.testing.assert_close(calls[6], calls[3])


def test_batches_teach_or_judge():
    batches = list(draw(5, 4, 6))
    calls = first(Samples(batches), 9, prepare(mlp(6, 12, 3), (draw(4, 6),)))
    expected = [*batches, *batches[2:], *batches[2:3]]
    assert all(map(torch.equal, calls, expected))


@pytest.mark.filterwarnings("ignore:fewer queries than neurons")
@pytest.mark.parametrize(
    ("data", "found"), [(draw(4, 6), "4 rows"), (list(draw(4, 2, 6)), "4 batches")]
)
def test_samples_that_would_only_judge_are_refused(data, found):
    settings = Repair(steps=2)
    with pytest.raises(ArgumentError, match=f"4 batches that are held back, got {found}; pass"):
        prune(mlp(6, 12, 3), draw(4, 6), keep=0.5, queries=Samples(data), repair=settings)


def test_other_laws_are_drawn_on():
    of = prepare(mlp(6, 12, 3), (draw(4, 6),))
    calls = first(Gaussian(), 3, of)
    assert [len(call) for call in calls] == [16] * 3
    assert not torch.equal(calls[0], calls[2])
