"""What every reader of a group sees under the law: closed form along chains, sampled elsewhere."""

import itertools
import warnings
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from coreprune.core.moments import (
    CrossSum,
    Isotropic,
    Moments,
    MomentSum,
    affine_moments,
    matched,
    recovered_inputs,
)
from coreprune.graph.cut import Cut, columns_read, entries_left, parts_of
from coreprune.graph.groups import Group
from coreprune.graph.inputs import input_values
from coreprune.graph.ir import Parameters
from coreprune.graph.layer import Layer, layer_of
from coreprune.laws.calls import Law, calls_of, drawn
from coreprune.laws.chains import chained, remembers
from coreprune.progress import Progress, silent
from coreprune.queries.dead_leaves import DeadLeaves
from coreprune.queries.gaussian import Gaussian
from coreprune.queries.impressions import Impressions
from coreprune.queries.samples import Samples
from coreprune.records import FEW
from coreprune.shells.calls import Call, batch_size
from coreprune.shells.network import Network

ROWS_A_NEURON, LEAST_ROWS = 10, 10_000
"""Activations sampled for every neuron of the widest group, and in all: fewer cost accuracy."""

KEPT = 2**28
"""Numbers in queries that are kept because they are dear to make; more are made anew each time."""

Dear = DeadLeaves | Impressions

SMALLEST = 1e-30
"""The least variance of inputs that are drawn."""


class GroupMoments:
    """The views of every group, each computed when it is first asked for.

    Under a Gaussian law a group has a closed form when its producer reads the network's input or
    another such group; there Gaussian pre-activations are exact for the first layer and an
    approximation further up.

    Attributes:
        few: Which groups have fewer rows than columns, in words, once moments were sampled.
    """

    def __init__(
        self,
        subject: Network,
        groups: Sequence[Group],
        *,
        law: Law | None,
        seed: int,
        tell: Progress = silent,
    ) -> None:
        self.tell = tell
        self.subject, self.groups, self.seed = subject, groups, seed
        self.is_matched = law is None
        chain = chained(subject.graph, groups)
        self.remembers = self.is_matched and remembers(groups, chain)
        self.law: Law = law or recalled_law(subject, groups) or Gaussian()
        self.closed = chain if isinstance(self.law, Gaussian) else frozenset()
        self.feeders = {
            consumer.affine.weight: (group, position)
            for group in groups
            for position, consumer in enumerate(group.consumers)
        }
        self.sampled: Mapping[tuple[str, str], MomentSum] | None = None
        self.drawn: list[Call] = []
        self.source = calls_of(self.law, subject, seed=seed)
        self.few = ""

    def words(self) -> str:
        """The law, and where it was sampled."""
        sampled = [g.name for g in self.groups if g.name not in self.closed]
        law = self.law.words
        if self.remembers:
            law += ", moments matched to the running statistics of batch normalisations"
        if not sampled:
            return f"{law}, in closed form"
        if len(sampled) == len(self.groups):
            return f"{law}, sampled"
        return f"{law}, sampled for {', '.join(sampled)}, in closed form elsewhere"

    def input_moments(self, layers: Sequence[Layer]) -> Isotropic:
        """The law of the network's input as the layers that read it see it."""
        assert isinstance(self.law, Gaussian)  # no other law has a closed form
        return self.law.moments(layers[0].points.shape[1])

    def before_activation(self, layer: Layer, inputs: Moments | Isotropic) -> Moments:
        """The moments of the pre-activations, with the data's statistics where they are known."""
        z = affine_moments(layer.points, layer.bias, inputs)
        return z if not self.is_matched or layer.seen is None else matched(z, *layer.seen)

    def from_samples(self, group: Group) -> tuple[Moments, ...]:
        """The empirical moments of a group in the original network, one for each consumer."""
        if self.sampled is None:
            self.sampled = self._sample()
        weights = [consumer.affine.weight for consumer in group.consumers]
        return tuple(self.sampled[group.name, weight].moments() for weight in weights)

    def calls(self, groups: Sequence[Group]) -> Iterator[Call]:
        """The queries that the moments of these groups are taken over; the same each time."""
        return self.first(_rows_wanted(groups))

    def first(self, examples: int) -> Iterator[Call]:
        """The first of these queries, at least so many if there are; the same each time."""
        example = self.subject.call
        numbers = sum(tensor.numel() for tensor in example.tensors()) / batch_size(example)
        if not isinstance(self.law, Dear) or examples * numbers > KEPT:
            return drawn(self.law, self.subject, seed=self.seed, examples=examples)
        return self._kept(examples)

    def _kept(self, examples: int) -> Iterator[Call]:
        """Queries that are dear to make, each made when it is first asked for and then kept."""
        count = 0
        for place in itertools.count():
            if place == len(self.drawn):
                self.tell("drawing queries", min(count, examples), examples)
                self.drawn.append(next(self.source))
            yield self.drawn[place]
            count += batch_size(self.drawn[place])
            if count >= examples:
                return

    def _sample(self) -> Mapping[tuple[str, str], MomentSum]:
        """Run queries of the law through the original and sum up what the consumers read.

        Returns:
            By the group's name and the consumer's weight, for one may read several groups.
        """
        groups = [group for group in self.groups if group.name not in self.closed]
        read = {group.name: columns_read(group) for group in groups}
        sums = {(name, weight): MomentSum() for name, own in read.items() for weight in own}
        readers = {weight for _, weight in sums}

        def see(weight: str, batch: Tensor) -> None:
            for name, own in read.items():
                if weight in own:
                    sums[name, weight].add(batch[..., own[weight]])

        wanted = _rows_wanted(groups)
        for call in self.calls(groups):
            self.subject.read(call, readers, see)
            rows = min(total.count for total in sums.values())
            self.tell("sampling", min(rows, wanted), wanted)
            if rows >= wanted:
                break
        self.few = _few(groups, sums)
        if self.few and isinstance(self.law, Samples):
            warnings.warn(self.few, stacklevel=2)
        return sums

    def against(
        self, group: Group, parameters: Parameters, cuts: Sequence[Cut] = ()
    ) -> dict[str, tuple[MomentSum, CrossSum]] | None:
        """What the consumers read once layers before them are cut, beside what they got before.

        Args:
            group: The group.
            parameters: The network's tensors as earlier cuts left them.
            cuts: These cuts.

        Returns:
            By the consumer's weight: the moments of the neurons h' as they are now, and those of
            what the consumer lacks, (W x + b) − (W' x' + b') of all x' that it reads, with h'.
            None where the cut network does not run, or other numbers of rows reach them.
        """
        names = [consumer.affine.weight for consumer in group.consumers]
        original = {name: self.subject.graph.parameters[name] for name in names}
        left = entries_left(cuts, {(name, 0): len(weight) for name, weight in original.items()})
        wanted = {
            name: weight[left[name, 0].to(weight.device)] for name, weight in original.items()
        }
        own, gained = columns_read(group, cuts), self._gained(group, parameters, cuts)
        changed = {
            name: tensor
            for name, tensor in parameters.items()
            if tensor is not self.subject.graph.parameters[name]
        }
        cut = self.subject.with_tensors(changed)
        present = {name: parameters[name] for name in names}
        sums = {name: (MomentSum(), CrossSum()) for name in names}
        before: dict[str, Tensor] = {}

        def keep(name: str, batch: Tensor) -> None:
            before[name] = _rows(batch) @ wanted[name].double().flatten(1).T

        def compare(name: str, batch: Tensor) -> None:
            rows = _rows(batch)
            lack = before[name] - rows @ present[name].double().flatten(1).T - gained[name]
            sums[name][0].add(rows[:, own[name]])
            sums[name][1].add(lack, rows[:, own[name]])

        for call in self.calls([group]):
            self.subject.read(call, names, keep)
            try:
                cut.read(call, names, compare)
            except Exception:  # noqa: BLE001 (widths fixed in the user's code may raise anything)
                return None
            rows, most = min(total.count for total, _ in sums.values()), _rows_wanted([group])
            self.tell(f"sampling {group.name}", min(rows, most), most)
            if rows >= most:
                break
        return sums

    def _gained(
        self, group: Group, parameters: Parameters, cuts: Sequence[Cut]
    ) -> dict[str, Tensor]:
        """What cuts of other groups added to the consumers' constants. Shapes (k,)."""
        original, found = self.subject.graph.parameters, {}
        for consumer in group.consumers:
            gained = torch.zeros((), dtype=torch.float64)
            if (constant := consumer.constant) is not None:
                now, before = parameters[constant].double(), original[constant].double()
                left = entries_left(cuts, {(constant, 0): len(before)})[constant, 0]
                gained = consumer.sign * (now - before[left.to(before.device)])
            found[consumer.affine.weight] = gained.to(parameters[consumer.affine.weight].device)
        return found


