"""What lowering looks up: constants, shapes, who makes and who reads a value."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from coreprune.shells.onnx_file.constants import Fixed, fixed_values
from coreprune.shells.onnx_file.document import Document
from coreprune.shells.onnx_file.nodes import reads_of

if TYPE_CHECKING:
    from onnx import NodeProto

Shape = tuple[int, ...]
_HALVES = frozenset({torch.float16, torch.bfloat16})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class View:
    """A file as lowering sees it.

    Attributes:
        nodes: Of the main graph.
        fixed: The constants.
        shapes: Of values, for the example.
        makers: The node that makes a value.
        readers: The nodes that read a value, those whose subgraphs do among them.
        leaving: The values that leave the network.
        halves: Whether a constant is in half precision.
    """

    nodes: Sequence["NodeProto"]
    fixed: dict[str, Fixed]
    shapes: Mapping[str, Shape]
    makers: Mapping[str, "NodeProto"]
    readers: Mapping[str, Sequence["NodeProto"]]
    leaving: frozenset[str]
    halves: bool

    def number(self, name: str) -> float | None:
        """The value of a constant of one entry; None for anything else."""
        known = self.fixed.get(name)
        if known is None or known.tensor.numel() != 1:
            return None
        return float(known.tensor.item())

    def integers(self, name: str) -> list[int] | None:
        """The entries of a constant of whole numbers; None for anything else."""
        known = self.fixed.get(name)
        if known is None or known.tensor.is_floating_point():
            return None
        return [int(entry) for entry in known.tensor.flatten().tolist()]

    def is_value(self, name: str) -> bool:
        """Whether this is what the network computes from its inputs, of a known shape."""
        return name not in self.fixed and name in self.shapes


def view_of(document: Document, shapes: Mapping[str, Shape]) -> View:
    """Look a file over.

    Args:
        document: The model.
        shapes: Of its values.

    Returns:
        The view.
    """
    makers: dict[str, NodeProto] = {}
    readers: dict[str, list[NodeProto]] = defaultdict(list)
    nodes = list(document.model.graph.node)
    for node in nodes:
        makers |= dict.fromkeys((name for name in node.output if name), node)
        for name in reads_of(node):
            readers[name].append(node)
    fixed = fixed_values(document)
    return View(
        nodes=nodes,
        fixed=fixed,
        shapes=shapes,
        makers=makers,
        readers=readers,
        leaving=frozenset(entry.name for entry in document.model.graph.output),
        halves=any(one.tensor.dtype in _HALVES for one in fixed.values()),
    )
