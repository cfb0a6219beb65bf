from types import SimpleNamespace

import pytest
import torch

from coreprune import ArgumentError
from coreprune.training.losses import (
    floating_leaves,
    scales_of,
    softened_divergence,
    squared_difference,
)


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_a_student_that_gives_the_mean_has_loss_one():
    outputs = [[3 + 2 * draw(50, 4), 7 * draw(50, 2, seed=1)], [draw(20, 4), draw(20, 2)]]
    scales = scales_of(outputs)
    pooled = [torch.cat([call[i].flatten() for call in outputs]) for i in range(2)]
    means = [torch.full_like(entries, float(entries.mean())) for entries in pooled]
    loss = squared_difference(means, pooled, scales=scales)
    torch.testing.assert_close(loss.item(), 1.0)


def test_every_output_counts_the_same_whatever_its_units():
    teacher, student = ([draw(9, 2, seed=seed), draw(9, 3, seed=seed)] for seed in (0, 1))
    loss = squared_difference(student, teacher, scales=scales_of([teacher]))
    large = [
        [output * factor for output, factor in zip(net, (1e3, 1.0), strict=True)]
        for net in (student, teacher)
    ]
    scaled = squared_difference(*large, scales=scales_of([large[1]]))
    torch.testing.assert_close(scaled, loss)


def test_a_constant_output_has_a_unit_of_its_own():
    assert scales_of([[torch.ones(4, 2)]]) == [1.0]
    assert scales_of([[torch.full((4, 7), 0.1)], [torch.full((3, 7), 0.1)]]) == [1.0]


def test_units_are_the_variances_over_all_calls():
    calls = [[1e3 + draw(50, 4)], [1e3 + 2 * draw(20, 4, seed=1)], [1e3 + draw(1, 4)]]
    pooled = torch.cat([tensor.flatten().double() for (tensor,) in calls])
    assert scales_of(calls) == pytest.approx([float(pooled.var(correction=0))])


def test_a_high_temperature_is_a_squared_difference_of_centred_logits():
    student, teacher = draw(16, 5).double(), draw(16, 5, seed=1).double()
    one, other = (logits - logits.mean(1, keepdim=True) for logits in (student, teacher))
    limit = (one - other).square().sum(1).mean() / (2 * 5)
    loss = softened_divergence(student, teacher, temperature=1e3)
    torch.testing.assert_close(loss.double(), limit, rtol=1e-2, atol=0)


def test_the_divergence_at_temperature_one_is_torch_s():
    student, teacher = draw(16, 5), draw(16, 5, seed=1)
    kl = torch.nn.KLDivLoss(reduction="batchmean")
    expected = kl(student.log_softmax(1), teacher.softmax(1))
    torch.testing.assert_close(softened_divergence(student, teacher, temperature=1.0), expected)


def test_the_outputs_are_found_wherever_they_are():
    tree = {"a": [torch.ones(1), 3], "b": SimpleNamespace(c=torch.zeros(2), d=torch.arange(2))}
    assert [leaf.tolist() for leaf in floating_leaves(tree)] == [[1.0], [0.0, 0.0]]
    with pytest.raises(ArgumentError, match="floating-point tensors to learn from, got list"):
        floating_leaves([torch.arange(2), None])


def test_outputs_of_other_shapes_are_refused():
    with pytest.raises(ArgumentError, match=r"\[\(2, 3\)\], got \[\(2, 4\)\]; pass the network"):
        squared_difference([draw(2, 3)], [draw(2, 4)], scales=[1.0])
