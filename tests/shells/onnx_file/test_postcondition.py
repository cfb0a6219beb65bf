import torch
from shells.onnx_file.graphs import between, document, halved, lowered, node, numbers, whole

from coreprune.shells.onnx_file.postcondition import violation
from coreprune.shells.onnx_file.shapes import shaped


def test_a_cut_that_changes_more_is_found_out():
    made = between(node("Relu", "h", "z"), width=8)
    about = shaped(made)
    found = lowered(made)
    given = found.graph.parameters
    kept = [0, 2, 5]
    small = {"wa": given["wa"][kept], "ba": given["ba"][kept], "wb": given["wb"][:, kept]}
    wide = {"wb": torch.zeros_like(given["wb"])}
    wide["wb"][:, kept] = given["wb"][:, kept]

    def check(small, wide):
        return violation(made, found, about.example, small=small, wide=wide, columns={"wb"})

    assert check(small, wide) is None
    assert check({**small, "ba": small["ba"] + 1}, wide) == (
        "cutting it changes more than its own neurons"
    )
    assert "its width is fixed" in check({**small, "wa": given["wa"]}, wide)


def test_a_width_that_is_computed_from_constants_is_found_out():
    nodes = [node("Mul", "left right", "to"), node("Reshape", "h to", "r"), node("Relu", "r", "z")]
    made = between(*nodes, tensors={"left": whole(-1, 2), "right": whole(1, 4)}, width=8)
    _, wrong = halved(made)
    assert "its width is fixed somewhere in the file" in wrong


def test_a_file_that_does_not_run_cannot_be_checked():
    made = document(
        [node("Conv", "x wa", "h", dilations=[2, 2], auto_pad="SAME_UPPER"),
         node("Conv", "h wb", "y")],
        {"x": (1, 3, 8, 8)}, {"y": (1, 2, 8, 8)},
        {"wa": numbers(4, 3, 3, 3), "wb": numbers(2, 4, 1, 1)},
    )  # fmt: skip
    _, wrong = halved(made)
    assert "does not run, so that no cut can be checked" in wrong
