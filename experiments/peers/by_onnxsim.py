"""The structured pruning in onnxsim at given widths, file in, file out."""

import copy

import numpy as np
import onnx
import onnxsim
from onnxsim import stable_relu_prune

LAYERS = {"fc1": "fc2", "fc2": "fc1"}  # the hidden layers, each with the other one


def prune(
    file: onnx.ModelProto,
    widths: tuple[int, int],
    *,
    norm: str,
    rows: int | None = None,
    seed: int = 0,
) -> onnx.ModelProto:
    """A narrower file by `apply_structured_pruning`, one layer after the other.

    Args:
        file: LeNet-300-100 as `onnx_files.exported` makes it.
        widths: Neurons kept in fc1 and fc2.
        norm: "l1" or "l2", of a neuron's incoming weights.
        rows: Standard normal inputs to which `apply_pruning_finetune` fits the next layer again
            after each cut; None leaves the kept weights as they are. It declines a layer that lost
            inputs and outputs at once, so it must follow each cut.
        seed: Of these inputs.

    Returns:
        The smaller file.
    """
    for layer, width in zip(LAYERS, widths, strict=True):
        whole = file
        file = _cut(whole, layer, width, norm=norm)
        if rows is not None:
            inputs = _normal_inputs(whole, rows, seed=seed)
            file = onnxsim.apply_pruning_finetune(whole, file, calibration_data=[inputs])
    return file


def _cut(file: onnx.ModelProto, layer: str, width: int, *, norm: str) -> onnx.ModelProto:
    """One layer narrower.

    One share holds for all layers of a file, and onnxsim leaves whole what reaches an output: so
    the other hidden layer is made an output meanwhile.
    """
    neurons = {tensor.name: tensor.dims[0] for tensor in file.graph.initializer}[f"{layer}.bias"]
    outputs = {node.input[1]: node.output[0] for node in file.graph.node if node.op_type == "Gemm"}
    other = outputs[f"{LAYERS[layer]}.weight"]
    guarded = copy.deepcopy(file)
    guarded.graph.output.append(
        onnx.helper.make_tensor_value_info(other, onnx.TensorProto.FLOAT, None)
    )
    small = onnxsim.apply_structured_pruning(
        guarded, sparsity=1 - width / neurons, importance_norm=norm
    )
    del small.graph.output[1:]
    return small


def _normal_inputs(file: onnx.ModelProto, rows: int, *, seed: int) -> dict[str, np.ndarray]:
    """The law of onnxsim's own random inputs, in one batch and enough of them for a fit."""
    inputs = np.random.default_rng(seed).standard_normal((rows, 784))
    return {file.graph.input[0].name: inputs.astype(np.float32)}


def dead_units(file: onnx.ModelProto) -> int:
    """Hidden neurons that onnxsim proves to be zero for every image with pixels in [0, 1].

    Its `stable_relu_prune` removes these and no others, which changes no output.
    """
    box = (np.zeros((1, 784)), np.ones((1, 784)))
    report = stable_relu_prune.analyze(file, {file.graph.input[0].name: box})
    return sum(layer.dead for layer in report.layers)
