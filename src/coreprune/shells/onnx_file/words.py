"""What a person calls an operator that is left whole."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from coreprune.shells.onnx_file.nodes import attribute, operator_of, subgraphs_of
from coreprune.shells.onnx_file.view import View

if TYPE_CHECKING:
    from onnx import NodeProto

NAMED = 5
"""Layers inside control flow that are named, at the most."""

QUANTISED = frozenset({
    "ConvInteger", "DequantizeLinear", "DynamicQuantizeLinear", "MatMulInteger", "QLinearConv",
    "QLinearMatMul", "QuantizeLinear", "com.microsoft.DynamicQuantizeMatMul",
    "com.microsoft.MatMulIntegerToFloat", "com.microsoft.MatMulNBits",
    "com.microsoft.QLinearAdd", "com.microsoft.QLinearConv",
})  # fmt: skip
_CONTROL = frozenset({"If", "Loop", "Scan", "SequenceMap"})
_WORDS = {
    "Attention": "attention",
    "BatchNormalization": "a batch normalisation without frozen statistics",
    "Concat": "a concatenation",
    "Conv": "a convolution",
    "ConvTranspose": "a transposed convolution",
    "GRU": "a GRU",
    "Gather": "a look-up in a table",
    "GatherElements": "a look-up in a table",
    "GatherND": "a look-up in a table",
    "GroupNormalization": "a group normalisation",
    "InstanceNormalization": "an instance normalisation",
    "LSTM": "an LSTM",
    "LayerNormalization": "a layer normalisation",
    "LogSoftmax": "a softmax",
    "LpNormalization": "a normalisation",
    "RMSNormalization": "a normalisation",
    "RNN": "a recurrent layer",
    "Shape": "the operator Shape, whose result is read as a number",
    "Softmax": "a softmax",
    "Split": "a split",
}
_LINEAR = {"Conv": "a convolution", "Gemm": "a linear layer", "MatMul": "a matrix product"}


def words_for(node: "NodeProto", view: View) -> str:
    """What a person calls a node, and what is special about a layer."""
    operator = operator_of(node)
    if operator in QUANTISED:
        return f"a quantised operation ({operator})"
    if operator in _CONTROL:
        return f"control flow ({operator}){_around(list(_layers_in(node)))}"
    if operator in _LINEAR:
        return f"{_LINEAR[operator]}{_because(node, view)}"
    return _WORDS.get(operator, f"the operator {operator}")


def _around(layers: list[str]) -> str:
    """The layers in the branches or the body of control flow."""
    if not layers:
        return ""
    more = f" and {len(layers) - NAMED} more" if len(layers) > NAMED else ""
    return f" around the layers {', '.join(layers[:NAMED])}{more}"


def _layers_in(node: "NodeProto") -> Iterator[str]:
    for graph in subgraphs_of(node):
        for inner in graph.node:
            if operator_of(inner) in _LINEAR:
                yield inner.name or inner.output[0]
            yield from _layers_in(inner)


def _because(node: "NodeProto", view: View) -> str:
    """Why a layer is not one that can be cut."""
    sources = list(node.input)
    if any(name and name not in view.fixed and name not in view.shapes for name in sources):
        return " at a place whose shape is not known"
    if len(sources) > 1 and sources[1] not in view.fixed:
        maker = view.makers.get(sources[1])
        while maker is not None and maker.op_type in {"Cast", "Identity", "Reshape", "Transpose"}:
            maker = view.makers.get(maker.input[0])
        if maker is not None and operator_of(maker) in QUANTISED:
            return " whose weight is quantised"
        inputs = sources[0] in view.shapes and maker is not None
        return " whose weight is computed from other values" if inputs else " of two values"
    if attribute(node, "transA", 0):
        return " that transposes its input (transA)"
    scales = [f"{name}={attribute(node, name, 1.0):g}" for name in ("alpha", "beta")]
    if any(not one.endswith("=1") for one in scales):
        return f" that scales its sums ({', '.join(scales)})"
    return " in a form that is not understood"
