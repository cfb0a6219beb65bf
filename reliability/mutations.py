"""Damage to files: bytes as a disk or a network spoils them, entries as a careless hand does."""

import json
import random
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import onnx
from google.protobuf.message import DecodeError, Message

Mutation = Callable[[bytes, random.Random], bytes]

JUNK = (
    None,
    True,
    -1,
    0,
    2**31,
    2**63,
    10**30,
    1.5,
    float("nan"),
    "",
    "../../etc/passwd",
    "\x00",
    [],
    {},
    [[]],
    [-1],
    [2**40, 2**40],
)
"""Values that do not belong where they are put."""


def flipped(data: bytes, draw: random.Random) -> bytes:
    """Some bits turned over."""
    spoilt = bytearray(data)
    for _ in range(draw.randint(1, 8)):
        spoilt[_position(data, draw)] ^= 1 << draw.randrange(8)
    return bytes(spoilt)


def overwritten(data: bytes, draw: random.Random) -> bytes:
    """A run of bytes replaced by zeros, ones or noise."""
    begin = _position(data, draw)
    stop = min(len(data), begin + draw.randint(1, 64))
    fill = draw.choice((b"\x00", b"\xff", None))
    run = draw.randbytes(stop - begin) if fill is None else fill * (stop - begin)
    return data[:begin] + run + data[stop:]


def truncated(data: bytes, draw: random.Random) -> bytes:
    """The beginning alone."""
    return data[: _position(data, draw)]


def dropped(data: bytes, draw: random.Random) -> bytes:
    """A run of bytes missing."""
    begin = _position(data, draw)
    return data[:begin] + data[begin + draw.randint(1, 64) :]


def inserted(data: bytes, draw: random.Random) -> bytes:
    """A run of bytes of the file itself put in somewhere else."""
    begin, source = _position(data, draw), _position(data, draw)
    return data[:begin] + data[source : source + draw.randint(1, 64)] + data[begin:]


def deepened(data: bytes, draw: random.Random) -> bytes:
    """So many opening brackets that whoever reads them by recursion runs out of stack."""
    begin = _position(data, draw)
    return data[:begin] + draw.choice((b"[", b'{"a":')) * 100_000 + data[begin:]


def misspelt(data: bytes, draw: random.Random) -> bytes:
    """One entry of a JSON text, a safetensors header or an ONNX message that does not belong there.

    Files that are none of these, because they are damaged already, have bits turned over.
    """
    head, text, tail = _json_part(data)
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return _misspelt_message(data, draw)
    spoilt = json.dumps(_spoilt(document, draw)).encode()
    if head:
        head = len(spoilt).to_bytes(8, "little")
    return head + spoilt + tail


MUTATIONS: tuple[Mutation, ...] = (
    flipped,
    overwritten,
    truncated,
    dropped,
    inserted,
    deepened,
    misspelt,
)
"""All kinds of damage."""


def mutant(data: bytes, seed: int) -> bytes:
    """A damaged copy, the same for the same seed."""
    draw = random.Random(seed)
    for _ in range(draw.choice((1, 1, 1, 2, 4))):
        data = draw.choice(MUTATIONS)(data or b"\x00", draw)
    return data


def _position(data: bytes, draw: random.Random) -> int:
    """A place, every other time near the beginning, where headers are."""
    return draw.randrange(min(len(data), draw.choice((256, len(data)))))


def _json_part(data: bytes) -> tuple[bytes, bytes, bytes]:
    if data[:1] in {b"{", b"["}:
        return b"", data, b""
    length = int.from_bytes(data[:8], "little")
    return data[:8], data[8 : 8 + length], data[8 + length :]


def _spoilt(document: object, draw: random.Random) -> object:
    """One entry, at any depth, replaced or removed."""
    if isinstance(document, dict) and document and draw.random() < 0.9:
        key = draw.choice(list(document))
        if draw.random() < 0.2:
            return {name: value for name, value in document.items() if name != key}
        return document | {key: _spoilt(document[key], draw)}
    if isinstance(document, list) and document and draw.random() < 0.8:
        place = draw.randrange(len(document))
        return [*document[:place], _spoilt(document[place], draw), *document[place + 1 :]]
    return draw.choice(JUNK)


def _misspelt_message(data: bytes, draw: random.Random) -> bytes:
    """An ONNX message with one field changed, removed or repeated."""
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError:
        return flipped(data, draw)
    _spoil(model, draw)
    return bytes(model.SerializeToString())


def _spoil(message: Message, draw: random.Random) -> None:
    """Change one field, at any depth."""
    fields = message.ListFields()
    if not fields:
        return
    field, value = draw.choice(fields)
    if draw.random() < 0.1:
        message.ClearField(field.name)
    elif isinstance(value, Message):
        _spoil(value, draw)
    elif isinstance(value, str | bytes | int | float):
        with suppress(ValueError):  # an enumeration takes its own numbers only
            setattr(message, field.name, _other(value, draw))
    else:
        _spoil_repeated(value, draw)


def _spoil_repeated(entries: Any, draw: random.Random) -> None:  # noqa: ANN401 (protobuf's container)
    place = draw.randrange(len(entries))
    choice = draw.random()
    if choice < 0.1:
        del entries[place]
    elif choice < 0.2:
        entries.append(entries[place])
    elif isinstance(entries[place], Message):
        _spoil(entries[place], draw)
    else:
        entries[place] = _other(entries[place], draw)


def _other(value: Any, draw: random.Random) -> Any:  # noqa: ANN401
    """A value of the same kind."""
    if isinstance(value, int):
        return draw.choice((0, 1, -1, value + 1, value - 1, 2**20, 2**31 - 1, -(2**31)))
    if isinstance(value, float):
        return draw.choice((0.0, -1.0, 1e30, float("nan"), float("inf")))
    if isinstance(value, str):
        return draw.choice(("", "x", value + "x", value[:-1], "../outside"))
    return flipped(value or b"\x00", draw)
