import numpy as np
import onnxruntime
import pytest
from shells.onnx_file.graphs import document, groups_of, helper, node, numbers, reasons_of

import coreprune
from coreprune.shells.onnx_file.writing import write

LAYERS = {
    "wa": numbers(8, 5), "ba": numbers(8), "wb": numbers(5, 8), "bb": numbers(5),
    "wc": numbers(3, 5), "bc": numbers(3),
}  # fmt: skip


def between_layers(**attributes):
    """Gemm a, Gemm b with some attributes, and Gemm c, all with ReLUs between them."""
    return document(
        [
            node("Gemm", "x wa ba", "p", name="a", transB=1), node("Relu", "p", "q"),
            node("Gemm", "q wb bb", "r", name="b", transB=1, **attributes), node("Relu", "r", "s"),
            node("Gemm", "s wc bc", "t", name="c", transB=1), node("Relu", "t", "u"),
            node("Gemm", "u wd bd", "y", name="d", transB=1),
        ],
        {"x": (8 if "transA" in attributes else "n", 5)},
        {"y": ("n", 2)},
        {**LAYERS, "wd": numbers(2, 3), "bd": numbers(2)},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"transA": 1}, "a linear layer that transposes its input (transA) is not cut"),
        ({"alpha": 0.5}, "a linear layer that scales its sums (alpha=0.5, beta=1) is not cut"),
        ({"beta": 2.0}, "a linear layer that scales its sums (alpha=1, beta=2) is not cut"),
    ],
    ids=str,
)
def test_other_matrix_products_are_left_whole_and_say_so(tmp_path, attributes, words):
    made = between_layers(**attributes)
    assert reasons_of(made)["b"] == words
    assert list(groups_of(made)) == ["c"]
    write(made, tmp_path / "net.onnx")
    result = coreprune.prune(tmp_path / "net.onnx", keep={"c": 0.7})
    assert [group.neurons_after for group in result.groups] == [2]
    result.save(tmp_path / "small.onnx")
    x = {"x": numbers(8, 5)}
    one, other = (
        onnxruntime.InferenceSession(str(tmp_path / name)).run(None, x)[0]
        for name in ("net.onnx", "small.onnx")
    )
    assert np.abs(one - other).max() < np.abs(one).max()


def test_layers_inside_control_flow_are_named():
    def branch(*names):
        nodes = [node("Gemm", "h w", f"v{name}", name=name) for name in names]
        given = [helper.make_tensor_value_info(f"v{names[-1]}", 1, ("n", 4))]
        return helper.make_graph(nodes, "g", [], given)

    made = document(
        [
            node("Gemm", "x wa ba", "h", name="a", transB=1),
            node("If", "yes", "y", name="choice",
                 then_branch=branch(*"pqrst"), else_branch=branch("other")),
        ],
        {"x": ("n", 5)}, {"y": ("n", 4)},
        {"wa": numbers(8, 5), "ba": numbers(8), "w": numbers(8, 4), "yes": np.array(True)},
    )  # fmt: skip
    found = reasons_of(made)
    assert found["choice"] in {
        f"control flow (If) around the layers {names} and 1 more is not cut"
        for names in ("p, q, r, s, t", "other, p, q, r, s")
    }
    assert "control flow (If) around the layers" in found["a"]
