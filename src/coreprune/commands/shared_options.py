"""Options that several commands share, and what they name."""

from collections.abc import Collection
from pathlib import Path
from typing import Annotated

import typer
from torch import Tensor, nn

from coreprune.errors import ArgumentError
from coreprune.opening import is_file
from coreprune.shells.hf_folder.pretrained import example_inputs_of, pretrained
from coreprune.shells.torch_module.checkpoint import build, example_input, load_weights

ModelArgument = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="package.module:factory, called without arguments, an .onnx file, or a folder that "
        "transformers' save_pretrained wrote",
    ),
]
InputOption = Annotated[
    list[str] | None,
    typer.Option(
        "--input",
        help="shape of an input with its batch axis, as 1x784 or 1x16@int64; "
        "once for each positional argument; an .onnx file declares its own",
    ),
]
WeightsOption = Annotated[
    Path | None,
    typer.Option(help=".safetensors, .pt or .pth; without it the factory's own weights are used"),
]
SkipOption = Annotated[list[str] | None, typer.Option(help="a layer to leave whole; repeatable")]
JsonOption = Annotated[bool, typer.Option("--json", help="print one JSON document")]


def given_of(context: typer.Context, names: Collection[str]) -> dict[str, str]:
    """The options among some that were typed, by the parameters' names.

    Args:
        context: Of the command.
        names: Of parameters.

    Returns:
        What they are called when they are typed, as `--input` for `shapes`.
    """
    given = {}
    for parameter in context.command.params:
        name = str(parameter.name)
        source = context.get_parameter_source(name)
        if name in names and source is not None and source.name != "DEFAULT":
            given[name] = max(parameter.opts, key=len)
    return given


def is_folder(model: str) -> bool:
    """Whether MODEL is a folder."""
    return Path(model).is_dir()


def model_of(name: str, weights: Path | None) -> nn.Module | Path:
    """An .onnx file's path, or what a factory makes with the weights of a file where one is given.

    A folder is what transformers makes of it.

    Raises:
        ArgumentError: When weights are given for a file or a folder.
    """
    if not is_file(name):
        return module_of(name, weights)
    if weights is not None:
        raise ArgumentError(f"weights are in {name} itself; leave --weights out")
    return Path(name)


def module_of(factory: str, weights: Path | None) -> nn.Module:
    """What a factory makes, with the weights of a file where one is given, or of a folder."""
    if is_folder(factory):
        return _of_folder(factory, weights)
    model = build(factory)
    if weights is not None:
        load_weights(model, weights)
    return model


def _of_folder(folder: str, weights: Path | None) -> nn.Module:
    """What transformers makes of a folder.

    Raises:
        ArgumentError: When weights are given as well.
    """
    if weights is not None:
        raise ArgumentError(f"weights are in {folder} itself; leave --weights out")
    return pretrained(Path(folder))


def examples_of(
    model: str, shapes: list[str] | None, *, made: nn.Module | Path | None = None
) -> tuple[Tensor, ...] | None:
    """A seeded input for every shape; None for a file that declares its own.

    Args:
        model: MODEL as it was given.
        shapes: What --input says.
        made: What was made of it; a module that transformers made tells its inputs.

    Returns:
        Positional arguments.

    Raises:
        BadParameter: When a module is given no shape.
    """
    if shapes:
        return tuple(example_input(shape) for shape in shapes)
    if is_file(model):
        return None
    if is_folder(model) and isinstance(made, nn.Module):
        return example_inputs_of(made)
    raise typer.BadParameter("give --input SHAPE, as 1x784: a module does not tell its inputs")
