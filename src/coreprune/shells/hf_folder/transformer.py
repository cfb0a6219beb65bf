"""The model of a folder as transformers builds it, for laws that have to run it."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from coreprune.errors import UnsupportedModelError
from coreprune.shells.calls import first_line
from coreprune.shells.hf_folder.transformers_package import (
    LOCAL,
    class_named,
    quiet,
    transformers_package,
)

_VOCABULARIES = (
    "tokenizer.json",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
    "vocab.txt",
    "vocab.json",
)
"""Files of which a tokenizer's folder has one."""

_LEAST = 3
"""Parts of a name that must be the same: the layer's number and what is behind it."""

_NEED = "queries and repair that run a folder's model need"
"""For whom transformers is missing."""


class Transformer(nn.Module):
    """All that a folder's layers give for token ids, without the head.

    Args:
        model: As transformers built it.
    """

    def __init__(self, model: Any) -> None:  # noqa: ANN401 (transformers is imported late)
        super().__init__()
        self.model = model
        self.has_decoder = bool(model.config.is_encoder_decoder)

    def forward(self, ids: Tensor) -> tuple[Tensor, ...]:
        """The outputs of every layer, the last one's normalised where the model does so.

        Args:
            ids: Whole numbers. Shape (b, l).

        Returns:
            Of the encoder, then of the decoder, which is given the same ids. Shapes (b, l, d).
        """
        how: dict[str, Any] = {"output_hidden_states": True, "use_cache": False}
        if self.has_decoder:
            given = self.model(input_ids=ids, decoder_input_ids=ids, **how)
            return (*given.encoder_hidden_states[1:], *given.decoder_hidden_states[1:])
        return tuple(self.model(input_ids=ids, **how).hidden_states[1:])


def transformer_of(folder: Path) -> Transformer:
    """Build a folder's model in float32 on the CPU, from local files and without its own code.

    Args:
        folder: A Hugging Face folder.

    Returns:
        The model in evaluation mode.

    Raises:
        ArgumentError: When transformers is not installed.
        UnsupportedModelError: When transformers cannot build it, tensors are missing, or it does
            not read tokens.
    """
    transformers = transformers_package(_NEED)
    try:
        with quiet(transformers):
            config = transformers.AutoConfig.from_pretrained(folder, **LOCAL)
            model, info = class_named(config.architectures or (), transformers).from_pretrained(
                folder, config=config, dtype=torch.float32, output_loading_info=True, **LOCAL
            )
    except (OSError, ValueError, ImportError, RuntimeError, KeyError) as reason:
        raise UnsupportedModelError(
            f"transformers cannot build the model in {folder} ({first_line(reason)}); leave out "
            "queries and repair, which run it"
        ) from reason
    if missing := sorted(info["missing_keys"]):
        raise UnsupportedModelError(
            f"{folder} has no tensors for {', '.join(missing)}, so the model that transformers "
            "builds is not the one that was trained; leave out queries and repair, which run it"
        )
    if not isinstance(getattr(config, "vocab_size", None), int):
        raise UnsupportedModelError(
            f"{folder} holds a {config.model_type} model, which does not read tokens; "
            "leave out queries and repair, which run it on tokens"
        )
    backbone = model.base_model
    return Transformer(backbone).eval()


def tokenizer_of(folder: Path) -> Any | None:  # noqa: ANN401
    """The folder's tokenizer, None where it has none that transformers can build.

    Args:
        folder: A Hugging Face folder.

    Returns:
        A tokenizer of transformers.
    """
    if not any((folder / name).is_file() for name in _VOCABULARIES):
        return None  # transformers would build one that knows no word
    transformers = transformers_package(_NEED)
    try:
        with quiet(transformers):
            return transformers.AutoTokenizer.from_pretrained(folder, **LOCAL)
    except (OSError, ValueError, ImportError, KeyError, TypeError, AttributeError):
        return None


def modules_named(model: Transformer, names: Iterable[str]) -> dict[str, nn.Module]:
    """The layers that a checkpoint's names mean, whatever stands before them.

    Args:
        model: The model.
        names: Of layers, as in the folder's files.

    Returns:
        By those names.

    Raises:
        UnsupportedModelError: With names that mean no layer, or more than one.
    """
    there = dict(model.model.named_modules())
    found: dict[str, nn.Module] = {}
    strange = []
    for name in names:
        ends = [own for own in there if own and _same(own, name)]
        if len(ends) == 1:
            found[name] = there[ends[0]]
        else:
            strange.append(name)
    if strange:
        more = f" and {len(strange) - 3} more" if len(strange) > 3 else ""
        raise UnsupportedModelError(
            f"transformers builds the model without layers of their own for "
            f"{', '.join(strange[:3])}{more}; leave out queries and repair, which run it"
        )
    return found


def _same(own: str, name: str) -> bool:
    mine, its = own.split("."), name.split(".")
    shared = min(len(mine), len(its))
    return shared >= _LEAST and mine[-shared:] == its[-shared:]


@contextmanager
def watching(
    modules: Mapping[str, nn.Module], see: Callable[[str, Tensor], None]
) -> Iterator[None]:
    """While the context is open, show what layers read.

    Args:
        modules: By name.
        see: Called as (name, rows), rows of shape (m, d).
    """

    def hook(name: str) -> Callable[[nn.Module, tuple[Any, ...]], None]:
        def show(_: nn.Module, args: tuple[Any, ...]) -> None:
            see(name, args[0].reshape(-1, args[0].shape[-1]))

        return show

    handles = [module.register_forward_pre_hook(hook(name)) for name, module in modules.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
