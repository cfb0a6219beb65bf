"""A file that declares a batch of one size, opened to batches of any, where that is the same."""

from dataclasses import replace

import numpy as np

from coreprune.errors import ArgumentError
from coreprune.shells.onnx_file.document import Document
from coreprune.shells.onnx_file.examples import Array, Arrays, inputs_of_model
from coreprune.shells.onnx_file.packages import onnx_package
from coreprune.shells.onnx_file.session import outputs


def with_open_batch(document: Document, example: Arrays) -> Document:
    """The same model for batches of any size: many files are exported for one example alone.

    Args:
        document: The model.
        example: Its inputs.

    Returns:
        The model without the size of its inputs' first axis where that is declared, the same for
        all, and two batches at once give what each gives alone; else the model itself.
    """
    sizes = [entry.type.tensor_type.shape.dim for entry in inputs_of_model(document)]
    batches = {axes[0].dim_value if axes else 0 for axes in sizes}
    if len(batches) != 1 or min(batches) < 1:
        return document
    opened = _opened(document)
    turned = {name: _turned(array) for name, array in example.items()}
    try:
        given = [outputs(document, one) for one in (example, turned)]
        together = outputs(opened, _joined(example, turned))
    except ArgumentError:
        return document
    alike = all(
        _close(together[name], _stacked(*(one[name] for one in given))) for name in together
    )
    return opened if alike else document


def _opened(document: Document) -> Document:
    model = onnx_package().ModelProto()
    model.CopyFrom(document.model)
    read = {entry.name for entry in inputs_of_model(document)}
    for entry in model.graph.input:
        if entry.name in read:
            entry.type.tensor_type.shape.dim[0].ClearField("dim_value")
    for entry in model.graph.output:
        entry.type.tensor_type.ClearField("shape")
    del model.graph.value_info[:]
    return replace(document, model=model)


def _turned(array: Array) -> Array:
    """Another example of the same kind: its numbers the other way round."""
    return np.ascontiguousarray(array.reshape(-1)[::-1].reshape(array.shape))


def _joined(one: Arrays, other: Arrays) -> dict[str, Array]:
    return {name: np.concatenate([array, other[name]]) for name, array in one.items()}


def _stacked(one: Array, other: Array) -> Array | None:
    return np.concatenate([one, other]) if one.ndim and one.shape == other.shape else None


def _close(found: Array, wanted: Array | None) -> bool:
    if wanted is None or found.shape != wanted.shape or found.dtype != wanted.dtype:
        return False
    if found.dtype.kind != "f":
        return bool((found == wanted).all())
    finite = np.abs(wanted[np.isfinite(wanted)])
    size = float(finite.max()) if finite.size else 0.0
    off = float(np.finfo(wanted.dtype).eps) ** 0.5 * size
    return bool(np.allclose(found, wanted, rtol=0.0, atol=off, equal_nan=True))
