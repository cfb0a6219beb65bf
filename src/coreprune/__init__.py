"""Smaller ordinary networks from trained ones, without data, with a proven error."""

from coreprune.budget import Budget
from coreprune.core import activations
from coreprune.core.coreset import layer_coreset, neuron_coreset
from coreprune.errors import ArgumentError, FileFormatError, UnsupportedModelError
from coreprune.inspection import inspect
from coreprune.prune import prune
from coreprune.queries.ball import Ball
from coreprune.queries.gaussian import Gaussian
from coreprune.result import GroupRecord, Inspection, LayerRecord, PruneResult, WholeRecord
from coreprune.shells.torch_module.files import load

__all__ = [
    "ArgumentError",
    "Ball",
    "Budget",
    "FileFormatError",
    "Gaussian",
    "GroupRecord",
    "Inspection",
    "LayerRecord",
    "PruneResult",
    "UnsupportedModelError",
    "WholeRecord",
    "activations",
    "inspect",
    "layer_coreset",
    "load",
    "neuron_coreset",
    "prune",
]

__version__ = "0.1.0"
