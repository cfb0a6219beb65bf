import copy
import dataclasses
import itertools
import math
import sys

import pytest
import torch
from network_asserts import snapshot
from torch import nn

from coreprune import ArgumentError, FileFormatError, prune
from coreprune.repair import Repair, repair
from coreprune.shells.calls import Call
from coreprune.training.loop import Training
from coreprune.training.state import FILE

pytest.importorskip("accelerate")


def network(seed=0, *, width=24):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, width), nn.ReLU(), nn.Linear(width, 3))


def pair():
    model = network()
    return model, prune(model, torch.ones(1, 6), keep=0.25).model


def queries(seed=0, *, batch=32):
    generator = torch.Generator().manual_seed(seed)
    while True:
        yield Call(args=(torch.randn(batch, 6, generator=generator),))


def first(count, seed=0):
    return itertools.islice(queries(seed), count)


def settings(**changes):
    defaults = {"steps": 60, "check_every": 10, "held_back": 2}
    return Repair(**{**defaults, **changes})


def weights(model):
    return [tensor.detach().clone() for tensor in model.state_dict().values()]


def equal(one, other):
    return all(itertools.starmap(torch.equal, zip(weights(one), weights(other), strict=True)))


def interrupting(step):
    """Progress that presses Ctrl-C when a step is reached."""

    def tell(what, done, of):
        if done == step:
            raise KeyboardInterrupt

    return tell


def test_it_comes_nearer_to_the_original_on_queries_it_never_saw():
    model, small = pair()
    result = repair(model, small, queries(), settings=settings(steps=200))
    fresh = next(queries(seed=9)).args[0]
    with torch.no_grad():
        before, after = (
            (net(fresh) - model(fresh)).square().mean() for net in (small, result.model)
        )
    assert after < 0.8 * before
    assert result.loss_after < 0.8 * result.loss_before
    assert (result.steps, result.stopped) == (200, "200 steps are done")


def test_neither_network_is_touched_and_the_result_has_the_pruned_one_s_modes():
    model, small = pair()
    small.train()[1].eval()
    before = snapshot(model), snapshot(small)
    result = repair(model, small, queries(), settings=settings())
    assert (snapshot(model), snapshot(small)) == before
    assert [module.training for module in result.model.modules()] == [
        module.training for module in small.modules()
    ]
    assert all(tensor.requires_grad for tensor in result.model.parameters())
    assert not equal(result.model, small)


def test_the_same_queries_give_the_same_weights_and_others_do_not():
    model, small = pair()
    one, two, other = (
        repair(model, small, queries(seed), settings=settings()).model for seed in (0, 0, 1)
    )
    assert equal(one, two)
    assert not equal(one, other)


def test_the_caller_s_random_state_stays_and_does_not_matter():
    model = nn.Sequential(network(), Noise())
    torch.manual_seed(5)
    state = torch.get_rng_state()
    one = repair(model, model, queries(), settings=settings()).model
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(6)
    assert equal(repair(model, model, queries(), settings=settings()).model, one)


class Noise(nn.Module):
    def forward(self, x):
        return x + torch.randn_like(x) / 10


@pytest.mark.parametrize("step", [25, 30, 31])
def test_resuming_gives_bit_for_bit_what_was_never_interrupted(tmp_path, step):
    model, small = pair()
    whole = repair(model, small, queries(), settings=settings())
    with_state = settings(directory=tmp_path / "state")
    stopped = repair(model, small, queries(), settings=with_state, progress=interrupting(step))
    assert stopped.stopped == "interrupted"
    assert stopped.steps == step // 10 * 10
    resumed = repair(model, small, queries(), settings=with_state)
    assert equal(resumed.model, whole.model)
    assert (resumed.loss_before, resumed.loss_after, resumed.steps, resumed.best_step) == (
        whole.loss_before,
        whole.loss_after,
        whole.steps,
        whole.best_step,
    )
    again = repair(model, small, queries(), settings=with_state)
    assert equal(again.model, whole.model)


def test_ctrl_c_keeps_the_best_weights_so_far():
    model, small = pair()
    result = repair(model, small, queries(), settings=settings(), progress=interrupting(45))
    assert result.stopped == "interrupted"
    assert 0 < result.best_step <= 40
    assert result.loss_after < result.loss_before


