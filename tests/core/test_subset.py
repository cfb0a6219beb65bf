import pytest
import torch

from coreprune.core.subset import reweighted

WEIGHTS = torch.tensor([[1.0, 2.0, 3.0], [-4.0, 5.0, 0.0]])


def test_without_factors_the_weights_are_a_selection():
    subset = reweighted(WEIGHTS, torch.tensor([0, 2]))
    assert subset.indices.tolist() == [0, 2]
    assert subset.weights.tolist() == [[1.0, 3.0], [-4.0, 0.0]]
    assert subset.bias_shift.tolist() == [0.0, 0.0]
    assert subset.num_draws is None


def test_each_factor_multiplies_its_neuron():
    factors = torch.tensor([2.0, 0.5], dtype=torch.float64)
    subset = reweighted(WEIGHTS, torch.tensor([1, 2]), factors, num_draws=7)
    assert subset.weights.tolist() == [[4.0, 1.5], [10.0, 0.0]]
    assert subset.num_draws == 7


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_factor_beyond_half_precision_meets_a_small_weight_first(dtype):
    subset = reweighted(
        torch.tensor([[2.0**-10]], dtype=dtype), torch.tensor([0]), torch.tensor([2.0**20])
    )
    assert subset.weights.dtype == dtype
    assert subset.weights.item() == 2.0**10


def test_the_subset_owns_its_weights():
    weights = WEIGHTS.clone()
    subset = reweighted(weights, torch.arange(3))
    subset.weights.zero_()
    assert torch.equal(weights, WEIGHTS)
