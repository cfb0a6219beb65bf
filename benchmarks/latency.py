"""Latency of VGG-16 with a share of its channels, next to what its operations predict."""

import statistics
import time
from collections.abc import Mapping

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from experiments.vgg_cifar import VGG, WIDTHS

CASES = ((0.8, 1), (0.8, 16), (0.6, 1), (0.6, 16))
"""The share of channels kept, and what their numbers are multiples of."""

HIDDEN = (512, 512)
BATCHES = {64: 15, 1: 201}
"""Images in a call, and how many rounds time all networks in turns."""

Case = tuple[float, int]
WHOLE: Case = (1.0, 1)


def main() -> dict[tuple[int, float, int], float]:
    """Print medians over rounds, channels last, two threads.

    Weights are as torch draws them: times depend on shapes alone.

    Returns:
        (1 − t'/t) / (1 − flops'/flops), the part of the predicted saving that is real, by images in
        a call, share kept and multiple.
    """
    torch.set_num_threads(2)
    networks = {case: _narrowed(*case) for case in (WHOLE, *CASES)}
    flops = {case: _flops(network) for case, network in networks.items()}
    saved = {}
    for batch, rounds in BATCHES.items():
        times = _times(networks, batch=batch, rounds=rounds)
        for case in CASES:
            pairs = zip(times[case], times[WHOLE], strict=True)
            ratio = statistics.median(small / whole for small, whole in pairs)
            operations = flops[case] / flops[WHOLE]
            saved[batch, *case] = (1 - ratio) / (1 - operations)
            print(
                f"VGG-16 with {case[0]} of its channels, multiples of {case[1]}, batch {batch}: "
                f"{1000 * statistics.median(times[case]):.1f} ms, {ratio:.2f} × the whole "
                f"({1000 * statistics.median(times[WHOLE]):.1f} ms) for {operations:.2f} × its "
                f"operations: {saved[batch, *case]:.2f} of the saving predicted"
            )
    return saved


def _narrowed(keep: float, multiple: int) -> nn.Module:
    """The shapes that `coreprune.prune(…, keep=keep, round_to=multiple)` gives."""

    def width(whole: int) -> int:
        return whole if keep == 1 else multiple * int(keep * whole / multiple + 0.5)

    widths, (first, second) = tuple(map(width, WIDTHS)), map(width, HIDDEN)
    return VGG(widths, (first, second)).eval().to(memory_format=torch.channels_last)


def _flops(network: nn.Module) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, 3, 32, 32))
    return counter.get_total_flops()


@torch.inference_mode()
def _times(
    networks: Mapping[Case, nn.Module], *, batch: int, rounds: int
) -> dict[Case, list[float]]:
    """Seconds of a call in each round, which times all networks one after the other."""
    images = torch.rand(batch, 3, 32, 32).to(memory_format=torch.channels_last)
    times: dict[Case, list[float]] = {case: [] for case in networks}
    for turn in range(rounds + 1):  # the first warms up
        for case, network in networks.items():
            start = time.perf_counter()
            network(images)
            if turn:
                times[case].append(time.perf_counter() - start)
    return times


if __name__ == "__main__":
    main()
