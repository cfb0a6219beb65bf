"""The model under work: a copy in evaluation mode with its example call and its graph."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from coreprune.graph.ir import Graph
from coreprune.shells.torch_module.calls import Call, call_of, check_runs
from coreprune.shells.torch_module.export import exported_parts
from coreprune.shells.torch_module.lower import lower
from coreprune.shells.torch_module.modules import copied, unwrapped


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Subject:
    """A model ready to be searched and cut.

    Attributes:
        source: The caller's module without wrappers; never written to.
        working: A copy in evaluation mode.
        call: The example inputs.
        graph: What the copy computes; its parameters are the copy's.
        made: Queries that were dear to make, by a name for how they were made.
    """

    source: nn.Module
    working: nn.Module
    call: Call
    graph: Graph
    made: dict[str, Tensor] = field(default_factory=dict)


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
    return Subject(source=source, working=working, call=call, graph=lower(working, parts))
