"""Which taps lie in a map, and what they see of the input of the convolution before."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F  # noqa: N812 (as everybody writes it)

from coreprune.graph.ir import Convolution
from coreprune.graph.patches import Taps, joint_extent, patterns, placed, whole_map

axes = st.tuples(
    st.integers(1, 4),  # kernel
    st.integers(1, 3),  # stride
    st.integers(1, 3),  # dilation
    st.integers(0, 3),  # padding before
    st.integers(0, 3),  # padding after
    st.integers(1, 9),  # size
).filter(lambda a: a[5] + a[3] + a[4] >= a[2] * (a[0] - 1) + 1)


def taps_from(drawn):
    kernel, stride, dilation, before, after, sizes = zip(*drawn, strict=True)
    padding = tuple(zip(before, after, strict=True))
    return Taps(kernel=kernel, stride=stride, dilation=dilation, padding=padding, sizes=sizes)


def unfolded(maps, taps):
    """All patches, one a row, taken by brute force."""
    sides = [side for pair in reversed(taps.padding) for side in pair]
    wide = F.pad(maps, sides)
    spans = [
        range(0, wide.shape[axis] - gap * (kernel - 1), step)
        for axis, (kernel, gap, step) in enumerate(
            zip(taps.kernel, taps.dilation, taps.stride, strict=True)
        )
    ]
    rows = []
    for corner in itertools.product(*spans):
        places = itertools.product(*(range(kernel) for kernel in taps.kernel))
        rows.append([
            wide[tuple(c + p * gap for c, p, gap in zip(corner, place, taps.dilation, strict=True))]
            for place in places
        ])  # fmt: skip
    return torch.tensor(rows)


@settings(deadline=None, max_examples=80)
@given(st.lists(axes, min_size=1, max_size=2))
def test_patterns_are_those_of_a_map_of_ones(drawn):
    taps = taps_from(drawn)
    seen = unfolded(torch.ones(taps.sizes), taps).bool()
    found = {tuple(row) for row in patterns(taps).tolist()}
    assert found == {tuple(row) for row in seen.tolist()}
    assert len(found) == len(patterns(taps))


def test_nine_for_a_kernel_of_three_by_three():
    taps = Taps(
        kernel=(3, 3), stride=(1, 1), dilation=(1, 1), padding=((1, 1), (1, 1)), sizes=(32, 32)
    )
    assert patterns(taps).shape == (9, 9)
    assert patterns(taps).sum(1).tolist() == [4, 6, 4, 6, 9, 6, 4, 6, 4]
    assert patterns(whole_map((4, 3))).tolist() == [[True] * 12]


pairs = st.tuples(
    st.integers(1, 3), st.integers(1, 3), st.integers(1, 2), st.integers(1, 3), st.integers(1, 2)
)


@settings(deadline=None, max_examples=60)
@given(st.lists(pairs, min_size=1, max_size=3), st.integers(0, 99))
def test_placed_kernels_give_what_both_convolutions_give(drawn, seed):
    kp, sp, dp, kq, dq = zip(*drawn, strict=True)
    nothing = ((0, 0),) * len(kp)
    producer = Convolution(
        name="a", input="x", output="h", weight="w", kernel=kp, stride=sp, padding=nothing,
        dilation=dp,
    )  # fmt: skip
    ones = (1,) * len(kp)
    taps = Taps(kernel=kq, stride=ones, dilation=dq, padding=nothing, sizes=ones)
    generator = torch.Generator().manual_seed(seed)
    kernels = torch.randn(4, 2, *kp, generator=generator, dtype=torch.float64)
    extent = joint_extent(producer, taps)
    window = torch.randn(1, 2, *extent, generator=generator, dtype=torch.float64)
    convolve = (F.conv1d, F.conv2d, F.conv3d)[len(kp) - 1]
    maps = convolve(window, kernels, stride=sp, dilation=dp)[0]
    expected = torch.stack([unfolded(channel, taps)[0] for channel in maps])
    rows = placed(kernels, producer, taps)
    assert rows.shape == (expected.shape[1], 4, 2 * torch.Size(extent).numel())
    torch.testing.assert_close((rows @ window.flatten()).T, expected)


def test_a_window_is_no_larger_than_it_must_be():
    producer = Convolution(
        name="a", input="x", output="h", weight="w", kernel=(3,), stride=(2,), padding=((0, 0),),
        dilation=(1,),
    )  # fmt: skip
    rows = placed(torch.ones(1, 1, 3), producer, whole_map((4,)))
    assert rows.shape == (4, 1, 9)
    assert rows.sum((0, 1)).tolist() == [1, 1, 2, 1, 2, 1, 2, 1, 1]


@pytest.mark.parametrize("padding", [((0, 0),), ((5, 0),)])
def test_a_map_smaller_than_the_kernel_has_the_places_that_padding_makes(padding):
    taps = Taps(kernel=(3,), stride=(1,), dilation=(1,), padding=padding, sizes=(1,))
    assert len(patterns(taps)) == (0 if padding == ((0, 0),) else 2)
