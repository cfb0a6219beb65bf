"""Factors and terms that a module holds as tensors: one for all neurons, or one each."""

from collections.abc import Callable, Sequence

from torch import Tensor

from coreprune.core.elementwise import Activation, affine


def function_with(operator: str, place: int) -> Callable[[Tensor], Activation] | None:
    """The element-wise function that an operator of a value and a tensor is, given the tensor.

    Args:
        operator: ATen's name.
        place: Which of the two operands the tensor is.

    Returns:
        From the tensor, one entry or one a neuron, to the function; None for other operators.
    """
    return _FUNCTIONS.get((operator, place))


def is_of_neurons(tensor: Sequence[int], value: Sequence[int]) -> bool:
    """Whether a tensor has one entry, or one for each of axis 1 of a value, by their shapes.

    Example:
        >>> is_of_neurons((8, 1, 1), (4, 8, 5, 5)), is_of_neurons((5,), (4, 8, 5, 5))
        (True, False)
    """
    if all(size == 1 for size in tensor):
        return len(tensor) <= len(value)
    return len(value) > 1 and tuple(tensor) == (value[1], *[1] * (len(value) - 2))


def _stretched(factor: Tensor) -> Activation:
    return affine(factor.flatten().double(), 0.0)


def _raised(term: Tensor) -> Activation:
    return affine(1.0, term.flatten().double())


def _lowered(term: Tensor) -> Activation:
    return affine(1.0, -term.flatten().double())


def _turned(term: Tensor) -> Activation:
    return affine(-1.0, term.flatten().double())


_FUNCTIONS = {
    ("add", 0): _raised,
    ("add", 1): _raised,
    ("mul", 0): _stretched,
    ("mul", 1): _stretched,
    ("sub", 0): _turned,
    ("sub", 1): _lowered,
}
