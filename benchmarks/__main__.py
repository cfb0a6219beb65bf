"""Run all benchmarks and judge those that have a limit: `python -m benchmarks [--publish]`."""

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import torch

import coreprune
from benchmarks import (
    certifying,
    import_time,
    latency,
    onnx_structure,
    sampling,
    selecting,
    whole_network,
)

RESULTS = Path(__file__).parent / "results.json"
SHARE = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """One figure.

    Attributes:
        what: What was done.
        value: What it takes.
        unit: Of what.
        limit: More is a failure; None where nothing was promised.
    """

    what: str
    value: float
    unit: str
    limit: float | None = None

    @property
    def miss(self) -> str | None:
        """What is wrong, None where nothing is."""
        if self.limit is None or self.value <= self.limit:
            return None
        return f"{self.what}: {self.value:.1f} {self.unit}; at most {self.limit:g} is allowed"


def main(*, publish: bool = False) -> int:
    """Print every figure.

    Args:
        publish: Whether to write them into `benchmarks/results.json`, which the documentation
            shows.

    Returns:
        The exit status: 1 when a figure is above its limit.
    """
    costs = list(_costs())
    if publish:
        document = {
            "costs": [asdict(cost) for cost in costs],
            "date": datetime.now(UTC).date().isoformat(),
            "coreprune": coreprune.__version__,
            "torch": torch.__version__,
        }
        text = json.dumps(document, indent=1, ensure_ascii=False)
        RESULTS.write_text(f"{text}\n", encoding="utf-8")
    misses = [cost.miss for cost in costs if cost.miss is not None]
    for miss in misses:
        print(f"benchmarks: {miss}", file=sys.stderr)
    return 1 if misses else 0


def _costs() -> Iterator[Cost]:
    yield Cost(
        what=f"importance sampling of a wide layer at keep {SHARE}",
        value=sampling.main()[SHARE],
        unit="× vector_norm of its weights",
        limit=5.0,
    )
    for method, ratio in selecting.main().items():
        yield Cost(
            what=f"choosing and reweighting half of {selecting.NEURONS:,} neurons, {method}",
            value=ratio,
            unit="× the Gram matrix of 10 n queries",
            limit=5.0 if method == "optimal" else None,
        )
    for law, seconds in whole_network.main().items():
        yield Cost(
            what=f"LeNet-300-100 to half of its neurons, {law}",
            value=seconds,
            unit="s",
            limit=1.0 if law == "closed form" else None,
        )
    layer, neurons = certifying.main()
    size = f"{certifying.SIZE:,} neurons"
    yield Cost(
        what=f"the bound of a whole layer of {size}", value=layer, unit="× pruning it", limit=10
    )
    yield Cost(what=f"bounds neuron by neuron of {size}", value=neurons, unit="s", limit=180)
    yield Cost(
        what="reading, grouping, cutting and writing an ONNX file of 100 MB",
        value=onnx_structure.main()[onnx_structure.GENERATED].structure,
        unit="× onnx.load and onnx.save",
        limit=3.0,
    )
    imported, loaded, shown = import_time.main()
    yield Cost(what="import coreprune after torch", value=imported, unit="s", limit=0.3)
    yield Cost(what="loading all that is public in it", value=loaded, unit="s")
    yield Cost(what="coreprune --help, processor time", value=shown, unit="s", limit=0.5)
    for (batch, keep, multiple), part in latency.main().items():
        yield Cost(
            what=f"VGG-16 with {keep} of its channels, multiples of {multiple}, batch {batch}",
            value=part,
            unit="of the saving that operations predict",
        )


if __name__ == "__main__":
    sys.exit(main(publish="--publish" in sys.argv[1:]))
