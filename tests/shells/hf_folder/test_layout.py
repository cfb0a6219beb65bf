import json
import struct

import pytest
import torch
from safetensors.torch import load_file, save_file

from coreprune.errors import FileFormatError
from coreprune.shells.hf_folder.layout import copied_places, read_layout, resized


@pytest.fixture
def path(tmp_path):
    tensors = {
        "a": torch.randn(3, 4),
        "b": torch.randn(4, 2).half(),
        "empty": torch.zeros(0, 5),
        "c": torch.arange(5),
        "scalar": torch.tensor(1.5),
        "umläut": torch.tensor([True, False]),
    }
    save_file(tensors, tmp_path / "some.safetensors", metadata={"format": "pt", "note": "é"})
    return tmp_path / "some.safetensors"


def test_what_is_read_is_what_is_there(path):
    layout, begin = read_layout(path)
    tensors, raw = load_file(path), path.read_bytes()
    assert layout.places.keys() == tensors.keys()
    assert layout.metadata == {"format": "pt", "note": "é"}
    for name, place in layout.places.items():
        assert place.shape == tuple(tensors[name].shape)
        held = raw[begin + place.start : begin + place.stop]
        assert held == tensors[name].numpy().tobytes()
    assert begin + layout.num_bytes == len(raw)


def test_a_file_of_the_same_layout_can_be_read(path, tmp_path):
    layout, begin = read_layout(path)
    data = path.read_bytes()[begin:]
    (tmp_path / "again.safetensors").write_bytes(layout.header + data)
    again, start = read_layout(tmp_path / "again.safetensors")
    assert again == layout
    assert start % 8 == 0
    first, second = load_file(path), load_file(tmp_path / "again.safetensors")
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_smaller_tensor_moves_those_behind_it(path):
    layout, _ = read_layout(path)
    small = resized(layout, {"a": (2, 4), "of another file": (1,)})
    assert small.places["a"].shape == (2, 4)
    assert layout.num_bytes - small.num_bytes == 16
    ends = [0, *(place.stop for place in small.places.values())]
    assert ends[:-1] == [place.start for place in small.places.values()]
    moved = dict(zip(*zip(*copied_places(layout, small), strict=True), strict=True))
    assert len(moved) == len(layout.places) - 1
    assert all(old.stop - old.start == new.stop - new.start for old, new in moved.items())


def with_header(raw, change):
    (length,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8 : 8 + length])
    change(header)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + raw[8 + length :]


DAMAGES = {
    "a byte less": lambda raw: raw[:-1],
    "a byte more": lambda raw: raw + b"x",
    "less than a length": lambda raw: raw[:5],
    "nothing": lambda raw: raw[:0],
    "a header beyond the file": lambda raw: struct.pack("<Q", 2**62) + raw[8:],
    "no JSON": lambda raw: raw.replace(b'"F32"', b'"F3",'),
    "a pointer": lambda raw: raw[:0] + b"version https://git-lfs.github.com/spec/v1",
    "a hole": lambda raw: with_header(raw, lambda header: header["a"].update(data_offsets=[0, 4])),
    "text for places": lambda raw: with_header(
        raw, lambda header: header["a"].update(data_offsets="")
    ),
    "no end of brackets": lambda _: struct.pack("<Q", 2**20) + b"[" * 2**20,
    "no shape": lambda raw: with_header(raw, lambda header: header["a"].pop("shape")),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damage_is_found(path, damage):
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(FileFormatError, match="fetch it again"):
        read_layout(path)
