"""The certificate of one coreset, as its networks run, and whether it says anything."""

from dataclasses import dataclass

import torch
from torch import Tensor

from coreprune.core.certificate import Certificate, certificate
from coreprune.core.elementwise import Activation
from coreprune.core.neuron_sums import Block, coreset_difference, neuron_sums
from coreprune.core.query_set import QuerySet
from coreprune.core.rounding import evaluation_error
from coreprune.core.subset import WeightedSubset


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LayerCertificate:
    """How far a layer's readers are from themselves after pruning, for every query.

    Attributes:
        certificate: Of original minus pruned, both evaluated in the precision of the weights.
        slack: The part of it that pays for that precision. Shape (k,).
        span: An upper bound of sup − inf of what each reader sums over the queries. Shape (k,).
        vacuous: Whether the bound exceeds the span: it then says nothing. Shape (k,).
    """

    certificate: Certificate
    slack: Tensor
    span: Tensor
    vacuous: Tensor


def layer_certificate(  # noqa: PLR0913 (the layer is five tensors and numbers, not an object)
    points: Tensor,
    weights: Tensor,
    subset: WeightedSubset,
    *,
    activation: Activation,
    bias: Tensor,
    space: QuerySet,
    next_bias: Tensor | None = None,
    effort: float | None = None,
) -> LayerCertificate:
    """Certify a coreset of a layer.

    Args:
        points: p_j as stored. Shape (n, d).
        weights: w_ij as stored; its dtype is the precision both networks run in. Shape (k, n).
        subset: The coreset with its weights as stored.
        activation: φ, with parameters for all neurons or one each.
        bias: b_j. Shape (n,).
        space: The queries.
        next_bias: The next layer's bias, which rounds with the sums. Shape (k,).
        effort: Seconds for the difference, and again for the span; see `certificate`.

    Returns:
        The certificate with its slack and flags.

    Raises:
        ArgumentError: As `certificate` and `neuron_sums`.

    Example:
        >>> from coreprune.core.activations import relu
        >>> from coreprune.core.query_set import ball
        >>> from coreprune.core.subset import reweighted
        >>> points, weights = torch.eye(3), torch.tensor([[4.0, 2.0, 0.5]])
        >>> kept = reweighted(weights, torch.tensor([0, 1]))
        >>> found = layer_certificate(points, weights, kept, activation=relu(),
        ...     bias=torch.zeros(3), space=ball(1.0, dimension=3))
        >>> round(found.certificate.bound.item(), 3), found.vacuous.tolist()
        (0.5, [False])
    """
    sums = coreset_difference(points, weights, subset, activation=activation, bias=bias)
    whole = Block(points=points, bias=bias, activation=activation, weights=weights)
    original = neuron_sums([whole], weights.new_zeros(len(weights)))
    small = weights.new_zeros(weights.shape, dtype=torch.float64)
    small[:, subset.indices] = subset.weights.double()
    kept = Block(points=points, bias=bias, activation=activation, weights=small)
    pruned = neuron_sums([kept], subset.bias_shift)
    # Zero weights add nothing to the error but terms; more terms only widen it.
    slack = evaluation_error(original, space, dtype=weights.dtype, bias=next_bias)
    slack = slack + evaluation_error(pruned, space, dtype=weights.dtype, bias=next_bias)
    found = certificate(sums, space, effort=effort, slack=slack)
    own = certificate(original, space, effort=effort)
    span = own.upper - own.lower
    return LayerCertificate(certificate=found, slack=slack, span=span, vacuous=found.bound > span)