def test_the_state_is_one_file_of_tensors_and_json(tmp_path):
    model, small = pair()
    repair(model, small, queries(), settings=settings(directory=tmp_path / "state"))
    assert [path.name for path in (tmp_path / "state").iterdir()] == [FILE]
    header = (tmp_path / "state" / FILE).read_bytes()[8:2000].decode("latin-1")
    assert '"format":"coreprune training 1"' in header


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"learning_rate": 1e-2}, "learning_rate"),
        ({"steps": 80}, "steps"),
    ],
)
def test_a_state_of_other_settings_is_refused(tmp_path, change, what):
    model, small = pair()
    repair(model, small, queries(), settings=settings(directory=tmp_path))
    with pytest.raises(ArgumentError, match=f"other {what}; name another"):
        repair(model, small, queries(), settings=settings(directory=tmp_path, **change))


def test_a_state_of_other_channels_kept_is_refused(tmp_path):
    model, small = pair()
    repair(model, small, queries(), settings=settings(directory=tmp_path))
    with pytest.raises(ArgumentError, match="other kept"):
        repair(model, small, queries(), settings=settings(directory=tmp_path), kept={"w": [0]})


def test_a_state_of_other_networks_or_queries_is_refused(tmp_path):
    model, small = pair()
    repair(model, small, queries(), settings=settings(directory=tmp_path))
    with pytest.raises(ArgumentError, match="other original, queries"):
        repair(network(1), small, queries(3), settings=settings(directory=tmp_path))


@pytest.mark.parametrize("content", [b"", b"\x08" + 7 * b"\0" + b"{}      ", b"nonsense" * 9])
def test_a_damaged_state_is_refused(tmp_path, content):
    model, small = pair()
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(FileFormatError, match="delete it to start anew"):
        repair(model, small, queries(), settings=settings(directory=tmp_path))


def test_it_stops_when_held_back_queries_no_longer_improve():
    model, small = pair()
    result = repair(
        model, small, queries(), settings=settings(steps=5000, learning_rate=0.5, patience=3)
    )
    assert result.stopped == "no better for 30 steps"
    assert result.steps == result.best_step + 30


def test_a_time_limit_ends_it():
    model, small = pair()
    result = repair(model, small, queries(), settings=Repair(seconds=0.3, held_back=2))
    assert result.stopped == "0.3 seconds are over"
    assert 0.3 <= result.seconds < 30


def test_queries_that_end_early_are_no_error_but_too_few_are():
    model, small = pair()
    result = repair(model, small, first(27), settings=settings())
    assert (result.steps, result.stopped) == (25, "the batches ended after 25 steps")
    for count in (1, 2):
        with pytest.raises(ArgumentError, match=f"more than held_back=2 batches, got {count}"):
            repair(model, small, first(count), settings=settings())


def test_a_loss_that_is_not_finite_ends_it_with_the_best_weights():
    model, small = pair()

    def poisoned():
        yield from first(20)
        yield Call(args=(torch.full((32, 6), torch.nan),))

    result = repair(model, small, poisoned(), settings=settings())
    assert result.stopped.startswith("the loss was not finite at step 19; lower learning_rate")
    assert result.best_step == 10
    assert all(tensor.isfinite().all() for tensor in result.model.parameters())
    nan = iter([Call(args=(torch.full((4, 6), torch.nan),))] * 3)
    with pytest.raises(ArgumentError, match="loss of nan before the first step"):
        repair(model, small, nan, settings=settings())


@pytest.mark.parametrize(
    "as_element",
    [
        lambda x: x,
        lambda x: (x,),
        lambda x: [x, torch.zeros(len(x))],
        lambda x: ((x,), torch.zeros(len(x))),
        lambda x: {"input": x},
    ],
    ids=["tensor", "positional", "labelled", "positional labelled", "named"],
)
def test_queries_are_given_as_the_data_of_finetuning(as_element):
    model, small = pair()
    calls = list(first(30))
    elements = [as_element(call.args[0]) for call in calls]
    one, other = (repair(model, small, q, settings=settings()) for q in (calls, elements))
    assert one.steps == 28
    assert equal(one.model, other.model)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (torch.ones(40, 6), "queries must be an iterable of batches, got Tensor; pass a DataL"),
        ({"input": torch.ones(40, 6)}, "queries must be an iterable of batches, got dict"),
        (5, "queries must be an iterable of batches, got int"),
        ([5] * 9, "queries must yield tensors, tuples or mappings of them, got int"),
    ],
)
def test_what_are_no_queries_is_refused(data, message):
    with pytest.raises(ArgumentError, match=message):
        repair(*pair(), data, settings=settings())


def test_settings_of_another_kind_are_refused():
    for other in (None, 5, Training(steps=3)):
        with pytest.raises(ArgumentError, match=r"settings must be coreprune\.Repair\(...\), got"):
            repair(*pair(), queries(), settings=other)


