"""What a training step sees: a call of the model, with labels or without."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from coreprune.errors import ArgumentError
from coreprune.shells.calls import Call, first_line
from coreprune.training.acceleration import HALF


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Batch:
    """One batch.

    Attributes:
        call: The arguments of a forward pass.
        labels: What the output should be, None where nobody says.
    """

    call: Call
    labels: Tensor | None = None


def called(model: nn.Module, call: Call) -> Any:  # noqa: ANN401
    """The model's output; it gets copies of the inputs, for it may write into them.

    Raises:
        ArgumentError: When it refuses them.
        OutOfMemoryError: Torch's own.
    """
    args, kwargs = pytree.tree_map_only(Tensor, Tensor.clone, (call.args, call.kwargs))
    try:
        return model(*args, **kwargs)
    except torch.OutOfMemoryError:
        raise
    except Exception as reason:
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in call.tensors()) or "no tensor"
        raise ArgumentError(
            f"every batch must run through the model, but {type(model).__name__} raised "
            f"{type(reason).__name__}: {first_line(reason)} (got {shapes}); pass inputs as it "
            "takes them"
        ) from reason


def placed(call: Call, device: torch.device) -> Call:
    """The call with its tensors on a device, half-precision ones as float32."""

    def moved(tensor: Tensor) -> Tensor:
        kind = torch.float32 if tensor.dtype in HALF else tensor.dtype
        return tensor.detach().to(device, kind)

    args, kwargs = pytree.tree_map_only(Tensor, moved, (call.args, call.kwargs))
    return Call(args=args, kwargs=kwargs)


def batches_of(data: Iterable[Any], device: torch.device, *, argument: str) -> Iterator[Batch]:
    """The batches of an iterable, once through.

    Args:
        data: Yields inputs, (inputs,), (inputs, labels), or calls; inputs are a tensor, a tuple or
            list of positional arguments, or a mapping of keyword arguments.
        device: Where they go.
        argument: What the user calls the data.

    Returns:
        The batches; their elements are read when they are asked for.

    Raises:
        ArgumentError: When the data are no iterable of batches, or an element is none of these.
    """
    if isinstance(data, Tensor | Mapping | str | bytes) or not isinstance(data, Iterable):
        raise ArgumentError(
            f"{argument} must be an iterable of batches, got {type(data).__name__}; "
            f"pass a DataLoader, or [{argument}] for a single batch"
        )
    return (_batch_of(element, device, argument=argument) for element in data)


def epochs(data: Iterable[Any], device: torch.device, *, argument: str) -> Iterator[Batch]:
    """The batches of a loader, again and again; of an iterator, until it ends.

    Args:
        data: As in `batches_of`.
        device: Where they go.
        argument: What the user calls the data.

    Yields:
        The batches.
    """
    while True:
        empty = True
        for batch in batches_of(data, device, argument=argument):
            empty = False
            yield batch
        if empty or isinstance(data, Iterator):
            return


def _batch_of(element: object, device: torch.device, *, argument: str) -> Batch:
    """An element of the user's data as a batch.

    Raises:
        ArgumentError: When it is neither inputs nor inputs and labels.
    """
    if isinstance(element, Call):
        return Batch(call=placed(element, device))
    labels: object = None
    if isinstance(element, tuple | list):
        if len(element) not in {1, 2}:
            raise ArgumentError(
                f"{argument} must yield inputs or (inputs, labels), got {len(element)} things; "
                "put several inputs into a tuple of their own: ((first, second), labels)"
            )
        element, labels = (*element, None)[:2]
    if labels is not None and not isinstance(labels, Tensor):
        raise ArgumentError(
            f"{argument} must yield labels as a tensor, got {type(labels).__name__}; "
            "use torch.tensor"
        )
    placed_labels = labels.to(device) if isinstance(labels, Tensor) else None
    return Batch(call=placed(_call_of(element, argument), device), labels=placed_labels)


def _call_of(inputs: object, argument: str) -> Call:
    if isinstance(inputs, Mapping):
        return Call(args=(), kwargs=dict(inputs))
    if isinstance(inputs, Tensor):
        return Call(args=(inputs,))
    if isinstance(inputs, tuple | list):
        return Call(args=tuple(inputs))
    raise ArgumentError(
        f"{argument} must yield tensors, tuples or mappings of them, got {type(inputs).__name__}; "
        "collate the examples into batches first"
    )


def fingerprint(batches: Sequence[Batch]) -> str:
    """SHA-256 over the tensors of some batches: tells whether data or seed are the same."""
    digest = hashlib.sha256()
    for batch in batches:
        tensors = batch.call.tensors()
        for tensor in tensors if batch.labels is None else [*tensors, batch.labels]:
            entries = tensor.detach().cpu().contiguous()
            digest.update(f"{entries.dtype} {tuple(entries.shape)}\n".encode())
            digest.update(entries.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
