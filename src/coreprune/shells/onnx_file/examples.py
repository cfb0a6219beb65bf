"""Example inputs by what a model declares, its open axes bound."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from coreprune.errors import ArgumentError
from coreprune.shells.onnx_file.document import Document
from coreprune.shells.onnx_file.packages import onnx_package

if TYPE_CHECKING:
    from onnx import ValueInfoProto

Array = np.ndarray[Any, Any]
Arrays = Mapping[str, Array]
"""By the names of the values."""


def inputs_of_model(document: Document) -> "list[ValueInfoProto]":
    """What must be given to the model: its inputs that have no value of their own."""
    given = {entry.name for entry in document.model.graph.initializer} | document.tensors.keys()
    return [entry for entry in document.model.graph.input if entry.name not in given]


def open_axes(document: Document) -> dict[str, tuple[str, int]]:
    """The axes whose sizes a model leaves open.

    Returns:
        By name, as `dimensions` takes them, an input and its axis; an axis without a name is called
        by the input and its position: "x:2".
    """
    found: dict[str, tuple[str, int]] = {}
    for entry in inputs_of_model(document):
        for axis, size in enumerate(entry.type.tensor_type.shape.dim):
            if size.dim_value <= 0:
                name = size.dim_param or f"{entry.name}:{axis}"
                found.setdefault(name, (entry.name, axis))
    return found


def input_shapes(
    document: Document, dimensions: Mapping[str, int] | None = None, *, default: int = 1
) -> dict[str, tuple[int, ...]]:
    """The shapes of the inputs, open axes bound.

    Args:
        document: The model.
        dimensions: Sizes of open axes by their names, or by input and position ("x:2").
        default: The size of open axes that it does not name; what is the first axis of an input,
            the batch, gets 1.

    Returns:
        A shape for each input.

    Raises:
        ArgumentError: When it names what is no open axis, or a size is not positive.
    """
    given = dict(dimensions or {})
    _check_known(document, given)
    batches = _batches(document)
    shapes = {}
    for entry in inputs_of_model(document):
        sizes = []
        for axis, size in enumerate(entry.type.tensor_type.shape.dim):
            usual = 1 if axis == 0 or size.dim_param in batches else default
            chosen = given.get(f"{entry.name}:{axis}", given.get(size.dim_param, usual))
            sizes.append(size.dim_value if size.dim_value > 0 else chosen)
        shapes[entry.name] = tuple(sizes)
    return shapes


def _batches(document: Document) -> set[str]:
    """The names of open axes that are the first of an input."""
    shapes = [entry.type.tensor_type.shape.dim for entry in inputs_of_model(document)]
    return {sizes[0].dim_param for sizes in shapes if sizes and sizes[0].dim_param}


def _check_known(document: Document, given: Mapping[str, int]) -> None:
    known = dict(open_axes(document))
    known |= {f"{name}:{axis}": (name, axis) for name, axis in known.values()}
    for entry in inputs_of_model(document):
        for axis, size in enumerate(entry.type.tensor_type.shape.dim):
            if size.dim_value <= 0:
                known[f"{entry.name}:{axis}"] = (entry.name, axis)
    if unknown := sorted(set(given) - set(known)):
        raise ArgumentError(
            f"dimensions names {', '.join(unknown)}, which the model does not leave open; "
            f"open are {', '.join(sorted(open_axes(document))) or 'none'}"
        )
    if wrong := {name: size for name, size in given.items() if size < 1}:
        raise ArgumentError(f"dimensions must be positive, got {wrong}; pass sizes of 1 or more")


def example_inputs(
    document: Document,
    dimensions: Mapping[str, int] | None = None,
    *,
    seed: int = 0,
    default: int = 1,
) -> dict[str, Array]:
    """Arrays that the model can be run on: normal numbers, small integers, or truth values.

    Args:
        document: The model.
        dimensions: Sizes of open axes by their names, or by input and position ("x:2").
        seed: Of the random numbers.
        default: The size of open axes that it does not name; what is the first axis of an input,
            the batch, gets 1.

    Returns:
        An array for each input.

    Raises:
        ArgumentError: When `dimensions` does not fit the model, or an input is no tensor.
    """
    shapes = input_shapes(document, dimensions, default=default)
    generator = np.random.default_rng(seed)
    found = {}
    for entry in inputs_of_model(document):
        if not entry.type.HasField("tensor_type"):
            raise ArgumentError(
                f"input {entry.name} is no tensor; coreprune runs models that read tensors"
            )
        kind = onnx_package().helper.tensor_dtype_to_np_dtype(entry.type.tensor_type.elem_type)
        found[entry.name] = _drawn(generator, shapes[entry.name], np.dtype(kind))
    return found


def _drawn(generator: np.random.Generator, shape: tuple[int, ...], kind: "np.dtype[Any]") -> Array:
    if kind.kind in "iu":
        return generator.integers(0, 2, shape).astype(kind)  # the first entries of any table
    if kind.kind == "b":
        return np.ones(shape, dtype=kind)  # as masks mean: everything counts
    if kind.kind in "OSU":
        return np.full(shape, "a", dtype=object)
    return generator.standard_normal(shape).astype(kind)
