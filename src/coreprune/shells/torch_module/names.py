"""What the graph calls the values and parameters of an exported program, and their layers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeGuard

from torch import fx


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Names:
    """The names of an exported part.

    Attributes:
        prefix: The part's name in the model.
        parameters: Its parameters' and buffers' names in the model, by those of the placeholders.
    """

    prefix: str
    parameters: Mapping[str, str]

    def is_parameter(self, node: object) -> TypeGuard[fx.Node]:
        """Whether a node is a parameter or a buffer."""
        return isinstance(node, fx.Node) and node.name in self.parameters

    def is_value(self, node: object) -> TypeGuard[fx.Node]:
        """Whether a node is anything else."""
        return isinstance(node, fx.Node) and node.name not in self.parameters

    def value(self, node: fx.Node) -> str:
        """What the graph calls a value."""
        return f"{self.prefix}:{node.name}"

    def parameter(self, node: fx.Node) -> str:
        """What the model calls a parameter."""
        return self.parameters[node.name]


def layer_name(parameter: str) -> str:
    """What the layer that owns a parameter is called: its module's path, else its own name."""
    return parameter.rpartition(".")[0] or parameter


def affine_name(weight: str, bias: str | None) -> str:
    """As `layer_name`, but a module may hold several raw weights: those keep their own names.

    Layers that share a weight are told apart by their biases.
    """
    if not weight.endswith(".weight"):
        return weight
    return layer_name(bias if bias is not None and bias.endswith(".bias") else weight)
