"""Repair of a network that was cut."""

import torch
from networks import draw, mlp, named
from torch import nn

from coreprune import Repair, Samples, prune


def test_repair_that_finds_nothing_better_says_so():
    settings = Repair(steps=3, learning_rate=10.0, check_every=1)
    result = prune(mlp(6, 40, 3), draw(4, 6), keep=0.9, repair=settings)
    assert result.repair.best_step == 0
    (note,) = [note for note in result.notes if note.startswith("repair")]
    assert "nothing better in 3 steps" in note
    assert "learning_rate=10" in note
    good = prune(mlp(6, 40, 3), draw(4, 6), keep=0.2, repair=Repair(steps=100))
    assert good.repair.best_step > 0
    assert not [note for note in good.notes if note.startswith("repair")]


def test_channels_that_are_left_stay_near_the_originals():
    torch.manual_seed(0)
    net = named(
        a=nn.Conv2d(2, 12, 3), r=nn.ReLU(), b=nn.Conv2d(12, 8, 3), s=nn.ReLU(), f=nn.Flatten(),
        c=nn.Linear(128, 3),
    ).eval()  # fmt: skip
    x = draw(400, 2, 8, 8)
    apart = []
    for inner in (0.0, 1000.0):
        settings = Repair(steps=60, inner=inner, learning_rate=0.02)
        result = prune(net, x[:4], keep={"a": 0.5}, queries=Samples(x), repair=settings)
        kept = list(result.groups[0].kept)
        apart.append(float((result.model.a(x) - net.a(x)[:, kept]).detach().square().mean()))
    assert apart[1] < 0.5 * apart[0]
