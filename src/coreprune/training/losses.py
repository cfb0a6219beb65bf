"""How far a student's outputs are from its teacher's: the losses of repair and fine-tuning."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from coreprune.errors import ArgumentError
from coreprune.shells.outputs import leaves_of


def floating_leaves(output: Any) -> list[Tensor]:  # noqa: ANN401
    """The floating-point tensors of a model's output, in order.

    Args:
        output: What a forward pass returned: a tensor, or containers and objects that hold some.

    Returns:
        The tensors that have entries.

    Raises:
        ArgumentError: When there is none.
    """
    leaves = [
        leaf
        for leaf in leaves_of(output)
        if isinstance(leaf, Tensor) and leaf.is_floating_point() and leaf.numel()
    ]
    if not leaves:
        raise ArgumentError(
            f"model must give floating-point tensors to learn from, got {type(output).__name__}"
        )
    return leaves


CONSTANT = 1e-6
"""Tensors whose deviation is a smaller share of their mean count as constant."""


class Spread:
    """The variances of tensors over several calls: the units of their squared errors."""

    def __init__(self) -> None:
        self.counts: list[int] = []
        self.means: list[float] = []
        self.squares: list[float] = []

    def add(self, tensors: Sequence[Tensor]) -> None:
        """Take in what one call gave.

        Args:
            tensors: As many as at the other calls, not empty.
        """
        if not self.counts:
            self.counts, self.means = [0] * len(tensors), [0.0] * len(tensors)
            self.squares = [0.0] * len(tensors)
        for place, tensor in enumerate(tensors):
            variance, mean = torch.var_mean(tensor.detach().double(), correction=0)
            before, own = self.counts[place], tensor.numel()
            apart, both = float(mean) - self.means[place], before + own
            self.means[place] += apart * own / both
            self.squares[place] += float(variance) * own + apart**2 * before * own / both
            self.counts[place] = both

    def variances(self) -> list[float]:
        """One positive number a tensor; 1 where it is constant or not finite."""
        found = [square / count for square, count in zip(self.squares, self.counts, strict=True)]
        return [
            variance if (CONSTANT * mean) ** 2 < variance < math.inf else 1.0
            for variance, mean in zip(found, self.means, strict=True)
        ]


def scales_of(outputs: Iterable[Sequence[Tensor]]) -> list[float]:
    """The variance of every output tensor over several calls: the unit of its squared errors.

    Args:
        outputs: For each call its floating-point outputs.

    Returns:
        One positive number an output; 1 where an output is constant.
    """
    spread = Spread()
    for tensors in outputs:
        spread.add(tensors)
    return spread.variances()


def squared_difference(
    student: Sequence[Tensor], teacher: Sequence[Tensor], *, scales: Sequence[float]
) -> Tensor:
    """The mean over the outputs of E(student − teacher)² / scale, every entry counting the same.

    Args:
        student: Floating-point outputs.
        teacher: The same of the teacher. Shapes as the student's.
        scales: From `scales_of` the teacher.

    Returns:
        The loss: 0 for equal outputs, about 1 for a student that always gives the mean.

    Raises:
        ArgumentError: When the two have outputs of different shapes.

    Example:
        >>> one, two = torch.tensor([[1.0, 3.0]]), torch.tensor([[1.0, 2.0]])
        >>> float(squared_difference([one], [two], scales=[0.25]))
        2.0
    """
    _check_shapes(student, teacher)
    losses = [
        functional.mse_loss(mine.float(), its.float()) / scale
        for mine, its, scale in zip(student, teacher, scales, strict=True)
    ]
    return torch.stack(losses).mean()


def softened_divergence(student: Tensor, teacher: Tensor, *, temperature: float) -> Tensor:
    """T² KL(softmax(teacher / T) ‖ softmax(student / T)), the mean over the examples.

    The factor T² keeps the gradient's size as T grows; for large T the loss becomes the squared
    difference of the centred logits over twice the number of classes.

    Args:
        student: Logits. Shape (n, classes) or (n, classes, …).
        teacher: Logits. Shape as the student's.
        temperature: T > 0.

    Returns:
        The loss, 0 for equal logits.

    Raises:
        ArgumentError: When the two have other shapes, or there are no two classes.

    Example:
        >>> logits = torch.tensor([[1.0, 3.0]])
        >>> float(softened_divergence(logits, logits + 5, temperature=2.0))
        0.0

    References:
        Hinton, Vinyals, Dean 2015, "Distilling the Knowledge in a Neural Network".
    """
    _check_shapes([student], [teacher])
    if student.ndim < 2 or student.shape[1] < 2:
        raise ArgumentError(
            "temperature needs logits of shape (n, classes, …) of two classes or more, got "
            f"{tuple(student.shape)}; for regression pass temperature=None"
        )
    mine, its = (
        functional.log_softmax(logits.float() / temperature, dim=1) for logits in (student, teacher)
    )
    divergence = functional.kl_div(mine, its, log_target=True, reduction="none").sum(1)
    return temperature**2 * divergence.mean()


def _check_shapes(student: Sequence[Tensor], teacher: Sequence[Tensor]) -> None:
    """Refuse outputs that would broadcast instead of being compared.

    Raises:
        ArgumentError: With both shapes.
    """
    own, given = ([tuple(leaf.shape) for leaf in leaves] for leaves in (student, teacher))
    if own != given:
        raise ArgumentError(
            f"teacher must give outputs of the student's shapes {own}, got {given}; "
            "pass the network that was pruned"
        )
