"""Smaller ordinary networks from trained ones, without data, with a proven error."""

from coreprune.budget import Budget
from coreprune.certify import certify
from coreprune.compare import compare
from coreprune.core import activations
from coreprune.core.coreset import layer_coreset, neuron_coreset
from coreprune.errors import ArgumentError, FileFormatError, UnsupportedModelError
from coreprune.finetune import Finetuned, Finetuning, finetune
from coreprune.inspection import inspect
from coreprune.pricing import curve
from coreprune.prune import prune
from coreprune.queries.ball import Ball
from coreprune.queries.batch_norm import BatchNormMatched
from coreprune.queries.box import Box
from coreprune.queries.dead_leaves import DeadLeaves
from coreprune.queries.ellipsoid import Ellipsoid
from coreprune.queries.gaussian import Gaussian
from coreprune.queries.impressions import Impressions
from coreprune.queries.samples import Samples
from coreprune.queries.sphere import Sphere
from coreprune.repair import Repair, Repaired, repair
from coreprune.result import (
    Certified,
    CertifiedGroup,
    Comparison,
    GroupRecord,
    Inspection,
    LayerRecord,
    PruneResult,
    RepairRecord,
    WholeRecord,
)
from coreprune.shells.torch_module.files import load
from coreprune.sizes.curve import CurvePoint

__all__ = [
    "ArgumentError",
    "Ball",
    "BatchNormMatched",
    "Box",
    "Budget",
    "Certified",
    "CertifiedGroup",
    "Comparison",
    "CurvePoint",
    "DeadLeaves",
    "Ellipsoid",
    "FileFormatError",
    "Finetuned",
    "Finetuning",
    "Gaussian",
    "GroupRecord",
    "Impressions",
    "Inspection",
    "LayerRecord",
    "PruneResult",
    "Repair",
    "RepairRecord",
    "Repaired",
    "Samples",
    "Sphere",
    "UnsupportedModelError",
    "WholeRecord",
    "activations",
    "certify",
    "compare",
    "curve",
    "finetune",
    "inspect",
    "layer_coreset",
    "load",
    "neuron_coreset",
    "prune",
    "repair",
]

__version__ = "0.1.0"
