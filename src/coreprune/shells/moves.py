"""How a convolution moves over its input."""

from dataclasses import dataclass

Extents = tuple[int, ...]
"""A number an axis behind the channels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moves:
    """How a convolution moves over its input, axis by axis; see `graph.ir.Convolution`."""

    kernel: Extents
    stride: Extents
    padding: tuple[tuple[int, int], ...]
    dilation: Extents
    groups: int = 1

    def places(self, sizes: Extents) -> Extents:
        """How many patches an input of these sizes has along each axis."""
        return tuple(
            (size + before + after - gap * (extent - 1) - 1) // step + 1
            for size, (before, after), gap, extent, step in zip(
                sizes, self.padding, self.dilation, self.kernel, self.stride, strict=True
            )
        )
