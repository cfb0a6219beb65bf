"""The module under work: a copy in evaluation mode with its example call and its graph."""

import contextlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from coreprune.graph.ir import Graph, Parameters
from coreprune.shells.calls import Call, call_of
from coreprune.shells.moves import Extents
from coreprune.shells.network import InputNorms, See
from coreprune.shells.torch_module.export import exported_parts
from coreprune.shells.torch_module.flops import flops
from coreprune.shells.torch_module.layer_inputs import largest_input_norms, watch_inputs
from coreprune.shells.torch_module.lower import lower
from coreprune.shells.torch_module.modules import (
    copied,
    has_slow_kernels,
    nonfinite,
    unwrapped,
    with_tensors,
)
from coreprune.shells.torch_module.postcondition import violation
from coreprune.shells.torch_module.responses import output_metrics
from coreprune.shells.torch_module.running import check_runs, run
from coreprune.shells.torch_module.statistics import watch_statistics
from coreprune.shells.torch_module.tables import tables_of
from coreprune.shells.torch_module.tensors import tensors_of


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Subject:
    """A module ready to be searched and cut; a `coreprune.shells.network.Network`.

    Attributes:
        source: The caller's module without wrappers; never written to.
        working: A copy in evaluation mode.
        call: The example inputs.
        graph: What the copy computes; its parameters are the copy's.
        code: The same in torch's words.
        tables: The rows of the embeddings that inputs are looked up in, by their positions.
        made: Queries that were dear to make, by a name for how they were made.
        quick: The module that is asked what batch normalisations read, once that is known.
    """

    source: nn.Module
    working: nn.Module
    call: Call
    graph: Graph
    code: str
    tables: Mapping[int, int] = field(default_factory=dict)
    made: dict[str, Tensor] = field(default_factory=dict)
    quick: list[nn.Module] = field(default_factory=list)

    @property
    def kind(self) -> str:
        return type(self.source).__name__

    @property
    def identity(self) -> str:
        return f"{self.source}\n{self.code}"

    @property
    def trained(self) -> Parameters:
        return dict(self.working.named_parameters())

    @property
    def original(self) -> Parameters:
        return tensors_of(self.source)

    @property
    def underivable(self) -> str | None:
        return None  # unless the user's code hides them

    def run(self, call: Call, *, gradients: bool = False) -> Any:  # noqa: ANN401
        return run(self.working, call, gradients=gradients)

    def remembered(self, call: Call) -> list[tuple[Tensor, Tensor, Tensor]]:
        if not self.quick:
            self.quick.append(self._quick(call))
        (model,) = self.quick
        return _remembered(model, call if model is self.working else call.typed(torch.float32))

    def _quick(self, call: Call) -> nn.Module:
        """The copy in float32 where half precision is slow and its code runs in that, or itself."""
        if has_slow_kernels(self.working):
            wide = copied(self.working).float()
            with contextlib.suppress(Exception):  # the user's code may fix a type
                if _remembered(wide, call.typed(torch.float32)):
                    return wide
        return self.working

    def read(self, call: Call, weights: Collection[str], see: See) -> None:
        with watch_inputs(self._own(weights), see):
            self.run(call)

    def norms(
        self,
        calls: Iterable[Call],
        weights: Collection[str],
        *,
        windows: Mapping[str, Extents],
    ) -> InputNorms:
        return largest_input_norms(self.working, calls, self._own(weights), windows=windows)

    def metrics(
        self, calls: Iterable[Call], weights: Collection[str], *, seed: int
    ) -> Mapping[str, Tensor]:
        try:
            return output_metrics(self.working, calls, self._own(weights), seed=seed)
        except Exception:  # noqa: BLE001 (a backward pass through the user's code may raise anything)
            return {}

    def with_tensors(self, changed: Parameters) -> "Subject":
        return replace(self, working=with_tensors(self.working, changed), quick=[])

    def violation(
        self, small: Parameters, wide: Parameters, *, columns: Collection[str]
    ) -> str | None:
        return violation(self.working, self.call, small=small, wide=wide, columns=columns)

    def flops(self) -> float:
        return flops(self.working, self.call)

    def nonfinite(self) -> list[str]:
        return nonfinite(self.working)

    def finished(self, changed: Parameters) -> nn.Module:
        return with_tensors(self.source, changed)

    def _own(self, weights: Collection[str]) -> dict[str, Tensor]:
        """The very tensors that the copy uses."""
        held = tensors_of(self.working)
        return {name: held[name] for name in weights}


def _remembered(model: nn.Module, call: Call) -> list[tuple[Tensor, Tensor, Tensor]]:
    seen: list[tuple[Tensor, Tensor, Tensor]] = []
    with watch_statistics(lambda *norm: seen.append(norm)):
        run(model, call, gradients=True)
    return seen


def prepare(
    model: nn.Module,
    example_inputs: Any,  # noqa: ANN401
    *,
    example_kwargs: Mapping[str, Any] | None = None,
    dynamic_shapes: Any = None,  # noqa: ANN401
) -> Subject:
    """Copy, run and lower a model.

    Args:
        model: Any module, wrapped or not, in any mode, on any device.
        example_inputs: One tensor, or a tuple of positional arguments, on the model's device.
        example_kwargs: Keyword arguments of the forward pass.
        dynamic_shapes: As `torch.export.export` takes them.

    Returns:
        The subject; its graph says what could not be exported.

    Raises:
        ArgumentError: When the example inputs do not run through the model.
        UnsupportedModelError: When torch cannot copy the model.
    """
    source = unwrapped(model)
    working = copied(source).eval()
    call = call_of(example_inputs, example_kwargs)
    check_runs(working, call)
    parts = exported_parts(working, call, dynamic_shapes=dynamic_shapes)
    programs = [part.program for part in parts if part.program is not None]
    return Subject(
        source=source,
        working=working,
        call=call,
        graph=lower(working, parts),
        code="\n".join(program.graph_module.code for program in programs),
        tables=tables_of(parts, call),
    )
