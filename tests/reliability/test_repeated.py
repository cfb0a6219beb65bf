import pytest

from reliability.repeated import NETWORKS, TOLERANCE, difference, run


@pytest.fixture(scope="module")
def runs():
    return [run(threads=threads) for threads in (1, 1, 2)]


@pytest.mark.parametrize("network", NETWORKS)
def test_the_same_seed_gives_the_same_bytes(runs, network):
    first, again, threaded = (found[network] for found in runs)
    assert first.digest == again.digest
    assert first.kept == threaded.kept
    assert difference(first, threaded) <= TOLERANCE
