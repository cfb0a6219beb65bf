"""The dense part of VGG-16: as it is, pruned by the library or by norm, and from the start."""

import shutil
import time
from pathlib import Path

import torch
from torch import Generator, nn

import coreprune
from coreprune.queries.batch_norm import BatchNormMatched
from experiments.convolutional import by_norm
from experiments.convolutional.networks import Inner, inner_of
from experiments.lenet import num_parameters
from experiments.vgg_cifar import VGG

WHOLE, OPTIMAL, L1, SCRATCH = "not pruned", "optimal", "L1", "small from the start"
ROWS = (WHOLE, OPTIMAL, L1, SCRATCH)


def pruned(
    model: VGG, *, removed: float, queries: BatchNormMatched | None, folder: Path | None
) -> tuple[VGG, float | None]:
    """The network with a share of its dense part's parameters gone, its convolutions whole.

    Args:
        model: The network.
        removed: The share.
        queries: The law; None for the library's default.
        folder: Where the result is kept, and taken from when it is there; None keeps none.

    Returns:
        The smaller network and the seconds of the call; None where it was kept.
    """
    if folder is not None and folder.exists():
        return coreprune.load(folder, into=_like(model)), None
    everything = num_parameters(model)
    share = 1 - removed * num_parameters(model.classifier) / everything
    before = time.perf_counter()
    result = coreprune.prune(
        model,
        torch.randn(1, 3, 32, 32, generator=Generator().manual_seed(0)),
        keep=coreprune.Budget(parameters=share),
        skip=["features"],
        queries=queries,
    )
    seconds = time.perf_counter() - before
    if folder is not None:
        unfinished = folder.with_name(f"{folder.name}.part")
        shutil.rmtree(unfinished, ignore_errors=True)
        result.save(unfinished)
        unfinished.rename(folder)
    return result.model, seconds


def heads(model: VGG, small: VGG) -> dict[str, nn.Sequential]:
    """The dense parts by the names of the rows.

    Args:
        model: The network.
        small: The same, pruned by the library.

    Returns:
        The dense parts; the small ones have equal widths.
    """
    inner = dense_of(model)
    widths = {one.layer: len(small.get_submodule(one.layer).weight) for one in inner}
    by_l1 = by_norm.prune(model, inner, widths, score="L1")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        fresh = VGG(_widths(model), tuple(widths.values()))
    networks = (model, small, by_l1, fresh)
    return {name: network.classifier.eval() for name, network in zip(ROWS, networks, strict=True)}


def dense_of(model: VGG) -> tuple[Inner, ...]:
    """The hidden linear layers."""
    return tuple(one for one in inner_of(model) if one.layer.startswith("classifier."))


def _like(model: VGG) -> VGG:
    """Untrained, of the same shapes."""
    return VGG(
        _widths(model), tuple(len(model.get_submodule(d.layer).weight) for d in dense_of(model))
    )


def _widths(model: VGG) -> tuple[int, ...]:
    """As the network was built with them."""
    kinds = (m for m in model.features if isinstance(m, nn.Conv2d | nn.MaxPool2d))
    return tuple(m.out_channels if isinstance(m, nn.Conv2d) else 0 for m in kinds)
