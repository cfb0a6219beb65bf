"""The shapes of all values of a model for one example: inferred, and run where that tells not."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from coreprune.errors import ArgumentError
from coreprune.shells.onnx_file.document import Document, declared
from coreprune.shells.onnx_file.examples import (
    Arrays,
    example_inputs,
    input_shapes,
    inputs_of_model,
)
from coreprune.shells.onnx_file.packages import onnx_package
from coreprune.shells.onnx_file.session import Session, start

if TYPE_CHECKING:
    from onnx import ModelProto, ValueInfoProto

Shape = tuple[int, ...]

SIZES = (32, 64, 224, 1)
"""Of open axes that are no batch, tried in turn until the model runs."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shaped:
    """What is known of a model's values.

    Attributes:
        shapes: By value; a value that is missing has none that could be found out.
        example: The inputs that they hold for.
        notes: What went wrong on the way, for people.
    """

    shapes: Mapping[str, Shape]
    example: Arrays
    notes: tuple[str, ...] = ()


def shaped(
    document: Document, dimensions: Mapping[str, int] | None = None, *, seed: int = 0
) -> Shaped:
    """Find the shapes of a model's values.

    Args:
        document: The model.
        dimensions: Sizes of open axes by their names, or by input and position ("x:2"); a batch
            gets 1, other axes the first of some usual sizes with which the model runs.
        seed: Of the example's random numbers.

    Returns:
        The shapes and the example; never an error for a model that cannot be run.

    Raises:
        ArgumentError: When `dimensions` does not fit the model.
    """
    strange = [e.name for e in inputs_of_model(document) if not e.type.HasField("tensor_type")]
    if strange:
        note = f"it cannot be run: its inputs {', '.join(strange)} are no tensors"
        return Shaped(shapes=inferred(document, {}), example={}, notes=(note,))
    first, *others = _examples(document, dimensions, seed=seed)
    found, session = _tried(document, first)
    if session is None or not found.notes:
        return found
    runs = (example for example in others if _runs(session, example))
    example = next(runs, None)
    return found if example is None else _tried(document, example)[0]


def guessed_sizes(document: Document, dimensions: Mapping[str, int] | None, example: Arrays) -> str:
    """That axes other than the batch were open and of what size they were taken.

    Args:
        document: The model.
        dimensions: What is known of open axes, as `shaped` takes it.
        example: The inputs that were drawn.

    Returns:
        A note for people; empty where nothing was guessed.
    """
    one, other = (input_shapes(document, dimensions, default=size) for size in SIZES[:2])
    guessed = [name for name in one if one[name] != other[name] and name in example]
    if not guessed:
        return ""
    taken = ", ".join(f"{name} {'×'.join(map(str, example[name].shape))}" for name in guessed)
    return (
        f"axes that the file leaves open were taken as {taken}; pass example_inputs of the size "
        "that it is used at"
    )


def _examples(
    document: Document, dimensions: Mapping[str, int] | None, *, seed: int
) -> list[Arrays]:
    """Inputs of each of the usual sizes; of one where no axis is open."""
    one, other = (input_shapes(document, dimensions, default=size) for size in SIZES[:2])
    sizes = SIZES if one != other else SIZES[:1]
    return [example_inputs(document, dimensions, seed=seed, default=size) for size in sizes]


def _tried(document: Document, example: Arrays) -> tuple[Shaped, Session | None]:
    """The shapes of a model's values for given inputs.

    Args:
        document: The model.
        example: An array for each input.

    Returns:
        The shapes, with a note where the model cannot be run on the example; and what was run, if
        anything could be.
    """
    shapes = inferred(document, {name: tuple(array.shape) for name, array in example.items()})
    missing = [name for name in _made(document.model) if name not in shapes]
    session = None
    told: Arrays = {}
    notes = []
    try:
        if missing:
            session = start(document, exposed=missing, once=True)
            told = session.run(example)
    except ArgumentError as reason:
        notes.append(str(reason))
    shapes |= {name: tuple(array.shape) for name, array in told.items() if hasattr(array, "shape")}
    return Shaped(shapes=shapes, example=example, notes=tuple(notes)), session


def _runs(session: Session, example: Arrays) -> bool:
    try:
        session.run(example)
    except ArgumentError:
        return False
    return True


def _made(model: "ModelProto") -> Iterable[str]:
    """The values that the main graph's nodes make."""
    return [name for node in model.graph.node for name in node.output if name]


def inferred(document: Document, sizes: Mapping[str, Shape]) -> dict[str, Shape]:
    """The shapes that can be told without running the model, given those of its inputs."""
    onnx = onnx_package()
    model = declared(document)
    for entry in inputs_of_model(document):
        if entry.name in sizes:
            _bind(model, entry.name, sizes[entry.name])
    # What an exporter noted holds for open axes; outputs are told anew.
    del model.graph.value_info[:]
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    try:
        model = onnx.shape_inference.infer_shapes(model, data_prop=True)
    except Exception:  # noqa: BLE001 (it raises what C++ does; the model can still be run)
        return {name: tuple(size) for name, size in sizes.items()}
    entries = (*model.graph.input, *model.graph.value_info, *model.graph.output)
    told = {entry.name: _shape_of(entry) for entry in entries}
    told |= {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    return {name: shape for name, shape in told.items() if shape is not None}


def _bind(model: "ModelProto", name: str, sizes: Shape) -> None:
    for entry in model.graph.input:
        if entry.name == name:
            for axis, size in zip(entry.type.tensor_type.shape.dim, sizes, strict=False):
                axis.dim_value = size


def _shape_of(entry: "ValueInfoProto") -> Shape | None:
    tensor = entry.type.tensor_type
    if not tensor.HasField("shape"):
        return None
    sizes = [axis.dim_value if axis.HasField("dim_value") else -1 for axis in tensor.shape.dim]
    return tuple(sizes) if min(sizes, default=0) >= 0 else None


def entries_of(shape: Shape) -> int:
    """How many entries a tensor of a shape has."""
    return math.prod(shape)
