"""Queries on disk: found again, and never in the way."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from coreprune.laws.kept_queries import directory, keep, kept, name_of

NAME = name_of({"seed": 0})


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("COREPRUNE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_what_is_kept_is_found_again(cache):
    assert kept(NAME, (4, 3)) is None
    x = torch.randn(3, 4).T
    keep(NAME, x)
    assert torch.equal(kept(NAME, (4, 3)), x)
    (path,) = [path for path in cache.rglob("*") if path.is_file()]
    assert path.suffix == ".safetensors"
    assert load_file(path)["queries"].shape == (4, 3)


def test_another_origin_has_another_name():
    names = [name_of({"seed": s, "weights": w, "shape": (2, 3)}) for s in (0, 1) for w in "ab"]
    assert len(set(names)) == 4
    assert name_of({"a": 1, "b": 2}) == name_of({"b": 2, "a": 1})


@pytest.mark.parametrize("content", [b"", b"text", None], ids=["empty", "text", "another"])
def test_damaged_files_are_as_good_as_none(cache, content):
    keep(NAME, torch.ones(4, 3))
    (path,) = cache.rglob("*.safetensors")
    if content is None:
        save_file({"others": torch.ones(4, 3)}, path)
    else:
        path.write_bytes(content)
    assert kept(NAME, (4, 3)) is None
    keep(NAME, torch.ones(4, 3))
    assert kept(NAME, (4, 3)) is not None


@pytest.mark.parametrize("wrong", [torch.ones(4, 2), torch.full((4, 3), torch.nan)])
def test_queries_of_another_shape_or_not_finite_are_not_taken(cache, wrong):
    keep(NAME, wrong)
    assert kept(NAME, (4, 3)) is None


def test_a_place_that_cannot_be_written_is_no_matter(cache):
    cache.write_text("a file where the directory would be")
    keep(NAME, torch.ones(4, 3))
    assert kept(NAME, (4, 3)) is None


def test_the_cache_is_where_the_user_says(monkeypatch):
    monkeypatch.setenv("COREPRUNE_CACHE", "given")
    monkeypatch.setenv("XDG_CACHE_HOME", "caches")
    assert directory() == Path("given")
    monkeypatch.delenv("COREPRUNE_CACHE")
    assert directory() == Path("caches/coreprune")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert directory() == Path("/home/somebody/.cache/coreprune")


def test_nothing_is_kept_where_the_user_says_so(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COREPRUNE_CACHE", "")
    keep(NAME, torch.ones(4, 3))
    assert kept(NAME, (4, 3)) is None
    assert not list(tmp_path.iterdir())


def test_without_a_home_nothing_is_kept(monkeypatch):
    monkeypatch.delenv("COREPRUNE_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)

    def homeless():
        raise RuntimeError("no home")

    monkeypatch.setattr(Path, "home", homeless)
    assert directory() is None
    keep(NAME, torch.ones(4, 3))
    assert kept(NAME, (4, 3)) is None
