"""The errors that coreprune raises on purpose, each with the way out in its message."""


class ArgumentError(ValueError):
    """An argument breaks its rule; the message names it, the rule, the value and the way out."""


class UnsupportedModelError(RuntimeError):
    """The model cannot be handled; the message lists every layer or parameter concerned."""


class FileFormatError(ValueError):
    """A file is missing, damaged, or not what it should be."""
