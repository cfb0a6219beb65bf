import torch

from coreprune.core.selection.magnitude import magnitude

WEIGHTS = torch.tensor([[1.0, 2.0, 3.0, 4.0]])


def test_the_largest_norms_stay_with_their_weights():
    points = torch.tensor([[1.0, 1.0], [0.0, -3.0], [2.0, 2.0], [0.5, 0.0]])
    subset = magnitude(points, WEIGHTS, num_neurons=2)
    assert subset.indices.tolist() == [1, 2]
    assert subset.weights.tolist() == [[2.0, 3.0]]


def test_ties_go_to_the_lower_index():
    assert magnitude(torch.ones(4, 2), WEIGHTS, num_neurons=3).indices.tolist() == [0, 1, 2]


def test_norms_beyond_half_precision_are_told_apart():
    points = torch.tensor([[5e4, 5e4], [6e4, 6e4], [6e4, 0.0], [0.0, 0.0]], dtype=torch.float16)
    assert magnitude(points, WEIGHTS, num_neurons=1).indices.tolist() == [1]
