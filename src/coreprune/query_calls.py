"""The example call with its inputs drawn anew from a law."""

from collections.abc import Callable, Iterator

from torch import Tensor
from torch.utils import _pytree as pytree

from coreprune.shells.torch_module.calls import Call, run
from coreprune.shells.torch_module.subject import Subject

BATCH = 256
"""Queries in one call, where the model takes a batch of that size."""

Sample = Callable[[tuple[int, ...]], Tensor]


def only_input(call: Call) -> Tensor | None:
    """The network's one floating-point input with a batch axis, if that is all it has."""
    tensors = call.tensors()
    if len(tensors) != 1 or tensors[0].ndim < 2 or not tensors[0].is_floating_point():
        return None
    return tensors[0] if tensors[0].numel() else None


def drawn_calls(subject: Subject, sample: Sample) -> Iterator[Call]:
    """Without end, calls with every floating-point input drawn anew, in large batches if they run.

    Args:
        subject: The model under work.
        sample: Draws a tensor of a given shape, its first axis the batch.

    Yields:
        Calls with other inputs as in the example, of the example's batch size at the least.
    """
    least = 1
    if only_input(subject.call) is not None:
        trial = _drawn(subject, sample, BATCH)
        if _runs(subject, trial):
            yield trial
            least = BATCH
    while True:
        yield _drawn(subject, sample, least)


def _drawn(subject: Subject, sample: Sample, least: int) -> Call:
    def swap(leaf: object) -> object:
        if not isinstance(leaf, Tensor) or not leaf.is_floating_point():
            return leaf
        shape = (max(least, len(leaf)), *leaf.shape[1:]) if leaf.ndim else ()
        return sample(shape).to(leaf)

    args, kwargs = pytree.tree_map(swap, (subject.call.args, subject.call.kwargs))
    return Call(args=args, kwargs=kwargs)


def _runs(subject: Subject, call: Call) -> bool:
    try:
        run(subject.working, call)
    except Exception:  # noqa: BLE001 (a model with a fixed batch size may raise anything)
        return False
    return True
