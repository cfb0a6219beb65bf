"""A module in eight bits, by libraries that do nothing else."""

import copy
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import onnxruntime
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from torch import Tensor, nn

from coreprune.shells.calls import Call
from coreprune.shells.torch_module.onnx_export import save_onnx

Classify = Callable[[Tensor], Tensor]
"""Images of shape (n, 784) to logits of shape (n, 10)."""


def by_torchao(model: nn.Module, *, activations: bool) -> Classify:
    """One scale a row of weights, and one a row of inputs where activations are rounded too."""
    from torchao.quantization import (  # its import takes seconds and talks
        Int8DynamicActivationInt8WeightConfig,
        Int8WeightOnlyConfig,
        quantize_,
    )

    small = copy.deepcopy(model).eval()
    quantize_(
        small, Int8DynamicActivationInt8WeightConfig() if activations else Int8WeightOnlyConfig()
    )

    def classify(images: Tensor) -> Tensor:
        with torch.no_grad():
            logits: Tensor = small(images)
        return logits

    return classify


def by_onnxruntime(model: nn.Module) -> Classify:
    """One scale a tensor, of weights and of activations alike."""
    with TemporaryDirectory() as folder:
        plain, quantised = Path(folder) / "plain.onnx", Path(folder) / "int8.onnx"
        save_onnx(model, Call(args=(torch.zeros(1, 784),)), plain)
        quantize_dynamic(plain, quantised, weight_type=QuantType.QInt8, per_channel=False)
        session = onnxruntime.InferenceSession(quantised, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def classify(images: Tensor) -> Tensor:
        return torch.from_numpy(session.run(None, {name: images.numpy()})[0])

    return classify


QUANTISED: dict[str, Callable[[nn.Module], Classify]] = {
    "torchao, weights": lambda model: by_torchao(model, activations=False),
    "torchao, weights and activations": lambda model: by_torchao(model, activations=True),
    "ONNX Runtime, one scale a tensor": by_onnxruntime,
}
