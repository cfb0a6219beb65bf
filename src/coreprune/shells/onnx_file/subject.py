"""The ONNX file under work, with its example call and its graph."""

import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from coreprune.errors import ArgumentError
from coreprune.graph.groups import Linear
from coreprune.graph.ir import Affine, Convolution, Graph, Norm, Parameters
from coreprune.shells.calls import Call
from coreprune.shells.moves import Extents
from coreprune.shells.network import InputNorms, See
from coreprune.shells.onnx_file.document import Document, read
from coreprune.shells.onnx_file.edit import edited
from coreprune.shells.onnx_file.examples import Array, Arrays, inputs_of_model
from coreprune.shells.onnx_file.layer_inputs import largest_input_norms, read_by
from coreprune.shells.onnx_file.lower import Lowered, lower
from coreprune.shells.onnx_file.open_batch import with_open_batch
from coreprune.shells.onnx_file.postcondition import violation
from coreprune.shells.onnx_file.session import Session, start, tensor_of
from coreprune.shells.onnx_file.shapes import shaped
from coreprune.shells.onnx_file.tables import tables_of
from coreprune.shells.onnx_file.view import view_of

Sessions = dict[tuple[str, ...] | None, Session]
"""Open sessions by the values that they give; None for the outputs."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Subject:
    """A file ready to be searched and cut; a `coreprune.shells.network.Network`.

    Attributes:
        document: The file; never written to.
        working: The same, or with some other tensors.
        lowered: What the file computes, and where its parameters are.
        names: Of the inputs, in the file's order.
        call: The example inputs in that order.
        made: Queries that were dear to make, by a name for how they were made.
        sessions: Of `working`.
        opened: It, with its batch left open where that is sound, once it has been run.
    """

    document: Document
    working: Document
    lowered: Lowered
    names: tuple[str, ...]
    call: Call
    made: dict[str, Tensor] = field(default_factory=dict)
    sessions: Sessions = field(default_factory=dict)
    opened: list[Document] = field(default_factory=list)

    @property
    def graph(self) -> Graph:
        return self.lowered.graph

    @property
    def kind(self) -> str:
        return "the ONNX model" if self.document.path is None else self.document.path.name

    @property
    def identity(self) -> str:
        return str(self.document.model)

    @property
    def tables(self) -> Mapping[int, int]:
        found = tables_of(view_of(self.document, self.graph.shapes))
        return {place: found[name] for place, name in enumerate(self.names) if name in found}

    @property
    def trained(self) -> Parameters:
        remembered = {
            name
            for node in self.graph.nodes
            if isinstance(node, Norm)
            for name in (node.mean, node.variance)
        }
        return {
            name: tensor for name, tensor in self.graph.parameters.items() if name not in remembered
        }

    @property
    def original(self) -> Parameters:
        return self.graph.parameters

    def run(self, call: Call, *, gradients: bool = False) -> dict[str, Any]:  # noqa: ARG002 (none)
        found = self._session(None).run(self._arrays(call))
        return {name: _tensor_or_array(array) for name, array in found.items()}

    def remembered(self, call: Call) -> list[tuple[Tensor, Tensor, Tensor]]:  # noqa: ARG002
        return []  # ONNX Runtime has no derivatives

    def read(self, call: Call, weights: Collection[str], see: See) -> None:
        layers = self._layers(weights)
        given = self._arrays(call)
        inner = tuple(dict.fromkeys(one.input for one in layers if one.input not in given))
        found = self._session(inner).run(given) if inner else {}
        for layer in layers:
            rows = read_by(layer, tensor_of({**found, **given}[layer.input]))
            if rows.numel():
                see(layer.weight, rows)

    def norms(
        self,
        calls: Iterable[Call],
        weights: Collection[str],
        *,
        windows: Mapping[str, Extents],
    ) -> InputNorms:
        layers, batches = self._layers(weights), map(self._arrays, calls)
        return largest_input_norms(self._running(), layers, batches, windows=windows)

    def metrics(
        self,
        calls: Iterable[Call],  # noqa: ARG002
        weights: Collection[str],  # noqa: ARG002
        *,
        seed: int,  # noqa: ARG002
    ) -> Mapping[str, Tensor]:
        return {}  # ONNX Runtime has no derivatives

    def with_tensors(self, changed: Parameters) -> "Subject":
        return replace(
            self, working=edited(self.document, self.lowered, changed), sessions={}, opened=[]
        )

    def violation(
        self, small: Parameters, wide: Parameters, *, columns: Collection[str]
    ) -> str | None:
        cut = {
            name: tensor
            for name, tensor in small.items()
            if tensor is not self.graph.parameters[name]
        }
        return violation(
            self.document,
            self.lowered,
            self._arrays(self.call),
            small=cut,
            wide=wide,
            columns=columns,
        )

    def flops(self) -> float:
        return float(sum(map(self._operations, self.graph.nodes)))

    def nonfinite(self) -> list[str]:
        return [
            name
            for name, tensor in self.graph.parameters.items()
            if tensor.is_floating_point() and not tensor.isfinite().all()
        ]

    def finished(self, changed: Parameters) -> Document:
        return edited(self.document, self.lowered, changed)

    def _arrays(self, call: Call) -> Arrays:
        """The inputs of a call as ONNX Runtime takes them, by their names."""
        given = {**dict(zip(self.names, call.args, strict=False)), **call.kwargs}
        return {
            name: value.detach().cpu().contiguous().numpy() if isinstance(value, Tensor) else value
            for name, value in given.items()
        }

    def _session(self, exposed: tuple[str, ...] | None) -> Session:
        if exposed not in self.sessions:
            threads = torch.get_num_threads()
            self.sessions[exposed] = start(self._running(), threads=threads, exposed=exposed)
        return self.sessions[exposed]

    def _running(self) -> Document:
        """What is run: queries come in large batches, whatever batch the file declares."""
        if not self.opened:
            self.opened.append(with_open_batch(self.working, self._arrays(self.call)))
        return self.opened[0]

    def _layers(self, weights: Collection[str]) -> list[Linear]:
        return [
            node
            for node in self.graph.nodes
            if isinstance(node, Affine | Convolution) and node.weight in weights
        ]

    def _operations(self, node: object) -> int:
        if not isinstance(node, Affine | Convolution):
            return 0
        shape = self.graph.parameters[node.weight].shape
        places = math.prod(self.graph.shapes[node.output]) // shape[0]
        return 2 * places * math.prod(shape)


def open_file(path: str | Path | Document, examples: Any = None) -> Subject:  # noqa: ANN401
    """Read, shape and lower a file.

    Args:
        path: The .onnx file, or one that has been read.
        examples: A tensor or array for each input: a mapping by names, a tuple in the file's
            order, or the only one; None draws some by the shapes that the file declares, its open
            axes bound by 1 or by a usual size.

    Returns:
        The subject.

    Raises:
        FileFormatError: When the file is missing, damaged or refers to files outside its folder.
        ArgumentError: When examples do not fit the file, or the package onnx is not installed.
    """
    document = path if isinstance(path, Document) else read(path)
    given = None if examples is None else dict(_named(document, examples))
    sizes = None if given is None else dict(_open_sizes(document, given))
    found = shaped(document, sizes)
    example = {**found.example, **(given or {})}
    names = tuple(entry.name for entry in inputs_of_model(document))
    known = [name for name in names if name in example]
    subject = Subject(
        document=document,
        working=document,
        lowered=lower(document, found),
        names=names,
        call=Call(args=tuple(_tensor_or_array(example[name]) for name in known)),
    )
    if given is not None:
        subject.run(subject.call)  # refuses what does not fit
    return subject


def _named(document: Document, examples: Any) -> Iterator[tuple[str, Array]]:  # noqa: ANN401
    """The given inputs by their names.

    Raises:
        ArgumentError: When the file has no input of a name.
    """
    declared = [entry.name for entry in inputs_of_model(document)]
    if isinstance(examples, Mapping):
        pairs = list(examples.items())
    else:
        several = isinstance(examples, tuple | list)
        pairs = list(zip(declared, examples if several else (examples,), strict=False))
    if unknown := [name for name, _ in pairs if name not in declared]:
        raise ArgumentError(
            f"example_inputs names {', '.join(unknown)}, which the file has not; "
            f"its inputs are {', '.join(declared)}"
        )
    for name, value in pairs:
        yield name, value.detach().numpy() if isinstance(value, Tensor) else np.asarray(value)


def _open_sizes(document: Document, given: Mapping[str, Array]) -> Iterator[tuple[str, int]]:
    """What given inputs say of the axes that a file leaves open."""
    for entry in inputs_of_model(document):
        sizes = entry.type.tensor_type.shape.dim
        if entry.name in given and len(sizes) == given[entry.name].ndim:
            for axis, size in enumerate(sizes):
                if size.dim_value <= 0:
                    yield f"{entry.name}:{axis}", given[entry.name].shape[axis]


def _tensor_or_array(array: Array) -> Any:  # noqa: ANN401
    """A torch tensor of what torch knows."""
    return tensor_of(array) if array.dtype.isbuiltin == 1 and array.dtype.kind in "fiub" else array
