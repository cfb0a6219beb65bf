import numpy as np
import pytest
import torch
from shells.onnx_file.graphs import document, helper, node, numbers, numpy_helper, whole

from coreprune.shells.onnx_file.constants import fixed_values
from coreprune.shells.onnx_file.session import outputs


def with_nodes(*nodes, tensors=None):
    """A file whose nodes read constants alone, beside a network that does nothing."""
    return document(
        [node("Identity", "x", "y"), *nodes], {"x": [1]}, {"y": [1]}, tensors or {}
    )  # fmt: skip


def found(*nodes, tensors=None):
    return fixed_values(with_nodes(*nodes, tensors=tensors))


@pytest.mark.parametrize(
    ("attributes", "wanted"),
    [
        ({"value": numpy_helper.from_array(np.array([2.5, 3], np.float32))}, [2.5, 3.0]),
        ({"value_int": 7}, 7),
        ({"value_ints": [7, 8]}, [7, 8]),
        ({"value_float": 0.5}, 0.5),
        ({"value_floats": [0.5, 0.25]}, [0.5, 0.25]),
    ],
    ids=lambda one: next(iter(one), "") if isinstance(one, dict) else "",
)
def test_every_kind_of_constant_is_read(attributes, wanted):
    constants = found(node("Constant", "", "c", **attributes))
    assert constants["c"].root == "c"
    assert constants["c"].tensor.tolist() == wanted


def test_text_is_no_constant_that_torch_has():
    text = helper.make_tensor("t", 8, [1], [b"word"])
    assert "c" not in found(node("Constant", "", "c", value=text))
    assert "c" not in found(node("Constant", "", "c", value_string="word"))


W = numbers(2, 3, 4)
LAYOUTS = {
    "turned": (node("Transpose", "w", "v"), W.transpose(2, 1, 0)),
    "permuted": (node("Transpose", "w", "v", perm=[1, 0, 2]), W.transpose(1, 0, 2)),
    "reshaped": (node("Reshape", "w sizes", "v"), W.reshape(2, 12)),
    "flattened": (node("Flatten", "w", "v"), W.reshape(2, 12)),
    "flattened from the start": (node("Flatten", "w", "v", axis=0), W.reshape(1, 24)),
    "flattened late": (node("Flatten", "w", "v", axis=2), W.reshape(6, 4)),
    "more axes": (node("Unsqueeze", "w axes", "v"), W[:, None, ..., None]),
    "the same": (node("Identity", "w", "v"), W),
    "in another precision": (node("Cast", "w", "v", to=10), W),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYOUTS)
def test_another_layout_is_a_view_of_the_same_weights(name):
    made, wanted = LAYOUTS[name]
    constants = found(made, tensors={"w": W, "sizes": whole(0, -1), "axes": whole(1, -1)})
    assert constants["v"].root == "w"
    torch.testing.assert_close(constants["v"].tensor, torch.tensor(wanted))


def test_one_entry_axes_are_dropped_where_told_or_all():
    weights = numbers(1, 3, 1)
    tensors = {"w": weights, "axis": whole(0)}
    told, every = node("Squeeze", "w axis", "v"), node("Squeeze", "w", "u")
    constants = found(told, every, tensors=tensors)
    assert constants["v"].tensor.shape == (3, 1)
    assert constants["u"].tensor.shape == (3,)


def test_numbers_become_whole_ones_but_no_text():
    numbers_, text = node("Cast", "w", "v", to=7), node("Cast", "w", "u", to=8)
    constants = found(numbers_, text, tensors={"w": np.array([1.5, -2.5], np.float32)})
    assert constants["v"].tensor.tolist() == [1, -2]
    assert "u" not in constants


def test_sizes_are_put_together_and_weights_are_not():
    both = node("Concat", "a b", "c", axis=0), node("Concat", "w w", "v", axis=0)
    constants = found(*both, tensors={"a": whole(1, 2), "b": whole(3), "w": W})
    assert constants["c"].root == "c"
    assert constants["c"].tensor.tolist() == [1, 2, 3]
    assert "v" not in constants


def test_a_layout_that_does_not_fit_is_an_unknown_node():
    constants = found(node("Reshape", "w sizes", "v"), tensors={"w": W, "sizes": whole(5, 5)})
    assert "v" not in constants


def test_constants_are_what_the_file_computes():
    made = document(
        [node("Flatten", "w", "v", axis=2), node("MatMul", "x v", "y")],
        {"x": [1, 6]}, {"y": [1, 4]}, {"w": W},
    )  # fmt: skip
    x = numbers(1, 6)
    wanted = torch.from_numpy(outputs(made, {"x": x})["y"])
    torch.testing.assert_close(torch.from_numpy(x) @ fixed_values(made)["v"].tensor, wanted)
