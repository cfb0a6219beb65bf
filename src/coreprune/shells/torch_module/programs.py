"""A module as a program of `torch.export` in a file, compared with the module before it stays."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram, ShapesCollection

from coreprune.errors import ArgumentError, UnsupportedModelError
from coreprune.shells.calls import Call, first_line, other_batch
from coreprune.shells.outputs import leaves_of
from coreprune.shells.torch_module.export import in_words, quiet
from coreprune.shells.torch_module.modules import copied
from coreprune.shells.torch_module.running import check_runs, run

SUFFIX = ".pt2"
SLACK = 1000
"""Two evaluations of one network may differ by so many roundings of its largest output."""

Evaluate = Callable[[Call], Any]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Program:
    """What torch exported, and what it must give.

    Attributes:
        exported: The program.
        calls: Inputs to try it on.
        expected: What the module gives for them.
    """

    exported: ExportedProgram
    calls: tuple[Call, ...]
    expected: tuple[Any, ...]


def program_of(model: nn.Module, call: Call, *, dynamic_shapes: Any = None) -> Program:  # noqa: ANN401
    """Export a module for inference.

    Args:
        model: In any mode; a copy in evaluation mode is exported.
        call: Inputs that run through it.
        dynamic_shapes: As `torch.export.export` takes them. None leaves axis 0, the batch, of all
            inputs open that share the first one's, where torch can: not behind a bare *args.

    Returns:
        The program, the inputs to try it on, and what the module gives for them.

    Raises:
        ArgumentError: When the inputs do not run through the model.
        UnsupportedModelError: When torch cannot export the module.
    """
    working = copied(model).eval()
    check_runs(copied(working), call)
    exported = None if dynamic_shapes is not None else _of_any_batch(working, call)
    calls = (call,) if exported is None else (call, other_batch(call))
    return Program(
        exported=exported or _exported(working, call, dynamic_shapes),
        calls=calls,
        expected=tuple(_ran(working, one) for one in calls),
    )


def save_program(model: nn.Module, call: Call, path: Path, *, dynamic_shapes: Any = None) -> None:  # noqa: ANN401
    """Write a module as a `.pt2` file, load it, and keep it only where it gives the same outputs.

    Args:
        model: The module.
        call: Inputs that run through it.
        path: The file; its name ends in .pt2.
        dynamic_shapes: As `program_of` takes them.

    Raises:
        ArgumentError: When the name or the inputs break their rule, or it cannot be written.
        UnsupportedModelError: When torch cannot export the module, or exports another function.
    """
    check_file(path, SUFFIX)
    program = program_of(model, call, dynamic_shapes=dynamic_shapes)

    def write(staged: Path) -> Evaluate:
        try:
            torch.export.save(program.exported, staged)
            module = torch.export.load(staged).module()
        except Exception as reason:
            raise UnsupportedModelError(
                f"torch.export cannot write {type(model).__name__} ({first_line(reason)}); "
                "save the weights with result.save, or use result.to_onnx"
            ) from reason
        return lambda one: _ran(module, one)

    write_checked(path, program, write)


def check_file(path: Path, suffix: str) -> None:
    """Refuse a name of another kind, or a folder that is not there.

    Raises:
        ArgumentError: With the way out.
    """
    if path.suffix != suffix:
        raise ArgumentError(f"path must end in {suffix}, got {path}; pass {path.stem}{suffix}")
    if not path.parent.is_dir():
        raise ArgumentError(f"directory {path.parent} does not exist; create it first")


def write_checked(path: Path, program: Program, write: Callable[[Path], Evaluate]) -> None:
    """Write files beside their place, run what was written, and move them there if it is right.

    Args:
        path: The file's place.
        program: What it must compute.
        write: Writes it, and files beside it, under the path it is given; returns a way to run it.

    Raises:
        ArgumentError: When the folder cannot be written.
        UnsupportedModelError: When the outputs are others.
    """
    try:
        with TemporaryDirectory(prefix=".coreprune-", dir=path.parent) as folder:
            staged = Path(folder) / path.name
            with warnings.catch_warnings(), quiet():
                evaluate = write(staged)
                obtained = [evaluate(call) for call in program.calls]
            _check_same(obtained, program.expected, path)
            for file in sorted(Path(folder).iterdir()):
                file.replace(path.with_name(file.name))
    except OSError as reason:
        raise ArgumentError(
            f"{path} cannot be written ({reason}); choose another place"
        ) from reason


def _exported(module: nn.Module, call: Call, dynamic_shapes: Any) -> ExportedProgram:  # noqa: ANN401
    """The program.

    Raises:
        UnsupportedModelError: With torch's reason.
    """
    try:
        with torch.no_grad(), quiet():
            return torch.export.export(
                module, call.args, call.kwargs, dynamic_shapes=dynamic_shapes, strict=False
            )
    except Exception as reason:
        raise UnsupportedModelError(
            f"torch.export cannot trace {type(module).__name__} ({in_words(reason)}); "
            "save the weights with result.save and export the parts that can be traced"
        ) from reason


def _of_any_batch(module: nn.Module, call: Call) -> ExportedProgram | None:
    """The program with its batch left open, or None where that is not to be had."""
    twice = other_batch(call)  # torch takes an axis of size 1 for fixed
    batched = [tensor for tensor in twice.tensors() if tensor.ndim > 0]
    if not batched:
        return None
    shapes = ShapesCollection()  # type: ignore[no-untyped-call]
    for tensor in batched:
        if len(tensor) == len(batched[0]):
            shapes[tensor] = {0: Dim.AUTO}
    try:
        _ran(module, twice)
        program = _exported(module, twice, shapes)
        _ran(program.module(), call)  # torch may have fixed the size after all
    except Exception:  # noqa: BLE001 (the user's code runs: anything may come)
        return None
    return program


def _ran(module: nn.Module, call: Call) -> Any:  # noqa: ANN401
    """What a module gives; the buffers that the call changed are as they were."""
    before = [(buffer, buffer.clone()) for buffer in module.buffers()]
    output = run(module, call)
    with torch.no_grad():
        for buffer, kept in before:
            buffer.copy_(kept)
    return output


def _check_same(obtained: Sequence[Any], expected: Sequence[Any], path: Path) -> None:
    """Insist on the module's outputs.

    Raises:
        UnsupportedModelError: With the largest difference.
    """
    left, right = _numbers(obtained), _numbers(expected)
    if len(left) < len(right):  # a file may lack the plain numbers among the outputs
        left, right = (
            [leaf for leaf in leaves_of(outputs) if isinstance(leaf, Tensor)]
            for outputs in (list(obtained), list(expected))
        )
    problem = f"{len(left)} tensors for {len(right)}" if len(left) != len(right) else ""
    for own, wanted in zip(left, right, strict=False):
        problem = problem or _difference(own, wanted)
    if problem:
        raise UnsupportedModelError(
            f"the exported program does not give the module's outputs ({problem}), so {path} was "
            "not written; export model.float().eval(), or report the layer that differs to torch"
        )


def _numbers(outputs: Sequence[Any]) -> list[Tensor]:
    """Tensors and plain numbers, which a file may give as tensors, as tensors."""
    known = [one for one in leaves_of(list(outputs)) if isinstance(one, Tensor | int | float)]
    return [torch.as_tensor(one) for one in known]


def _difference(own: Tensor, wanted: Tensor) -> str:
    """What is wrong with an output; an empty text where nothing is."""
    if own.shape != wanted.shape:
        return f"shape {tuple(own.shape)} for {tuple(wanted.shape)}"
    if not wanted.is_floating_point() or wanted.numel() == 0:
        return ""  # a discrete output may flip where two scores tie
    wide = wanted.double()
    slack = SLACK * torch.finfo(wanted.dtype).eps * float(wide.abs().nan_to_num().amax())
    change = own.double().to(wide.device) - wide
    worst = float(change.nan_to_num(torch.inf).abs().amax())
    same = torch.allclose(own.double().to(wide.device), wide, rtol=0, atol=slack, equal_nan=True)
    return "" if same else f"off by {worst:.3g}, at most {slack:.3g} is rounding"
