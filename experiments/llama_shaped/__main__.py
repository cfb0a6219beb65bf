"""Measure, and write the results: `python -m experiments.llama_shaped`."""

import argparse
import json
from pathlib import Path

import torch

from experiments.llama_shaped.folder import Shape
from experiments.llama_shaped.run import run, table
from experiments.publish import with_results

HERE = Path(__file__).parent


def main() -> None:
    """Run every depth and write results.json and the README's results block."""
    parser = argparse.ArgumentParser(prog="python -m experiments.llama_shaped", description=__doc__)
    parser.add_argument("--hidden", type=int, default=Shape.hidden)
    parser.add_argument("--neurons", type=int, default=Shape.neurons)
    parser.add_argument("--layers", type=int, nargs="+", default=[4, 8])
    parser.add_argument("--show", action="store_true", help="print the table, write nothing")
    options = parser.parse_args()
    torch.set_num_threads(1)  # as prune_folder does for every block
    results = run(hidden=options.hidden, neurons=options.neurons, depths=options.layers)
    print(table(results))
    if options.show:
        return
    (HERE / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    readme = HERE / "README.md"
    readme.write_text(with_results(readme.read_text(), table(results)))


if __name__ == "__main__":
    main()
