"""Which neurons must go together: a producer, its passengers and its consumers.

A group is a layer whose output neurons, or channels, reach only other layers, through operations
that act on each neuron alone.
"""

from dataclasses import dataclass

from coreprune.graph.ir import (
    Add,
    Affine,
    Convolution,
    Elementwise,
    Multiply,
    Node,
    Norm,
    Opaque,
    Pool,
    parameters_of,
)
from coreprune.graph.slices import Slice

Linear = Affine | Convolution
"""A layer that reads neurons linearly: a sum over neurons and, for each, over taps."""

Merge = Add | Multiply
Passenger = Norm | Elementwise | Pool | Convolution | Merge
"""What acts on each neuron alone: a convolution is depthwise, a merge of a neuron with itself."""

RIDES_WITH_NONE = "its neurons belong to a layer that is left whole"


@dataclass(frozen=True, slots=True, kw_only=True)
class Consumer:
    """One reader of a group's neurons.

    Attributes:
        affine: The layer that reads them.
        passengers: What acts on them on the way to it, in its order.
        taps: How many columns of its weight each neuron has: the positions in a patch, or those
            that were flattened behind each channel.
        constant: The parameter that takes a constant which a cut adds to what the layer gives: its
            own bias, or the mean of a normalisation behind it; None where there is none.
        sign: What the constant is multiplied by there.
        slices: The neurons' parts of the passengers' tensors and of the layer's weight, where a
            concatenation put them beside others or their rows are split into parts; nothing where
            tensors are the neurons' alone.
    """

    affine: Linear
    passengers: tuple[Passenger, ...]
    taps: int = 1
    constant: str | None = None
    sign: int = 1
    slices: tuple[Slice, ...] = ()

    @property
    def free_bias(self) -> bool:
        """Whether a constant has somewhere to go."""
        return self.constant is not None

    @property
    def is_pointwise(self) -> bool:
        """Whether all that happens on the way is a function of each entry."""
        return all(isinstance(passenger, Norm | Elementwise) for passenger in self.passengers)

    @property
    def is_homogeneous(self) -> bool:
        """Whether all positions are treated alike, and sums of neurons as sums."""
        pools = [one for one in self.passengers if isinstance(one, Pool)]
        apart = any(isinstance(one, Convolution | Merge) for one in self.passengers)
        return not apart and all(pool.is_linear for pool in pools)

    @property
    def is_plain(self) -> bool:
        """Whether it reads one number a neuron, and that function of it."""
        return isinstance(self.affine, Affine) and self.taps == 1 and self.is_pointwise


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Neurons that can be cut: rows of the producers, columns of every consumer.

    Attributes:
        producer: The layer whose outputs the neurons are.
        consumers: The layers that read them.
        neurons: n.
        gates: Layers whose outputs, one a neuron, the neurons are multiplied by.
    """

    producer: Linear
    consumers: tuple[Consumer, ...]
    neurons: int
    gates: tuple[Linear, ...] = ()

    @property
    def name(self) -> str:
        """The producer's name."""
        return self.producer.name

    @property
    def slices(self) -> tuple[Slice, ...]:
        """Its parts of the tensors that it shares with others."""
        return tuple(dict.fromkeys(one for consumer in self.consumers for one in consumer.slices))

    @property
    def is_alone(self) -> bool:
        """Whether no other neurons lie beside its own, and its rows are not split into parts."""
        return not self.slices

    @property
    def is_split(self) -> bool:
        """Whether a neuron has several rows of a layer, one in each of equal parts."""
        layers = {node.weight for node in (self.producer, *self.gates)}
        return any(part.axis == 0 and part.parameter in layers for part in self.slices)

    @property
    def is_plain(self) -> bool:
        """Whether it is a hidden layer of neurons: Σ_j w_ij φ_j(p_j·x + b_j)."""
        plain = all(consumer.is_plain for consumer in self.consumers)
        return isinstance(self.producer, Affine) and plain and not self.gates


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """A layer that keeps all its neurons, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """Every layer of a graph: a group's producer, a passenger, or left whole.

    Attributes:
        groups: In order of execution.
        whole: The layers that keep their neurons.
        names: All layers in order of execution.
    """

    groups: tuple[Group, ...]
    whole: tuple[Whole, ...]
    names: tuple[str, ...]


def passengers_of(group: Group) -> tuple[str, ...]:
    """The names of the layers with parameters that ride with a group, in order."""
    riding = [passenger for consumer in group.consumers for passenger in consumer.passengers]
    return tuple(
        dict.fromkeys(title_of(node) for node in (*group.gates, *riding) if parameters_of(node))
    )


def title_of(node: Node) -> str:
    """What a person calls a node: its layer's name, where it has one."""
    named = Affine | Convolution | Norm | Elementwise | Opaque
    return node.name if isinstance(node, named) else "an operation"
