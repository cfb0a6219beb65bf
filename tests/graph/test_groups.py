import dataclasses

import pytest
import torch

from coreprune.core.activations import prelu, relu
from coreprune.errors import ArgumentError
from coreprune.graph.groups import passengers_of
from coreprune.graph.ir import (
    Add,
    Affine,
    Concat,
    Elementwise,
    Graph,
    Multiply,
    Norm,
    Opaque,
    Permute,
    Reshape,
)
from coreprune.graph.partition import find_groups

A = Affine(name="a", input="x", output="h", weight="a.weight", bias="a.bias")
B = Affine(name="b", input="g", output="y", weight="b.weight", bias="b.bias")
C = Affine(name="c", input="g", output="z", weight="c.weight")
RELU = Elementwise(name="relu", input="h", output="g", build=relu)
PARAMETERS = {
    "a.weight": torch.zeros(4, 3),
    "a.bias": torch.zeros(4),
    "b.weight": torch.zeros(2, 4),
    "b.bias": torch.zeros(2),
    "c.weight": torch.zeros(5, 4),
    "s.weight": torch.zeros(4),
    "one.weight": torch.zeros(1),
    "n.mean": torch.zeros(4),
    "n.variance": torch.ones(4),
}
SHAPES = {"x": (7, 3), "h": (7, 4), "g": (7, 4), "y": (7, 2), "z": (7, 5)}


def graph(*nodes, outputs=("y", "z"), **shapes):
    return Graph(
        nodes=nodes,
        inputs=frozenset({"x"}),
        outputs=frozenset(outputs),
        shapes=SHAPES | shapes,
        parameters=PARAMETERS,
    )


def slope(name, parameter="s.weight", *, input="h", output="g"):
    return Elementwise(name=name, input=input, output=output, build=prelu, parameters=(parameter,))


def reason(partition, name):
    return {entry.name: entry.reason for entry in partition.whole}[name]


def test_a_group_has_producer_passengers_and_consumers():
    norm = Norm(name="n", input="g", output="k", mean="n.mean", variance="n.variance")
    after = Affine(name="b", input="k", output="y", weight="b.weight", bias="b.bias")
    (group,) = find_groups(graph(A, slope("s"), norm, after, C, k=(7, 4))).groups
    assert (group.name, group.neurons) == ("a", 4)
    assert [(c.affine.name, [p.name for p in c.passengers]) for c in group.consumers] == [
        ("b", ["s", "n"]),
        ("c", ["s"]),
    ]
    assert passengers_of(group) == ("s", "n")


def test_every_layer_is_listed_once_in_order_of_execution():
    partition = find_groups(graph(A, slope("s"), B, C))
    assert partition.names == ("a", "s", "b", "c")
    assert [entry.name for entry in partition.whole] == ["b", "c"]
    assert reason(partition, "b") == "its output leaves the network"


@pytest.mark.parametrize(
    ("obstacle", "words"),
    [
        (Add(inputs=("h", "x"), output="g"), "added to another value (a residual sum)"),
        (Multiply(inputs=("x", "h"), output="g"), "multiplied by another value"),
        (Concat(inputs=("h", "x"), output="g", axis=0), "concatenated along another axis"),
        (Concat(inputs=("h", "h"), output="g", axis=1), "concatenated with itself"),
        (Opaque(name="o", operator="a softmax", inputs=("h",), outputs=("g",)), "a softmax"),
        (Reshape(input="h", output="r"), "neurons are mixed with other axes"),
    ],
)
def test_neurons_do_not_pass(obstacle, words):
    assert words in reason(find_groups(graph(A, obstacle, B, r=(14, 2))), "a")


def test_concatenated_neurons_own_a_slice_of_what_follows():
    norm = Norm(name="n", input="j", output="k", mean="n.mean", variance="n.variance")
    reader = Affine(name="w", input="k", output="y", weight="w.weight", bias="b.bias")
    wide = {name: torch.ones(10) for name in ("n.mean", "n.variance")}
    known = graph(
        *(A, RELU, C, Concat(inputs=("x", "g", "x"), output="j", axis=1), norm, reader),
        j=(7, 10),
        k=(7, 10),
    )
    known = dataclasses.replace(
        known, parameters=PARAMETERS | wide | {"w.weight": torch.zeros(2, 10)}
    )
    (group,) = find_groups(known).groups
    beside, alone = sorted(group.consumers, key=lambda one: not one.slices)
    assert alone.affine is C
    assert [(s.parameter, s.axis, s.start, s.stop, s.size) for s in beside.slices] == [
        ("n.mean", 0, 3, 7, 10),
        ("n.variance", 0, 3, 7, 10),
        ("w.weight", 1, 3, 7, 10),
    ]


def test_neurons_that_leave_the_network_stay():
    partition = find_groups(graph(A, RELU, B, outputs=("y", "g")))
    assert reason(partition, "a") == "its output leaves the network"


