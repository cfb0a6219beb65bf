"""Images within the inputs of a certificate of channels, and what two networks give for them."""

import re

import torch
from torch import nn

from coreprune.shells.patches import largest_window_norm, patch_norms
from coreprune.shells.torch_module.spatial import moves_of


def sizes(x, layer, space):
    """What the certificate bounds, image by image: the norms of windows or of patches."""
    if "windows" in space:
        extents = tuple(map(int, re.search(r"[\d×]+(?= positions)", space).group().split("×")))
        return largest_window_norm(x, extents)
    rest = (layer.stride, layer.padding, layer.dilation)
    return patch_norms(x, moves_of(layer.kernel_size, rest, {})).flatten(1).amax(1)


def within(x, layer, space, *, radius):
    """The images, as large as the radius allows and float32 tells."""
    norms = sizes(x, layer, space).view(-1, *[1] * (x.ndim - 1))
    return (1 - 1e-5) * radius * x / norms.clamp_min(1e-30)


def outputs(net, x):
    """What the layer b gives, less the mean of a normalisation n behind that takes constants."""
    seen = []
    reader = net.get_submodule("b")
    handle = reader.register_forward_hook(lambda *call: seen.append(call[2]))
    net(x)
    handle.remove()
    return seen[0] - mean_behind(net).view(-1, *[1] * (seen[0].ndim - 2))


def mean_behind(net):
    behind = getattr(net, "n", None)
    takes = net.b.bias is None and isinstance(behind, nn.BatchNorm2d)
    return behind.running_mean if takes else torch.zeros(1)


def conv(*args, rank=2, **options):
    return (nn.Conv1d, nn.Conv2d, nn.Conv3d)[rank - 1](*args, **options)
