"""Run experiments and publish their results: `python -m experiments [NAME …] [--quick]`."""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from experiments.ablation import run as ablation
from experiments.activations import run as activations
from experiments.convolutional import run as convolutional
from experiments.corenet import run as corenet
from experiments.file_laws import run as file_laws
from experiments.image_laws import run as image_laws
from experiments.minilm import run as minilm
from experiments.mnist import NoDataError
from experiments.no_full_training import run as no_full_training
from experiments.one_neuron import run as one_neuron
from experiments.onnx_files import run as onnx_files
from experiments.paper_table import run as paper_table
from experiments.peers import run as peers
from experiments.publish import Experiment, publish, with_results
from experiments.quantised import run as quantised
from experiments.repaired import run as repaired
from experiments.size_independence import run as size_independence
from experiments.soundness import run as soundness
from experiments.tightness import run as tightness
from experiments.vgg_dense import run as vgg_dense
from experiments.without_data import run as without_data

HERE = Path(__file__).parent
EXPERIMENTS: dict[str, Experiment] = {
    "one_neuron": one_neuron,
    "size_independence": size_independence,
    "activations": activations,
    "paper_table": paper_table,
    "no_full_training": no_full_training,
    "corenet": corenet,
    "without_data": without_data,
    "ablation": ablation,
    "peers": peers,
    "repaired": repaired,
    "image_laws": image_laws,
    "file_laws": file_laws,
    "convolutional": convolutional,
    "vgg_dense": vgg_dense,
    "minilm": minilm,
    "quantised": quantised,
    "onnx_files": onnx_files,
    "soundness": soundness,
    "tightness": tightness,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the named experiments, or all of them, in the order of the table.

    Args:
        arguments: The command line's; None reads it.

    Returns:
        The exit code: 1 when data are missing.
    """
    parser = argparse.ArgumentParser(prog="python -m experiments", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"all by default: {', '.join(EXPERIMENTS)}"
    )
    parser.add_argument(
        "--quick", action="store_true", help="small data, one seed, written to experiments/quick"
    )
    parser.add_argument(
        "--republish", action="store_true", help="write tables and figures from results.json again"
    )
    options = parser.parse_args(arguments)
    unknown = [name for name in options.names if name not in EXPERIMENTS]
    if unknown:
        parser.error(f"no experiment {', '.join(unknown)}; there are {', '.join(EXPERIMENTS)}")
    torch.set_num_threads(
        1
    )  # the sums, and so the results, then do not depend on the machine's cores
    try:
        for name in options.names or EXPERIMENTS:
            _run(name, quick=options.quick, measured=options.republish)
    except NoDataError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _run(name: str, *, quick: bool, measured: bool) -> None:
    print(f"{name} …", flush=True)
    started = time.perf_counter()
    folder = HERE / "quick" / name if quick else HERE / name
    if measured:
        results = json.loads((folder / "results.json").read_text())
    else:
        results = EXPERIMENTS[name].run(quick=quick)
    publish(EXPERIMENTS[name], results, template=HERE / name / "README.md", folder=folder)
    pages = {} if quick else getattr(EXPERIMENTS[name], "PAGES", {})
    for page, part in pages.items():
        page.write_text(with_results(page.read_text(), part(results)))
    seconds = time.perf_counter() - started
    print(f"{name}: {seconds:.0f} s, see {folder.relative_to(HERE.parent)}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
