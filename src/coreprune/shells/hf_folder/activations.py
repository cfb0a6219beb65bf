"""The activations that config.json files name, as members of the core's family."""

from collections.abc import Callable, Mapping

from coreprune.core.activations import (
    affine,
    compose,
    gelu,
    hardswish,
    identity,
    leaky_relu,
    mish,
    relu,
    relu6,
    sigmoid,
    silu,
    tanh,
)
from coreprune.core.elementwise import Activation
from coreprune.errors import UnsupportedModelError


def quick_gelu() -> Activation:
    """φ(z) = z / (1 + exp(−1.702 z)), which is silu(1.702 z) / 1.702."""
    return compose(affine(1.702, 0.0), silu(), affine(1 / 1.702, 0.0))


def _gelu_tanh() -> Activation:
    return gelu("tanh")


ACTIVATIONS: Mapping[str, Callable[[], Activation]] = {
    "gelu": gelu,
    "gelu_python": gelu,
    "gelu_new": _gelu_tanh,
    "gelu_fast": _gelu_tanh,
    "gelu_accurate": _gelu_tanh,
    "gelu_pytorch_tanh": _gelu_tanh,
    "gelu_python_tanh": _gelu_tanh,
    "quick_gelu": quick_gelu,
    "relu": relu,
    "relu6": relu6,
    "leaky_relu": leaky_relu,
    "silu": silu,
    "swish": silu,
    "hardswish": hardswish,
    "mish": mish,
    "sigmoid": sigmoid,
    "tanh": tanh,
    "linear": identity,
}
"""By the names that transformers gives them."""


def activation_named(name: str) -> Activation:
    """The activation that a config names.

    Args:
        name: As config.json has it; of T5's "gated-…" what follows the hyphen counts.

    Returns:
        The activation.

    Raises:
        UnsupportedModelError: When it is not among those known.

    Example:
        >>> activation_named("gelu_new").name
        'gelu_tanh'
    """
    plain = name.removeprefix("gated-")
    if plain not in ACTIVATIONS:
        raise UnsupportedModelError(
            f"config.json names the activation {name!r}; known are {', '.join(sorted(ACTIVATIONS))}"
        )
    return ACTIVATIONS[plain]()