def test_neurons_that_nobody_reads_stay():
    assert reason(find_groups(graph(A)), "a") == "nothing reads its output"


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        (A, "a is called more than once"),
        (Affine(name="t", input="x", output="t", weight="a.weight"), "a.weight is shared by a and"),
        (B, "b is called more than once"),
        (Affine(name="t", input="x", output="t", weight="b.weight"), "b.weight is shared by b and"),
        (slope("s", input="x", output="t"), "s is called more than once"),
        (
            Opaque(name="p", operator="a sum", inputs=(), outputs=("t",), parameters=("a.bias",)),
            "a.bias is also read by a sum",
        ),
    ],
)
def test_parameters_that_others_use_stay(extra, words):
    copy = (
        extra
        if extra is not A and extra is not B
        else Affine(name=extra.name, input="x", output="t", weight=extra.weight, bias=extra.bias)
    )
    partition = find_groups(graph(A, slope("s"), B, copy, t=(7, 4), outputs=("y", "t")))
    assert words in reason(partition, "a")


def test_a_consumers_bias_may_be_shared():
    other = Affine(name="t", input="x", output="t", weight="c.weight", bias="b.bias")
    assert find_groups(graph(A, RELU, B, other, t=(7, 2))).groups[0].name == "a"


def test_one_slope_for_all_neurons_may_be_shared():
    partition = find_groups(
        graph(A, slope("s", "one.weight"), slope("s", "one.weight", input="y", output="t"), B)
    )
    assert partition.groups[0].name == "a"


@pytest.mark.parametrize(
    ("before", "after", "passes"),
    [
        ((7, 4), (7, 4, 1), True),
        ((7, 4), (7, 1, 4), True),
        ((7, 5, 4), (35, 4), True),
        ((1, 4), (4,), True),
        ((4, 4), (4, 4), True),
        ((7, 4), (7, 2, 2), False),
        ((2, 4), (4, 2), False),
        ((7, 5, 4), (7, 20), False),
        ((5, 7, 4), (4, 5, 7), False),
    ],
)
def test_reshapes_keep_the_neuron_axis_or_block(before, after, passes):
    back = Reshape(input="r", output="g")
    nodes = (A, Reshape(input="h", output="r"), back, B)
    partition = find_groups(graph(*nodes, h=before, r=after, g=before))
    assert bool(partition.groups) is passes


def test_the_neuron_axis_must_come_back_to_its_place():
    there = Permute(input="h", output="p", order=(1, 0))
    back = Permute(input="p", output="g", order=(1, 0))
    assert find_groups(graph(A, there, back, B, p=(4, 7))).groups
    astray = Affine(name="b", input="p", output="y", weight="b.weight", bias="b.bias")
    partition = find_groups(graph(A, there, astray, p=(4, 4)))
    assert reason(partition, "a") == "b reads another axis than that of its neurons"


def test_a_rotation_of_axes_is_followed():
    there = Permute(input="h", output="p", order=(1, 2, 0))
    back = Permute(input="q", output="g", order=(2, 0, 1))
    shapes = {"h": (7, 5, 4), "p": (5, 4, 7), "q": (5, 4, 7), "g": (7, 5, 4)}
    nodes = (A, there, slope("s", input="p", output="q"), back, B)
    assert find_groups(graph(*nodes, **shapes)).groups


@pytest.mark.parametrize(("parameter", "passes"), [("s.weight", False), ("one.weight", True)])
def test_a_slope_each_belongs_to_axis_1(parameter, passes):
    nodes = (A, slope("s", parameter), B)
    partition = find_groups(graph(*nodes, h=(7, 4, 4), g=(7, 4, 4)))
    assert bool(partition.groups) is passes
    if not passes:
        assert reason(partition, "a") == "s acts on another axis than that of its neurons"
        assert reason(partition, "s") == "its neurons belong to a layer that is left whole"


@pytest.mark.parametrize("skip", [["a"], {"a", "b"}])
def test_skipped_layers_stay_whole(skip):
    partition = find_groups(graph(A, RELU, B), skip=skip)
    assert not partition.groups
    assert reason(partition, "a") == "named in skip"


@pytest.mark.parametrize(("skip", "other"), [("a", "d"), ("d", "a")])
def test_what_multiplies_a_skipped_layer_stays_whole_as_well(skip, other):
    nodes = (
        A,
        RELU,
        Affine(name="d", input="x", output="e", weight="d.weight"),
        Multiply(inputs=("g", "e"), output="m"),
        dataclasses.replace(B, input="m"),
    )
    whole = graph(*nodes, outputs=("y",), e=(7, 4), m=(7, 4))
    whole = dataclasses.replace(whole, parameters=PARAMETERS | {"d.weight": torch.zeros(4, 3)})
    (group,) = find_groups(whole).groups
    assert (group.producer.name, [gate.name for gate in group.gates]) == ("a", ["d"])
    partition = find_groups(whole, skip=[skip])
    assert not partition.groups
    assert reason(partition, skip) == "named in skip"
    assert reason(partition, other) == f"it is multiplied by {skip}, which skip names"


@pytest.mark.parametrize("skip", [["A"], ["a.weight"], ["relu"], "a"])
def test_skip_must_name_layers(skip):
    with pytest.raises(ArgumentError, match="skip"):
        find_groups(graph(A, RELU, B), skip=skip)
