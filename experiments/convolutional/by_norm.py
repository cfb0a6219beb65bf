"""The classic: keep the channels of the largest norm, change nothing else."""

import copy
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from experiments.convolutional.networks import Inner


def filter_norms(model: nn.Module, inner: Inner) -> Tensor:
    """Σ |w| over the weights of each filter (Li et al. 2017). Shape (n,)."""
    return model.get_submodule(inner.layer).weight.detach().abs().flatten(1).sum(1)


def norm_scales(model: nn.Module, inner: Inner) -> Tensor:
    """|γ| of the batch normalisation (Liu et al. 2017), without one filter norms. Shape (n,)."""
    if inner.norm is None:
        return filter_norms(model, inner)
    return model.get_submodule(inner.norm).weight.detach().abs()


SCORES: dict[str, Callable[[nn.Module, Inner], Tensor]] = {
    "L1": filter_norms,
    "BN scale": norm_scales,
}


def prune(
    model: nn.Module, inner: tuple[Inner, ...], widths: Mapping[str, int], *, score: str
) -> nn.Module:
    """A narrower copy whose kept weights are unchanged.

    Args:
        model: Any network of this experiment.
        inner: What is made narrower.
        widths: Channels to keep, by the layer's name.
        score: A name in `SCORES`; the largest are kept.

    Returns:
        The smaller network.
    """
    small = copy.deepcopy(model)
    for one in inner:
        order = SCORES[score](model, one).argsort(descending=True, stable=True)
        _keep(small, one, order[: widths[one.layer]].sort().values)
    return small


def _keep(model: nn.Module, inner: Inner, kept: Tensor) -> None:
    """Keep some channels of one layer, in place."""
    layer, reader = (model.get_submodule(name) for name in (inner.layer, inner.reader))
    _slice(layer, kept, axis=0)
    if inner.norm is not None:
        norm = model.get_submodule(inner.norm)
        _slice(norm, kept, axis=0)
        norm.num_features = len(kept)
    _slice(reader, kept, axis=1)
    setattr(layer, f"out_{_unit(layer)}", len(kept))
    setattr(reader, f"in_{_unit(reader)}", len(kept))


def _unit(layer: nn.Module) -> str:
    return "channels" if isinstance(layer, nn.Conv2d) else "features"


@torch.no_grad()
def _slice(module: nn.Module, kept: Tensor, *, axis: int) -> None:
    """Shorten every tensor that has the axis; a bias has no second one."""
    for name, parameter in list(module.named_parameters()):
        if parameter.ndim > axis:
            setattr(module, name, nn.Parameter(parameter.index_select(axis, kept)))
    for name, buffer in list(module.named_buffers()):
        if buffer.ndim > axis:
            setattr(module, name, buffer.index_select(axis, kept))
