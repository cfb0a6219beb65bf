"""Figures that are the same file whenever the figures in them are the same."""

from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Okabe and Ito's colours, which stay apart for colour-blind readers.
COLOURS = {
    "optimal": "#56B4E9",
    "optimal, repaired": "#004D80",
    "backward": "#999999",
    "forward": "#F0E442",
    "importance": "#0072B2",
    "priority": "#009E73",
    "uniform": "#D55E00",
    "magnitude": "#CC79A7",
    "corenet": "#000000",
    **dict.fromkeys(("torch-pruning, L1", "torch-pruning, L2"), "#E69F00"),
    **dict.fromkeys(("torch-pruning, FPGM", "torch-pruning, LAMP"), "#E69F00"),
    "torch-pruning, BN scale": "#A35F00",
    "L1": "#CC79A7",
    "BN scale": "#7A2E5D",
    **dict.fromkeys(("onnxsim, L1", "onnxsim, L2", "onnxsim, L2, refitted"), "#D55E00"),
}
MARKERS = {
    "optimal": "v",
    "optimal, repaired": "P",
    "backward": "<",
    "forward": ">",
    "importance": "o",
    "priority": "s",
    "uniform": "^",
    "magnitude": "D",
    "corenet": "x",
    "torch-pruning, L1": "<",
    "torch-pruning, L2": ">",
    "torch-pruning, FPGM": "p",
    "torch-pruning, LAMP": "+",
    "torch-pruning, BN scale": "X",
    "L1": "D",
    "BN scale": "d",
    "onnxsim, L1": "<",
    "onnxsim, L2": ">",
    "onnxsim, L2, refitted": "*",
}


def one_panel() -> tuple[Figure, Axes]:
    """An empty figure with one pair of axes, without any window system."""
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.add_subplot()
    axes.grid(visible=True, alpha=0.3)
    return figure, axes


def save(figure: Figure, path: Path) -> None:
    """Write an SVG without a date and without random identifiers."""
    with mpl.rc_context({"svg.hashsalt": "coreprune", "svg.fonttype": "none"}):
        figure.savefig(path, format="svg", metadata={"Date": None})
