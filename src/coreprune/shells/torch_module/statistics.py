"""What reaches the batch normalisations of a module, and what they remember of their inputs."""

import contextlib
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

See = Callable[[Tensor, Tensor, Tensor], None]
"""Called with the input, of shape (b, c, …), and the mean and variance of each channel."""

_NAMES: dict[Any, tuple[str, ...]] = {
    nn.functional.batch_norm: ("input", "running_mean", "running_var", "", "", "training"),
    torch.batch_norm: ("input", "", "", "running_mean", "running_var", "training"),
}


def watch_statistics(see: See) -> contextlib.AbstractContextManager[object]:
    """While it is open, hand over what reaches batch normalisations that use running statistics.

    These are modules and functions alike; one that normalises by its own batch is passed by.

    Args:
        see: Called before the normalisation. The running statistics are the very tensors that the
            model holds.

    Returns:
        A context manager.

    Example:
        >>> norm = nn.BatchNorm1d(2).eval()
        >>> with watch_statistics(lambda x, mean, variance: print(tuple(x.shape), mean.tolist())):
        ...     _ = norm(torch.zeros(3, 2))
        (3, 2) [0.0, 0.0]
    """
    return _BatchNorms(see)


class _BatchNorms(TorchFunctionMode):
    """Calls back at every batch normalisation, its function or torch's operator below it."""

    def __init__(self, see: See) -> None:
        super().__init__()
        self.see = see

    def __torch_function__(  # noqa: PLR0917 (the protocol's signature)
        self,
        func: Any,  # noqa: ANN401
        types: Any,  # noqa: ANN401
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        if func in _NAMES:
            given = dict(zip(_NAMES[func], args, strict=False)) | (kwargs or {})
            mean, variance = given.get("running_mean"), given.get("running_var")
            if mean is not None and variance is not None and not given.get("training", False):
                self.see(given["input"], mean, variance)
        return func(*args, **(kwargs or {}))
