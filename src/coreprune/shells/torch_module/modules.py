"""Copies of modules with other tensors in them."""

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils import _pytree as pytree

from coreprune.errors import ArgumentError, UnsupportedModelError
from coreprune.shells.calls import first_line
from coreprune.shells.torch_module.tensors import tensors_of

_SIZES = {
    nn.Linear: (("out_features", 0), ("in_features", 1)),
    nn.modules.batchnorm._BatchNorm: (("num_features", 0),),
    nn.PReLU: (("num_parameters", 0),),
    nn.modules.conv._ConvNd: (("out_channels", 0),),
}


def unwrapped(model: object) -> nn.Module:
    """The module inside DataParallel, DistributedDataParallel and torch.compile wrappers.

    Raises:
        ArgumentError: When the argument is not a module.
    """
    if not isinstance(model, nn.Module):
        raise ArgumentError(
            f"model must be a torch.nn.Module, got {type(model).__name__}; "
            "build the module first and load its weights"
        )
    parallel = isinstance(model, (nn.DataParallel, nn.parallel.DistributedDataParallel))
    inner = getattr(model, "module" if parallel else "_orig_mod", None)
    return model if inner is None else unwrapped(inner)


def copied(model: nn.Module) -> nn.Module:
    """A deep copy without gradients.

    Raises:
        UnsupportedModelError: When torch cannot copy the module.
    """
    if isinstance(model, torch.jit.ScriptModule):
        raise UnsupportedModelError(
            "model is compiled by torch.jit; pass the torch.nn.Module that it was made from"
        )
    check_shaped(model)
    try:
        clone = copy.deepcopy(model, {id(tensor): tensor.detach() for tensor in _left_over(model)})
    except Exception as reason:
        raise UnsupportedModelError(
            f"{type(model).__name__} cannot be deep-copied ({first_line(reason)}); detach the "
            "tensors that objects which it keeps hold, or register them as buffers"
        ) from reason
    return clone


def has_slow_kernels(model: nn.Module) -> bool:
    """Whether all of a model is in half precision on the CPU.

    Example:
        >>> has_slow_kernels(nn.Linear(2, 2).half()), has_slow_kernels(nn.Linear(2, 2))
        (True, False)
    """
    kinds = {(one.dtype, one.is_cpu) for one in model.parameters() if one.is_floating_point()}
    return bool(kinds) and kinds <= {(torch.float16, True), (torch.bfloat16, True)}


def _left_over(model: nn.Module) -> list[Tensor]:
    """What forward passes and traces left in plain attributes, which torch does not copy."""
    kept = [
        value
        for module in model.modules()
        for name, value in vars(module).items()
        if name not in {"_parameters", "_buffers", "_modules"}
    ]
    leaves = pytree.tree_leaves(kept)
    return [one for one in leaves if isinstance(one, Tensor) and _is_fixed(one)]


def _is_fixed(tensor: Tensor) -> bool:
    """Whether `copy.deepcopy` refuses a tensor: it has a history, or is a stand-in of a trace."""
    return isinstance(tensor, FakeTensor) or not tensor.is_leaf


def check_shaped(model: nn.Module) -> None:
    """Refuse lazy modules that have not run yet.

    Raises:
        UnsupportedModelError: Naming the parameters and the way out.
    """
    every = (*model.named_parameters(), *model.named_buffers())
    lazy = [name for name, tensor in every if nn.parameter.is_lazy(tensor)]
    if lazy:
        raise UnsupportedModelError(
            f"parameters without a shape yet: {', '.join(lazy)}; run the model once on an example"
        )


def with_tensors(model: nn.Module, tensors: Mapping[str, Tensor]) -> nn.Module:
    """A copy of the model that holds the given tensors, its layers' sizes set to match.

    Args:
        model: The model; it stays as it is.
        tensors: New values by canonical name; what is missing keeps its value.

    Returns:
        A module of the same class with the same names.
    """
    clone = copied(model)
    put(clone, tensors)
    return clone


def put(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors of any shape into a module in place and set its layers' sizes to match."""
    current = tensors_of(model)
    resized = set()
    for name, tensor in tensors.items():
        if tensor is not current[name]:
            target = _target(model, name)
            target.data = tensor.detach().clone().to(current[name])
            if tensor.shape != current[name].shape:
                resized.add(id(target))
    for module in model.modules():
        own = (*module.parameters(recurse=False), *module.buffers(recurse=False))
        if any(id(tensor) in resized for tensor in own):
            _set_sizes(module)


def _target(model: nn.Module, name: str) -> Tensor:
    path, _, leaf = name.rpartition(".")
    target: Tensor = getattr(model.get_submodule(path), leaf)
    return target


def _set_sizes(module: nn.Module) -> None:
    for kind, sizes in _SIZES.items():
        tensor = getattr(module, "weight", None)
        if tensor is None:
            tensor = getattr(module, "running_mean", None)
        if isinstance(module, kind) and isinstance(tensor, Tensor):
            for attribute, axis in sizes:
                setattr(module, attribute, tensor.shape[axis])
    if isinstance(module, nn.modules.conv._ConvNd) and not module.transposed:
        if module.groups > 1:  # only a depthwise one is ever cut
            module.groups = module.out_channels
        module.in_channels = module.groups * module.weight.shape[1]


def nonfinite(model: nn.Module) -> list[str]:
    """The names of the parameters and statistics with NaN or infinite entries.

    Other buffers may have such entries: an attention mask does.
    """
    statistics = ("running_mean", "running_var")
    buffers = [pair for pair in model.named_buffers() if pair[0].endswith(statistics)]
    return [
        name
        for name, tensor in (*model.named_parameters(), *buffers)
        if tensor.is_floating_point() and not torch.isfinite(tensor).all()
    ]