def recalled_law(subject: Network, groups: Sequence[Group]) -> Gaussian | None:
    """The inputs that a batch normalisation behind the first layer remembers, None without one."""
    graph = subject.graph
    for group in groups:
        if group.producer.input in input_values(graph):
            own = parts_of(group, graph.parameters)
            for consumer in group.consumers:
                layer = layer_of(group, consumer, own)
                if layer.seen is not None:
                    mean, variance = layer.seen
                    inputs = recovered_inputs(
                        layer.points, layer.bias, mean=mean, variance=variance
                    )
                    return Gaussian(max(inputs.variance, SMALLEST) ** 0.5, mean=inputs.mean)
    return None


def _rows_wanted(groups: Sequence[Group]) -> int:
    widest = max(group.neurons * one.taps for group in groups for one in group.consumers)
    return max(LEAST_ROWS, ROWS_A_NEURON * widest)


def _rows(batch: Tensor) -> Tensor:
    return batch.reshape(-1, batch.shape[-1]).double()


def _few(groups: Sequence[Group], sums: Mapping[tuple[str, str], MomentSum]) -> str:
    """Groups with fewer rows than columns, in words; empty where there is none."""
    few = {
        group.name: (sums[group.name, consumer.affine.weight].count, group.neurons * consumer.taps)
        for group in groups
        for consumer in group.consumers
        if sums[group.name, consumer.affine.weight].count < group.neurons * consumer.taps
    }
    if not few:
        return ""
    listing = ", ".join(f"{name} ({rows} for {n})" for name, (rows, n) in few.items())
    return (
        f"{FEW}: {listing}; the weights fit those queries alone, the "
        f"ridge is in the record; pass at least {ROWS_A_NEURON} rows a neuron"
    )
