"""Smaller ordinary networks from trained ones, without data, with a proven error."""

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from coreprune.public import *  # noqa: F403 (the names are listed there)

__version__ = "0.1.0"


class _Package(ModuleType):
    """This package: its public names are loaded when the first of them is asked for.

    With them comes torch, which takes a second: too long for `coreprune --help`.
    """

    def __getattr__(self, name: str) -> object:
        """A public name or a submodule that nothing has asked for yet.

        Raises:
            AttributeError: When there is neither.
        """
        if not name.startswith("_") or name == "__all__":
            public = importlib.import_module("coreprune.public")
            if name == "__all__" or name in public.__all__:
                self.__dict__[name] = getattr(public, name)
            if name in self.__dict__:  # or loading has bound the submodule
                return self.__dict__[name]
        message = f"module {self.__name__!r} has no attribute {name!r}"
        raise AttributeError(message, name=name, obj=self)

    def __setattr__(self, name: str, value: object) -> None:
        """Keep `coreprune.prune` the function, whoever imports the file `prune.py` of that name."""
        if isinstance(value, ModuleType) and value.__name__ == f"{self.__name__}.{name}":
            value = getattr(value, name, value)
        super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        """What is loaded and what can be."""
        public = importlib.import_module("coreprune.public")
        return sorted({*super().__dir__(), *public.__all__})


sys.modules[__name__].__class__ = _Package
