import sys

import pytest

from coreprune.errors import ArgumentError
from coreprune.shells.onnx_file.document import read
from coreprune.shells.onnx_file.packages import onnx_package, runtime_package


@pytest.fixture(autouse=True)
def forgotten():
    onnx_package.cache_clear()
    runtime_package.cache_clear()
    yield
    onnx_package.cache_clear()
    runtime_package.cache_clear()


@pytest.mark.parametrize(
    ("name", "ask"), [("onnx", onnx_package), ("onnxruntime", runtime_package)]
)
def test_a_missing_package_is_named_with_the_way_out(monkeypatch, name, ask):
    for module in [one for one in sys.modules if one.partition(".")[0] == name]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ArgumentError, match=rf"{name}, which is not installed; pip install"):
        ask()


def test_reading_says_so_too(monkeypatch, tmp_path):
    (tmp_path / "m.onnx").write_bytes(b"")
    for module in [one for one in sys.modules if one.partition(".")[0] == "onnx"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ArgumentError, match=r'pip install "coreprune\[onnx\]"'):
        read(tmp_path / "m.onnx")
