"""Which law a run takes, and that it says why."""

import math
import re

import pytest
import torch
from networks import Forward, draw, mlp, named, trained_norm
from torch import nn

from coreprune import (
    Ball,
    BatchNormMatched,
    Box,
    DeadLeaves,
    Gaussian,
    Impressions,
    Samples,
    Sphere,
    Tokens,
    prune,
)
from coreprune.graph.partition import find_groups
from coreprune.laws.choice import choose_law, remark_on
from coreprune.shells.torch_module.subject import prepare


def chosen(net, *args, queries=None):
    subject = prepare(net, args)
    return choose_law(queries, subject, find_groups(subject.graph).groups)


def with_norm():
    return named(a=nn.Linear(6, 12), n=trained_norm(12), r=nn.ReLU(), b=nn.Linear(12, 3))


@pytest.mark.parametrize(
    "law",
    [
        BatchNormMatched(),
        Box(-1.0, 1.0),
        DeadLeaves(),
        Gaussian(2.0),
        Impressions(),
        Samples(draw(9, 6)),
        Sphere(2.0),
    ],
)
@pytest.mark.parametrize("make", [with_norm, lambda: mlp(6, 12, 3)], ids=["norm", "plain"])
def test_the_users_law_is_taken(law, make):
    found = chosen(make(), draw(4, 6), queries=law)
    assert found.law is law
    assert found.why == "as queries says"


@pytest.mark.parametrize("shape", [(4, 6), (4, 2, 3)])
def test_a_ball_stands_for_normal_entries_of_its_size(shape):
    found = chosen(named(f=nn.Flatten(), m=mlp(6, 12, 3)), draw(*shape), queries=Ball(3.0))
    assert found.law == Gaussian(3.0 / math.sqrt(6))


def test_batch_normalisations_are_asked_first():
    found = chosen(with_norm(), draw(4, 6))
    assert found.law is None
    assert "batch normalisations remember" in found.why


@pytest.mark.parametrize(("size", "examples"), [(6, 512), (32, 512), (64, 384), (512, 64)])
def test_fewer_large_images_are_made(size, examples):
    net = nn.Sequential(nn.Conv2d(1, 2, 3, bias=False), nn.BatchNorm2d(2), nn.ReLU())
    net.append(nn.AdaptiveAvgPool2d(1)).append(nn.Flatten()).append(mlp(2, 12, 3))
    found = chosen(net.eval(), draw(2, 1, size, size))
    assert found.law.examples == examples


def test_a_norm_that_is_not_right_behind_its_layer_tells_nothing():
    net = named(a=nn.Linear(6, 12), r=nn.ReLU(), n=trained_norm(12), b=nn.Linear(12, 3))
    assert isinstance(chosen(net, draw(4, 6)).law, Impressions)


@pytest.mark.parametrize("scale", [0.01, 3.0])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_flat_input_takes_impressions_of_the_examples_size_and_sign(scale, sign):
    x = scale * draw(4, 6).abs()
    x[0, 0] *= sign
    found = chosen(mlp(6, 12, 3), x)
    assert isinstance(found.law, Impressions)
    assert found.law.deviation == pytest.approx(float(x.square().mean().sqrt()))
    assert found.law.nonnegative is (sign == 1)
    assert "first layer's weights tell" in found.why


def test_examples_of_zeros_tell_neither_size_nor_sign():
    found = chosen(mlp(6, 12, 3), torch.zeros(4, 6))
    assert found.law == Impressions(deviation=1.0, nonnegative=False)


def test_half_precision_examples_do_not_overflow_their_square():
    x = torch.full((4, 6), 1000.0).half()
    assert chosen(mlp(6, 12, 3).half(), x).law.deviation == pytest.approx(1000.0)


