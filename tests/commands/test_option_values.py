import numpy as np
import pytest

from coreprune import (
    ArgumentError,
    Ball,
    BatchNormMatched,
    Box,
    DeadLeaves,
    FileFormatError,
    Gaussian,
    Impressions,
    Sphere,
)
from coreprune.commands.option_values import law_of


@pytest.mark.parametrize(("name", "write"), [("x.npy", np.save), ("x.npz", np.savez)])
def test_samples_come_from_numpy_s_files(tmp_path, name, write):
    write(tmp_path / name, np.ones((3, 2)))
    assert law_of(str(tmp_path / name)).data.tolist() == np.ones((3, 2)).tolist()


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04 and no archive"])
@pytest.mark.parametrize("name", ["x.npy", "x.npz"])
def test_damaged_files_are_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FileFormatError, match="cannot be read as an array"):
        law_of(str(tmp_path / name))


def test_several_arrays_are_refused(tmp_path):
    np.savez(tmp_path / "x.npz", a=np.ones(2), b=np.ones(2))
    with pytest.raises(FileFormatError, match="holds 2 arrays; save the inputs alone"):
        law_of(str(tmp_path / "x.npz"))


def test_words_name_laws_and_their_numbers():
    assert law_of("impressions:0.5") == Impressions(deviation=0.5)
    assert law_of("dead_leaves:0.5") == DeadLeaves(0.5)
    assert law_of("gaussian") == Gaussian()
    assert law_of("batch_norm") == BatchNormMatched()
    assert law_of("batch_norm:64") == BatchNormMatched(examples=64)
    assert (law_of("ball:2"), law_of("sphere:3")) == (Ball(2.0), Sphere(3.0))
    box = law_of("box:-1:2")
    assert isinstance(box, Box)
    assert (box.low, box.high) == (-1.0, 2.0)


def test_half_a_query_is_refused():
    with pytest.raises(ArgumentError, match="examples must be a whole number"):
        law_of("batch_norm:2.5")


@pytest.mark.parametrize(
    "words",
    ["", "luck", "ball", "ball:x", "ball:1:2", "box:1", "gaussian:x", "batch_norm:1:2"],
)
def test_other_words_are_refused(words):
    with pytest.raises(ArgumentError, match="queries must be gaussian:σ"):
        law_of(words)
