"""Frozen records of what was cut, left whole, repaired, certified and measured, and their JSON."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

SAMPLES = "the user's samples"
"""What the words of a law begin with where it is inputs that the user has."""

LOST = 0.5
"""Of what outputs vary by; from there on a model must be tried before it is trusted. Residual
streams carry much past a block, so some models bear more of their blocks."""

UNCHANGED = "nothing was removed: the weights are the original's, bit by bit"
"""The note on a network that kept everything."""

FEW = "fewer queries than neurons"
"""What a note begins with where weights fit their queries alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupRecord:
    """One group of neurons that was cut.

    Attributes:
        name: The layer whose neurons they are.
        passengers: Layers between it and its consumers that were cut along.
        consumers: The layers that read them.
        neurons_before: n.
        neurons_after: m.
        kept: The indices of the neurons kept, sorted.
        num_draws: Draws made, for sampling with replacement, else None.
        query_radius: β, the largest norm of this layer's input that was planned for, of a
            convolution of one of its patches; None where neurons were removed without a loss and no
            bound is known.
        total_sensitivity: t = Σ_j s_j, in the units of the consumers' inputs; None where
            neurons were removed without a loss.
        guaranteed_error: ε such that, with probability 0.95 over the draws, every output of every
            consumer is within ε of what it was before this layer was cut, for every layer input of
            norm at most β; None where no theorem speaks of the method or the activation.
        expected_error: Root mean square, over the law of the queries and all consumers' outputs, of
            what their inputs change by this cut; None for methods that need no law.
        output_error: What that changes the network's outputs by, to first order, likewise.
        ridge: λ of the systems that the new weights solve, the largest of the consumers'; None
            where none was solved.
        condition_number: Of these systems' matrices in the 2-norm, likewise.
        certificate: No input of any consumer's activation is further from what it was before this
            layer was cut, for every layer input of `certificate_space`; None where an activation
            overflows there, rounding has no bound, or a note says why. Of the weights as stored and
            before repair; evaluating both in their own dtype is included. Of a convolution at every
            position, borders included, of maps as the example gives them.
        certificate_radius: The norm that those inputs have at most: β, or where taps of consumers
            see several patches, that of the windows that hold these.
        certificate_space: Those inputs in words.
    """

    name: str
    passengers: tuple[str, ...]
    consumers: tuple[str, ...]
    neurons_before: int
    neurons_after: int
    kept: tuple[int, ...]
    num_draws: int | None
    query_radius: float | None
    total_sensitivity: float | None
    guaranteed_error: float | None
    expected_error: float | None
    output_error: float | None
    ridge: float | None
    condition_number: float | None
    certificate: float | None = None
    certificate_radius: float | None = None
    certificate_space: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RepairRecord:
    """How the pruned network was repaired.

    Attributes:
        steps: Steps done.
        best_step: The step whose weights were kept.
        seconds: Time they took.
        loss_before: Mean squared difference of the outputs over their variance on held-back
            queries, before.
        loss_after: The same of the kept weights.
        stopped: Why it ended, in words.
    """

    steps: int
    best_step: int
    seconds: float
    loss_before: float
    loss_after: float
    stopped: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeRecord:
    """A layer that keeps all its neurons.

    Attributes:
        name: The layer.
        reason: Why, in words.
    """

    name: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerRecord:
    """A layer as `inspect` sees it.

    Attributes:
        name: The layer.
        neurons: How many neurons can be cut, None when it is left whole.
        passengers: Layers that would be cut along.
        consumers: The layers that read its neurons.
        reason: Why it is left whole, None when it can be cut.
    """

    name: str
    neurons: int | None = None
    passengers: tuple[str, ...] = ()
    consumers: tuple[str, ...] = ()
    reason: str | None = None

    def __str__(self) -> str:
        if self.reason is not None:
            return f"{self.name}: left whole: {self.reason}"
        return f"{self.name}: {self.neurons} neurons, read by {', '.join(self.consumers)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What of a model can be pruned.

    Attributes:
        layers: Every layer, in order of execution.
        parameters: The model's parameters.
        reachable: The share of them in tensors that pruning makes smaller.
        notes: What could not be exported and torch's reason.
    """

    layers: tuple[LayerRecord, ...]
    parameters: int
    reachable: float
    notes: tuple[str, ...]

    def __str__(self) -> str:
        share = f"{self.reachable:.1%} of {self.parameters:,} parameters can be reached"
        return "\n".join([share, *map(str, self.layers), *self.notes])

    def to_json(self) -> dict[str, Any]:
        """The record as plain JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class CertifiedGroup:
    """What is proven of the layers around one group, or around a run of groups.

    Attributes:
        name: The group's layer; for a run, its first layer and the one that reads the last.
        certificate: No input of the reading layer changes by more, for any query; None where
            nothing is proven.
        attack: A query was found that changes one by so much; None where none was looked for.
        reason: Why there is no certificate or no attack, or an empty text.
    """

    name: str
    certificate: float | None
    attack: float | None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Certified:
    """How far two networks can be apart, for every query of a space.

    Certificates are computed in float64 on the weights as stored and widened by `rounding`, so that
    evaluating both networks in their own dtype does not break them either. That is for inputs that
    the dtype can represent and sums accumulated in nothing shorter (no TF32, no autocast).

    Attributes:
        certificate: No output changes by more, for any query. Shape (outputs,) for the scope
            "network", else (groups,), infinite where nothing is proven.
        attack: Changes that some query attains: no certificate could be smaller. As `certificate`;
            NaN where none was looked for.
        holds: Whether no attack beats its certificate, rounding of the attack allowed for; what is
            NaN never holds, and where nothing is proven there is nothing to beat.
        scope: "network", or "group" and why no bound of the whole network exists.
        space: The queries, in words.
        vacuous: Where nothing is proven, and where a bound exceeds the output's own range, the
            attack does not, and so the bound says nothing; an empty text where neither is.
        groups: For a network, the changes behind every group as errors add up; for the scope
            "group", each run of groups for itself.
        unchanged: The share of the samples whose class provably is the same in both networks
            on the ball around the sample, a class being the largest output of the last layer; None
            without samples.
        rounding: The part of each certificate that pays for evaluating both networks. As
            `certificate`.
        precision: The dtype that it pays for, in words.
        by_range: Activations that have no envelope, so that bounds know their ranges and Lipschitz
            constants alone.
    """

    certificate: Tensor
    attack: Tensor
    holds: bool
    scope: str
    space: str
    vacuous: str
    groups: tuple[CertifiedGroup, ...]
    rounding: Tensor
    precision: str
    unchanged: float | None = None
    by_range: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The record as plain JSON values; JSON has no infinity."""
        return {
            "certificate": [finite(value) for value in self.certificate.tolist()],
            "attack": [finite(value) for value in self.attack.tolist()],
            "holds": self.holds,
            "scope": self.scope,
            "space": self.space,
            "vacuous": self.vacuous,
            "groups": [asdict(group) for group in self.groups],
            "rounding": [finite(value) for value in self.rounding.tolist()],
            "precision": self.precision,
            "unchanged": self.unchanged,
            "by_range": list(self.by_range),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What was measured of a network and of a smaller one.

    Attributes:
        seconds_before: Median time of a call of the original.
        seconds_after: The same of the pruned network.
        calls: How often each was called; they took turns.
        inputs: The shapes of the inputs, in words.
        machine: What they ran on, in words.
        score_before: What the user's score gives for the original; None without a score.
        score_after: The same of the pruned network.
    """

    seconds_before: float
    seconds_after: float
    calls: int
    inputs: str
    machine: str
    score_before: float | None = None
    score_after: float | None = None

    def to_json(self) -> dict[str, Any]:
        """The record as plain JSON values."""
        return asdict(self)


def finite(value: float | None) -> float | None:
    """A number, None where JSON has none: for infinity and NaN."""
    return value if value is not None and math.isfinite(value) else None
