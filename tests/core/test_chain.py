import itertools
import math
from dataclasses import replace

import pytest
import torch
from certified import normal
from torch import Generator

from coreprune.core.activations import gelu, relu, sigmoid, step
from coreprune.core.attack import attack_function
from coreprune.core.chain import Stage, chain_bound
from coreprune.core.coreset import layer_coreset
from coreprune.core.elementwise import identity
from coreprune.core.query_set import ball, box
from coreprune.errors import ArgumentError


def pruned_chain(widths, keeps, activation, *, seed=0, noise=0.0):
    """A random chain, its hidden layers cut to `keeps`, as stages; noise stands for repair."""
    generator = Generator().manual_seed(seed)
    layers = [
        (normal(n, d, generator=generator) / d**0.5, 0.1 * normal(n, generator=generator))
        for d, n in itertools.pairwise(widths)
    ]
    stages, columns = [], torch.arange(widths[0])
    new_points, new_bias = layers[0]
    for number, (points, bias) in enumerate(layers):
        last = number == len(layers) - 1
        kept, shift, weights = torch.arange(len(points)), None, None
        if not last:
            subset = layer_coreset(
                points, layers[number + 1][0], num_neurons=keeps[number], activation=activation,
                query_radius=2.0, bias=bias, generator=generator,
            )  # fmt: skip
            kept, shift, weights = subset.indices, subset.bias_shift, subset.weights
        rows = new_points[kept] + noise * normal(len(kept), len(columns), generator=generator)
        stages.append(
            Stage(
                points=points,
                bias=bias,
                activation=identity() if last else activation,
                kept=kept,
                new_points=rows,
                new_bias=new_bias[kept],
            )
        )
        if not last:
            columns, new_points, new_bias = kept, weights, layers[number + 1][1] + shift
    return stages


def outputs(stages, x):
    h, small = x, x
    for stage in stages:
        h = stage.activation(h @ stage.points.T + stage.bias)
        small = stage.activation(small @ stage.new_points.T + stage.new_bias)
    return h - small


@pytest.mark.parametrize("activation", [relu(), gelu(), sigmoid()], ids=lambda one: one.name)
@pytest.mark.parametrize("space", [ball(2.0, dimension=5), box(-torch.ones(5), torch.ones(5))],
    ids=["ball", "box"])  # fmt: skip
@pytest.mark.parametrize(
    ("widths", "keeps", "noise"),
    [((5, 12, 3), (8,), 0.0), ((5, 12, 8, 3), (10, 6), 0.0), ((5, 9, 8, 7, 2), (7, 6, 5), 0.01)],
    ids=["one", "two", "three, repaired"],
)
def test_no_query_moves_the_outputs_more(activation, space, widths, keeps, noise):
    stages = pruned_chain(widths, keeps, activation, noise=noise)
    found = chain_bound(stages, space, effort=0.1)
    reached = attack_function(
        lambda x: outputs(stages, x),
        space,
        num_outputs=widths[-1],
        generator=Generator().manual_seed(0),
    )
    assert (found.bound >= reached.values).all()
    norms = torch.linalg.vector_norm(outputs(stages, reached.queries), dim=1)
    assert found.norm >= norms.amax().item()
    assert (found.bound <= found.norm).all()
    if len(keeps) == 1:  # one cut layer is its own certificate
        assert (found.bound <= 6 * reached.values).all()


def test_what_is_kept_whole_is_exact():
    stages = pruned_chain((4, 6, 5, 2), (6, 5), relu())
    found = chain_bound(stages, ball(3.0, dimension=4), effort=0.0)
    assert (found.bound < 1e-9).all()


def test_a_changed_first_layer_is_bounded_exactly():
    points, change = torch.eye(2), torch.tensor([[0.5, 0.0], [0.0, 0.0]])
    stage = Stage(
        points=points,
        bias=torch.zeros(2),
        activation=identity(),
        kept=torch.arange(2),
        new_points=points - change,
        new_bias=torch.tensor([0.0, 1.0]),
    )
    found = chain_bound([stage], ball(2.0, dimension=2))
    assert found.bound.tolist() == pytest.approx([1.0, 1.0])


def test_past_a_jump_nothing_is_known():
    stages = pruned_chain((4, 8, 6, 2), (6, 4), step(), noise=0.01)
    found = chain_bound(stages, ball(3.0, dimension=4), effort=0.0)
    assert found.bound.isinf().all()
    assert found.norm == math.inf


def test_past_a_jump_a_weight_of_zero_leaves_no_nan():
    first, second, last = pruned_chain((4, 8, 6, 2), (6, 4), step(), noise=0.01)
    second = replace(second, activation=relu())
    last = replace(last, new_points=torch.zeros_like(last.new_points))
    found = chain_bound([first, second, last], ball(3.0, dimension=4), effort=0.0)
    assert not found.bound.isnan().any()
    assert found.norm == math.inf


def test_stages_that_do_not_fit_are_refused():
    stages = pruned_chain((4, 8, 2), (6,), relu())
    with pytest.raises(ArgumentError, match=r"stage 0 must have points \(n, 3\)"):
        chain_bound(stages, ball(1.0, dimension=3))
    with pytest.raises(ArgumentError, match="at least one layer"):
        chain_bound([], ball(1.0, dimension=3))
