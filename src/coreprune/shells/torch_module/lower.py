"""From exported programs to the neutral graph."""

import zlib
from collections.abc import Collection, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind

from coreprune.core.activations import prelu
from coreprune.core.elementwise import identity
from coreprune.graph.ir import (
    Add,
    Affine,
    Concat,
    Convolution,
    Elementwise,
    Graph,
    Multiply,
    Node,
    Norm,
    Opaque,
    Permute,
    Pool,
    Reshape,
    parameters_of,
)
from coreprune.shells.torch_module.export import HELD, Part
from coreprune.shells.torch_module.names import Names, affine_name, layer_name
from coreprune.shells.torch_module.operators import (
    CASTS,
    RESHAPES,
    activation_of,
    is_whole_slice,
    name_of,
    readable,
)
from coreprune.shells.torch_module.parts import is_split, opened_glu, part_pool
from coreprune.shells.torch_module.products import PRODUCTS, is_turned, product_layer
from coreprune.shells.torch_module.spatial import (
    CONVOLUTIONS,
    hides_a_pair,
    mixed_axes,
    moves_of,
    takes_extremes,
)
from coreprune.shells.torch_module.tensors import canonical_names, tensors_of
from coreprune.shells.torch_module.terms import function_with, is_of_neurons

_BATCH_NORM = "_native_batch_norm_legit_no_training"
# A batch normalisation yields a tuple: its getitem is lowered in its place.
_SILENT = ("_assert", _BATCH_NORM)


def lower(model: nn.Module, parts: Collection[Part]) -> Graph:
    """The graph of a model from its exported parts.

    Args:
        model: The module that the parts belong to; parameters take their names from it.
        parts: What was exported, and what could not be.

    Returns:
        The graph; layers that no exported part reaches are opaque in it.
    """
    names = canonical_names(model)
    nodes: list[Node] = []
    inputs: set[str] = set()
    outputs: set[str] = set()
    handed_on: set[str] = set()
    shapes: dict[str, tuple[int, ...]] = {}
    notes = []
    for part in parts:
        if part.program is None:
            notes.append(f"{part.prefix or 'the model'}: {part.note}" if part.note else "")
            continue
        lowering = _Lowering(part, part.program, names)
        nodes.extend(lowering.nodes())
        if not part.prefix:  # what enters a part of the network comes from the rest of it
            inputs |= lowering.inputs
        else:
            handed_on |= lowering.outputs
        outputs |= lowering.outputs
        shapes |= lowering.shapes
    if any(part.prefix and part.program is not None for part in parts):
        notes.append(
            "parts were cut one by one, because the whole model could not be exported; "
            "what its code does between them was read, not run"
        )
    elsewhere = tuple(f"{part.prefix}." for part in parts if part.read_elsewhere)
    nodes.extend(_unreached(model, names, nodes, elsewhere=elsewhere))
    return Graph(
        nodes=tuple(nodes),
        inputs=frozenset(inputs),
        outputs=frozenset(outputs),
        shapes=shapes,
        parameters=tensors_of(model),
        notes=tuple(note for note in notes if note),
        handed_on=frozenset(handed_on),
    )


def _unreached(
    model: nn.Module, names: dict[str, str], nodes: Iterable[Node], *, elsewhere: tuple[str, ...]
) -> Iterator[Node]:
    reached = {name for node in nodes for name in parameters_of(node)}
    for path, module in model.named_modules():
        own = [
            f"{path}.{name}" if path else name for name, _ in module.named_parameters(recurse=False)
        ]
        missing = tuple(names[name] for name in own if names[name] not in reached)
        if missing and len(missing) == len(own):
            yield Opaque(
                name=path or own[0],
                operator=(
                    "a layer read by code that could not be exported"
                    if f"{path}.".startswith(elsewhere)
                    else "a layer that the exported graph does not reach"
                ),
                inputs=(),
                outputs=(),
                parameters=missing,
            )


