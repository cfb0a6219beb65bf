"""Chains of operators are computed once, and never taken for one another."""

import itertools

import numpy as np
import pytest
import torch
from shells.onnx_file.graphs import between, lowered, node

from coreprune.core import activations as family
from coreprune.graph.ir import Elementwise
from coreprune.shells.onnx_file import spellings

X = torch.linspace(-9, 9, 200, dtype=torch.float64)


def functions_of(made):
    """The functions of a file's element-wise nodes by what they read and give."""
    return {
        (one.input, one.output): one.build()
        for one in lowered(made).graph.nodes
        if isinstance(one, Elementwise)
    }


def test_chains_that_differ_by_an_attribute_are_told_apart():
    made = between(
        node("HardSigmoid", "h", "s", alpha=1 / 6), node("Mul", "h s", "a"),
        node("HardSigmoid", "a", "t", alpha=0.2), node("Mul", "a t", "z"), width=8,
    )  # fmt: skip
    found = functions_of(made)
    assert torch.equal(found["h", "a"](X), family.hardswish()(X))
    assert ("a", "z") not in found


@pytest.mark.parametrize(("shift", "is_known"), [(3.0, True), (2.0, False)])
def test_chains_that_differ_by_a_number_are_told_apart(shift, is_known):
    numbers = {"three": 3.0, "shift": shift, "low": 0.0, "six": 6.0}
    made = between(
        node("Add", "h three", "b"), node("Clip", "b low six", "c"), node("Mul", "h c", "d"),
        node("Div", "d six", "a"),
        node("Add", "a shift", "e"), node("Clip", "e low six", "f"), node("Mul", "a f", "g"),
        node("Div", "g six", "z"), width=8,
        tensors={name: np.float32(value).reshape(()) for name, value in numbers.items()},
    )  # fmt: skip
    found = functions_of(made)
    assert torch.equal(found["h", "a"](X), family.hardswish()(X))
    assert (("a", "z") in found) == is_known


def test_a_chain_that_repeats_is_compared_with_the_family_once(monkeypatch):
    asked = []
    inner = spellings.recognised
    monkeypatch.setattr(
        spellings, "recognised", lambda *given: asked.append(given) or inner(*given)
    )

    def times(blocks):
        asked.clear()
        names = ["h", *(f"v{number}" for number in range(blocks - 1)), "z"]
        nodes = []
        for number, (before, after) in enumerate(itertools.pairwise(names)):
            nodes += [
                node("Sigmoid", before, f"s{number}"),
                node("Mul", f"{before} s{number}", f"m{number}"),
                node("Gemm", f"m{number} wide none", after, transB=1),
            ]
        wide = {"wide": np.eye(8, dtype=np.float32), "none": np.zeros(8, np.float32)}
        functions_of(between(*nodes, tensors=wide, width=8))
        return len(asked)

    assert times(9) == times(1) > 0