def test_a_state_of_other_trained_parameters_is_refused(tmp_path):
    model, small = pair()
    repair(model, small, queries(), settings=settings(directory=tmp_path))
    small[0].requires_grad_(False)
    with pytest.raises(ArgumentError, match="with other trained parameters"):
        repair(model, small, queries(), settings=settings(directory=tmp_path))


def test_queries_of_a_wrong_shape_are_refused():
    model, small = pair()
    wrong = (Call(args=(torch.ones(2, 5),)) for _ in range(9))
    with pytest.raises(ArgumentError, match=r"every batch must run .* \(got \(2, 5\)\)"):
        repair(model, small, wrong, settings=settings())
    later = itertools.chain(first(5), wrong)
    with pytest.raises(ArgumentError, match="raised RuntimeError"):
        repair(model, small, later, settings=settings())


def test_another_network_as_the_original_is_refused():
    _, small = pair()
    with pytest.raises(ArgumentError, match="pass the network that was pruned"):
        repair(nn.Linear(6, 2), small, queries(), settings=settings())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "steps or seconds must be given, got neither"),
        ({"steps": 0}, "steps must be a whole number of at least 1, got 0"),
        ({"steps": 1.5}, "steps must be a whole number"),
        ({"seconds": 0}, "seconds must be positive and finite, got 0"),
        ({"seconds": float("nan")}, "seconds must be positive"),
        ({"steps": 1, "learning_rate": -1.0}, "learning_rate must be positive"),
        ({"steps": 1, "patience": 0}, "patience must be"),
        ({"steps": 1, "held_back": 0}, "held_back must be a whole number of at least 1, got 0"),
        ({"steps": 1, "inner": -1}, "inner must be finite and at least 0, got -1"),
        ({"steps": 1, "inner": math.nan}, "inner must be finite and at least 0, got nan"),
    ],
)
def test_settings_that_break_a_rule_are_refused(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        Repair(**arguments)


def test_a_directory_that_cannot_be_is_refused_before_any_work(tmp_path):
    model, small = pair()
    (tmp_path / "file").touch()
    for directory in (tmp_path / "file", tmp_path / "no" / "parent"):
        with pytest.raises(ArgumentError, match=r"directory .*; (name|create)"):
            repair(model, small, queries(), settings=settings(directory=directory))


def test_without_accelerate_it_says_what_to_install(monkeypatch):
    model, small = pair()
    monkeypatch.setitem(sys.modules, "accelerate", None)
    with pytest.raises(ArgumentError, match=r'pip install "coreprune\[train\]"'):
        repair(model, small, queries(), settings=settings())


def test_batch_statistics_stay_frozen():
    model = nn.Sequential(nn.Linear(6, 24), nn.BatchNorm1d(24), nn.ReLU(), nn.Linear(24, 3))
    model(torch.randn(64, 6))
    small = prune(model.eval(), torch.ones(2, 6), keep=0.5).model.train()
    result = repair(model, small, queries(), settings=settings())
    held_back = torch.cat([call.args[0] for call in first(2)])
    with torch.no_grad():
        wanted, given = model(held_back), copy.deepcopy(small).eval()(held_back)
    expected = (given - wanted).square().mean() / wanted.var(correction=0)
    assert result.loss_before == pytest.approx(expected.item(), rel=1e-4)
    assert torch.equal(result.model[1].running_mean, small[1].running_mean)
    assert int(result.model[1].num_batches_tracked) == int(small[1].num_batches_tracked)
    assert not torch.equal(result.model[1].weight, small[1].weight)


def test_parameters_without_gradients_stay_unless_none_has_any():
    model, small = pair()
    small[0].requires_grad_(False)
    result = repair(model, small, queries(), settings=settings()).model
    assert torch.equal(result[0].weight, small[0].weight)
    assert not torch.equal(result[2].weight, small[2].weight)
    small.requires_grad_(False)
    result = repair(model, small, queries(), settings=settings()).model
    assert not torch.equal(result[0].weight, small[0].weight)
    assert not any(tensor.requires_grad for tensor in result.parameters())


def test_half_precision_weights_are_trained_and_stay_half():
    model, small = pair()
    result = repair(model.bfloat16(), small.bfloat16(), queries(), settings=settings(steps=200))
    assert {tensor.dtype for tensor in result.model.parameters()} == {torch.bfloat16}
    assert result.loss_after < result.loss_before


def test_several_processes_are_refused():
    model, small = pair()
    several = type("Several", (), {"num_processes": 2})()
    with pytest.raises(ArgumentError, match="accelerator must have one process, got 2"):
        repair(model, small, queries(), settings=settings(), accelerator=several)


def test_settings_are_values():
    assert Repair(steps=1) == dataclasses.replace(Repair(steps=2), steps=1)
