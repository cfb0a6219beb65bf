import torch
from coreprune.core.activations import relu
from coreprune.core.coordinates import coordinates
from coreprune.core.gram_lagrangian import convex_joint_bounds
from coreprune.core.lagrangian import joint_bounds
from coreprune.core.majorants import majorants
from coreprune.core.neuron_sums import Block, neuron_sums
from coreprune.core.query_set import ball
from coreprune.core.remainders import remainders
from coreprune.core.row_bounds import signed_sums


def test_opposite_neurons_are_bounded_as_tightly_as_by_the_whole_matrix():
    points = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    block = Block(points=points, bias=torch.zeros(2), activation=relu(), weights=torch.ones(1, 2))
    sums, space = neuron_sums([block], torch.zeros(1)), ball(1.0, dimension=2)
    neurons = remainders(sums, space)
    parts = signed_sums(sums, neurons, space)
    frame = coordinates(neurons.rows, parts.line, space)
    chosen = majorants(parts, neurons, space, frame=frame, steps=100, convex=True)
    gram = neurons.rows @ neurons.rows.T
    found = convex_joint_bounds(parts, neurons, space, gram=gram, chosen=chosen)
    whole = joint_bounds(parts, neurons, space, frame=frame, chosen=chosen)
    assert found[0] <= 1.02 * whole[0]
