"""LeNet-300-100 as an ONNX file and back."""

import copy
import logging
import warnings

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import nn

from experiments.lenet import lenet

# It says four times that torchvision, which nothing here needs, is not installed.
logging.getLogger("torch.onnx._internal.exporter._registration").setLevel(logging.ERROR)


def exported(model: nn.Sequential) -> onnx.ModelProto:
    """The network as torch's own exporter writes it, with any number of images in a batch.

    Args:
        model: LeNet-300-100 or a narrower one.

    Returns:
        The file's content; its initializers have the names of the state dictionary.
    """
    images = torch.zeros(2, model.fc1.in_features)
    with warnings.catch_warnings():
        # torch 2.13's exporter copies its own trees by a class that torch has deprecated.
        warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)`", FutureWarning)
        program = torch.onnx.export(
            copy.deepcopy(model).eval(),
            (images,),
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            verbose=False,
        )
    return program.model_proto


def read(file: onnx.ModelProto) -> nn.Sequential:
    """The network in torch that an ONNX file of this experiment holds.

    Args:
        file: What `exported` made, its initializers perhaps narrower.

    Returns:
        The layers fc1, relu1, fc2, relu2, fc3.
    """
    state = {
        tensor.name: torch.from_numpy(np.array(numpy_helper.to_array(tensor)))
        for tensor in file.graph.initializer
    }
    model = lenet(hidden=(len(state["fc1.bias"]), len(state["fc2.bias"])), seed=0)
    model.load_state_dict(state)
    return model
