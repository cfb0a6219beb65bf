import pytest
import torch
from tiny_transformers import transformers

from coreprune.errors import UnsupportedModelError
from coreprune.shells.hf_folder.activations import ACTIVATIONS, activation_named


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_are_those_of_transformers(name):
    z = torch.linspace(-8, 8, 401, dtype=torch.float64)
    theirs = transformers.activations.ACT2FN[name](z)
    torch.testing.assert_close(activation_named(name)(z), theirs, rtol=1e-7, atol=1e-7)


def test_what_follows_gated_counts():
    assert activation_named("gated-silu").name == "silu"


def test_an_unknown_name_is_refused_with_those_known():
    with pytest.raises(UnsupportedModelError, match="'gelu_10'; known are gelu, "):
        activation_named("gelu_10")
