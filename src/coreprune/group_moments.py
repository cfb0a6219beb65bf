"""How a group's activations vary under the law: closed form along chains, sampled elsewhere."""

import functools
import itertools
import math
from collections.abc import Mapping, Sequence

from torch import Generator, Tensor

from coreprune.core.moments import (
    Moments,
    MomentSum,
    activation_moments,
    affine_moments,
    matched,
    recovered_inputs,
    restricted,
)
from coreprune.graph.groups import Group
from coreprune.graph.ir import Affine, Elementwise, Graph, Norm, Parameters, Reshape
from coreprune.graph.layer import Layer, layer_of
from coreprune.queries.ball import Ball
from coreprune.queries.gaussian import Gaussian
from coreprune.query_calls import drawn_calls
from coreprune.shells.torch_module.calls import run
from coreprune.shells.torch_module.layer_inputs import watch_inputs
from coreprune.shells.torch_module.subject import Subject

ROWS_A_NEURON = 10
"""Activations sampled for every neuron of the widest group: fewer cost accuracy."""


class GroupMoments:
    """The moments of every group, each computed when it is first asked for.

    A group has a closed form when its producer reads the network's input or another such group;
    there Gaussian pre-activations are exact for the first layer and an approximation further up.
    """

    def __init__(
        self, subject: Subject, groups: Sequence[Group], *, law: Gaussian | None, seed: int
    ) -> None:
        self.subject, self.groups, self.law, self.seed = subject, groups, law, seed
        self.roots = _roots(subject.graph)
        self.feeders = {
            consumer.affine.weight: (group, position)
            for group in groups
            for position, consumer in enumerate(group.consumers)
        }
        self.sampled: Mapping[str, MomentSum] | None = None

    def words(self) -> str:
        """The law, and where it was sampled."""
        sampled = [g.name for g in self.groups if not self.has_closed_form(g.producer)]
        law = f"independent normal inputs of deviation {(self.law or Gaussian()).deviation:.4g}"
        if self.law is None and self.reads_statistics():
            law += ", moments matched to the running statistics of batch normalisations"
        if not sampled:
            return f"{law}, in closed form"
        return f"{law}, sampled for {', '.join(sampled)}, in closed form elsewhere"

    def input_moments(self, layers: Sequence[Layer]) -> Moments:
        """The law of the network's input as the layers that read it see it."""
        told = next((layer for layer in layers if layer.seen is not None), None)
        if self.law is None and told is not None and told.seen is not None:
            mean, variance = told.seen
            return recovered_inputs(told.points, told.bias, mean=mean, variance=variance)
        return (self.law or Gaussian()).moments(layers[0].points.shape[1])

    def before_activation(self, layer: Layer, inputs: Moments) -> Moments:
        """The moments of the pre-activations, with the data's statistics where they are known."""
        z = affine_moments(layer.points, layer.bias, inputs)
        return z if self.law is not None or layer.seen is None else matched(z, *layer.seen)

    def start(self) -> "_Run":
        """A fresh pass over the groups, before anything is cut."""
        return _Run(self)

    def reads_statistics(self) -> bool:
        """Whether a group with a closed form has a normalisation right behind its producer."""
        return any(
            isinstance(passenger, Norm)
            for group in self.groups
            if self.has_closed_form(group.producer)
            for consumer in group.consumers
            for passenger in consumer.passengers[:1]
        )

    def has_closed_form(self, producer: Affine) -> bool:
        """Whether the law of a layer's input is known without sampling."""
        if producer.weight in self.feeders:
            return self.has_closed_form(self.feeders[producer.weight][0].producer)
        return producer.input in self.roots

    def from_samples(self, group: Group) -> tuple[Moments, ...]:
        """The empirical moments of a group in the original network, one for each consumer."""
        if self.sampled is None:
            self.sampled = self._sample()
        return tuple(self.sampled[consumer.affine.weight].moments() for consumer in group.consumers)

    def _sample(self) -> Mapping[str, MomentSum]:
        """Run queries of the law through the original and sum up what the consumers read."""
        groups = [group for group in self.groups if not self.has_closed_form(group.producer)]
        sums = {
            consumer.affine.weight: MomentSum() for group in groups for consumer in group.consumers
        }
        weights = {name: self.subject.graph.parameters[name] for name in sums}
        wanted = ROWS_A_NEURON * max(group.neurons for group in groups)
        draw = functools.partial(
            (self.law or Gaussian()).sample, generator=Generator().manual_seed(self.seed)
        )
        with watch_inputs(weights, lambda name, batch: sums[name].add(batch)):
            for call in itertools.islice(drawn_calls(self.subject, draw), wanted):
                run(self.subject.working, call)
                if min(total.count for total in sums.values()) >= wanted:
                    break
        return sums


class _Run:
    """Moments as cuts go on: what reads a cut group sees the neurons that are left."""

    def __init__(self, source: GroupMoments) -> None:
        self.source = source
        self.known: dict[str, tuple[Moments, ...]] = {}

    def of(self, group: Group, parameters: Parameters) -> tuple[Moments, ...]:
        """One for each consumer, through the passengers on its way."""
        if group.name not in self.known:
            self.known[group.name] = (
                self._closed(group, parameters)
                if self.source.has_closed_form(group.producer)
                else self.source.from_samples(group)
            )
        return self.known[group.name]

    def cut(self, group: Group, indices: Tensor) -> None:
        """Tell that only these neurons of a group are left."""
        if group.name in self.known:
            self.known[group.name] = tuple(
                restricted(moments, indices) for moments in self.known[group.name]
            )

    def _closed(self, group: Group, parameters: Parameters) -> tuple[Moments, ...]:
        producer = group.producer
        layers = [layer_of(group, consumer, parameters) for consumer in group.consumers]
        if producer.weight in self.source.feeders:
            feeder, position = self.source.feeders[producer.weight]
            inputs = self.of(feeder, parameters)[position]
        else:
            inputs = self.source.input_moments(layers)
        return tuple(
            activation_moments(self.source.before_activation(layer, inputs), layer.activation)
            for layer in layers
        )


def _roots(graph: Graph) -> frozenset[str]:
    """Flat values that are an input of the network, reshaped at the most."""
    roots = set(graph.inputs)
    for node in graph.nodes:
        if isinstance(node, Reshape) or (isinstance(node, Elementwise) and _is_identity(node)):
            roots |= {node.output} if node.input in roots else set()
    return frozenset(name for name in roots if len(graph.shapes.get(name, ())) == 2)


def _is_identity(node: Elementwise) -> bool:
    return not node.parameters and node.build().name == "identity"


def law_of(queries: Ball | Gaussian | None, subject: Subject) -> Gaussian | None:
    """The law of the inputs that the user stands for, or None to choose one from the model.

    Entries on the sphere of radius β are nearly normal with deviation β / √d.
    """
    if isinstance(queries, Gaussian):
        return queries
    if isinstance(queries, Ball):
        entries = subject.call.tensors()[0][0].numel()
        return Gaussian(queries.radius / math.sqrt(max(1, entries)))
    return None