@pytest.mark.parametrize(
    ("net", "args", "why"),
    [
        (
            named(c=nn.Conv1d(1, 2, 3), f=nn.Flatten(), m=mlp(8, 12, 3)),
            (draw(4, 1, 6),),
            "no layer reads the network's input as it is",
        ),
        (
            Forward(lambda m, x: m.n(x.float()), n=mlp(6, 12, 3)),
            (torch.ones(1, 6, dtype=int),),
            "input is not of floating-point type",
        ),
        (
            Forward(lambda m, x, y: m.n(x) + y, n=mlp(6, 12, 3)),
            (draw(4, 6), draw(4, 3)),
            "the network has 2 inputs",
        ),
        (mlp(6, 12, 3), (draw(4, 5, 6),), "no layer reads the network's input as it is"),
        (mlp(6, 12, 3), (draw(6),), "input has no batch axis; give it one"),
    ],
    ids=["signals", "integers", "two inputs", "sequences", "no batch"],
)
def test_other_networks_take_standard_normal_inputs(net, args, why):
    found = chosen(net, *args)
    assert found.law == Gaussian()
    assert why in found.why


def test_networks_that_look_tokens_up_take_random_ones():
    found = chosen(named(e=nn.Embedding(5, 6), n=mlp(6, 12, 3)), torch.tensor([1, 2]))
    assert found.law == Tokens(vocabulary=5)
    assert found.why == "because the network looks its inputs up in a table"


def convolutional(norm=nn.Identity):
    return named(c=nn.Conv2d(1, 2, 3), n=norm(), f=nn.Flatten(), m=mlp(32, 12, 3)).eval()


@pytest.mark.parametrize("scale", [1.0, 0.01])
def test_images_take_what_batch_normalisations_remember(scale):
    found = chosen(convolutional(lambda: nn.BatchNorm2d(2)), scale * draw(4, 1, 6, 6))
    rms = scale * float(draw(4, 1, 6, 6).square().mean().sqrt())
    assert isinstance(found.law, BatchNormMatched)
    assert found.law.deviation == pytest.approx(rms)
    assert "batch normalisations remember" in found.why


@pytest.mark.parametrize(
    "net",
    [convolutional(), convolutional(lambda: nn.BatchNorm2d(2, track_running_stats=False))],
    ids=["none", "no running statistics"],
)
def test_images_of_networks_that_remember_nothing_are_dead_leaves(net):
    x = draw(4, 1, 6, 6)
    found = chosen(net, x)
    assert isinstance(found.law, DeadLeaves)
    assert found.law.deviation == pytest.approx(float(x.square().mean().sqrt()))
    assert found.law.mean == 0
    assert "the shape of pictures" in found.why
    pixels = chosen(net, x.abs()).law
    assert pixels.deviation == pytest.approx(float(x.abs().std()))
    assert pixels.mean == pytest.approx(float(x.abs().mean()))


def test_a_constant_example_tells_no_deviation():
    assert chosen(convolutional(), torch.full((4, 1, 6, 6), 0.5)).law == DeadLeaves(1.0, mean=0.5)


def test_flat_images_are_told_by_the_weights_that_read_them():
    net = named(f=nn.Flatten(), m=mlp(36, 12, 3))
    assert isinstance(chosen(net, draw(4, 1, 6, 6)).law, Impressions)


@pytest.mark.parametrize(
    ("make", "queries", "words"),
    [
        (with_norm, None, "matched to the running statistics .* closed form; because batch norm"),
        (with_norm, Gaussian(2.0), "normal inputs of deviation 2, in closed form; as queries says"),
        (lambda: mlp(6, 12, 3), None, "inputs of deviation .*, sampled; because the first layer"),
        (lambda: mlp(6, 12, 3), Samples(draw(300, 6)), "the user's samples, sampled; as queries"),
        (lambda: mlp(6, 12, 3), Ball(2.0), "normal inputs of deviation 0.8165, in closed form; as"),
    ],
    ids=["norm", "gaussian", "impressions", "samples", "ball"],
)
def test_the_result_says_which_law_and_why(make, queries, words):
    assert re.search(words, prune(make(), draw(4, 6), keep=0.5, queries=queries).law)


def test_a_method_without_a_law_says_so():
    result = prune(mlp(6, 12, 3), draw(4, 6), keep=0.5, method="uniform")
    assert result.law == "none: the method needs no law"
    assert (result.curve, result.expected_error) == ((), None)
    assert result.measured_error is None


@pytest.mark.parametrize(("law", "told"), [(DeadLeaves(), True), (Gaussian(), False)])
def test_pictures_where_inputs_are_none_are_remarked_on(law, told):
    assert bool(remark_on(law, prepare(mlp(6, 12, 3), draw(4, 6)))) is told
    assert not remark_on(law, prepare(convolutional(), torch.ones(4, 1, 6, 6)))
