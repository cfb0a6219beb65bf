"""Options that several commands share, and what they name."""

from pathlib import Path
from typing import Annotated

import typer
from torch import Tensor, nn

from coreprune.shells.torch_module.checkpoint import build, example_input, load_weights

WeightsOption = Annotated[
    Path | None,
    typer.Option(help=".safetensors, .pt or .pth; without it the factory's own weights are used"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="print one JSON document")]


def model_of(factory: str, weights: Path | None) -> nn.Module:
    """What a factory makes, with the weights of a file where one is given."""
    model = build(factory)
    if weights is not None:
        load_weights(model, weights)
    return model


def examples_of(shapes: list[str]) -> tuple[Tensor, ...]:
    """A seeded input for every shape."""
    return tuple(example_input(shape) for shape in shapes)
