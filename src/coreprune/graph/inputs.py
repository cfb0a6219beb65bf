"""What of a network reads its input as it is."""

import torch
from torch import Tensor

from coreprune.graph.ir import Affine, Elementwise, Graph, Reshape


def first_points(graph: Graph) -> Tensor | None:
    """The weights of the layers that read the network's flat input, one under the other.

    Returns:
        P of shape (n, d), or None when no layer reads it as it is.
    """
    roots = input_values(graph)
    found = [
        graph.parameters[node.weight]
        for node in graph.nodes
        if isinstance(node, Affine) and node.input in roots
    ]
    return torch.cat(found) if found else None


def input_values(graph: Graph) -> frozenset[str]:
    """Flat values that are an input of the network, reshaped at the most."""
    roots = set(graph.inputs)
    for node in graph.nodes:
        if isinstance(node, Reshape) or (isinstance(node, Elementwise) and _is_identity(node)):
            roots |= {node.output} if node.input in roots else set()
    return frozenset(name for name in roots if len(graph.shapes.get(name, ())) == 2)


def _is_identity(node: Elementwise) -> bool:
    return not node.parameters and node.build().name == "identity"
