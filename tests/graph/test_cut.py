import pytest
import torch

from coreprune.core.activations import prelu
from coreprune.graph.cut import Cut, columns_of, columns_read, parts_of, rows_of, shrink, widen
from coreprune.graph.groups import Consumer, Group
from coreprune.graph.ir import Affine, Elementwise
from coreprune.graph.slices import Slice

A = Affine(name="a", input="x", output="h", weight="a.weight", bias="a.bias")
B = Affine(name="b", input="g", output="y", weight="b.weight", bias="b.bias")
C = Affine(name="c", input="y", output="z", weight="c.weight")


def slope(parameter):
    return Elementwise(name="s", input="h", output="g", build=prelu, parameters=(parameter,))


def first(parameter="s.weight"):
    consumer = Consumer(affine=B, passengers=(slope(parameter),))
    return Group(producer=A, consumers=(consumer,), neurons=3)


SECOND = Group(producer=B, consumers=(Consumer(affine=C, passengers=()),), neurons=2)


@pytest.fixture
def parameters():
    return {
        "a.weight": torch.tensor([[1.0], [2.0], [3.0]]),
        "a.bias": torch.tensor([10.0, 20.0, 30.0]),
        "s.weight": torch.tensor([0.1, 0.2, 0.3]),
        "one.weight": torch.tensor([0.5]),
        "b.weight": torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]),
        "b.bias": torch.tensor([7.0, 8.0]),
        "c.weight": torch.tensor([[1.0, 2.0]]),
    }


def cut(group, indices, *weights):
    return Cut(
        group=group, indices=torch.tensor(indices), weights=tuple(map(torch.tensor, weights))
    )


def test_rows_and_columns_of_a_group():
    assert rows_of(first()) == ("a.weight", "a.bias", "s.weight")
    assert columns_of(first()) == ("b.weight",)


def test_a_cut_takes_rows_and_writes_outgoing_weights(parameters):
    before = {name: tensor.clone() for name, tensor in parameters.items()}
    small = shrink(parameters, cut(first(), [0, 2], [[9.0, 8.0], [7.0, 6.0]]))
    assert small["a.weight"].tolist() == [[1.0], [3.0]]
    assert small["a.bias"].tolist() == [10.0, 30.0]
    assert small["s.weight"].tolist() == parameters["s.weight"][[0, 2]].tolist()
    assert small["b.weight"].tolist() == [[9.0, 8.0], [7.0, 6.0]]
    assert small["c.weight"] is parameters["c.weight"]
    assert all(torch.equal(parameters[name], tensor) for name, tensor in before.items())


def test_slices_move_with_what_is_cut_before_them(parameters):
    """a's three neurons stand behind b's two in what c and a norm-like slope act on."""
    parameters |= {
        "j.weight": torch.arange(5.0),
        "d.weight": torch.arange(10.0).reshape(2, 5),
        "d.bias": torch.zeros(2),
    }
    joint = Elementwise(name="j", input="j", output="k", build=prelu, parameters=("j.weight",))
    d = Affine(name="d", input="k", output="z", weight="d.weight", bias="d.bias")

    def beside(producer, start, stop):
        parts = (("j.weight", 0), ("d.weight", 1))
        slices = tuple(
            Slice(parameter=name, axis=axis, start=start, stop=stop, size=5) for name, axis in parts
        )
        consumer = Consumer(affine=d, passengers=(joint,), slices=slices)
        return Group(producer=producer, consumers=(consumer,), neurons=stop - start)

    one = cut(beside(B, 0, 2), [1], [[10.0], [60.0]])
    small = shrink(parameters, one)
    assert small["j.weight"].tolist() == [1.0, 2.0, 3.0, 4.0]
    assert small["d.weight"].tolist() == [[10.0, 2.0, 3.0, 4.0], [60.0, 7.0, 8.0, 9.0]]
    behind = beside(A, 2, 5)
    own = parts_of(behind, small, [one])
    assert own["j.weight"].tolist() == [2.0, 3.0, 4.0]
    assert own["d.weight"].tolist() == [[2.0, 3.0, 4.0], [7.0, 8.0, 9.0]]
    assert own["a.weight"] is small["a.weight"]
    assert columns_read(behind, [one]) == {"d.weight": slice(1, 4)}
    two = cut(behind, [0, 2], [[20.0, 40.0], [70.0, 90.0]])
    small = shrink(small, two, [one])
    assert small["j.weight"].tolist() == [1.0, 2.0, 4.0]
    assert small["d.weight"].tolist() == [[10.0, 20.0, 40.0], [60.0, 70.0, 90.0]]
    wide = widen(small, parameters, [two, one])
    assert wide["d.weight"].tolist() == [[0, 10.0, 20.0, 0, 40.0], [0, 60.0, 70.0, 0, 90.0]]


def test_one_entry_for_all_neurons_stays(parameters):
    small = shrink(parameters, cut(first("one.weight"), [1], [[1.0], [2.0]]))
    assert small["one.weight"].tolist() == [0.5]


def test_weights_take_the_type_of_the_tensor_they_replace(parameters):
    halves = {name: tensor.half() for name, tensor in parameters.items()}
    assert shrink(halves, cut(first(), [1], [[1.0], [2.0]]))["b.weight"].dtype == torch.float16


def test_widened_weights_are_zero_where_neurons_are_gone(parameters):
    one = cut(first(), [0, 2], [[9.0, 8.0], [7.0, 6.0]])
    wide = widen(shrink(parameters, one), parameters, [one])
    assert wide.keys() == {"b.weight"}
    assert wide["b.weight"].tolist() == [[9.0, 0.0, 8.0], [7.0, 0.0, 6.0]]


@pytest.mark.parametrize("bottom_up", [True, False])
def test_two_cuts_in_a_row_widen_together(parameters, bottom_up):
    if bottom_up:
        cuts = [cut(first(), [0, 2], [[9.0, 8.0], [7.0, 6.0]]), cut(SECOND, [1], [[5.0]])]
    else:
        cuts = [cut(SECOND, [1], [[5.0]]), cut(first(), [0, 2], [[7.0, 6.0]])]
    small = parameters
    for one in cuts:
        small = shrink(small, one)
    assert small["b.weight"].tolist() == [[7.0, 6.0]]
    assert small["b.bias"].tolist() == [8.0]
    wide = widen(small, parameters, cuts)
    assert wide["b.weight"].tolist() == [[1.0, 2.0, 3.0], [7.0, 0.0, 6.0]]
    assert wide["c.weight"].tolist() == [[0.0, 5.0]]
