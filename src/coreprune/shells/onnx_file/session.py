"""A document run by ONNX Runtime on the CPU, intermediate values as torch tensors on request."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from coreprune.errors import ArgumentError
from coreprune.shells.onnx_file.document import Document
from coreprune.shells.onnx_file.examples import Array, Arrays
from coreprune.shells.onnx_file.packages import onnx_package, runtime_package
from coreprune.shells.onnx_file.tensors import Held
from coreprune.shells.onnx_file.writing import is_large, message_without

if TYPE_CHECKING:
    from onnx import ModelProto

_SILENT = 4
"""Nothing below a fatal error is logged."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Session:
    """A model ready to run.

    Attributes:
        running: ONNX Runtime's session.
        outputs: The names of what it gives, in order.
        tensors: The memory that it reads its large tensors from.
    """

    running: Any
    outputs: tuple[str, ...]
    tensors: tuple[Any, ...]

    def run(self, inputs: Arrays) -> dict[str, Array]:
        """What the model gives for some inputs, by name.

        Raises:
            ArgumentError: When the inputs do not run through the model.
        """
        try:
            found = self.running.run(list(self.outputs), dict(inputs))
        except Exception as reason:
            shapes = ", ".join(f"{name} {array.shape}" for name, array in inputs.items())
            raise ArgumentError(
                f"the inputs must run through the model, but ONNX Runtime says: "
                f"{first_line(reason)} (got {shapes}); pass other sizes"
            ) from reason
        return dict(zip(self.outputs, found, strict=True))


def start(
    document: Document,
    *,
    threads: int = 1,
    exposed: Sequence[str] | None = None,
    once: bool = False,
) -> Session:
    """Open a session.

    Args:
        document: The model; its tensors are read where they are, not copied.
        threads: How many work on one operator.
        exposed: Values to give instead of the model's outputs.
        once: Whether it is to run so seldom that looking for a faster plan would not pay.

    Returns:
        The session.

    Raises:
        ArgumentError: When ONNX Runtime cannot run the model.
    """
    runtime = runtime_package()
    options = runtime.SessionOptions()
    options.log_severity_level = _SILENT
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    if once:
        options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    model, tensors = _runnable(document)
    if exposed is not None:
        _expose(model, exposed)
    options.add_external_initializers(list(tensors), list(tensors.values()))
    try:
        running = runtime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except Exception as reason:
        raise ArgumentError(
            f"ONNX Runtime cannot run the model: {first_line(reason)}; "
            "update onnxruntime, or export the model with operators that it knows"
        ) from reason
    outputs = [entry.name for entry in model.graph.output]
    return Session(running=running, outputs=tuple(outputs), tensors=tuple(tensors.values()))


def _runnable(document: Document) -> "tuple[ModelProto, dict[str, Any]]":
    """The message with its large tensors said to be elsewhere, and where they are in memory."""
    runtime = runtime_package()
    model = message_without(document, "in memory", dict.fromkeys(document.tensors, 0))
    values = {
        held.name: runtime.OrtValue.ortvalue_from_numpy_with_onnx_type(_array(held), held.kind)
        for held in filter(is_large, document.tensors.values())
    }
    return model, values


def _array(held: Held) -> Array:
    """The entries as numpy's type of the same width."""
    kind = onnx_package().helper.tensor_dtype_to_np_dtype(held.kind)
    array: Array = held.data.view(np.dtype(kind)).reshape(held.shape)
    return array


def _expose(model: "ModelProto", names: Sequence[str]) -> None:
    """Let some values leave the network instead of its outputs."""
    onnx = onnx_package()
    known = {entry.name: entry for entry in (*model.graph.output, *model.graph.value_info)}
    own = {entry.name: entry for entry in model.graph.output}
    del model.graph.output[:]
    for name in names:
        entry = own.get(name)
        if entry is None:
            entry = onnx.ValueInfoProto(name=name)
            told = known.get(name)
            if told is not None:
                entry.type.tensor_type.elem_type = told.type.tensor_type.elem_type
        model.graph.output.append(entry)


def outputs(document: Document, inputs: Arrays, *, threads: int = 1) -> dict[str, Array]:
    """What a model gives for some inputs.

    Args:
        document: The model.
        inputs: An array for each input, by name.
        threads: How many work on one operator.

    Returns:
        Its outputs by name.

    Raises:
        ArgumentError: When they do not run through the model.
    """
    return start(document, threads=threads).run(inputs)


def values(
    document: Document, names: Sequence[str], batches: Iterable[Arrays], *, threads: int = 1
) -> Iterator[Mapping[str, Tensor]]:
    """Intermediate values, batch by batch: no more than one batch of them is in memory.

    Args:
        document: The model.
        names: The values, inputs of the model among them or not.
        batches: Arrays for the inputs.
        threads: How many work on one operator.

    Yields:
        The values of a batch by name.

    Raises:
        ArgumentError: When a batch does not run through the model.
    """
    given = {entry.name for entry in document.model.graph.input}
    inner = tuple(dict.fromkeys(name for name in names if name not in given))
    session = start(document, threads=threads, exposed=inner) if inner else None
    for batch in batches:
        found: dict[str, Array] = {} if session is None else session.run(batch)
        found |= {name: batch[name] for name in names if name in given}
        yield {name: tensor_of(array) for name, array in found.items()}


def tensor_of(array: Array) -> Tensor:
    """An array of ONNX Runtime's as a torch tensor of the same memory, where torch may write."""
    return torch.from_numpy(array if array.flags.writeable else array.copy())


def first_line(reason: BaseException) -> str:
    """What an exception says, in one line."""
    return next(iter(str(reason).strip().splitlines()), type(reason).__name__)
