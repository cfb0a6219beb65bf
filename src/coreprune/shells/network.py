"""What the way through a network asks of a shell: to run it, to watch it and to cut it."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

from torch import Tensor

from coreprune.graph.ir import Graph, Parameters
from coreprune.shells.calls import Call
from coreprune.shells.moves import Extents

See = Callable[[str, Tensor], None]
"""Called with a weight's name and what its layer reads: rows of shape (..., d), of a convolution
patches as `coreprune.shells.patches.patches` takes them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InputNorms:
    """The largest Euclidean norms of what layers read, by their weights' names.

    Attributes:
        rows: Of a row, of a convolution of one of its patches; zero for a layer that was not
            reached, infinite for NaN.
        windows: Of a window of a convolution's input, likewise.
    """

    rows: dict[str, float]
    windows: dict[str, float] = field(default_factory=dict)


class Network(Protocol):
    """A network under work, in evaluation mode."""

    @property
    def graph(self) -> Graph:
        """What it computes; its parameters are the network's own."""

    @property
    def call(self) -> Call:
        """The example inputs."""

    @property
    def made(self) -> dict[str, Tensor]:
        """Queries that were dear to make, by a name for how they were made."""

    @property
    def kind(self) -> str:
        """What a person calls it."""

    @property
    def identity(self) -> str:
        """What tells it from other networks with the same tensors."""

    @property
    def tables(self) -> Mapping[int, int]:
        """The rows of tables that inputs are looked up in, by positions among the call's leaves."""

    @property
    def trained(self) -> Parameters:
        """Those of the graph's parameters that count as the network's own numbers."""

    @property
    def original(self) -> Parameters:
        """All tensors as the user gave them: running the network may have changed some."""

    @property
    def underivable(self) -> str | None:
        """Why the outputs have no derivatives, in words; None where they may have some."""

    def run(self, call: Call, *, gradients: bool = False) -> Any:  # noqa: ANN401
        """The outputs, from the same random state each time.

        Args:
            call: The inputs.
            gradients: Whether derivatives by the inputs are wanted; not every network has them.
        """

    def remembered(self, call: Call) -> list[tuple[Tensor, Tensor, Tensor]]:
        """What batch normalisations with running statistics read.

        Args:
            call: The inputs.

        Returns:
            For each the values, of shape (b, c, ...) and with derivatives by the inputs, the mean
            and the variance that it remembers, of shape (c,); nothing for a network that has no
            derivatives.
        """

    def read(self, call: Call, weights: Collection[str], see: See) -> None:
        """Run it and hand over what some of its layers read, where that is not empty."""

    def norms(
        self,
        calls: Iterable[Call],
        weights: Collection[str],
        *,
        windows: Mapping[str, Extents],
    ) -> InputNorms:
        """The largest norms of what layers read.

        Args:
            calls: The inputs.
            weights: The layers, by their weights' names.
            windows: Extents of windows to measure too, for some of the convolutions.
        """

    def metrics(
        self, calls: Iterable[Call], weights: Collection[str], *, seed: int
    ) -> Mapping[str, Tensor]:
        """E[Σ_rows Jᵀ J] of layers, J the derivative of all outputs by what a row of them gives.

        Args:
            calls: The inputs.
            weights: The layers, by their weights' names.
            seed: Fixes what is drawn.

        Returns:
            By the weights' names, in float64, shapes (k, k); nothing for a network that has no
            derivatives.
        """

    def with_tensors(self, changed: Parameters) -> Self:
        """The same network with some other tensors, of whatever shape; its graph stays as it is."""

    def violation(
        self, small: Parameters, wide: Parameters, *, columns: Collection[str]
    ) -> str | None:
        """What is wrong with cut tensors.

        Args:
            small: The tensors of the cut network.
            wide: The same at the original shapes, see `coreprune.graph.cut.widen`.
            columns: The weights in `wide` that read the cut neurons.

        Returns:
            In words; None where both networks give the same outputs.
        """

    def flops(self) -> float:
        """The floating-point operations of the example call."""

    def nonfinite(self) -> list[str]:
        """The names of parameters and statistics with NaN or infinite entries."""

    def finished(self, changed: Parameters) -> Any:  # noqa: ANN401
        """What the user gave, with some other tensors: a new one of its kind."""
