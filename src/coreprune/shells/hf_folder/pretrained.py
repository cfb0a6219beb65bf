"""A folder of a family without a row, as the module that transformers makes of it."""

import inspect
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from coreprune.errors import ArgumentError, FileFormatError, UnsupportedModelError
from coreprune.shells.calls import first_line
from coreprune.shells.hf_folder.config import CONFIG, read_entries
from coreprune.shells.hf_folder.transformers_package import (
    LOCAL,
    class_named,
    quiet,
    transformers_package,
)
from coreprune.shells.hf_folder.weights import find_weights

_TOKENS, _IMAGE = 16, 224


def pretrained(folder: Path) -> nn.Module:
    """What transformers makes of a folder, from its files alone and without code of its own.

    Args:
        folder: A folder with config.json and safetensors files.

    Returns:
        The module, of the class that config.json names where transformers has that, ready to run.

    Raises:
        ArgumentError: When transformers is not installed, or there are no safetensors files.
        FileFormatError: When files are damaged, or tensors are missing.
        UnsupportedModelError: When transformers does not know the model.
    """
    entries = read_entries(folder)
    find_weights(folder)  # refuses pickles, missing and damaged files in our own words
    package = transformers_package(
        f"the family {str(entries.get('model_type'))!r} is in no row of the family table, and "
        "models of such are read through the package"
    )
    with quiet(package):
        try:
            config = package.AutoConfig.from_pretrained(folder, **LOCAL)
            model, found = class_named(_classes_named(entries), package).from_pretrained(
                folder,
                config=config,
                **LOCAL,
                use_safetensors=True,
                output_loading_info=True,
            )
        except Exception as reason:
            raise UnsupportedModelError(
                f"{folder / CONFIG} has model_type {entries.get('model_type')!r}, which is in no "
                f"row of the family table, and transformers {package.__version__} does not load "
                f"the folder without code of its own ({first_line(reason)}); name "
                "a factory as package.module:factory, or in Python pass coreprune.prune_folder a "
                "row for it"
            ) from reason
    wrong = sorted(map(str, (*found["missing_keys"], *found["mismatched_keys"])))
    if wrong:
        more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise FileFormatError(
            f"{folder} does not hold {', '.join(wrong[:5])}{more} as {type(model).__name__} has "
            "it; take the config.json that belongs to the weights"
        )
    loaded: nn.Module = model.eval()
    return loaded


def _classes_named(entries: dict[str, Any]) -> list[object]:
    """The class that a config names first, if any."""
    names = entries.get("architectures")
    return names[:1] if isinstance(names, list) else []


def example_inputs_of(model: nn.Module) -> tuple[Tensor, ...]:
    """A seeded input of a model that transformers made.

    Args:
        model: The model.

    Returns:
        Token ids or pixels, as the model takes them.

    Raises:
        ArgumentError: When it takes something else.
    """
    name = getattr(model, "main_input_name", None)
    first = next(iter(inspect.signature(model.forward).parameters), None)
    config = getattr(model, "config", None)
    generator = torch.Generator().manual_seed(0)
    if name == first == "input_ids":
        vocabulary = int(getattr(config, "vocab_size", 2))
        length = min(_TOKENS, int(getattr(config, "max_position_embeddings", _TOKENS) or _TOKENS))
        return (torch.randint(vocabulary, (2, max(1, length // 2)), generator=generator),)
    if name == first == "pixel_values":
        size = getattr(config, "image_size", None) or _IMAGE
        sides = (size, size) if isinstance(size, int) else tuple(size)
        shape = (2, int(getattr(config, "num_channels", 3)), *sides)
        dtype = next((p.dtype for p in model.parameters()), torch.float32)
        return (torch.randn(shape, generator=generator).to(dtype),)
    raise ArgumentError(
        f"the inputs of {type(model).__name__} are not known: it takes {name or first} first; say "
        "their shapes, as with --input 1x80x3000"
    )
