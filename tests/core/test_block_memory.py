"""A block of n neurons is pruned in three n × n matrices, whatever temporary tensors there are."""

import pytest
import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from coreprune.core import gated_moments, moments, reconstruction
from coreprune.core.activations import silu
from coreprune.core.feed_forward import FeedForward, neuron_moments
from coreprune.core.feed_forward_coreset import block_coreset
from coreprune.core.query_set import ball
from coreprune.core.selection import pivoting, swaps

N, D = 512, 8
SPARE = 0.3  # of a matrix: panels, rows and weights


class Live(TorchDispatchMode):
    """The most bytes that tensors made since it began had at one time."""

    def __init__(self):
        super().__init__()
        self.storages, self.peak = {}, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                storage = tensor.untyped_storage()
                self.storages[storage._cdata] = StorageWeakRef(storage), storage.nbytes()
        self.storages = {
            key: (ref, size) for key, (ref, size) in self.storages.items() if not ref.expired()
        }
        self.peak = max(self.peak, sum(size for _, size in self.storages.values()))
        return result

    @property
    def matrices(self):
        return self.peak / (8 * N * N)


@pytest.fixture(autouse=True)
def small_panels(monkeypatch):
    """Panels and chunks as small beside n as they are in wide blocks."""
    for module, name in (
        (gated_moments, "_AT_ONCE"),
        (moments, "_PANEL"),
        (reconstruction, "_PANEL"),
        (pivoting, "_CHUNK"),
        (pivoting, "_BLOCK"),
        (swaps, "_CHUNK"),
    ):
        monkeypatch.setattr(module, name, 8 if name in {"_PANEL", "_BLOCK"} else 8 * N)
    for name in ("_NODES", "_WEIGHTS"):  # quadrature has so many times n numbers
        monkeypatch.setattr(moments, name, getattr(moments, name)[:4])


def block(offset):
    generator = torch.Generator().manual_seed(0)
    rows = [torch.randn(N, D, generator=generator, dtype=torch.float64) for _ in range(3)]
    zero = torch.zeros(N, dtype=torch.float64)
    return FeedForward(
        points=rows[0],
        bias=zero,
        activation=silu(),
        weights=rows[1].T.contiguous(),
        offset=offset,
        up=rows[2],
        up_bias=zero,
    )


@pytest.mark.parametrize("free", [False, True], ids=["no bias", "bias"])
def test_three_matrices_are_enough(free):
    given = block(torch.zeros(D, dtype=torch.float64) if free else None)
    with Live() as closed:
        found = neuron_moments(given, moments.isotropic(D))
    mean, covariance = found.mean, found.covariance
    del found
    with Live() as chosen:
        block_coreset(
            given,
            num_neurons=N // 2,
            method="optimal",
            moments=moments.Moments(mean=mean, covariance=covariance),
            space=ball(1.0, dimension=D),
            dtype=torch.bfloat16,
            generator=torch.Generator(),
        )
    assert 2.9 < closed.matrices < 3 + SPARE
    # Among the three is K, of which views are made, or E[hhᵀ] in its place where no bias is free.
    assert 2.9 < chosen.matrices < 3 + SPARE


def test_sampled_moments_take_two():
    total = moments.MomentSum()
    rows = torch.randn(9, N, dtype=torch.float64)
    with Live() as live:
        total.add(rows)
        total.moments()
    assert live.matrices < 2 + SPARE
