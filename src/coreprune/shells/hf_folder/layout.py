"""Where tensors lie in a safetensors file, and the same file with some of them smaller.

A file is the header's length in eight bytes (little-endian), the header in JSON, and the tensors'
bytes: https://huggingface.co/docs/safetensors. Knowing the places, a file of any size is written
tensor by tensor, in any order, and tensors that stay are copied without being understood.
"""

import json
import math
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from coreprune.errors import FileFormatError

_LENGTH = struct.Struct("<Q")
_LONGEST_HEADER = 100_000_000  # as the safetensors library has it
_DAMAGED = (ValueError, LookupError, TypeError, AttributeError, RecursionError, struct.error)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One tensor in a file.

    Attributes:
        dtype: As the header names it, such as "BF16".
        shape: Its shape.
        start: Its first byte, counted from the end of the header.
        stop: The byte behind its last.
    """

    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """A safetensors file without its tensors.

    Attributes:
        places: By the tensors' names.
        metadata: What else the header says.
    """

    places: Mapping[str, Place]
    metadata: Mapping[str, str]

    @property
    def header(self) -> bytes:
        """The file's beginning, padded so that the tensors begin at a multiple of eight."""
        entries: dict[str, object] = {"__metadata__": dict(self.metadata)} if self.metadata else {}
        for name, place in self.places.items():
            entries[name] = {
                "dtype": place.dtype,
                "shape": list(place.shape),
                "data_offsets": [place.start, place.stop],
            }
        text = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
        text += b" " * (-len(text) % 8)
        return _LENGTH.pack(len(text)) + text

    @property
    def num_bytes(self) -> int:
        """Of all tensors."""
        return max((place.stop for place in self.places.values()), default=0)


def read_layout(path: Path) -> tuple[Layout, int]:
    """Read a file's header.

    Args:
        path: The file.

    Returns:
        The layout, and where the tensors begin.

    Raises:
        FileFormatError: When the file is missing, truncated or something else.
    """
    try:
        with path.open("rb") as file:
            (length,) = _LENGTH.unpack(file.read(_LENGTH.size))
            entries = json.loads(file.read(min(length, _LONGEST_HEADER)))
        layout = _layout(entries)
    except (OSError, *_DAMAGED) as reason:
        raise FileFormatError(
            f"{path} is not a readable safetensors file ({reason}); fetch it again"
        ) from reason
    begin = _LENGTH.size + length
    if not _is_whole(layout) or path.stat().st_size != begin + layout.num_bytes:
        raise FileFormatError(
            f"{path} has {path.stat().st_size} bytes where its header asks for "
            f"{begin + layout.num_bytes}: it is truncated or damaged; fetch it again"
        )
    return layout, begin


def _layout(entries: dict[str, Any]) -> Layout:
    """The layout of a parsed header, in the order of the bytes."""
    metadata = {str(name): str(value) for name, value in entries.pop("__metadata__", {}).items()}
    found = {
        name: Place(
            dtype=str(entry["dtype"]),
            shape=tuple(int(size) for size in entry["shape"]),
            start=int(entry["data_offsets"][0]),
            stop=int(entry["data_offsets"][1]),
        )
        for name, entry in entries.items()
    }
    places = dict(sorted(found.items(), key=lambda item: (item[1].start, item[1].stop)))
    return Layout(places=places, metadata=metadata)


def _is_whole(layout: Layout) -> bool:
    """Whether every tensor begins where the one before it ends."""
    end = 0
    for place in layout.places.values():
        if place.start != end or place.stop < place.start:
            return False
        end = place.stop
    return True


def resized(layout: Layout, shapes: Mapping[str, tuple[int, ...]]) -> Layout:
    """The layout of a file in which some tensors have other shapes.

    Args:
        layout: The layout.
        shapes: The new shapes by name; names of other files count for nothing.

    Returns:
        A layout in the same order, without holes.
    """
    places, end = {}, 0
    for name, place in layout.places.items():
        size, shape = place.stop - place.start, shapes.get(name, place.shape)
        if shape != place.shape:
            size = size * math.prod(shape) // math.prod(place.shape)
        places[name] = replace(place, shape=shape, start=end, stop=end + size)
        end += size
    return replace(layout, places=places)


def copied_places(before: Layout, after: Layout) -> Iterator[tuple[Place, Place]]:
    """Where tensors that keep their shape were and will be, in the order of the bytes."""
    for name, place in before.places.items():
        if after.places[name].shape == place.shape:
            yield place, after.places[name]
