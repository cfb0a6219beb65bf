"""Inspect every ONNX file there is: `python -m experiments.onnx_files.sweep [FILE OR FOLDER ...]`.

Without arguments the models are those by which backends of ONNX are tested: they come with the
package onnx and have every operator in every version.
"""

import argparse
import importlib
import pkgutil
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import onnx
import torch
from onnx.backend.test.case import node as operators

import coreprune
from coreprune import ArgumentError, FileFormatError, UnsupportedModelError

SLOW = 5.0
"""Seconds of a processor that no file of the sweep may take to inspect."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Swept:
    """What became of the files.

    Attributes:
        outcomes: How many were inspected, refused and pruned.
        failures: What no user may see, by file: tracebacks, warnings, and seconds of slow ones.
        refusals: How often files were refused with a reason.
        slowest: Seconds of the slowest file, alone in the list.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    refusals: Counter[str] = field(default_factory=Counter)
    slowest: list[float] = field(default_factory=lambda: [0.0])


def operator_tests(names: Iterable[str] | None = None) -> Iterator[tuple[str, bytes]]:
    """Models of one or a few operators each, by which backends are tested.

    Args:
        names: Of onnx's modules with such tests; None for all.

    Yields:
        A test's name and the file's content.
    """
    if names is None:
        names = sorted(module.name for module in pkgutil.iter_modules(operators.__path__))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they overflow on purpose
        for name in names:
            importlib.import_module(f"{operators.__name__}.{name}")
    for case in operators._NodeTestCases:
        if case.model is not None:
            yield case.name, case.model.SerializeToString()


def stored_tests() -> Iterator[tuple[str, bytes]]:
    """The models that the package onnx holds as files.

    Yields:
        A file's name and content.
    """
    folder = Path(onnx.__file__).parent / "backend" / "test" / "data"
    yield from files_in([folder])


def files_in(places: Iterable[Path]) -> Iterator[tuple[str, bytes]]:
    """Files, and those in folders.

    Yields:
        A file's path and content.
    """
    for place in places:
        for path in sorted(place.rglob("*.onnx")) if place.is_dir() else [place]:
            yield str(path), path.read_bytes()


def sweep(models: Iterable[tuple[str, bytes]]) -> Swept:
    """Inspect each file, and prune half of it by magnitude where anything can be reached.

    Args:
        models: Names and contents.

    Returns:
        What became of them; nothing is raised.
    """
    found = Swept()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        for name, content in models:
            path.write_bytes(content)
            started = time.process_time()
            _try(name, path, found)
            found.slowest[0] = max(found.slowest[0], time.process_time() - started)
    return found


def _try(name: str, path: Path, found: Swept) -> None:
    started = time.process_time()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            inspection = coreprune.inspect(path)
            if time.process_time() - started > SLOW:
                found.failures.append(f"{name}: took {time.process_time() - started:.1f} s")
            found.outcomes["inspected"] += 1
            if inspection.reachable:
                coreprune.prune(path, keep=0.5, method="magnitude")
                found.outcomes["pruned"] += 1
    except (ArgumentError, FileFormatError, UnsupportedModelError) as reason:
        found.outcomes["refused"] += 1
        found.refusals[str(reason).replace(str(path), "the file")] += 1
    except Exception:  # noqa: BLE001 (whatever it is, it is what the sweep looks for)
        found.failures.append(f"{name}: {traceback.format_exc()}")


def main(arguments: list[str] | None = None) -> int:
    """Sweep and say what was found.

    Args:
        arguments: The command line's; None reads it.

    Returns:
        The exit code: 1 when a file ends in a traceback or a warning, or is slow.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("places", nargs="*", type=Path, metavar="FILE OR FOLDER")
    places = parser.parse_args(arguments).places
    torch.set_num_threads(1)
    models = files_in(places) if places else (*operator_tests(), *stored_tests())
    found = sweep(models)
    print(", ".join(f"{count:,} {what}" for what, count in found.outcomes.items()))
    for reason, count in found.refusals.most_common():
        print(f"refused {count} ×: {reason}")
    print(f"the slowest took {found.slowest[0]:.2f} s; {len(found.failures)} failures")
    for failure in found.failures:
        print(failure, file=sys.stderr)
    return 1 if found.failures else 0


if __name__ == "__main__":
    sys.exit(main())
