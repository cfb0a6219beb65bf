"""What makes cutting safe: the cut file must equal the original with its neurons zeroed out."""

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from coreprune.errors import ArgumentError
from coreprune.shells.onnx_file.document import Document
from coreprune.shells.onnx_file.edit import edited
from coreprune.shells.onnx_file.examples import Array, Arrays, inputs_of_model
from coreprune.shells.onnx_file.lower import Lowered
from coreprune.shells.onnx_file.session import outputs, start

if TYPE_CHECKING:
    from onnx import ValueInfoProto


def violation(
    document: Document,
    lowered: Lowered,
    example: Arrays,
    *,
    small: Mapping[str, Tensor],
    wide: Mapping[str, Tensor],
    columns: Collection[str],
) -> str | None:
    """Compare the cut file with the original whose dropped neurons have zero outgoing weights.

    They may differ by half the digits of the response, which is what the outputs lose when the cut
    layers' readers see no neuron at all.

    Args:
        document: The original.
        lowered: Its graph.
        example: The example inputs; another batch size is tried as well where the model takes it.
        small: The changed tensors of the cut model.
        wide: The same at the original shapes, see `coreprune.graph.cut.widen`.
        columns: The weights in `wide` that read the cut neurons.

    Returns:
        What is wrong, for people, or None when both files agree to rounding.
    """
    silent = {**wide, **{name: torch.zeros_like(wide[name]) for name in columns}}
    cut, padded, deaf = (edited(document, lowered, one) for one in (small, wide, silent))
    untold = None
    for trial in (example, *_twice(document, example)):
        try:
            expected = outputs(padded, trial)
            silenced = outputs(deaf, trial)
        except ArgumentError as reason:
            if trial is example:
                untold = (
                    f"the file does not run, so that no cut can be checked ({_own_words(reason)})"
                )
            continue  # a model with a fixed batch size
        try:
            obtained = start(cut).run(trial)
        except ArgumentError as reason:
            return f"its width is fixed somewhere in the file ({_own_words(reason)})"
        for name, right in expected.items():
            if not _close(obtained[name], right, silenced[name]):
                return "cutting it changes more than its own neurons"
    return untold


def _own_words(reason: ArgumentError) -> str:
    return str(reason.__cause__ or reason).strip().partition("\n")[0]


def _close(left: Array, right: Array, silenced: Array) -> bool:
    if left.shape != right.shape or left.dtype != right.dtype:
        return False
    if left.dtype.kind != "f":
        return True  # a discrete output may flip where two scores tie
    eps = float(np.finfo(left.dtype).eps)
    wide = [one.astype(np.float64) for one in (left, right, silenced)]
    same = right.shape == silenced.shape
    response = _largest(wide[1] - wide[2]) if same else 0.0
    allowed = eps**0.5 * (response or _largest(wide[1]))
    return bool(np.allclose(wide[0], wide[1], rtol=4 * eps, atol=allowed, equal_nan=True))


def _largest(array: Array) -> float:
    finite = array[np.isfinite(array)]
    return float(np.abs(finite).max()) if finite.size else 0.0


def _twice(document: Document, example: Arrays) -> Iterator[dict[str, Array]]:
    """The example with a batch twice as large, where the model leaves the batch open."""
    entries = [entry for entry in inputs_of_model(document) if _open(entry)]
    if entries:
        batches = {entry.type.tensor_type.shape.dim[0].dim_param for entry in entries}
        yield {
            entry.name: _doubled(entry, example[entry.name], batches)
            for entry in inputs_of_model(document)
        }


def _open(entry: "ValueInfoProto") -> bool:
    sizes = entry.type.tensor_type.shape.dim
    return bool(sizes) and sizes[0].dim_value <= 0


def _doubled(entry: "ValueInfoProto", array: Array, batches: Collection[str]) -> Array:
    """An array with those of its axes twice as long that are batches."""
    for axis, size in enumerate(entry.type.tensor_type.shape.dim):
        if size.dim_value <= 0 and (axis == 0 or (size.dim_param and size.dim_param in batches)):
            array = np.concatenate([array, array], axis)
    return array
