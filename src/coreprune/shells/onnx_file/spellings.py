"""What values are as functions of other values, on the grid: each chain of nodes once a file."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from torch import Tensor

from coreprune.shells.onnx_file.activations import evaluated
from coreprune.shells.onnx_file.recognition import GRID, Recognised, recognised

if TYPE_CHECKING:
    from onnx import NodeProto

DEEPEST = 12
"""No function of the family is spelled in more nodes one after the other."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Curve:
    """A function on the grid; the same chain of operators is the same object.

    Attributes:
        values: Shape (1361,).
    """

    values: Tensor


ITSELF = Curve(values=GRID)
"""The function that leaves numbers as they are."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Spellings:
    """For each value the values that it is a function of, entry by entry, nearest first.

    Blocks repeat: a deep network spells the same function dozens of times, and each step of it is
    computed and compared with the family once.

    Attributes:
        known: By value and by what it is a function of, the function on the grid.
        made: What operators make of functions and numbers, None for no function.
        members: What is known of functions, by them and the tolerance.
    """

    known: dict[str, dict[str, Curve]] = field(default_factory=dict)
    made: dict[tuple[object, ...], Curve | None] = field(default_factory=dict)
    members: dict[tuple[Curve, float], Recognised | None] = field(default_factory=dict)

    def of(self, value: str) -> dict[str, Curve]:
        """What a value is a function of, itself first."""
        return {value: ITSELF, **self.known.get(value, {})}

    def copy(self, output: str, source: str) -> None:
        """Enter a value that is the same as another."""
        self.known[output] = dict(list(self.of(source).items())[:DEEPEST])

    def enter(self, node: "NodeProto", operands: Sequence[float | str | None]) -> None:
        """Enter what a node's output is a function of.

        Args:
            node: The node.
            operands: What it reads: numbers, and the names of values, one at least.
        """
        each = {operand: self.of(operand) for operand in operands if isinstance(operand, str)}
        first, *others = each.values()
        common = [base for base in first if all(base in one for one in others)]
        attributes = tuple(entry.SerializeToString() for entry in node.attribute)
        found: dict[str, Curve] = {}
        for base in common[:DEEPEST]:
            given = [each[one][base] if isinstance(one, str) else one for one in operands]
            key = (node.op_type, attributes, *given)
            if key not in self.made:
                self.made[key] = _curve(node, given)
            curve = self.made[key]
            if curve is not None:
                found[base] = curve
        self.known[node.output[0]] = found

    def member(self, curve: Curve, tolerance: float) -> Recognised | None:
        """The member of the family that a function is, see `recognised`."""
        key = (curve, tolerance)
        if key not in self.members:
            self.members[key] = recognised(curve.values, tolerance)
        return self.members[key]


def _curve(node: "NodeProto", given: Sequence[Curve | float | None]) -> Curve | None:
    values = evaluated(node, [one.values if isinstance(one, Curve) else one for one in given])
    return None if values is None else Curve(values=values)
