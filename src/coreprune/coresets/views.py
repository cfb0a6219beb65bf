"""A group as its readers see it while cuts go on: fitted to what they got from the original."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from coreprune.core.moments import (
    CrossSum,
    Isotropic,
    Moments,
    MomentSum,
    activation_moments,
    restricted,
    uncentred,
)
from coreprune.core.reconstruction import refitted
from coreprune.core.taps import columns
from coreprune.coresets.moments import GroupMoments
from coreprune.graph.cut import Cut, parts_of
from coreprune.graph.groups import Consumer, Group
from coreprune.graph.ir import Parameters
from coreprune.graph.layer import layer_of


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class View:
    """A group as one reader sees it.

    Attributes:
        weights: W in float64: what of the neurons as they are now comes nearest to what the reader
            got from the original. Shape (k, n taps).
        moments: Of the neurons, tap by tap; about zero instead of the mean for a reader without a
            place for a constant.
        taps: How many columns each neuron has.
        offset: What the reader's bias has to gain besides, in float64. Shape (k,).
    """

    weights: Tensor
    moments: Moments
    taps: int
    offset: Tensor


class Run:
    """Views as cuts go on: what reads a cut group sees the neurons that are left."""

    def __init__(self, source: GroupMoments) -> None:
        self.source = source
        self.known: dict[str, tuple[Moments, ...]] = {}
        self.rank = {group.name: position for position, group in enumerate(source.groups)}
        self.cuts: list[int] = []

    def views(
        self, group: Group, parameters: Parameters, cuts: Sequence[Cut] = ()
    ) -> tuple[View, ...]:
        """One for each consumer, through the passengers on its way.

        Where moments are sampled and layers before the group have been cut, what the consumers got
        in the original is fitted by the neurons as they are now: errors do not add up. That holds
        of what else a consumer reads, too. Nothing is fitted to a network that a cut broke.

        Args:
            group: The group.
            parameters: The network's tensors as earlier cuts left them.
            cuts: These cuts.
        """
        own = parts_of(group, parameters, cuts)
        sums = None
        if group.name not in self.source.closed and self._follows_a_cut(group):
            sums = self.source.against(group, parameters, cuts)
        if sums is None:
            moments = self.of(group, own)
            return tuple(
                _plain(consumer, seen, own)
                for consumer, seen in zip(group.consumers, moments, strict=True)
            )
        return tuple(
            _fitted(consumer, sums[consumer.affine.weight], own) for consumer in group.consumers
        )

    def of(self, group: Group, parameters: Parameters) -> tuple[Moments, ...]:
        """The moments of the neurons as each consumer sees them."""
        if group.name not in self.known:
            self.known[group.name] = (
                self._closed(group, parameters)
                if group.name in self.source.closed
                else self.source.from_samples(group)
            )
        return self.known[group.name]

    def cut(self, group: Group, indices: Tensor) -> None:
        """Tell that only these neurons of a group are left."""
        self.cuts.append(self.rank[group.name])
        if group.name in self.known:
            self.known[group.name] = tuple(
                restricted(moments, columns(indices, consumer.taps))
                for consumer, moments in zip(group.consumers, self.known[group.name], strict=True)
            )

    def _follows_a_cut(self, group: Group) -> bool:
        return any(rank < self.rank[group.name] for rank in self.cuts)

    def _closed(self, group: Group, parameters: Parameters) -> tuple[Moments, ...]:
        producer = group.producer
        layers = [layer_of(group, consumer, parameters) for consumer in group.consumers]
        inputs: Moments | Isotropic
        if producer.weight in self.source.feeders:
            feeder, position = self.source.feeders[producer.weight]
            inputs = self.of(feeder, parameters)[position]
        else:
            inputs = self.source.input_moments(layers)
        return tuple(
            activation_moments(self.source.before_activation(layer, inputs), layer.activation)
            for layer in layers
        )


def _plain(consumer: Consumer, moments: Moments, parameters: Parameters) -> View:
    weights = parameters[consumer.affine.weight].double().flatten(1)
    own = moments if consumer.free_bias else uncentred(moments)
    offset = weights.new_zeros(len(weights))
    return View(weights=weights, moments=own, taps=consumer.taps, offset=offset)


def _fitted(consumer: Consumer, sums: tuple[MomentSum, CrossSum], parameters: Parameters) -> View:
    present, lost = sums
    weights = parameters[consumer.affine.weight].double().flatten(1)
    moments, mean, cross = present.moments(), lost.mean(), lost.covariance()
    if not consumer.free_bias:
        cross = cross + torch.outer(mean, moments.mean)
        moments, mean = uncentred(moments), torch.zeros_like(mean)
    correction = refitted(cross, moments)
    offset = mean - correction @ moments.mean
    return View(weights=weights + correction, moments=moments, taps=consumer.taps, offset=offset)
