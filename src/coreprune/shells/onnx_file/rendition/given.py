"""One node of an ONNX graph and what it reads, as the operators' renditions take it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor

from coreprune.shells.onnx_file.nodes import attribute

if TYPE_CHECKING:
    from onnx import NodeProto


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Given:
    """A node that is to be computed.

    Attributes:
        node: It.
        inputs: What it reads; None for an input that it leaves out.
        opset: The version of ONNX's own operators.
    """

    node: "NodeProto"
    inputs: tuple[Tensor | None, ...]
    opset: int

    @property
    def x(self) -> Tensor:
        """The first input."""
        return self.tensor(0)

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """All inputs that are there."""
        return tuple(one for one in self.inputs if one is not None)

    def tensor(self, place: int) -> Tensor:
        """An input that must be there.

        Raises:
            ValueError: When it is not.
        """
        found = self.optional(place)
        if found is None:
            raise ValueError(f"{self.node.op_type} lacks input {place}")
        return found

    def optional(self, place: int) -> Tensor | None:
        """An input, or None where it is left out."""
        return self.inputs[place] if place < len(self.inputs) else None

    def attribute(self, name: str, default: Any = None) -> Any:  # noqa: ANN401
        """An attribute's value, or the default."""
        return attribute(self.node, name, default)

    def integers(self, place: int, name: str | None = None) -> list[int] | None:
        """Whole numbers of an input, or of the attribute that older versions have instead."""
        found = self.optional(place)
        if found is not None:
            return [int(entry) for entry in found.flatten().tolist()]
        listed = None if name is None else self.attribute(name)
        return None if listed is None else list(listed)

    def number(self, place: int) -> float | None:
        """The value of an input of one entry, or None where it is left out."""
        found = self.optional(place)
        return None if found is None else found.item()

    def axis(self, default: int, name: str = "axis") -> int:
        """An axis of the first input, counted from the front."""
        return int(self.attribute(name, default)) % max(1, self.x.ndim)
