"""`coreprune inspect`: what of a model can be cut, and what stays whole."""

from pathlib import Path

import typer

import coreprune
from coreprune.commands.folder_options import check_applicable
from coreprune.commands.folders import inspect_given_folder
from coreprune.commands.option_words import IN_NOTES, in_options
from coreprune.commands.shared_options import (
    InputOption,
    JsonOption,
    ModelArgument,
    SkipOption,
    WeightsOption,
    examples_of,
    is_folder,
    model_of,
)
from coreprune.commands.terminal import print_json, print_table, say, shown_progress
from coreprune.commands.whole_layers import whole_layers
from coreprune.opening import is_file
from coreprune.shells.hf_folder.config import has_row


def inspect(  # noqa: PLR0917 (typer reads options from arguments)
    context: typer.Context,
    model: ModelArgument,
    shapes: InputOption = None,
    weights: WeightsOption = None,
    skip: SkipOption = None,
    as_json: JsonOption = False,
) -> None:
    """List every layer with the neurons that can be cut, or the reason why it stays whole."""
    if is_folder(model) and has_row(Path(model)):
        check_applicable(context, by_blocks=True)
        inspect_given_folder(Path(model), as_json=as_json)
        return
    with shown_progress() as tell:
        tell("reading the model", 0, 1)
        made = model_of(model, weights)
        inspection = coreprune.inspect(made, examples_of(model, shapes, made=made), skip=skip or ())
    if as_json:
        print_json(inspection.to_json())
        return
    whole = whole_layers(
        (layer.name, layer.reason) for layer in inspection.layers if layer.reason is not None
    )
    print_table(
        ("layer", "neurons", "read by", "stays whole because"),
        [
            (layer.name, str(layer.neurons), ", ".join(layer.consumers), "")
            for layer in inspection.layers
            if layer.reason is None
        ]
        + [(name, "", "", reason) for name, reason in whole.rows],
    )
    for sentence in whole.sentences:
        say(sentence)
    say(f"{inspection.reachable:.1%} of {inspection.parameters:,} parameters can be reached")
    for note in inspection.notes:
        say(f"{'note' if is_file(model) else 'not exported'}: {in_options(note, IN_NOTES)}")
