import sys

import numpy as np
import onnx
import onnxruntime
import pytest
from convolutional import norm
from networks import draw, mlp
from torch import nn

import coreprune
from coreprune import ArgumentError, UnsupportedModelError
from coreprune.shells.onnx_file.packages import onnx_package, runtime_package
from coreprune.shells.torch_module import onnx_export

NETWORKS = {
    "dense": (lambda: mlp(6, 20, 3), (6,)),
    "convolutional": (
        lambda: nn.Sequential(
            nn.Conv2d(3, 8, 3), norm(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 4)
        ),
        (3, 8, 8),
    ),
}


@pytest.fixture(scope="module")
def result():
    return coreprune.prune(mlp(6, 20, 3), draw(1, 6), keep=0.5)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_file_gives_the_model_s_outputs_for_any_batch(name, tmp_path):
    make, shape = NETWORKS[name]
    result = coreprune.prune(make().eval(), draw(1, *shape), keep=0.5, queries=coreprune.Gaussian())
    result.to_onnx(tmp_path / "small.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "small.onnx")
    for rows in (1, 5):
        x = draw(rows, *shape)
        (found,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
        np.testing.assert_allclose(found, result.model(x).detach().numpy(), rtol=1e-4, atol=1e-5)
    assert [path.name for path in tmp_path.iterdir()] == ["small.onnx"]


def test_the_file_can_be_pruned_again(result, tmp_path):
    result.to_onnx(tmp_path / "half.onnx")
    again = coreprune.prune(tmp_path / "half.onnx", keep=0.5)
    assert [group.neurons_after for group in again.groups] == [5]
    again.to_onnx(tmp_path / "quarter.onnx")
    onnx.checker.check_model(tmp_path / "quarter.onnx", full_check=True)
    with pytest.raises(ArgumentError, match=r"no torch program.*result\.save"):
        again.to_exported(tmp_path / "quarter.pt2")


def test_a_file_that_gives_something_else_is_not_written(result, tmp_path, monkeypatch):
    right = onnx_export._run_file
    monkeypatch.setattr(
        onnx_export, "_run_file", lambda path, call: [one * 1.01 for one in right(path, call)]
    )
    with pytest.raises(UnsupportedModelError, match="does not give the module's outputs"):
        result.to_onnx(tmp_path / "small.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime"])
def test_a_missing_package_is_named_with_the_way_out(result, tmp_path, monkeypatch, package):
    onnx_package.cache_clear(), runtime_package.cache_clear()
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ArgumentError, match=rf'{package}.*pip install "coreprune\[onnx\]"'):
        result.to_onnx(tmp_path / "small.onnx")


def test_another_ending_is_refused(result, tmp_path):
    with pytest.raises(ArgumentError, match=r"must end in \.onnx.*pass small\.onnx"):
        result.to_onnx(tmp_path / "small")
