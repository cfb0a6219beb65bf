"""From a module to exported programs: the whole model, or the parts that export."""

import contextlib
import io
import logging
import operator
import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx, nn
from torch.export import ExportedProgram

from coreprune.shells.calls import Call, first_line
from coreprune.shells.torch_module.inner_reads import reads_inside
from coreprune.shells.torch_module.running import ONE_THREAD, run


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Part:
    """A module that was exported, or one that could not be.

    Attributes:
        prefix: Its name in the model.
        module: The module.
        program: What it computes, or None.
        note: Torch's reason where there is none.
        read_elsewhere: Whether code that was not exported may read what is inside it.
    """

    prefix: str
    module: nn.Module
    program: ExportedProgram | None
    note: str = ""
    read_elsewhere: bool = False


def exported_parts(
    model: nn.Module,
    call: Call,
    *,
    dynamic_shapes: Any = None,  # noqa: ANN401
) -> tuple[Part, ...]:
    """Export the model, or where that fails the largest submodules that can be.

    Args:
        model: In evaluation mode.
        call: The example inputs.
        dynamic_shapes: As `torch.export.export` takes them, for the whole model.

    Returns:
        One part when the whole model exports, else one a submodule; parts without a program carry
        torch's reason, or are read by code that could not be exported.
    """
    program, note = _export(model, call, dynamic_shapes)
    if program is not None:
        return (Part(prefix="", module=model, program=program),)
    calls = _recorded_calls(model, call)
    failed = Part(prefix="", module=model, program=None, note=note)
    return (failed, *_parts_below(model, "", calls))


def _parts_below(model: nn.Module, prefix: str, calls: Mapping[nn.Module, Call]) -> Iterator[Part]:
    for name, child in model.get_submodule(prefix).named_children():
        path = f"{prefix}.{name}" if prefix else name
        if not any(True for _ in child.parameters()):
            continue
        note = ""
        if child in calls:
            program, note = _export(child, calls[child], None)
            if program is not None:
                apart = not reads_inside(model, path)
                yield Part(
                    prefix=path,
                    module=child,
                    program=program if apart else None,
                    read_elsewhere=not apart,
                )
                continue
        yield Part(prefix=path, module=child, program=None, note=note)
        yield from _parts_below(model, path, calls)


def _export(
    module: nn.Module,
    call: Call,
    dynamic_shapes: Any,  # noqa: ANN401
) -> tuple[ExportedProgram | None, str]:
    note = ""
    if dynamic_shapes is None and _takes_names_of_fx(module):
        module = _Holder(module)
    for strict in (False, True):
        try:
            with torch.no_grad(), quiet():
                program = torch.export.export(
                    module, call.args, call.kwargs, dynamic_shapes=dynamic_shapes, strict=strict
                )
                return _functional(program), ""
        except Exception as reason:  # noqa: BLE001 (tracing runs the user's code: anything may come)
            note = note or f"{type(reason).__name__}: {in_words(reason)}"
    return None, note


def _functional(program: ExportedProgram) -> ExportedProgram:
    """The program without operators that write into tensors, or whose results nobody reads.

    Where each operator gives new tensors, decompositions with an empty table would change nothing,
    in several times the time of the export.
    """
    operators = [node for node in program.graph.nodes if node.op not in {"placeholder", "output"}]
    if not all(
        node.target is operator.getitem or _gives_new_tensors(node.target) for node in operators
    ):
        decomposed: ExportedProgram = program.run_decompositions({})
        return decomposed
    program.graph.eliminate_dead_code()
    return program


def _gives_new_tensors(target: object) -> bool:
    """Whether an operator is known to; versions of torch without the tag tell it of none."""
    if not isinstance(target, torch._ops.OpOverload) or target.namespace != "aten":
        return False
    unsure = getattr(torch.Tag, "maybe_aliasing_or_mutating", None)
    aliases = any(argument.alias_info is not None for argument in target._schema.arguments)
    return unsure is not None and not aliases and unsure not in target.tags


def in_words(reason: BaseException) -> str:
    """Torch's reason, in one line; of an output that it cannot open with the way out."""
    line = first_line(reason)
    unknown = re.search(r"Found <class '([^']+)'> in output, which is not a known type", line)
    if unknown is None:
        return line
    kind = unknown[1]
    return (
        f"it gives a {kind}, which torch cannot open; where that is a dataclass call "
        f'torch.export.register_dataclass({kind.rpartition(".")[2]}, serialized_type_name="{kind}")'
    )


HELD = "coreprune_held"
"""What the name of every parameter begins with where a module was exported within a holder."""


class _Holder(nn.Module):
    """A module one level down, where its children's names are free."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.add_module(HELD, module)

    def forward(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        return self.get_submodule(HELD)(*args, **kwargs)


def _takes_names_of_fx(module: nn.Module) -> bool:
    """Whether a layer has the name of an attribute of torch's graph modules, as "code"."""
    own = {name for name, _ in (*module.named_children(), *module.named_parameters(recurse=False))}
    return any(hasattr(fx.GraphModule, name) or name == "meta" for name in own)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep torch's warnings, logs and printed graphs to itself."""
    sink = io.StringIO()
    with (
        ONE_THREAD,
        warnings.catch_warnings(),
        contextlib.redirect_stdout(sink),
        contextlib.redirect_stderr(sink),
    ):
        warnings.simplefilter("ignore")
        before = logging.root.manager.disable
        logging.disable(logging.CRITICAL)
        try:
            yield
        finally:
            logging.disable(before)


def _recorded_calls(model: nn.Module, call: Call) -> dict[nn.Module, Call]:
    """The arguments of every submodule's first call."""
    calls: dict[nn.Module, Call] = {}

    def record(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        calls.setdefault(module, Call(args=args, kwargs=kwargs))

    hooks = [
        module.register_forward_pre_hook(record, with_kwargs=True)
        for module in model.modules()
        if not isinstance(module, torch.jit.ScriptModule)  # takes no hooks
    ]
    try:
        run(model, call)
    finally:
        for hook in hooks:
            hook.remove()
    return calls
