"""A whole network as a chain of layers, where it is one; else the reason why not."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Generator, Tensor

from coreprune.core.chain import Link
from coreprune.core.chain_range import preactivations
from coreprune.core.elementwise import Activation, compose
from coreprune.core.same_function import same_function
from coreprune.errors import UnsupportedModelError
from coreprune.graph.groups import Group
from coreprune.graph.inputs import input_values
from coreprune.graph.ir import (
    Elementwise,
    Graph,
    Norm,
    Parameters,
    Reshape,
    inputs_of,
    parameters_of,
)
from coreprune.graph.layer import activation_of
from coreprune.graph.runs import Run, links_of, precision_of, runs_of, tensors_of
from coreprune.laws.calls import only_input, why_not_one
from coreprune.shells.network import Network
from coreprune.shells.outputs import leaves_of

NO_CHAIN = "its layers are not one plain chain from the input to the output"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NetworkChain:
    """A network that is nothing but layers one after the other.

    Attributes:
        run: Its groups and its last layer, with normalisations directly behind that.
        links: Its layers.
        passed: What is applied to the last layer's outputs.
        ending: The same as a function.
        shape: Of one input.
        precision: What it runs in.
        tensors: What its layers, all between them and all behind the last hold, by name.
    """

    run: Run
    links: tuple[Link, ...]
    passed: tuple[Norm | Elementwise, ...]
    ending: Activation
    shape: tuple[int, ...]
    precision: torch.dtype
    tensors: Parameters


def network_chain(subject: Network, groups: Sequence[Group]) -> NetworkChain | str:
    """Read a network as a chain and compare the two on random queries.

    Args:
        subject: The network.
        groups: Its groups.

    Returns:
        The chain, or why there is none, in words.
    """
    graph, image = subject.graph, only_input(subject.call)
    if image is None:
        return why_not_one(subject.call)
    if graph.notes or len(graph.inputs) != 1 or len(graph.outputs) != 1:
        return "it could not be read as one graph from one input to one output"
    runs = runs_of(groups)
    if len(runs) != 1 or runs[0].groups[0].producer.input not in input_values(graph):
        return NO_CHAIN
    run, passed = runs[0], _passed(graph, runs[0])
    if passed is None or graph.shapes[run.reader.affine.output] != _flat(image, run, graph):
        return NO_CHAIN
    behind = tuple(_leading_norms(passed))
    chain = _chain(
        replace(run, behind=behind),
        passed[len(behind) :],
        graph.parameters,
        shape=tuple(image.shape[1:]),
    )
    if chain.links[0].points.shape[1] != image[0].numel():
        return NO_CHAIN
    return chain if _computes(chain, subject) else NO_CHAIN


def with_parameters(chain: NetworkChain, parameters: Parameters) -> NetworkChain:
    """A network of the same graph with other tensors, such as a pruned one."""
    return _chain(chain.run, chain.passed, parameters, shape=chain.shape)


def same_ending(one: NetworkChain, other: NetworkChain) -> bool:
    """Whether two chains with as many outputs apply the same function to them."""
    width = len(one.links[-1].points)
    return same_function(one.ending, other.ending, width=width, kept=torch.arange(width))


def _chain(
    run: Run,
    passed: tuple[Norm | Elementwise, ...],
    parameters: Parameters,
    *,
    shape: tuple[int, ...],
) -> NetworkChain:
    names = [name for node in passed for name in parameters_of(node)]
    own = {name: parameters[name].detach().cpu() for name in names}
    return NetworkChain(
        run=run,
        links=links_of(run, parameters),
        passed=passed,
        ending=compose(*(activation_of(node, own) for node in passed)),
        shape=shape,
        precision=precision_of(run, parameters),
        tensors=tensors_of(run, parameters) | {name: parameters[name] for name in names},
    )


def _leading_norms(passed: Sequence[Norm | Elementwise]) -> Iterator[Norm]:
    for node in passed:
        if not isinstance(node, Norm):
            return
        yield node


def carried(bound: Tensor, ending: Activation) -> Tensor:
    """What an error of the last layer is at most behind its activation. Shape (k,).

    Raises:
        UnsupportedModelError: When the activation jumps.
    """
    lipschitz = torch.as_tensor(ending.lipschitz, dtype=bound.dtype)
    if not lipschitz.isfinite().all():
        raise UnsupportedModelError(
            f"the network ends in {ending.name}, which jumps: no error of its outputs is bounded"
        )
    return bound * lipschitz


def _flat(image: Tensor, run: Run, graph: Graph) -> tuple[int, int]:
    return len(image), len(graph.parameters[run.reader.affine.weight])


def _passed(graph: Graph, run: Run) -> tuple[Norm | Elementwise, ...] | None:
    """The nodes between the last layer and the network's output, None for anything else."""
    value = run.reader.affine.output
    passed: list[Norm | Elementwise] = []
    while value not in graph.outputs:
        readers = [node for node in graph.nodes if value in inputs_of(node)]
        if len(readers) != 1 or not isinstance(node := readers[0], Elementwise | Norm | Reshape):
            return None
        if isinstance(node, Reshape):
            if graph.shapes[node.input] != graph.shapes[node.output]:
                return None
        else:
            passed.append(node)
        value = node.output
    return tuple(passed)


def _computes(chain: NetworkChain, subject: Network) -> bool:
    """Whether the network gives what the chain gives, as far as its precision tells."""
    image = subject.call.tensors()[0]
    generator = Generator().manual_seed(0)
    x = torch.randn(image.shape, generator=generator).to(image)
    given = [
        leaf
        for leaf in leaves_of(subject.run(subject.call.with_tensor(x)))
        if isinstance(leaf, Tensor)
    ]
    z = preactivations(chain.links, x.detach().cpu().double().flatten(1))
    wanted = chain.ending(z[-1])
    if len(given) != 1 or given[0].shape != wanted.shape:
        return False
    size = max(1e-30, *(float(one.abs().amax()) for one in z), float(wanted.abs().amax()))
    off = float((given[0].detach().cpu().double() - wanted).abs().amax())
    return off <= 8 * math.sqrt(torch.finfo(image.dtype).eps) * size
