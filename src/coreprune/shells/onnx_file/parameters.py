"""The parameters of a lowered file, and where in the file each is written back."""

import math
from dataclasses import dataclass, field

from torch import Tensor

from coreprune.shells.onnx_file.constants import Fixed


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """Where a parameter is in the file.

    Attributes:
        uses: Nodes that read it, by their first outputs, and the positions among their inputs.
        transposed: Whether the file has the transposed matrix.
        shape: Of a vector the shape in the file, −1 for its entries; None for anything else.
    """

    uses: tuple[tuple[str, int], ...]
    transposed: bool = False
    shape: tuple[int, ...] | None = None

    def in_file(self, tensor: Tensor) -> Tensor:
        """A parameter's tensor as the file has it."""
        if self.transposed:
            return tensor.mT
        return tensor if self.shape is None else tensor.reshape(self.shape)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Book:
    """Parameters by name and where they are; filled while a file is lowered.

    Matrices keep the name of the file's tensor, whoever reads them. Vectors that several nodes read
    are one for each: exporters store equal ones once, whatever they belong to.
    """

    fixed: dict[str, Fixed]
    parameters: dict[str, Tensor] = field(default_factory=dict)
    stored: dict[str, Stored] = field(default_factory=dict)

    def matrix(self, value: str, use: tuple[str, int], *, transposed: bool = False) -> str | None:
        """Enter a weight.

        Args:
            value: The constant that a node reads.
            use: The node's first output and the position.
            transposed: Whether the graph language wants it the other way round.

        Returns:
            Its name; None where it is no floating-point constant, or is entered another way round.
        """
        known = self.fixed.get(value)
        if known is None or not known.tensor.is_floating_point() or known.tensor.ndim < 2:
            return None
        tensor = known.tensor.mT if transposed else known.tensor
        before = self.parameters.get(known.root)
        if before is None:
            self.parameters[known.root] = tensor
            self.stored[known.root] = Stored(uses=(use,), transposed=transposed)
            return known.root
        if before.shape != tensor.shape or before.stride() != tensor.stride():
            return None
        own = self.stored.get(known.root, Stored(uses=()))
        self.stored[known.root] = Stored(uses=(*own.uses, use), transposed=transposed)
        return known.root

    def vector(
        self, value: str, use: tuple[str, int], *, size: int, spread: bool = False
    ) -> str | None:
        """Enter one number a neuron.

        Args:
            value: The constant that a node reads: of one entry a neuron along one of its axes.
            use: The node's first output and the position.
            size: The neurons.
            spread: Whether one entry for all neurons will do.

        Returns:
            Its name; None where it is something else.
        """
        known = self.fixed.get(value)
        if known is None or not known.tensor.is_floating_point():
            return None
        shape = tuple(known.tensor.shape)
        in_file: tuple[int, ...] = (-1,)
        if math.prod(shape) == 1 and size != 1 and spread:
            tensor = known.tensor.reshape(1).expand(size)
        elif math.prod(shape) == size and max(shape, default=1) == size:
            axis = shape.index(size) if shape else 0
            in_file = tuple(-1 if place == axis else 1 for place in range(max(1, len(shape))))
            tensor = known.tensor.reshape(size)
        else:
            return None
        name = self._free(known.root, use)
        self.parameters[name] = tensor
        self.stored[name] = Stored(uses=(use,), shape=in_file)
        return name

    def other(self, value: str, use: tuple[str, int]) -> str | None:
        """Enter what a node that is not understood reads: tensors, not single numbers or sizes."""
        known = self.fixed.get(value)
        if known is None or known.tensor.numel() < 2:
            return None
        if not known.tensor.is_floating_point() and known.tensor.element_size() > 1:
            return None
        if known.tensor.ndim < 2:
            name = self._free(known.root, use)
            self.parameters[name] = known.tensor
            return name
        self.parameters.setdefault(known.root, known.tensor)
        return known.root

    def _free(self, root: str, use: tuple[str, int]) -> str:
        return root if root not in self.parameters else f"{root}@{use[0]}:{use[1]}"
