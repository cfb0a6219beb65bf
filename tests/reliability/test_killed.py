import pytest

from reliability.killed import SAVINGS, Saving, killed


@pytest.mark.parametrize("name", SAVINGS)
def test_a_killed_save_leaves_the_old_or_the_whole(name, tmp_path):
    found = killed(SAVINGS[name](tmp_path), tmp_path, kills=8, seed=0)
    assert sum(found.values()) == 8
    assert found.keys() <= {"absent", "old", "new"}


def test_half_a_file_is_noticed(tmp_path):
    """Writing in place, byte by byte, is what all of this is against."""

    def save(target):
        with target.open("wb", buffering=0) as stream:
            for _ in range(2000):
                stream.write(b"x" * 100)

    def state(target):
        if not target.exists():
            return "absent"
        if target.stat().st_size != 200_000:
            raise ValueError("too short")
        return "new"

    with pytest.raises(ValueError, match="is damaged: too short"):
        killed(Saving(target="file", save=save, state=state), tmp_path, kills=200, seed=0)
