"""Read damaged files: `python -m reliability.fuzz --mutations 100000`.

Each reader must refuse a damaged file with an error of coreprune's own, or read it; any other
exception, a crash, more memory or more time than a whole file could need is a fault. The damaged
file is kept, so that the fault can be looked at.
"""

import argparse
import faulthandler
import json
import resource
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from coreprune import ArgumentError, FileFormatError, UnsupportedModelError
from reliability.mutations import mutant
from reliability.readers import READERS

REFUSALS = (ArgumentError, FileFormatError, UnsupportedModelError)
MEMORY = 2 << 30
"""Bytes of address space beyond what was in use before the first damaged file."""
SECONDS = 20
"""After which reading one small file counts as hanging."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one reader's damaged files.

    Attributes:
        reader: Its name.
        outcomes: How many were read, and how many refused with which error.
        fault: What went wrong, None where nothing did.
    """

    reader: str
    outcomes: dict[str, int]
    fault: str | None


def fuzz(reader: str, folder: Path, *, seeds: range) -> Outcome:
    """Read damaged files in a process of its own.

    Args:
        reader: One of `reliability.readers.READERS`.
        folder: An empty folder to work in; after a fault it holds the damaged file.
        seeds: One a damaged file.

    Returns:
        What became of them; after the first fault no more are tried.
    """
    command = [sys.executable, "-m", "reliability.fuzz", "--worker", reader, str(folder)]
    command += [str(seeds.start), str(seeds.stop)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        end = "\n".join((done.stdout + done.stderr).strip().splitlines()[-25:])
        fault = f"exit status {done.returncode}; {folder / READERS[reader].file} is kept:\n{end}"
        return Outcome(reader=reader, outcomes={}, fault=fault)
    return Outcome(reader=reader, outcomes=json.loads(done.stdout.splitlines()[-1]), fault=None)


def _work(reader: str, folder: Path, seeds: range) -> None:
    """Damage and read, one after the other; any fault ends the process."""
    kind = READERS[reader]
    kind.write(folder)
    file = folder / kind.file
    whole = file.read_bytes()
    kind.read(folder)
    _limit_memory()
    outcomes: Counter[str] = Counter()
    for seed in seeds:
        file.write_bytes(mutant(whole, seed))
        faulthandler.dump_traceback_later(SECONDS, exit=True)
        try:
            kind.read(folder)
            outcomes["read"] += 1
        except REFUSALS as refusal:
            outcomes[type(refusal).__name__] += 1
        except BaseException:
            print(f"seed {seed}", file=sys.stderr)
            raise
        faulthandler.cancel_dump_traceback_later()
    print(json.dumps(outcomes))


def _limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[0])
    limit = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def main() -> int:
    """Try all readers.

    Returns:
        The exit status: 1 when one has a fault.
    """
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--mutations", type=int, default=100_000, help="of all readers together")
    asked.add_argument("--seed", type=int, default=0)
    asked.add_argument("--reader", choices=READERS, action="append")
    asked.add_argument("--worker", nargs=4, help=argparse.SUPPRESS)
    args = asked.parse_args()
    if args.worker:
        reader, folder, start, stop = args.worker
        _work(reader, Path(folder), range(int(start), int(stop)))
        return 0
    readers = args.reader or list(READERS)
    share = -(-args.mutations // len(readers))
    faults = 0
    for reader in readers:
        folder = Path(tempfile.mkdtemp(prefix="coreprune-fuzz-"))
        outcome = fuzz(reader, folder, seeds=range(args.seed, args.seed + share))
        print(f"{reader}: {outcome.fault or outcome.outcomes}", flush=True)
        faults += outcome.fault is not None
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
