from dataclasses import dataclass

import pytest
import torch
from networks import Forward, draw, mlp
from torch import nn

import coreprune
from coreprune import ArgumentError, UnsupportedModelError
from coreprune.shells.torch_module import programs


@pytest.fixture(scope="module")
def result():
    return coreprune.prune(mlp(6, 20, 3), draw(1, 6), keep=0.5)


def test_the_program_gives_the_model_s_outputs_for_any_batch(result, tmp_path):
    result.to_exported(tmp_path / "small.pt2")
    program = torch.export.load(tmp_path / "small.pt2").module()
    for rows in (1, 2, 7):
        x = draw(rows, 6)
        torch.testing.assert_close(program(x), result.model(x))
    assert [path.name for path in tmp_path.iterdir()] == ["small.pt2"]


def test_a_model_for_one_batch_size_keeps_it(tmp_path):
    net = Forward(
        lambda own, x: own.b(own.a(x).relu().view(2, 20)), a=nn.Linear(6, 20), b=nn.Linear(20, 3)
    )
    result = coreprune.prune(net, draw(2, 6), keep=1.0)
    result.to_exported(tmp_path / "small.pt2")
    x = draw(2, 6)
    program = torch.export.load(tmp_path / "small.pt2").module()
    torch.testing.assert_close(program(x), result.model(x))


class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.whole = mlp(6, 20, 3)

    def forward(self, x, scale):
        return self.whole(x) * scale


def test_keyword_arguments_are_traced(tmp_path):
    scale = torch.tensor(2.0)
    result = coreprune.prune(Scaled(), draw(1, 6), keep=0.5, example_kwargs={"scale": scale})
    result.to_exported(tmp_path / "small.pt2")
    program = torch.export.load(tmp_path / "small.pt2").module()
    x = draw(4, 6)
    torch.testing.assert_close(program(x, scale=scale), result.model(x, scale=scale))


def test_evaluation_mode_is_exported_and_the_model_keeps_its_own(tmp_path):
    net = nn.Sequential(nn.Linear(6, 20), nn.ReLU(), nn.Dropout(), nn.Linear(20, 3)).train()
    result = coreprune.prune(net, draw(1, 6), keep=0.5)
    result.to_exported(tmp_path / "small.pt2")
    assert result.model.training
    x = draw(3, 6)
    program = torch.export.load(tmp_path / "small.pt2").module()
    torch.testing.assert_close(program(x), result.model.eval()(x))


def test_a_program_that_gives_something_else_is_not_written(result, tmp_path, monkeypatch):
    right = programs.program_of

    def another(*args, **kwargs):
        program = right(*args, **kwargs)
        wrong = tuple(output + 0.01 for output in program.expected)
        return programs.Program(exported=program.exported, calls=program.calls, expected=wrong)

    monkeypatch.setattr(programs, "program_of", another)
    with pytest.raises(UnsupportedModelError, match=r"off by 0\.01"):
        result.to_exported(tmp_path / "small.pt2")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("place", "words"),
    [("small.bin", r"must end in \.pt2.*pass small\.pt2"), ("none/small.pt2", "create it first")],
)
def test_a_wrong_place_is_refused(result, tmp_path, place, words):
    with pytest.raises(ArgumentError, match=words):
        result.to_exported(tmp_path / place)


def test_inputs_of_another_shape_are_refused(result, tmp_path):
    with pytest.raises(ArgumentError, match="example_inputs must run through the model"):
        result.to_exported(tmp_path / "small.pt2", draw(1, 5))


def test_keyword_arguments_alone_are_refused(result, tmp_path):
    with pytest.raises(ArgumentError, match="must be given with example_kwargs"):
        result.to_exported(tmp_path / "small.pt2", example_kwargs={"scale": 2.0})


class Branching(nn.Module):
    def __init__(self):
        super().__init__()
        self.whole = mlp(6, 20, 3)

    def forward(self, x):
        return self.whole(x) if x.sum() > 0 else -self.whole(x)


def test_a_model_that_torch_cannot_trace_is_refused(tmp_path):
    result = coreprune.prune(Branching(), torch.ones(1, 6), keep=0.5)
    with pytest.raises(UnsupportedModelError, match=r"cannot trace .*result\.save"):
        result.to_exported(tmp_path / "small.pt2")
    assert list(tmp_path.iterdir()) == []


class Moving(nn.Module):
    """Changes a buffer at every call."""

    def __init__(self):
        super().__init__()
        self.whole = mlp(6, 20, 3)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.calls += 1
        return self.whole(x) * self.calls


def test_what_calls_change_is_no_difference(tmp_path):
    result = coreprune.prune(Moving(), draw(3, 6), keep=0.5, queries=coreprune.Gaussian())
    calls = result.model.calls.clone()
    result.to_exported(tmp_path / "small.pt2")
    program = torch.export.load(tmp_path / "small.pt2").module()
    torch.testing.assert_close(program(draw(1, 6)), result.model.eval()(draw(1, 6)))
    assert calls == 0


def test_plain_numbers_among_the_outputs_are_no_difference(tmp_path):
    net = Forward(
        lambda own, x: {"scores": own.b(own.a(x).relu()), "rows": x.shape[0]},
        a=nn.Linear(6, 20),
        b=nn.Linear(20, 3),
    )
    result = coreprune.prune(net, draw(3, 6), keep=0.5, queries=coreprune.Gaussian())
    result.to_onnx(tmp_path / "small.onnx")
    assert (tmp_path / "small.onnx").exists()


@dataclass
class Scores:
    scores: torch.Tensor


class Opened(nn.Module):
    def __init__(self):
        super().__init__()
        self.whole = mlp(6, 20, 3)

    def forward(self, x):
        return Scores(self.whole(x))


def test_an_output_that_torch_cannot_open_is_named_with_the_way_out():
    inspection = coreprune.inspect(Opened(), draw(1, 6))
    assert "torch.export.register_dataclass(Scores, serialized_type_name=" in str(inspection)
    reasons = {layer.name: layer.reason for layer in inspection.layers}
    assert reasons["whole.2"] == "its output is read by code that could not be exported"


def test_a_program_that_torch_cannot_write_is_refused(result, tmp_path, monkeypatch):
    def save(program, path):
        raise NotImplementedError("no name for Scores")

    monkeypatch.setattr(torch.export, "save", save)
    with pytest.raises(UnsupportedModelError, match=r"no name for Scores.*result\.save"):
        result.to_exported(tmp_path / "small.pt2")
    assert list(tmp_path.iterdir()) == []
