"""The package transformers: imported when it is needed, kept to local files, kept quiet."""

import importlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from coreprune.errors import ArgumentError

LOCAL = {"local_files_only": True, "trust_remote_code": False}
"""What `from_pretrained` is always told: no network, and no code out of a folder."""


def transformers_package(need: str) -> Any:  # noqa: ANN401 (a module)
    """The package.

    Args:
        need: What is done with it, for people: a subject and a verb.

    Returns:
        The module.

    Raises:
        ArgumentError: When it is not installed.
    """
    try:
        return importlib.import_module("transformers")
    except ImportError as reason:
        raise ArgumentError(
            f'{need} transformers, which is not installed; pip install "coreprune[hf]"'
        ) from reason


@contextmanager
def quiet(package: Any) -> Iterator[None]:  # noqa: ANN401 (a module)
    """Without the package's own bars and notices, which say nothing that is not checked here."""
    logging = package.utils.logging
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def class_named(names: Sequence[object], package: Any) -> Any:  # noqa: ANN401 (a module)
    """The first of some classes that is a model of transformers' own, else AutoModel."""
    for name in names:
        found = getattr(package, name, None) if isinstance(name, str) else None
        if isinstance(found, type) and issubclass(found, package.PreTrainedModel):
            return found
    return package.AutoModel
