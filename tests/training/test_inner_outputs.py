"""What convolutions inside two networks give."""

import copy

import pytest
import torch
from networks import draw, named
from torch import nn

from coreprune import Repair, repair
from coreprune.training.inner_outputs import Outputs, inner_layers


def network(width=6):
    torch.manual_seed(width)
    return named(
        a=nn.Conv2d(2, width, 3),
        s=nn.ReLU(inplace=True),
        b=nn.Conv2d(width, 4, 3),
        t=nn.ReLU(inplace=True),
        f=nn.Flatten(),
        c=nn.Linear(64, 3),
    ).eval()


def distance(one, other):
    return float((one - other).detach().square().mean())


def test_convolutions_of_equal_width_are_compared_and_of_others_what_is_told():
    teacher, student = network(), network(2)
    assert inner_layers(teacher, student, {}) == {"b.weight": None}
    found = inner_layers(teacher, student, {"a.weight": [1, 4]})
    assert found["a.weight"].tolist() == [1, 4]
    assert inner_layers(teacher, student, {"a.weight": [1, 4, 5]}) == {"b.weight": None}
    assert inner_layers(teacher, named(other=student), {}) == {}


@pytest.mark.parametrize("restrict", [False, True])
def test_outputs_are_those_before_anything_is_written_into_them(restrict):
    net, x = network(), draw(5, 2, 8, 8)
    watched = Outputs(net, {"a.weight": torch.tensor([1, 4]), "b.weight": None}, restrict=restrict)
    for _ in range(2):  # each time anew
        with torch.no_grad(), watched.watched():
            net(x)
    first = net.a(x)
    expected = first[:, [1, 4]] if restrict else first
    torch.testing.assert_close(watched.given[0], expected)
    torch.testing.assert_close(watched.given[1], net.b(first.relu()))
    assert len(watched.given) == 2


@pytest.mark.parametrize("inner", [0.0, 4.0])
def test_repair_brings_the_convolutions_inside_near_the_originals(inner):
    teacher = network()
    student = copy.deepcopy(teacher)
    with torch.no_grad():
        student.a.weight += 0.3 * draw(6, 2, 3, 3)
        student.c.weight.zero_()
        student.c.weight += teacher.c.weight
    queries, x = (draw(16, 2, 8, 8) for _ in range(210)), draw(64, 2, 8, 8)
    settings = Repair(steps=200, inner=inner, held_back=1, learning_rate=0.02)
    result = repair(teacher, student, queries, settings=settings)
    assert result.loss_after < result.loss_before
    apart = [distance(net.a(x), teacher.a(x)) for net in (student, result.model)]
    assert (apart[1] < 0.2 * apart[0]) == bool(inner)


def test_channels_that_are_told_apart_are_matched():
    teacher = network()
    student = copy.deepcopy(teacher)
    kept = [0, 2, 5]
    with torch.no_grad():
        student.a.weight.data = teacher.a.weight[kept] + 0.3 * draw(3, 2, 3, 3)
        student.a.bias.data = teacher.a.bias[kept]
        student.b.weight.data = teacher.b.weight[:, kept]
    student.a.out_channels = student.b.in_channels = 3
    queries, x = (draw(16, 2, 8, 8) for _ in range(210)), draw(64, 2, 8, 8)
    settings = Repair(steps=200, inner=100.0, held_back=1, learning_rate=0.02)
    result = repair(teacher, student, queries, settings=settings, kept={"a.weight": kept})
    wanted = teacher.a(x)[:, kept]
    apart = [distance(net.a(x), wanted) for net in (student, result.model)]
    assert apart[1] < 0.2 * apart[0]
