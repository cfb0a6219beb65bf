import pytest
import torch

from coreprune.core.coreset import SAMPLERS
from experiments.coreset_trials import coreset_trials, error_of_one_draw, largest_output
from experiments.random_layers import LAWS, gaussian, random_layer, with_total
from experiments.worst_query import Search

SEARCH = Search(queries=50, restarts=4, steps=10)


def test_keeping_every_neuron_leaves_no_error():
    layer = random_layer(gaussian, n=20, d=3, seed=0)
    trials = coreset_trials(layer, [1.0], seeds=range(2), search=SEARCH)
    assert {trial.method for trial in trials} == set(SAMPLERS)
    assert all(trial.worst == 0 for trial in trials)


def test_the_deterministic_method_is_tried_once():
    layer = random_layer(gaussian, n=20, d=3, seed=0)
    trials = coreset_trials(layer, [0.2, 0.5], seeds=range(3), search=SEARCH)
    assert [sum(t.method == method for t in trials) for method in SAMPLERS] == [6, 6, 6, 2]
    assert all(t.kept == round(20 * t.share) for t in trials if t.method != "importance")


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
@pytest.mark.parametrize("n", [10, 1000])
@pytest.mark.parametrize("signed", [False, True])
def test_the_total_sensitivity_is_what_it_was_scaled_to(law, n, signed):
    layer = with_total(random_layer(law, n=n, d=4, seed=1, signed=signed), 3.0)
    by_hand = layer.weights.abs()[0] @ torch.linalg.vector_norm(layer.neurons.points, dim=1)
    torch.testing.assert_close(by_hand.item(), 3.0, rtol=1e-12, atol=0)
    torch.testing.assert_close(layer.sensitivities().sum().item(), 3.0, rtol=1e-12, atol=0)


def test_scaling_the_weights_scales_errors_bound_and_output():
    layer = random_layer(gaussian, n=30, d=3, seed=0)
    scaled = with_total(layer, 1.0)
    factor = layer.sensitivities().sum().item()
    for measure in (
        lambda it: error_of_one_draw(it, delta=0.05),
        lambda it: largest_output(it, search=SEARCH, seed=0),
        lambda it: coreset_trials(it, [0.3], seeds=range(1), search=SEARCH)[0].worst,
    ):
        assert measure(layer) == pytest.approx(factor * measure(scaled), rel=1e-3)
