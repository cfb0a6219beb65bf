"""The programs that a result was made with."""

import platform
from importlib.metadata import version


def programs(*packages: str) -> dict[str, str]:
    """Versions by name: this library's, Python's, and those of some packages.

    Args:
        packages: Such as are installed.

    Returns:
        The versions.
    """
    return {
        "coreprune": version("coreprune"),
        "Python": platform.python_version(),
        **{name: version(name) for name in packages},
    }
