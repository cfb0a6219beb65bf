"""Small ONNX models for tests, built by hand or exported from torch."""

import io
import itertools
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from coreprune.graph.cut import Cut, columns_of, parts_of, shrink, widen
from coreprune.graph.partition import find_groups
from coreprune.shells.onnx_file.document import check, from_model
from coreprune.shells.onnx_file.edit import edited
from coreprune.shells.onnx_file.lower import lower
from coreprune.shells.onnx_file.postcondition import violation
from coreprune.shells.onnx_file.shapes import shaped

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
helper, numpy_helper = onnx.helper, onnx.numpy_helper

FLOAT, HALF, WHOLE = 1, 10, 7


def node(operator, inputs, outputs, **attributes):
    """A node whose name is its first output with a capital N before it."""
    outputs = outputs.split()
    name = attributes.pop("name", f"N{outputs[0]}")
    return helper.make_node(operator, inputs.split(), outputs, name=name, **attributes)


def numbers(*shape, seed=0, dtype=np.float32):
    """Normal numbers."""
    return np.random.default_rng(seed + sum(shape)).standard_normal(shape).astype(dtype)


def whole(*entries):
    """A list of sizes or places."""
    return np.array(entries, dtype=np.int64)


def model(nodes, inputs, outputs, tensors=None, *, opset=17, kind=FLOAT, **options):
    """A model; inputs and outputs are shapes by name, tensors arrays by name."""
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(name, kind, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, kind, shape) for name, shape in outputs.items()],
        [numpy_helper.from_array(array, name) for name, array in (tensors or {}).items()],
    )
    imports = [helper.make_opsetid("", opset), *options.pop("imports", ())]
    return helper.make_model(graph, opset_imports=imports, ir_version=8, **options)


def document(*args, **kwargs):
    """As `model`, as a checked document."""
    made = from_model(model(*args, **kwargs))
    check(made)
    return made


def between(*middle, tensors=None, width=6, opset=17, shape=("batch", 5)):
    """Gemm a of 8 neurons and Gemm b around some nodes that read "h" and give "z"."""
    given = {"wa": numbers(8, 5), "ba": numbers(8), "wb": numbers(3, width), "bb": numbers(3)}
    return document(
        [
            node("Gemm", "x wa ba", "h", name="a", transB=1),
            *middle,
            node("Gemm", "z wb bb", "y", name="b", transB=1),
        ],
        {"x": shape},
        {"y": ("batch", 3)},
        {**given, **(tensors or {})},
        opset=opset,
    )


def lowered(made, dimensions=None):
    """A document's graph."""
    return lower(made, shaped(made, dimensions))


def groups_of(made, dimensions=None):
    """A document's groups by name."""
    return {group.name: group for group in find_groups(lowered(made, dimensions).graph).groups}


def reasons_of(made, dimensions=None):
    """Why layers are left whole, by name."""
    whole_ones = find_groups(lowered(made, dimensions).graph).whole
    return {entry.name: entry.reason for entry in whole_ones}


def exported(net, args, *, dynamo=False, **options):
    """A torch network as a document."""
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own
        net = net.eval()
        if dynamo:
            pytest.importorskip("onnxscript")
            message = torch.onnx.export(net, args, dynamo=True, verbose=False).model_proto
        else:
            torch.onnx.export(net, args, stream, dynamo=False, **options)
            message = onnx.load_from_string(stream.getvalue())
    made = from_model(message)
    check(made)
    return made


def halved(made, dimensions=None):
    """Every group cut to half its neurons with new weights: the file, and what is wrong with it."""
    about = shaped(made, dimensions)
    lowered_file = lower(made, about)
    graph = lowered_file.graph
    parameters, cuts = graph.parameters, []
    for group in find_groups(graph).groups:
        own = parts_of(group, parameters, cuts)
        kept = torch.arange(0, group.neurons, 2)
        weights = [
            own[name].reshape(len(own[name]), group.neurons, -1) for name in columns_of(group)
        ]
        shifts = {
            one.constant: torch.full((len(read),), 0.1, dtype=torch.float64)
            for one, read in zip(group.consumers, weights, strict=True)
            if one.constant is not None
        }
        cut = Cut(
            group=group,
            indices=kept,
            weights=tuple(1.5 * read[:, kept].flatten(1) for read in weights),
            shifts=shifts,
        )
        parameters = shrink(parameters, cut, cuts)
        cuts.append(cut)
    assert cuts
    changed = {
        name: tensor for name, tensor in parameters.items() if tensor is not graph.parameters[name]
    }
    wrong = violation(
        made,
        lowered_file,
        about.example,
        small=changed,
        wide=widen(parameters, graph.parameters, cuts),
        columns={name for cut in cuts for name in columns_of(cut.group)},
    )
    return edited(made, lowered_file, changed), wrong


def perceptron(*widths):
    """Linear layers with ReLUs between them."""
    layers = []
    for before, after in itertools.pairwise(widths):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers[:-1])
