"""What of a model can be pruned, what cannot, and why."""

from collections.abc import Collection, Mapping
from typing import Any

from coreprune.graph.groups import passengers_of
from coreprune.graph.partition import find_groups
from coreprune.opening import Model, network_of
from coreprune.records import Inspection, LayerRecord
from coreprune.sizes.costs import parameter_cost


def inspect(
    model: Model,
    example_inputs: Any = None,  # noqa: ANN401
    *,
    skip: Collection[str] = (),
    example_kwargs: Mapping[str, Any] | None = None,
    dynamic_shapes: Any = None,  # noqa: ANN401
) -> Inspection:
    """List every layer with the neurons that can be cut, or the reason why it stays whole.

    Args:
        model: A module, or the path of an .onnx file; it is not touched.
        example_inputs: One tensor, or a tuple of positional arguments; for a file it may be left
            out.
        skip: Names of layers to leave whole, or of modules that hold such layers.
        example_kwargs: Keyword arguments of the forward pass.
        dynamic_shapes: Passed to `torch.export.export`.

    Returns:
        The layers, and the share of parameters that can be reached.

    Raises:
        ArgumentError: When the example inputs do not run through the model, or `skip` names what is
            no layer.
        FileFormatError: When a file is missing or damaged.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> net = nn.Sequential(nn.Linear(8, 100), nn.ReLU(), nn.Linear(100, 3))
        >>> print(inspect(net, torch.randn(2, 8)))
        99.8% of 1,203 parameters can be reached
        0: 100 neurons, read by 2
        2: left whole: its output leaves the network
    """
    subject = network_of(
        model, example_inputs, example_kwargs=example_kwargs, dynamic_shapes=dynamic_shapes
    )
    partition = find_groups(subject.graph, skip=skip)
    cut = {
        group.name: LayerRecord(
            name=group.name,
            neurons=group.neurons,
            passengers=passengers_of(group),
            consumers=tuple(consumer.affine.name for consumer in group.consumers),
        )
        for group in partition.groups
    }
    layers = cut | {
        entry.name: LayerRecord(name=entry.name, reason=entry.reason) for entry in partition.whole
    }
    trained = subject.trained
    whole = parameter_cost(partition.groups, trained).fixed
    numbers = sum(parameter.numel() for parameter in trained.values())
    return Inspection(
        layers=tuple(layers[name] for name in partition.names if name in layers),
        parameters=numbers,
        reachable=(numbers - whole) / max(1, numbers),
        notes=subject.graph.notes,
    )
