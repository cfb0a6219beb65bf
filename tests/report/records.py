"""Results written by hand, with numbers that a page can be searched for."""

from dataclasses import replace

from torch import nn

from coreprune.records import SAMPLES, GroupRecord, RepairRecord, WholeRecord
from coreprune.result import PruneResult
from coreprune.sizes.curve import CurvePoint


def group(name="fc1", *, before=300, after=150, reader="fc2", **more) -> GroupRecord:
    return GroupRecord(**{
        "name": name, "passengers": (), "consumers": (reader,), "neurons_before": before,
        "neurons_after": after, "kept": tuple(range(after)), "num_draws": None,
        "query_radius": 9.25, "total_sensitivity": None, "guaranteed_error": None,
        "expected_error": 0.0625, "output_error": 0.0715, "ridge": 1.5e-9,
        "condition_number": 77_700.0, "certificate": 8.125, "certificate_radius": 9.25,
        "certificate_space": "inputs of the layer of norm at most 9.25", **more,
    })  # fmt: skip


def point(size: float, error: float) -> CurvePoint:
    return CurvePoint(
        parameters=size,
        flops=size - 0.001,
        bytes=size,
        neurons=size,
        expected_error=error,
        widths={"fc1": int(300 * size), "fc2": int(100 * size)},
    )


CURVE = (point(1.0, 0.0), point(0.75, 0.111), point(0.5, 0.333), point(0.25, 1.25), point(0.1, 3.5))

RESULT = PruneResult(
    model=nn.Sequential(nn.Linear(2, 2)),
    groups=(group(), group("fc2", before=100, after=50, reader="fc3", certificate=13.5)),
    whole=(WholeRecord(name="fc3", reason="its output leaves the network"),),
    method="optimal",
    order="bottom_up",
    seed=17,
    query_space="inputs of norm 9.25",
    law="normal inputs; by default",
    expected_error=0.432,
    measured_error=0.456,
    output_spread=5.76,
    certificate=131.5,
    certificate_radius=9.25,
    certificate_scope="network",
    repair=None,
    curve=CURVE,
    parameters_before=266_610,
    parameters_after=125_810,
    bytes_before=1_066_440,
    bytes_after=503_240,
    flops_before=532_400.0,
    flops_after=251_200.0,
    original_shapes={},
    original_hash="fba7b163",
    notes=("a remark on the whole", "fc1: a remark on a layer"),
)

NOTHING_KNOWN = replace(
    RESULT,
    expected_error=None, measured_error=None, output_spread=None, certificate=None,
    certificate_radius=None, curve=(), method="magnitude", law="none", notes=(),
    certificate_scope="group: no bound of the whole network, because it is no chain",
    groups=(group(expected_error=None, output_error=None, ridge=None, condition_number=None,
                  certificate=None, certificate_space=None, query_radius=None),),
)  # fmt: skip

REPAIRED = replace(
    RESULT,
    repair=RepairRecord(
        steps=200, best_step=180, seconds=12.0, loss_before=0.0215, loss_after=0.0107,
        stopped="200 steps are done",
    ),
)  # fmt: skip

LOSSLESS = replace(NOTHING_KNOWN, method="lossless")

MANY = replace(
    RESULT,
    groups=tuple(
        group(f"layer{stage}.{block}.conv1", before=16 * 2**stage, after=5 + block)
        for stage in range(3)
        for block in range(9)
    ),
)

RESULTS = {
    "plain": RESULT,
    "nothing is known": NOTHING_KNOWN,
    "repaired": REPAIRED,
    "lossless": LOSSLESS,
    "many layers": MANY,
    "one layer": replace(RESULT, groups=RESULT.groups[:1]),
    "nothing cut": replace(LOSSLESS, groups=(), whole=()),
    "one size": replace(RESULT, curve=CURVE[:1]),
    "no derivatives": replace(RESULT, expected_error=None),
    "samples": replace(RESULT, law=f"{SAMPLES}, sampled; given"),
    "no spread": replace(RESULT, output_spread=0.0),
    "measured no number": replace(RESULT, measured_error=float("inf")),
}

COMPARISON = {
    "seconds_before": 1.13e-4, "seconds_after": 8.51e-5, "calls": 1000, "inputs": "1 × 784 float32",
    "machine": "CPU, 1 thread", "score_before": 0.9841, "score_after": 0.9812,
}  # fmt: skip

CERTIFIED = {
    "certificate": [101.5, 55.25, None], "attack": [12.25, None, 0.0], "holds": True,
    "scope": "network", "space": "all inputs of norm at most 9.25", "vacuous": "",
    "unchanged": 0.875,
    "groups": [
        {"name": "fc1", "certificate": 61.5, "attack": 20.5, "reason": ""},
        {"name": "fc2", "certificate": None, "attack": 22.5, "reason": "an activation jumps"},
    ],
    "rounding": [0.0, 0.0, 0.0], "precision": "float32", "by_range": [], "notes": [],
    "stored": [
        {"name": "network", "certificate": 131.5, "radius": 9.25, "attack": 22.5,
         "proven": 130.25, "holds": True},
    ],
}  # fmt: skip
