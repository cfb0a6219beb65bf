"""The packages of the extra `onnx`, imported when an ONNX file is met and not before."""

import functools
import importlib
from typing import Any

from coreprune.errors import ArgumentError


@functools.cache
def onnx_package() -> Any:  # noqa: ANN401 (a module)
    """The package onnx.

    Raises:
        ArgumentError: When it is not installed.
    """
    for part in ("helper", "numpy_helper", "checker", "shape_inference", "external_data_helper"):
        _imported(f"onnx.{part}")
    return _imported("onnx")


@functools.cache
def runtime_package() -> Any:  # noqa: ANN401 (a module)
    """The package onnxruntime.

    Raises:
        ArgumentError: When it is not installed.
    """
    return _imported("onnxruntime")


def onnxscript_package() -> Any:  # noqa: ANN401 (a module)
    """The package onnxscript, which torch writes ONNX files with.

    Raises:
        ArgumentError: When it is not installed.
    """
    return _imported("onnxscript")


def _imported(name: str) -> Any:  # noqa: ANN401
    try:
        return importlib.import_module(name)
    except ImportError as reason:
        raise ArgumentError(
            f"ONNX files need the package {name.partition('.')[0]}, which is not installed; "
            'pip install "coreprune[onnx]"'
        ) from reason
