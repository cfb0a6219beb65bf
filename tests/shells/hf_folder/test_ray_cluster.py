"""A real cluster on this machine. Ray weighs 70 MB and is in no lock file; where it is not
installed, these tests are skipped."""

import json
import os
import warnings

import pytest
import torch
from safetensors.torch import load_file, save_file

from coreprune.errors import ArgumentError, UnsupportedModelError
from coreprune.shells.hf_folder import ray_cluster
from coreprune.shells.hf_folder.prune_folder import prune_folder
from experiments.llama_shaped.folder import Shape, write_folder

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Ray's own
    ray = pytest.importorskip("ray", reason="the extra distributed is not installed")
    cluster_utils = pytest.importorskip("ray.cluster_utils")

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # Ray leaves sockets open
    pytest.mark.filterwarnings("ignore:::ray"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

LAYERS = 6
SHAPE = Shape(hidden=64, neurons=192, layers=LAYERS)
NODE = {"num_cpus": 1, "memory": 3 * 2**30, "object_store_memory": 80 * 2**20}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ray") / "big"
    write_folder(folder, SHAPE)
    return folder


@pytest.fixture(scope="module")
def alone(source):
    prune_folder(source, source.parent / "alone", keep=0.5)
    return contents(source.parent / "alone")


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def cluster():
    """One machine to talk to that cuts nothing; tests add those that do."""
    found = cluster_utils.Cluster(
        initialize_head=True, head_node_args={**NODE, "num_cpus": 0, "include_dashboard": False}
    )
    yield found
    found.shutdown()


def test_a_machine_lost_half_way_changes_nothing(source, alone, tmp_path, cluster):
    nodes = [cluster.add_node(**NODE) for _ in range(2)]
    seen = []

    def told(*what):
        seen.append(what)
        if what[:2] == ("pruning blocks", 2):
            cluster.remove_node(nodes[0], allow_graceful=False)

    prune_folder(source, tmp_path / "small", keep=0.5, ray_address=cluster.address, progress=told)
    cluster.remove_node(nodes[1])
    assert contents(tmp_path / "small") == alone
    assert [what for what in seen if what[0] == "pruning blocks"] == [
        ("pruning blocks", done, LAYERS) for done in range(LAYERS + 1)
    ]
    assert not ray.is_initialized()


def test_no_machine_has_room(source, tmp_path, cluster):
    node = cluster.add_node(**NODE)
    with pytest.raises(ArgumentError, match=r"a machine of 8 CPUs and 1\.0 GiB.*1 CPUs and 3\.0"):
        prune_folder(source, tmp_path / "no", keep=0.5, threads=8, ray_address=cluster.address)
    cluster.remove_node(node)


def test_a_cluster_of_its_own(source, alone, tmp_path):
    prune_folder(source, tmp_path / "small", keep=0.5, ray_address="local")
    assert contents(tmp_path / "small") == alone
    assert not ray.is_initialized()


def test_what_a_worker_refuses_is_refused(tmp_path, cluster):
    node = cluster.add_node(**NODE)
    write_folder(tmp_path / "big", SHAPE)
    shard = tmp_path / "big" / f"model-00001-of-{LAYERS + 1:05d}.safetensors"
    tensors = load_file(shard)
    tensors["model.layers.0.mlp.up_proj.weight"][0, 0] = torch.nan
    save_file(tensors, shard)
    with pytest.raises(UnsupportedModelError, match=r"^model.*NaN or infinite"):
        prune_folder(tmp_path / "big", tmp_path / "small", keep=0.5, ray_address=cluster.address)
    assert not list(tmp_path.glob("*small*"))
    cluster.remove_node(node)


def test_no_such_cluster(source, tmp_path):
    with pytest.raises(ArgumentError, match="ray_address must be that of a running cluster"):
        prune_folder(source, tmp_path / "small", keep=0.5, ray_address="127.0.0.1:1")
    assert not ray.is_initialized()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64], ids=str)
def test_tensors_arrive_as_they_were(dtype):
    sent = {"a": torch.randn(3, 4).T.to(dtype), "b": torch.ones((), dtype=dtype)}
    found = ray_cluster.unpacked(ray_cluster.packed(sent))
    assert found.keys() == sent.keys()
    for name, tensor in sent.items():
        assert torch.equal(found[name], tensor)
        assert found[name].data_ptr() % 64 == 0


def test_another_version_is_refused(monkeypatch):
    with pytest.raises(ArgumentError, match=r"must have coreprune 0\.0, as here, but one has"):
        ray_cluster._cut(None, {}, "0.0")


def test_the_journal_knows_blocks_from_a_cluster(source, tmp_path):
    def stop(what, done, of):
        if (what, done) == ("pruning blocks", 2):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prune_folder(source, tmp_path / "small", keep=0.5, ray_address="local", progress=stop)
    assert not ray.is_initialized()
    journal = (tmp_path / ".small.coreprune" / "journal.jsonl").read_text().splitlines()
    assert sum("block" in json.loads(line) for line in journal) == 2


def test_a_block_that_is_lost_again_and_again(source, alone, tmp_path, cluster, monkeypatch):
    node = cluster.add_node(**NODE)
    monkeypatch.setattr(ray_cluster, "RETRIES", 0)

    whole, once = ray_cluster._cut, tmp_path / "once"

    def dies_the_second_time(*args):  # sent by value: workers cannot import tests
        if once.exists():
            os._exit(1)
        once.touch()
        return whole(*args)

    monkeypatch.setattr(ray_cluster, "_cut", dies_the_second_time)
    with pytest.raises(ArgumentError, match=r"gave one up after 0 retries.*same again to go on"):
        prune_folder(source, tmp_path / "small", keep=0.5, ray_address=cluster.address)
    cluster.remove_node(node)
    assert not (tmp_path / "small").exists()
    prune_folder(source, tmp_path / "small", keep=0.5)
    assert contents(tmp_path / "small") == alone
