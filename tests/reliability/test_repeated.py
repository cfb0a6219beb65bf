import pytest

from reliability.repeated import NETWORKS, TOLERANCE, difference, run


@pytest.mark.parametrize("network", NETWORKS)
def test_the_same_seed_gives_the_same_bytes(network):
    first, again, threaded = (run(network, threads=threads) for threads in (1, 1, 2))
    assert first.digest == again.digest
    assert first.kept == threaded.kept
    assert difference(first, threaded) <= TOLERANCE
