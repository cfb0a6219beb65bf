"""The price of every size of a network, without cutting it."""

from collections.abc import Collection, Mapping
from typing import Any, Literal, get_args

from coreprune.core.selection.paths import PATH_METHODS, PathMethod, follows_a_path
from coreprune.errors import ArgumentError
from coreprune.laws.calls import Law
from coreprune.opening import Model
from coreprune.progress import Progress, silent
from coreprune.prospect import Options, survey
from coreprune.sizes.curve import CurvePoint, price_curve

Saved = Literal["parameters", "flops", "bytes", "neurons"]


def curve(  # noqa: PLR0913 (as the public face of prune)
    model: Model,
    example_inputs: Any = None,  # noqa: ANN401
    *,
    saved: Saved = "parameters",
    method: PathMethod = "optimal",
    queries: Law | None = None,
    round_to: int = 1,
    skip: Collection[str] = (),
    example_kwargs: Mapping[str, Any] | None = None,
    dynamic_shapes: Any = None,  # noqa: ANN401
    seed: int = 0,
    progress: Progress | None = None,
) -> tuple[CurvePoint, ...]:
    """What every size of a network is expected to cost in accuracy; nothing is cut.

    Args:
        model: As in `prune`.
        example_inputs: As in `prune`.
        saved: What smaller networks are to save; decides which neurons go next.
        method: One that knows the price of a size: "optimal", "backward" or "forward".
        queries: As in `prune`.
        round_to: As in `prune`.
        skip: As in `prune`.
        example_kwargs: As in `prune`.
        dynamic_shapes: As in `prune`.
        seed: As in `prune`.
        progress: As in `prune`.

    Returns:
        At most a hundred networks from the whole one to one neuron a layer.

    Raises:
        ArgumentError: When an argument breaks its rule.
        UnsupportedModelError: When nothing can be cut, or weights are not finite.

    Example:
        >>> import torch
        >>> net = nn.Sequential(nn.Linear(8, 100), nn.ReLU(), nn.Linear(100, 3))
        >>> points = curve(net, torch.randn(2, 8))
        >>> points[0].parameters, points[-1].widths
        (1.0, {'0': 1})
    """
    if saved not in get_args(Saved):
        raise ArgumentError(f"saved must be one of {', '.join(get_args(Saved))}, got {saved!r}")
    if not follows_a_path(method):
        raise ArgumentError(
            f"method must be one of {', '.join(PATH_METHODS)} to price sizes, got {method!r}"
        )
    prospect = survey(
        model,
        example_inputs,
        Options(
            method=method,
            queries=queries,
            round_to=round_to,
            skip=skip,
            example_kwargs=example_kwargs,
            dynamic_shapes=dynamic_shapes,
            seed=seed,
        ),
        tell=progress or silent,
    )
    return price_curve(prospect.prices.prices, prospect.costs, kind=saved, round_to=round_to)
