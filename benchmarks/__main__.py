"""Run all benchmarks and judge those that have a limit: `python -m benchmarks`."""

import sys

from benchmarks import (
    certifying,
    import_time,
    latency,
    onnx_structure,
    sampling,
    selecting,
    whole_network,
)

SHARE, LIMIT = 0.1, 5.0
SELECTING_LIMIT = 5.0
SECONDS_LIMIT = 1.0
WHOLE_LAYER_LIMIT = 10.0
NEURONS_LIMIT = 180.0
STRUCTURE_LIMIT = 3.0


def main() -> int:
    """Print every figure.

    Returns:
        The exit status: 1 when importance sampling at keep 0.1 takes more than 5 × vector_norm, or
        choosing and reweighting by the default method more than 5 × its Gram matrix, a small
        network in closed form more than a second, the bound of a whole layer more than 10 × pruning
        it, its bounds neuron by neuron more than 180 seconds, or the structure of an ONNX
        file of 100 MB more than 3 × onnx.load and onnx.save of it.
    """
    ratio = sampling.main()[SHARE]
    selected = selecting.main()["optimal"]
    seconds = whole_network.main()["closed form"]
    layer, neurons = certifying.main()
    structure = onnx_structure.main()[onnx_structure.GENERATED].structure
    import_time.main()
    latency.main()
    misses = []
    if ratio > LIMIT:
        misses.append(
            f"importance at keep {SHARE} takes {ratio:.1f} × vector_norm; "
            f"it must take at most {LIMIT}"
        )
    if selected > SELECTING_LIMIT:
        misses.append(
            f"optimal takes {selected:.1f} × the Gram matrix of its queries; "
            f"it must take at most {SELECTING_LIMIT}"
        )
    if seconds > SECONDS_LIMIT:
        misses.append(
            f"LeNet-300-100 takes {seconds:.1f} s in closed form; "
            f"it must take at most {SECONDS_LIMIT:.0f}"
        )
    if layer > WHOLE_LAYER_LIMIT:
        misses.append(
            f"the bound of a whole layer takes {layer:.1f} × pruning it; "
            f"it must take at most {WHOLE_LAYER_LIMIT:.0f}"
        )
    if neurons > NEURONS_LIMIT:
        misses.append(
            f"bounds neuron by neuron take {neurons:.0f} s; "
            f"they must take at most {NEURONS_LIMIT:.0f}"
        )
    if structure > STRUCTURE_LIMIT:
        misses.append(
            f"the structure of an ONNX file takes {structure:.1f} × onnx.load and onnx.save; "
            f"it must take at most {STRUCTURE_LIMIT:.0f}"
        )
    for miss in misses:
        print(f"benchmarks: {miss}", file=sys.stderr)
    return 1 if misses else 0


if __name__ == "__main__":
    sys.exit(main())
