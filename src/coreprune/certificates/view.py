"""A group's channels as one layer reads them, tap by tap, in one network."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import dropwhile

import torch
from torch import Tensor

from coreprune.core.rounding import gamma
from coreprune.graph.groups import Consumer, Group
from coreprune.graph.ir import Graph, Node, Parameters, Pool, parameters_of
from coreprune.graph.layer import Layer, layer_of
from coreprune.graph.ranges import Ranges, ranges
from coreprune.graph.runs import Run, ending_of, folded, precision_of


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class View:
    """What a layer gives at one position: Σ_t (Σ_j w_ijt h_jt + o_it) + c_i over the taps t.

    Attributes:
        layer: Points, biases and activation of the channels, for taps that read no mixture of
            positions or one that is linear and last; a trailing normalisation is in w and o.
        weights: w_ijt in float64. Shape (k, n, T).
        tap_offsets: o_it, of that normalisation. Shape (k, T).
        constant: c_i: the bias, less the mean of a normalisation behind that takes the constant
            of a cut. Shape (k,).
        whole: The range of what lies behind everything on the way.
        whole_weights: What the layer reads those with. Shape (k, n, T).
        rounding: How far evaluated sums can be from exact ones. Shape (k,).
        precision: What it runs in.
    """

    layer: Layer
    weights: Tensor
    tap_offsets: Tensor
    constant: Tensor
    whole: Ranges
    whole_weights: Tensor
    rounding: Tensor
    precision: torch.dtype


def view(
    group: Group, consumer: Consumer, parameters: Parameters, *, graph: Graph, radius: float
) -> View:
    """Read a layer's view of a group off the parameters.

    Args:
        group: The channels.
        consumer: The layer that reads them.
        parameters: The tensors as they stand.
        graph: For the sizes of maps.
        radius: β, of what the producer reads at one position.

    Returns:
        The view, on the CPU.
    """
    own = {name: parameters[name].detach().cpu() for name in names_of(group, consumer)}
    alone = replace(group, consumers=(consumer,))
    precision = precision_of(Run(groups=(alone,), reader=consumer), own)
    flat = without_pools(consumer)
    ending = ending_of(flat)
    rest = replace(flat, passengers=flat.passengers[: len(flat.passengers) - len(ending)])
    fold = folded(ending, own)
    read = own[consumer.affine.weight].double()
    read = read.reshape(len(read), -1, consumer.taps)
    whole = ranges(group, consumer, own, graph=graph, radius=radius, dtype=precision)
    scale = torch.as_tensor(fold.scale, dtype=torch.float64).expand(read.shape[1])
    shift = read.new_zeros(read.shape[1]) if fold.shift is None else fold.shift
    constants = list(_constants(consumer, own))
    return View(
        layer=layer_of(group, rest, own),
        weights=read * scale[:, None],
        tap_offsets=torch.einsum("knt,n->kt", read, shift),
        constant=torch.stack([read.new_zeros(len(read)), *constants]).sum(0),
        whole=whole,
        whole_weights=read,
        rounding=_rounding(read, whole, constants, dtype=precision),
        precision=precision,
    )


def without_pools(consumer: Consumer) -> Consumer:
    """The same without linear pools at the end of what lies on the way."""
    kept = list(dropwhile(_is_linear_pool, reversed(consumer.passengers)))
    return replace(consumer, passengers=tuple(reversed(kept)))


def _is_linear_pool(node: Node) -> bool:
    return isinstance(node, Pool) and node.is_linear


def names_of(group: Group, consumer: Consumer) -> tuple[str, ...]:
    """The tensors of a group's layer, of one that reads it, and of all between."""
    nodes = (group.producer, *consumer.passengers, consumer.affine)
    names = [name for node in nodes for name in parameters_of(node)]
    return (*names, *([] if consumer.constant is None else [consumer.constant]))


def _constants(consumer: Consumer, parameters: Parameters) -> Iterator[Tensor]:
    bias = consumer.affine.bias
    if bias is not None:
        yield parameters[bias].double()
    if consumer.constant is not None and consumer.constant != bias:
        yield consumer.sign * parameters[consumer.constant].double()


def _rounding(
    weights: Tensor, channels: Ranges, constants: list[Tensor], *, dtype: torch.dtype
) -> Tensor:
    """γ_{nT+c} (Σ |w| (|h| + η) + |c|) + Σ |w| η, for channels that are off by η. Shape (k,)."""
    finfo, sizes = torch.finfo(dtype), weights.abs().sum(2)
    terms = weights[0].numel() + 2 + len(constants)
    moved = sizes @ channels.error
    total = sizes @ channels.height + sum((one.abs() for one in constants), moved * 0)
    found = gamma(terms, finfo.eps / 2) * total + moved + terms * finfo.tiny
    widened: Tensor = found * (1 + gamma(terms + 64))
    return torch.where(total < finfo.max, widened, torch.inf)
