"""What reaches the layers of a file: rows of numbers, of a convolution its patches."""

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from coreprune.graph.groups import Linear
from coreprune.graph.ir import Affine
from coreprune.shells.moves import Moves
from coreprune.shells.network import InputNorms
from coreprune.shells.onnx_file.document import Document
from coreprune.shells.onnx_file.examples import Arrays
from coreprune.shells.onnx_file.session import values
from coreprune.shells.patches import largest_window_norm, patch_norms, patches


def largest_input_norms(
    document: Document,
    layers: Sequence[Linear],
    batches: Iterable[Arrays],
    *,
    windows: Mapping[str, tuple[int, ...]] | None = None,
    threads: int = 1,
) -> InputNorms:
    """The largest Euclidean norm of what layers read, of convolutions of their patches.

    Args:
        document: The model.
        layers: Some of its graph's layers.
        batches: Arrays for the model's inputs.
        windows: Extents of windows to measure too, for some of the convolutions, by weight.
        threads: How many work on one operator.

    Returns:
        The largest norms over all rows, patches and windows of all batches.

    Raises:
        ArgumentError: When a batch does not run through the model.
    """
    wanted = windows or {}
    rows = {layer.weight: 0.0 for layer in layers}
    beside = dict.fromkeys(wanted, 0.0)
    names = tuple(dict.fromkeys(layer.input for layer in layers))
    for found in values(document, names, batches, threads=threads):
        for layer in layers:
            key, source = layer.weight, found[layer.input]
            rows[key] = max(rows[key], _largest(_norms(layer, source)))
            if key in wanted:
                beside[key] = max(beside[key], _largest(largest_window_norm(source, wanted[key])))
    return InputNorms(rows=rows, windows=beside)


def read_by(layer: Linear, source: Tensor) -> Tensor:
    """One row for each sum that a layer takes of its input; of a convolution some patches.

    Args:
        layer: The layer.
        source: Its input.

    Returns:
        Shape (rows, d).
    """
    if isinstance(layer, Affine):
        return source.flatten(0, -2)
    return patches(source, _moves(layer))


def _norms(layer: Linear, source: Tensor) -> Tensor:
    if isinstance(layer, Affine):
        sizes: Tensor = torch.linalg.vector_norm(source.float(), dim=-1)
        return sizes
    return patch_norms(source, _moves(layer))


def _moves(layer: Linear) -> Moves:
    if isinstance(layer, Affine):
        raise TypeError(f"{layer.name} is no convolution")
    return Moves(
        kernel=layer.kernel,
        stride=layer.stride,
        padding=layer.padding,
        dilation=layer.dilation,
        groups=layer.groups,
    )


def _largest(norms: Tensor) -> float:
    return float(norms.amax().nan_to_num(torch.inf, torch.inf)) if norms.numel() else 0.0
