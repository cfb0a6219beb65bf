import importlib
import math

import pytest
import torch
from networks import draw, mlp
from test_onnx import saved
from torch import nn

import coreprune
from coreprune import ArgumentError, compare

compare_module = importlib.import_module("coreprune.compare")


def parameters(model):
    return sum(tensor.numel() for tensor in model.parameters())


@pytest.fixture
def net():
    torch.manual_seed(0)
    return mlp(8, 60, 3)


def test_a_smaller_network_of_wide_layers_is_measured_as_faster():
    torch.manual_seed(0)
    wide, narrow = mlp(256, 4096, 256), mlp(256, 64, 256)
    found = compare(wide, narrow, draw(64, 256), seconds=0.3)
    assert 0 < found.seconds_after < found.seconds_before < math.inf
    assert found.calls >= 3
    assert found.inputs == "64 × 256 float32"
    assert (found.score_before, found.score_after) == (None, None)


def test_each_network_is_scored_in_evaluation_mode_and_stays_in_its_own(net):
    small = coreprune.prune(net, draw(4, 8), keep=0.5).model
    net.train()
    seen = []

    def score(model):
        seen.append(model.training)
        return torch.tensor(parameters(model))

    found = compare(net, small, draw(4, 8), score=score, seconds=0)
    assert (found.score_before, found.score_after) == (parameters(net), parameters(small))
    assert seen == [False, False]
    assert net.training


def test_calls_take_turns_until_time_is_up_but_at_least_three_times(net, monkeypatch):
    order = []
    pair = compare_module._Pair(
        runs=(lambda: order.append("a"), lambda: order.append("b")),
        scored=(None, None),
        call=compare_module.call_of(draw(1, 8), None),
    )
    assert len(compare_module._rounds(pair, seconds=0.0)) == 3
    assert "".join(order) == "ab" * 4  # one to warm up


def test_files_are_compared_by_their_sessions(net, tmp_path):
    path = saved(net, draw(4, 8), tmp_path / "net.onnx")
    result = coreprune.prune(path, draw(4, 8), keep=0.5)
    result.save(tmp_path / "small.onnx")

    def score(session):
        return session.run(None, {"x": draw(2, 8).numpy()})[0].sum()

    found = compare(path, result.model, draw(4, 8), score=score, seconds=0)
    again = compare(path, tmp_path / "small.onnx", draw(4, 8), score=score, seconds=0)
    assert found.score_before == pytest.approx(net(draw(2, 8)).sum().item(), rel=1e-4)
    assert found.score_after == pytest.approx(again.score_after)
    assert found.inputs == "4 × 8 float32"


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"seconds": -1}, "seconds must be a finite number"),
        ({"score": 3}, "score must be a function"),
        ({"score": lambda _: "good"}, "score must give a number"),
        ({"pruned": "small.onnx"}, "must be of one kind"),
        ({"example_inputs": draw(2, 9)}, "example_inputs must run through the model"),
    ],
)
def test_what_cannot_be_compared_is_refused(net, more, words):
    given = {"pruned": mlp(8, 6, 3), "example_inputs": draw(4, 8), "seconds": 0, **more}
    with pytest.raises(ArgumentError, match=words):
        compare(net, given.pop("pruned"), given.pop("example_inputs"), **given)


def test_what_a_result_says_of_sizes_is_what_the_small_network_has(net):
    result = coreprune.prune(net, draw(4, 8), keep=0.5)
    tensors = list(result.model.parameters())
    assert result.bytes_after == sum(tensor.nbytes for tensor in tensors) == 4 * 363
    assert result.flops_before == 2 * 4 * (8 * 60 + 60 * 3)
    assert result.flops_after == 2 * 4 * (8 * 30 + 30 * 3)


def test_an_input_that_is_one_number_is_told_as_such(net):
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net

        def forward(self, x, scale):
            return self.net(x) * scale

    found = compare(Scaled(), Scaled(), (draw(2, 8), torch.tensor(2.0)), seconds=0)
    assert found.inputs == "2 × 8 float32, one float32"
