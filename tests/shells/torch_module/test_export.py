import enum
import logging
import sys
import threading
import warnings

import pytest
import torch
from networks import CASES, draw, mlp, named
from torch import nn

from coreprune import inspect
from coreprune.shells.calls import Call
from coreprune.shells.torch_module.export import _gives_new_tensors, exported_parts, quiet


class Second(nn.Module):
    """Runs one of two parts, or one after the other, as the values say."""

    def __init__(self, first, second):
        super().__init__()
        self.a, self.b = first, second

    def forward(self, x):
        return self.a(x) if x.sum().item() < 1e9 else self.b(x)


class Chain(Second):
    def forward(self, x):
        return self.b(self.a(x)) if x.sum().item() < 1e9 else x


def parts_of(name):
    case = CASES[name]
    return exported_parts(case.make().eval(), Call(args=case.args, kwargs=case.kwargs))


def test_a_whole_model_is_one_part():
    (part,) = parts_of("ReLU")
    assert (part.prefix, part.note) == ("", "")
    assert part.program is not None


@pytest.mark.parametrize(
    "name",
    ["ReLU", "tensor.relu_", "softmax", "read in training only", "tied weights", "two norms"],
)
def test_a_program_has_the_operators_of_its_decomposition(name):
    case = CASES[name]
    (part,) = parts_of(name)
    with torch.no_grad(), quiet():
        expected = torch.export.export(case.make().eval(), case.args, case.kwargs)
        assert targets(part.program) == targets(expected.run_decompositions({}))


def targets(program):
    return [str(node.target) for node in program.graph.nodes if node.op == "call_function"]


def test_a_program_of_new_tensors_alone_needs_no_decomposition(monkeypatch):
    monkeypatch.delattr(torch.export.ExportedProgram, "run_decompositions")
    net = named(a=nn.Linear(3, 4), act=nn.ReLU(), b=nn.Linear(4, 2))
    (part,) = exported_parts(net, Call(args=(draw(1, 3),)))
    assert part.program is not None


def test_where_the_whole_fails_its_submodules_are_exported():
    failed, *parts = parts_of("branching")
    assert failed.program is None
    assert "data-dependent" in failed.note
    assert [part.prefix for part in parts] == ["a", "b"]
    assert all(part.program is not None for part in parts)


def test_a_submodule_that_fails_is_opened_in_its_turn():
    case = CASES["branching"]
    net = named(outer=case.make(), head=nn.Linear(2, 2)).eval()
    parts = exported_parts(net, Call(args=case.args))
    assert [(part.prefix, part.program is not None) for part in parts] == [
        ("", False),
        ("outer", False),
        ("outer.a", True),
        ("outer.b", True),
        ("head", True),
    ]


def test_submodules_that_do_not_run_are_no_programs():
    net = Second(mlp(6, 12, 3), mlp(6, 12, 3)).eval()
    _, ran, idle, *_ = exported_parts(net, Call(args=(draw(4, 6),)))
    assert ran.program is not None
    assert (idle.program, idle.note) == (None, "")


def test_a_failure_makes_no_noise_and_leaves_no_trace(capfd):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        parts_of("branching")
    assert capfd.readouterr() == ("", "")
    assert logging.root.manager.disable == logging.NOTSET


def test_threads_leave_no_trace():
    nets = [mlp(6, 12, 3) for _ in range(4)]
    before, failures = (sys.stdout, sys.stderr, torch.get_rng_state()), []

    def work(net):
        try:
            for _ in range(3):
                inspect(net, draw(1, 6))
        except Exception as reason:  # noqa: BLE001 (told below)
            failures.append(reason)

    threads = [threading.Thread(target=work, args=(net,)) for net in nets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert (sys.stdout, sys.stderr) == before[:2]
    assert torch.equal(torch.get_rng_state(), before[2])
    assert logging.root.manager.disable == logging.NOTSET


def test_hooks_are_gone_afterwards():
    case = CASES["branching"]
    net = case.make().eval()
    exported_parts(net, Call(args=case.args))
    assert not any(module._forward_pre_hooks for module in net.modules())


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_compiled_submodules_are_passed_over():
    net = Chain(torch.jit.script(nn.Linear(6, 6)), mlp(6, 12, 3)).eval()
    parts = exported_parts(net, Call(args=(draw(4, 6),)))
    assert {part.prefix for part in parts if part.program is not None} == {"b"}


def test_operators_are_not_trusted_where_torch_does_not_tag_them(monkeypatch):
    assert _gives_new_tensors(torch.ops.aten.relu.default)
    assert not _gives_new_tensors(torch.ops.aten.reshape.default)
    monkeypatch.setattr(torch, "Tag", enum.Enum("Tag", ["core"]))
    assert not _gives_new_tensors(torch.ops.aten.relu.default)