class _Lowering:
    """One exported program, node by node."""

    def __init__(self, part: Part, program: ExportedProgram, names: dict[str, str]) -> None:
        self.program = program
        self.inputs: set[str] = set()
        self.outputs: set[str] = set()
        self.shapes: dict[str, tuple[int, ...]] = {}
        parameters: dict[str, str] = {}
        for spec in self.program.graph_signature.input_specs:
            if spec.kind in {InputKind.PARAMETER, InputKind.BUFFER} and spec.target is not None:
                target = spec.target.removeprefix(f"{HELD}.")
                full = f"{part.prefix}.{target}" if part.prefix else target
                parameters[spec.arg.name] = names.get(full, full)
        self.names = Names(prefix=part.prefix, parameters=parameters)

    def nodes(self) -> Iterator[Node]:
        """The nodes in order; fills `inputs`, `outputs` and `shapes` on the way."""
        for node in self.program.graph.nodes:
            if node.op == "output":
                self.outputs |= {self.names.value(leaf) for leaf in node.all_input_nodes}
                continue
            value = node.meta.get("val")
            if isinstance(value, Tensor):
                self.shapes[self.names.value(node)] = tuple(_size(size) for size in value.shape)
            if node.op == "placeholder" and self.names.is_value(node):
                self.inputs.add(self.names.value(node))
            if node.op == "placeholder" or self._is_silent(node):
                continue
            if name_of(node) == "glu" and self.names.is_value(node.args[0]):
                yield from opened_glu(node, self.names, shapes=self.shapes)
            else:
                yield self._lowered(node)

    def _is_silent(self, node: fx.Node) -> bool:
        """Whether what a node does is told by those that read it."""
        taken = {use.args[1] for use in node.users if name_of(use) == "getitem"}
        read = {use.args[1] for use in node.users if use.users and name_of(use) == "getitem"}
        unread_place = name_of(node) == "getitem" and hides_a_pair(node.args[0]) and not node.users
        values_alone = hides_a_pair(node) and bool(taken) and read <= {0}
        told = name_of(node).startswith(_SILENT) or is_split(node) or is_turned(node, self.names)
        return told or values_alone or unread_place

    def _lowered(self, node: fx.Node) -> Node:
        name = name_of(node)
        if name == "linear" or name in PRODUCTS:
            return self._affine(node) or self._opaque(node)
        if name in CONVOLUTIONS:
            return self._convolution(node) or self._opaque(node)
        if name == "prelu":
            return self._prelu(node) or self._opaque(node)
        if name in {"getitem", "batch_norm"}:
            return self._norm(node) or self._pool(node) or self._opaque(node)
        if self._changes_layout(node):
            return self._layout(node)
        return (
            self._elementwise(node)
            or self._with_term(node)
            or self._pool(node)
            or self._concat(node)
            or self._merge(node)
            or self._opaque(node)
        )

    def _affine(self, node: fx.Node) -> Affine | None:
        if name_of(node) in PRODUCTS:
            return product_layer(node, self.names)
        named = self._linear(node)
        return None if named is None else Affine(**named)

    def _convolution(self, node: fx.Node) -> Convolution | None:
        named = self._linear(node)
        if named is None:
            return None
        kernel = tuple(node.args[1].meta["val"].shape[2:])  # type: ignore[union-attr]
        if len(self.shapes[named["input"]]) != len(kernel) + 2:
            return None  # without a batch axis
        moves = moves_of(kernel, node.args[3:], node.kwargs)
        return Convolution(
            **named,
            kernel=kernel,
            stride=moves.stride,
            padding=moves.padding,
            dilation=moves.dilation,
            groups=moves.groups,
        )

    def _linear(self, node: fx.Node) -> dict[str, Any] | None:
        """Names of a layer's value, weight and bias; None where a tensor is no parameter."""
        source, weight, *rest = _arguments(node)
        bias = rest[0] if rest else node.kwargs.get("bias")
        if not self.names.is_value(source) or not self.names.is_parameter(weight):
            return None
        if bias is not None and not self.names.is_parameter(bias):
            return None
        key = self.names.parameter(weight)
        shift = None if bias is None else self.names.parameter(bias)
        return {
            "name": affine_name(key, shift),
            "input": self.names.value(source),
            "output": self.names.value(node),
            "weight": key,
            "bias": shift,
        }

    def _pool(self, node: fx.Node) -> Pool | None:
        if not node.args or not isinstance(node.args[0], fx.Node):
            return None
        if (part := part_pool(node, self.names)) is not None:
            return part
        axes = mixed_axes(node)
        source = node.args[0].args[0] if hides_a_pair(node.args[0]) else node.args[0]
        if axes is None or not self.names.is_value(source):
            return None
        return Pool(
            input=self.names.value(source),
            output=self.names.value(node),
            operator=readable(node),
            axes=axes[0],
            gone=axes[1],
            is_linear=not takes_extremes(node),
        )

    def _prelu(self, node: fx.Node) -> Elementwise | None:
        source, slopes = _arguments(node)
        if not self.names.is_value(source) or not self.names.is_parameter(slopes):
            return None
        key = self.names.parameter(slopes)
        return Elementwise(
            name=layer_name(key),
            input=self.names.value(source),
            output=self.names.value(node),
            build=prelu,
            parameters=(key,),
        )

    def _norm(self, node: fx.Node) -> Norm | None:
        """A batch normalisation with frozen statistics: one node, or the first of a tuple."""
        call, eps_position = node, 7
        if name_of(node) == "getitem":
            (call, index), eps_position = _arguments(node), 6
            if index != 0 or name_of(call) != _BATCH_NORM:
                return None
        elif _arguments(node)[5]:
            return None
        source, weight, bias, mean, variance = _arguments(call)[:5]
        telling = [tensor for tensor in (weight, bias, mean, variance) if tensor is not None]
        if mean is None or not all(self.names.is_parameter(tensor) for tensor in telling):
            return None
        return Norm(
            name=layer_name(self.names.parameter(mean)),
            input=self.names.value(source),
            output=self.names.value(node),
            mean=self.names.parameter(mean),
            variance=self.names.parameter(variance),
            weight=None if weight is None else self.names.parameter(weight),
            bias=None if bias is None else self.names.parameter(bias),
            eps=float(_arguments(call)[eps_position]),
        )

    def _changes_layout(self, node: fx.Node) -> bool:
        known = RESHAPES | {"permute", "transpose", "t"}
        return name_of(node) in known and self.names.is_value(node.args[0])

    def _layout(self, node: fx.Node) -> Reshape | Permute:
        source, *rest = _arguments(node)
        names = {"input": self.names.value(source), "output": self.names.value(node)}
        if name_of(node) in RESHAPES:
            return Reshape(**names)
        rank = len(self.shapes[self.names.value(source)])
        order = list(range(rank))
        if name_of(node) == "permute":
            order = [axis % rank for axis in rest[0]]
        else:
            first, second = rest or (0, rank - 1)
            order[first], order[second] = order[second], order[first]
        return Permute(**names, order=tuple(order))

    def _elementwise(self, node: fx.Node) -> Elementwise | None:
        if not node.args or not self.names.is_value(node.args[0]) or "val" not in node.meta:
            return None
        build = activation_of(node)
        if name_of(node) in CASTS and node.meta["val"].is_floating_point():
            build = identity
        if is_whole_slice(node):
            build = identity
        if build is None:
            return None
        return Elementwise(
            name=node.name,
            input=self.names.value(_arguments(node)[0]),
            output=self.names.value(node),
            build=build,
        )

    def _with_term(self, node: fx.Node) -> Elementwise | None:
        """A sum or product with a parameter or buffer that has one entry, or one a neuron."""
        operands = _arguments(node)
        places = [place for place, one in enumerate(operands) if self.names.is_parameter(one)]
        build = function_with(name_of(node), places[0]) if len(places) == 1 else None
        if build is None or len(operands) != 2 or node.kwargs:
            return None
        constant, source = operands[places[0]], operands[1 - places[0]]
        if not self.names.is_value(source) or not node.meta["val"].is_floating_point():
            return None
        shape = source.meta["val"].shape
        if node.meta["val"].shape != shape or not is_of_neurons(constant.meta["val"].shape, shape):
            return None
        key = self.names.parameter(constant)
        return Elementwise(
            name=affine_name(key, None),
            input=self.names.value(source),
            output=self.names.value(node),
            build=build,
            parameters=(key,),
        )

    def _concat(self, node: fx.Node) -> Concat | None:
        if name_of(node) != "cat":
            return None
        sources, axis = [*_arguments(node), node.kwargs.get("dim", 0)][:2]
        if not all(self.names.is_value(source) for source in sources):
            return None
        rank = len(node.meta["val"].shape)
        inputs = tuple(self.names.value(source) for source in sources)
        if any(len(self.shapes[value]) != rank for value in inputs):
            return None  # torch skips empty vectors
        return Concat(inputs=inputs, output=self.names.value(node), axis=axis % rank)

    def _merge(self, node: fx.Node) -> Add | Multiply | None:
        sources = node.all_input_nodes
        if len(sources) < 2 or not all(self.names.is_value(source) for source in sources):
            return None
        inputs = tuple(self.names.value(source) for source in sources)
        if name_of(node) in {"add", "sub"}:
            return Add(inputs=inputs, output=self.names.value(node))
        if name_of(node) in {"mul", "div"}:
            return Multiply(inputs=inputs, output=self.names.value(node))
        return None

    def _opaque(self, node: fx.Node) -> Opaque:
        inner = node.all_input_nodes
        is_part = len(inner) == 1 and is_split(inner[0])
        hidden = is_part or (len(inner) == 1 and name_of(inner[0]) == _BATCH_NORM)
        sources = inner[0].all_input_nodes if hidden else inner
        parameters = tuple(
            self.names.parameter(source) for source in sources if self.names.is_parameter(source)
        )
        return Opaque(
            name=layer_name(parameters[0]) if parameters else node.name,
            operator=readable(inner[0] if is_part else node),
            inputs=tuple(
                self.names.value(source) for source in sources if self.names.is_value(source)
            ),
            outputs=(self.names.value(node),),
            parameters=parameters,
        )


def _arguments(node: fx.Node) -> list[Any]:
    return list(node.args)


def _size(size: int | torch.SymInt) -> int:
    """The size in the example; one that only data decide gets a number that no other has."""
    if not isinstance(size, torch.SymInt):
        return size
    if size.node.hint is not None:
        return int(size.node.hint)
    stand_in = {s: 1_000_003 + zlib.crc32(str(s).encode()) for s in size.node.expr.free_symbols}
    return int(size.node.expr.xreplace(stand_in))
