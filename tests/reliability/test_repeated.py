from reliability.repeated import NETWORKS, TOLERANCE, difference, run


def test_the_same_seed_gives_the_same_bytes():
    runs = [run(threads=threads) for threads in (1, 1, 2)]
    for network in NETWORKS:
        first, again, threaded = (found[network] for found in runs)
        assert first.digest == again.digest, network
        assert first.kept == threaded.kept, network
        assert difference(first, threaded) <= TOLERANCE, network
