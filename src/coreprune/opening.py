"""Which shell a model belongs to."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from coreprune.errors import ArgumentError
from coreprune.shells.network import Network
from coreprune.shells.onnx_file.subject import open_file
from coreprune.shells.torch_module.subject import prepare

Model = nn.Module | str | Path
"""What users hold: a module, or the path of an .onnx file."""


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
    if isinstance(model, str | Path):
        if Path(model).is_dir():
            raise ArgumentError(
                f"model {model} is a folder, which is pruned on disk, block by block: call "
                "coreprune.prune_folder(source, target, keep=0.5), and coreprune.inspect_folder "
                "to see what can be reached"
            )
        if Path(model).suffix != ".onnx":
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
