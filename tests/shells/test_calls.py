import pytest
import torch
from networks import Forward, draw
from torch import nn

from coreprune.errors import ArgumentError
from coreprune.shells.calls import Call, call_of, other_batch
from coreprune.shells.torch_module.running import check_runs, run


@pytest.mark.parametrize(
    ("example", "args"),
    [((1, 2), (1, 2)), ([1, 2], (1, 2)), ({"x": 1}, ({"x": 1},)), (3, (3,)), ((), ())],
    ids=str,
)
def test_a_tuple_or_list_holds_positional_arguments(example, args):
    call = call_of(example, {"k": 0})
    assert (call.args, call.kwargs) == (args, {"k": 0})


def test_each_run_meets_the_same_randomness_and_leaves_the_callers(monkeypatch):
    seeded = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeded.append)
    net, call = nn.Dropout(), Call(args=(torch.ones(100),))
    before = torch.get_rng_state()
    assert torch.equal(run(net, call), run(net, call))
    assert torch.equal(torch.get_rng_state(), before)
    assert not seeded


def test_the_model_gets_copies_of_the_inputs():
    x = draw(4, 6)
    kept = x.clone()
    run(Forward(lambda _, d: d["x"].zero_()), Call(args=({"x": x},)))
    assert torch.equal(x, kept)


def test_the_other_batch_is_twice_as_large_wherever_the_batch_is():
    call = Call(args=(draw(4, 6), {"mask": draw(4, 4), "table": draw(3, 4)}), kwargs={"n": 2})
    other = other_batch(call)
    assert other.args[0].shape == (8, 6)
    assert (other.args[1]["mask"].shape, other.args[1]["table"].shape) == ((8, 4), (3, 4))
    assert other.kwargs == {"n": 2}


def test_inputs_that_do_not_run_are_refused_with_the_models_own_words():
    with pytest.raises(ArgumentError, match=r"Linear raised RuntimeError: mat1 .*\(4, 5\)"):
        check_runs(nn.Linear(6, 3), Call(args=(draw(4, 5),)))


def test_a_dtype_of_another_kind_is_told_without_options_of_the_command_line():
    with pytest.raises(ArgumentError, match=r"pass inputs of the model's type, float32$"):
        check_runs(nn.Linear(6, 3), Call(args=(draw(4, 6).half(),)))
