import inspect

from coreprune.core import activations
from experiments.activations.family import envelope, family, in_the_papers_family, lipschitz


def by_name(n=5):
    return {activation.name: activation for activation in family(n)}


def test_every_activation_of_the_library_is_measured_once():
    offered = {
        name
        for name, function in vars(activations).items()
        if inspect.isfunction(function) or hasattr(function, "cache_info")
        if not name.startswith("_") and function.__module__ == activations.__name__
    }
    assert offered <= set(by_name())
    assert len(by_name()) == len(family(5))


def test_the_papers_family_is_the_non_negative_non_decreasing_ones():
    inside = {name for name, it in by_name().items() if in_the_papers_family(it, 5)}
    assert inside == {"relu", "relu6", "hardsigmoid", "sigmoid", "softplus", "step"}


def test_the_constants_are_those_declared():
    named = by_name()
    assert lipschitz(named["step"]) is None
    assert lipschitz(named["prelu"]) == 1.5
    assert envelope(named["identity"]) == "1·z"
    assert envelope(named["relu"]) == "0.5·z + 0.5·e, 0 ≤ e ≤ &#124;z&#124;"
    assert envelope(named["sigmoid"]) == "0.5 + 0.5·e, −1 ≤ e ≤ min(&#124;z&#124;, 1)"
