"""What makes cutting safe: the cut model must equal the original with its neurons zeroed out."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from coreprune.shells.calls import Call, first_line, other_batch
from coreprune.shells.outputs import COMPARABLE, leaves_of
from coreprune.shells.torch_module.modules import copied, with_tensors
from coreprune.shells.torch_module.running import run


def violation(
    working: nn.Module,
    call: Call,
    *,
    small: Mapping[str, Tensor],
    wide: Mapping[str, Tensor],
    columns: Collection[str],
) -> str | None:
    """Compare the cut model with the original whose dropped neurons have zero outgoing weights.

    Both run in double precision where the model can. They may differ by half the digits of the
    response, which is what the output loses when the cut layers' readers see no neuron at all.

    Args:
        working: The original in evaluation mode.
        call: The example inputs; another batch size is tried as well where the original takes it.
        small: The tensors of the cut model.
        wide: The same at the original shapes, see `coreprune.graph.cut.widen`.
        columns: The weights in `wide` that read the cut neurons.

    Returns:
        What is wrong, for people, or None when both models agree to rounding.
    """
    silent = {**wide, **{name: torch.zeros_like(wide[name]) for name in columns}}
    cut, padded, deaf = (with_tensors(working, tensors) for tensors in (small, wide, silent))
    if _runs_in_double(working, call):
        cut, padded, deaf = cut.double(), padded.double(), deaf.double()
        call = call.typed(torch.float64)
    for trial in (call, other_batch(call)):
        try:
            scale = _scale(padded, deaf, trial)
        except Exception:  # noqa: BLE001 (a model with a fixed batch size may raise anything)
            continue
        try:
            obtained = run(cut, trial)
        except Exception as reason:  # noqa: BLE001 (the user's code runs: anything may come)
            return f"its width is fixed somewhere in the model's code ({first_line(reason)})"
        if strange := [leaf for leaf in scale.leaves if not isinstance(leaf, COMPARABLE)]:
            return f"its output is a {type(strange[0]).__name__}, which cannot be compared"
        if not _close(obtained, scale):
            return "cutting it changes more than its own neurons"
    return _violation_in_training(cut, padded, deaf=deaf, call=call)


def _violation_in_training(
    cut: nn.Module, padded: nn.Module, *, deaf: nn.Module, call: Call
) -> str | None:
    """Branches that only training takes may read the neurons too; what is random has a shape."""
    for model in (cut, padded, deaf):
        _train(model)
    try:
        expected = _scale(padded, deaf, call)
        again = run(padded, call, seed=1)
    except Exception:  # noqa: BLE001 (it may want targets, or a larger batch)
        return None
    try:
        obtained = run(cut, call)
    except Exception as reason:  # noqa: BLE001 (the user's code runs: anything may come)
        return f"its width is fixed in what the model does in training ({first_line(reason)})"
    shapes = [
        [_shape(leaf) for leaf in leaves] for leaves in (leaves_of(obtained), expected.leaves)
    ]
    same = shapes[0] == shapes[1]
    if _close(again, expected):
        same = _close(obtained, expected)
    return None if same else "its output leaves the network in training"


def _train(model: nn.Module) -> None:
    model.train()
    for module in model.modules():
        if isinstance(module, nn.modules.dropout._DropoutNd):
            module.eval()


def _shape(leaf: Any) -> Any:  # noqa: ANN401
    return tuple(leaf.shape) if isinstance(leaf, Tensor) else type(leaf)


def _runs_in_double(working: nn.Module, call: Call) -> bool:
    try:
        run(copied(working).double(), call.typed(torch.float64))
    except Exception:  # noqa: BLE001 (types may be fixed in the user's code, or no kernel be there)
        return False
    return True


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Expected:
    """What the cut model must give.

    Attributes:
        leaves: The padded model's output.
        responses: The largest change of each leaf when the neurons are silenced.
        eps: The rounding of the coarsest floating-point type on the way.
    """

    leaves: list[Any]
    responses: list[float]
    eps: float


def _scale(padded: nn.Module, deaf: nn.Module, call: Call) -> _Expected:
    with _Coarsest() as coarsest:
        output = run(padded, call)
    leaves = leaves_of(output)
    try:
        silenced = leaves_of(run(deaf, call))
    except Exception:  # noqa: BLE001 (the user's code may look at the values)
        silenced = []
    silenced += [None] * (len(leaves) - len(silenced))
    return _Expected(
        leaves=leaves,
        responses=[_response(*pair) for pair in zip(leaves, silenced, strict=False)],
        eps=coarsest.eps,
    )


class _Coarsest(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes the rounding of the coarsest floating-point type that any operator gives."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.eps = torch.finfo(torch.float64).eps

    def __torch_dispatch__(  # noqa: PLR0917 (the protocol's signature)
        self,
        func: Any,  # noqa: ANN401
        types: Any,  # noqa: ANN401
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        result = func(*args, **(kwargs or {}))
        for leaf in pytree.tree_leaves(result):
            if isinstance(leaf, Tensor):
                self.eps = max(self.eps, _rounding(leaf))
        return result


def _rounding(tensor: Tensor) -> float:
    continuous = tensor.is_floating_point() or tensor.is_complex()
    return torch.finfo(tensor.dtype).eps if continuous else 0.0


def _response(expected: Any, silenced: Any) -> float:  # noqa: ANN401
    """The largest difference of two leaves, or the first one's own size where that is zero."""
    left, right = _wide(expected), _wide(silenced)
    if left is None:
        return 0.0
    change = _largest(left - right) if right is not None and left.shape == right.shape else 0.0
    return change or _largest(left)


def _largest(tensor: Tensor) -> float:
    finite = tensor[tensor.isfinite()]
    return float(finite.abs().amax()) if finite.numel() else 0.0


def _wide(leaf: Any) -> Tensor | None:  # noqa: ANN401
    """A leaf with continuous values in double precision."""
    if isinstance(leaf, float | complex):
        leaf = torch.tensor(leaf, dtype=torch.complex128 if isinstance(leaf, complex) else None)
    if not isinstance(leaf, Tensor) or not _rounding(leaf):
        return None
    return leaf.to(torch.complex128 if leaf.is_complex() else torch.float64)


def _close(obtained: Any, expected: _Expected) -> bool:  # noqa: ANN401
    leaves = leaves_of(obtained)
    return len(leaves) == len(expected.leaves) and all(
        _leaves_close(left, right, response=response, eps=expected.eps)
        for left, right, response in zip(leaves, expected.leaves, expected.responses, strict=True)
    )


def _leaves_close(left: Any, right: Any, *, response: float, eps: float) -> bool:  # noqa: ANN401
    if type(left) is not type(right) or _shape(left) != _shape(right):
        return False
    if isinstance(left, Tensor) and left.dtype != right.dtype:
        return False
    if not isinstance(left, Tensor | float | complex):
        return bool(left == right)
    left, right = _wide(left), _wide(right)
    if left is None or right is None:
        return True  # a discrete output may flip where two scores tie
    return torch.allclose(left, right, rtol=4 * eps, atol=eps**0.5 * response, equal_nan=True)
