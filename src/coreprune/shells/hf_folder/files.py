"""What else is in a folder: files to copy, and files that hold the original's weights."""

from collections.abc import Iterator
from pathlib import Path

WEIGHTS = frozenset({
    ".bin", ".ckpt", ".engine", ".gguf", ".ggml", ".h5", ".mlmodel", ".msgpack", ".npz", ".onnx",
    ".onnx_data", ".ot", ".pb", ".pkl", ".pt", ".pth", ".safetensors", ".tflite",
})  # fmt: skip
"""Endings of files that hold weights, which would be the original's."""

_HIDDEN = frozenset({".git", ".cache", "__pycache__"})


def files_beside(folder: Path, *, written: frozenset[str]) -> tuple[list[str], list[str]]:
    """The other files of a folder.

    Args:
        folder: The folder.
        written: Names of files that are written anew.

    Returns:
        Those to copy, and those that hold weights or describe where such are, by their paths in the
        folder.
    """
    copied: list[str] = []
    left: list[str] = []
    for name in sorted(_files(folder)):
        if name in written:
            continue
        holds_weights = Path(name).suffix in WEIGHTS or name.endswith(".index.json")
        (left if holds_weights else copied).append(name)
    return copied, left


def _files(folder: Path) -> Iterator[str]:
    for path in folder.rglob("*"):
        relative = path.relative_to(folder)
        if path.is_file() and not _HIDDEN & set(relative.parts):
            yield relative.as_posix()
