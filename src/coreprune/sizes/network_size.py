"""What a network is made of and what a call of it takes, before and after a cut."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from coreprune.graph.groups import Group
from coreprune.graph.ir import Parameters
from coreprune.sizes.costs import Cost


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSize:
    """How large a network is.

    Attributes:
        parameters: Numbers in its parameters.
        bytes: What these take in their own types.
        flops: Floating-point operations of the example call.
    """

    parameters: int
    bytes: int
    flops: float


def size_of(tensors: Iterable[str], parameters: Parameters, *, flops: float) -> NetworkSize:
    """The size of a network.

    Args:
        tensors: The names of those tensors that count.
        parameters: All tensors.
        flops: Its operations.

    Returns:
        The size.
    """
    counted = [parameters[name] for name in tensors]
    return NetworkSize(
        parameters=sum(tensor.numel() for tensor in counted),
        bytes=sum(tensor.numel() * tensor.element_size() for tensor in counted),
        flops=flops,
    )


def before_and_after(
    trained: Parameters,
    changed: Parameters,
    *,
    groups: Iterable[Group],
    flops: Cost,
    left: Mapping[str, int],
) -> tuple[NetworkSize, NetworkSize]:
    """The sizes of a network and of what a cut leaves of it.

    Args:
        trained: The tensors that count, as they were.
        changed: Those that are others now.
        groups: All groups.
        flops: Operations by their widths.
        left: The widths of those that were cut.

    Returns:
        The two sizes.
    """
    whole = {group.name: group.neurons for group in groups}
    before = size_of(trained, trained, flops=flops.of(whole))
    return before, size_of(trained, {**trained, **changed}, flops=flops.of({**whole, **left}))
