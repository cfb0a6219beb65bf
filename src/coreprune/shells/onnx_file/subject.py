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
from coreprune.shells.onnx_file.rendition.rendering import Rendition, rendition_of
from coreprune.shells.onnx_file.session import Session, start, tensor_of
from coreprune.shells.onnx_file.shapes import guessed_sizes, shaped
from coreprune.shells.onnx_file.tables import tables_of
from coreprune.shells.onnx_file.view import view_of
from coreprune.shells.responses import Seen, output_metrics
from coreprune.shells.torch_module.statistics import watch_statistics

Sessions = dict[tuple[str, ...] | None, Session]
"""Open sessions by the values that they give; None for the outputs."""

OF_ROWS, OF_CHANNELS = -1, 1
"""The axis of a layer's output that holds its neurons: of a matrix product, of a convolution."""


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
        renditions: The same in torch, or why there is none: none or one.
    """

    document: Document
    working: Document
    lowered: Lowered
    names: tuple[str, ...]
    call: Call
    made: dict[str, Tensor] = field(default_factory=dict)
    sessions: Sessions = field(default_factory=dict)
    opened: list[Document] = field(default_factory=list)
    renditions: list[Rendition | str] = field(default_factory=list)

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

    @property
    def underivable(self) -> str | None:
        rendition = self._rendition()
        return rendition if isinstance(rendition, str) else None

    def run(self, call: Call, *, gradients: bool = False) -> dict[str, Any]:
        rendition = self._rendition() if gradients else None
        if isinstance(rendition, Rendition):
            with torch.enable_grad():
                return rendition.run(self._given(call))
        found = self._session(None).run(self._arrays(call))
        return {name: _tensor_or_array(array) for name, array in found.items()}

    def remembered(self, call: Call) -> list[tuple[Tensor, Tensor, Tensor]]:
        seen: list[tuple[Tensor, Tensor, Tensor]] = []
        if isinstance(self._rendition(), Rendition):
            with watch_statistics(lambda *norm: seen.append(norm)):
                self.run(call, gradients=True)
        return seen

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
        self, calls: Iterable[Call], weights: Collection[str], *, seed: int
    ) -> Mapping[str, Tensor]:
        rendition = self._rendition()
        if isinstance(rendition, str):
            return {}
        layers = {layer.output: layer for layer in self._layers(weights)}

        def forward(call: Call) -> tuple[Any, list[Seen]]:
            seen: list[Seen] = []

            def watch(name: str, value: Tensor) -> None:
                if name in layers and value.numel():
                    seen.append(_seen(layers[name], value))

            with torch.enable_grad():
                return rendition.run(self._given(call), watch), seen

        held = {name: self.graph.parameters[name] for name in weights}
        try:
            return output_metrics(forward, calls, held, seed=seed)
        except Exception:  # noqa: BLE001 (torch's functions raise anything)
            return {}

    def with_tensors(self, changed: Parameters) -> "Subject":
        working = edited(self.document, self.lowered, changed)
        return replace(self, working=working, sessions={}, opened=[], renditions=[])

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

    def _given(self, call: Call) -> dict[str, Any]:
        """The inputs of a call by their names."""
        return {**dict(zip(self.names, call.args, strict=False)), **call.kwargs}

    def _arrays(self, call: Call) -> Arrays:
        """The same as ONNX Runtime takes them."""
        return {
            name: value.detach().cpu().contiguous().numpy() if isinstance(value, Tensor) else value
            for name, value in self._given(call).items()
        }

    def _rendition(self) -> Rendition | str:
        """The file in torch, or why it is not, found out when it is first asked for."""
        if not self.renditions:
            self.renditions.append(self._rendered())
        return self.renditions[0]

    def _rendered(self) -> Rendition | str:
        try:
            expected = self.run(self.call)
        except ArgumentError as reason:
            return str(reason)
        return rendition_of(self._running(), self._given(self.call), expected)

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


def _seen(layer: Linear, output: Tensor) -> Seen:
    """What a layer gave, so that derivatives by it can be taken."""
    if not output.requires_grad:
        output.requires_grad_()
    axis = OF_ROWS if isinstance(layer, Affine) else OF_CHANNELS
    return Seen(weight=layer.weight, output=output, axis=axis)


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
    if guessed := guessed_sizes(document, sizes, found.example):
        found = replace(found, notes=(*found.notes, guessed))
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
