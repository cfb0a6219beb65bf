import pytest

from coreprune.errors import ArgumentError
from coreprune.shells.hf_folder import memory
from coreprune.shells.hf_folder.memory import block_need, check_memory


def test_wide_blocks_take_their_matrices_and_narrow_ones_their_weights():
    n, d = 28672, 8192
    wide = block_need(neurons=n, width=d, layers=3)
    assert wide == 2**30 + 12 * 3 * n * d + 24 * n**2 + 16 * d**2
    n, d = 10_000, 40_000
    narrow = block_need(neurons=n, width=d, layers=2)
    assert narrow == 2**30 + 32 * 2 * n * d + 48 * d**2
    assert block_need(neurons=n, width=d, layers=2, centred=True) == narrow + 112 * d**2


def test_workers_must_fit(monkeypatch):
    monkeypatch.setattr(memory, "_room", lambda: 10)
    check_memory(5, 2)
    with pytest.raises(ArgumentError, match="pass at most workers=3"):
        check_memory(5, 3)
    with pytest.raises(ArgumentError, match="pass at most workers=1"):
        check_memory(2, 30)
    monkeypatch.setattr(memory, "_room", lambda: None)
    check_memory(5, 2**60)


def test_the_machine_tells_its_memory():
    assert memory._room() > 2**28


def test_a_container_s_limit_counts_where_it_is_less(monkeypatch, tmp_path):
    machine = memory._machine()
    limits = [tmp_path / name for name in ("new", "old")]
    monkeypatch.setattr(memory, "_LIMITS", limits)
    assert memory._room() == machine
    limits[0].write_text("max\n")
    limits[1].write_text(f"{2**63 - 4096}\n")  # version 1 says so where there is none
    assert memory._room() == machine
    limits[0].write_text("4096\n")
    assert memory._room() == 4096
