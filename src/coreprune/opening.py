"""Which shell a model belongs to."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from coreprune.errors import ArgumentError
from coreprune.shells.network import Network
from coreprune.shells.onnx_file.document import Document, read
from coreprune.shells.onnx_file.record import record_in
from coreprune.shells.onnx_file.subject import open_file
from coreprune.shells.torch_module.files import RECORD, load, read_record
from coreprune.shells.torch_module.subject import prepare

Model = nn.Module | str | Path | Document
"""What users hold: a module, the path of an .onnx file, or what pruning such a file gave."""


def is_file(model: str | Path) -> bool:
    """Whether this is the path of an .onnx file."""
    return Path(model).suffix.lower() == ".onnx"


def network_of(
    model: Model,
    example_inputs: Any,  # noqa: ANN401
    *,
    example_kwargs: Mapping[str, Any] | None = None,
    dynamic_shapes: Any = None,  # noqa: ANN401
) -> Network:
    """Read a model.

    Args:
        model: A module, or the path of an .onnx file.
        example_inputs: One tensor, or a tuple of positional arguments; of a file also a mapping by
            names, or None for some that it declares.
        example_kwargs: Keyword arguments of the forward pass; of a file more inputs by names.
        dynamic_shapes: Of a module, as `torch.export.export` takes them.

    Returns:
        The network under work.

    Raises:
        ArgumentError: When the example inputs do not fit or are missing.
        FileFormatError: When a file is missing or damaged.
        UnsupportedModelError: When torch cannot copy a module.
    """
    if isinstance(model, str | Path | Document):
        if not isinstance(model, Document) and Path(model).is_dir():
            raise ArgumentError(
                f"model {model} is a folder, which is pruned on disk, block by block: call "
                "coreprune.prune_folder(source, target, keep=0.5), and coreprune.inspect_folder "
                "to see what can be reached"
            )
        if not isinstance(model, Document) and not is_file(model):
            raise ArgumentError(
                f"model must be a torch.nn.Module or the path of an .onnx file, got {model!r}"
            )
        return open_file(model, _inputs(example_inputs, example_kwargs))
    if example_inputs is None:
        raise ArgumentError(
            "example_inputs must be given for a module; pass one tensor, or a tuple of "
            "positional arguments, as it takes them"
        )
    return prepare(
        model, example_inputs, example_kwargs=example_kwargs, dynamic_shapes=dynamic_shapes
    )


def _inputs(example_inputs: Any, example_kwargs: Mapping[str, Any] | None) -> Any:  # noqa: ANN401
    """All inputs of a file.

    Raises:
        ArgumentError: When some go by names and some do not.
    """
    if not example_kwargs:
        return example_inputs
    if example_inputs is None:
        return dict(example_kwargs)
    if isinstance(example_inputs, Mapping):
        return {**example_inputs, **example_kwargs}
    raise ArgumentError(
        "example_kwargs and example_inputs of an .onnx file must both go by names, or only one be "
        'given; pass example_inputs={"name": tensor}'
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Saved:
    """What `PruneResult.save` wrote.

    Attributes:
        model: The pruned model.
        record: What the saved record says; anything may stand there.
        place: Of the record, for people.
    """

    model: Model
    record: Mapping[str, Any]
    place: str


def saved_at(path: Path, *, into: nn.Module | None = None) -> Saved:
    """Read what `PruneResult.save` wrote.

    Args:
        path: A directory, or an .onnx file.
        into: For a directory an instance of the original's class; it becomes the pruned network.

    Returns:
        The model and its record.

    Raises:
        ArgumentError: When there is a directory but no instance, or the other way round.
        FileFormatError: When a file is missing, damaged or without a record.
    """
    if is_file(path) != (into is None):
        raise ArgumentError(
            f"original and pruned must both be .onnx files or neither, got {path} for pruned; "
            "give what was pruned and what that gave"
        )
    if into is not None:
        record = read_record(path)
        return Saved(model=load(path, into=into), record=record, place=str(path / RECORD))
    document = read(path)
    return Saved(model=document, record=record_in(document), place=f"the record in {path}")
