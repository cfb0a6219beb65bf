"""The public names; `coreprune` has them as its own and loads them when one is asked for."""

from coreprune.budget import Budget
from coreprune.certify import certify
from coreprune.compare import compare
from coreprune.core import activations
from coreprune.core.coreset import layer_coreset, neuron_coreset
from coreprune.errors import ArgumentError, FileFormatError, UnsupportedModelError
from coreprune.finetune import Finetuned, Finetuning, finetune
from coreprune.folder_repair import FolderRepaired, repair_folder
from coreprune.inspection import inspect
from coreprune.loading import load
from coreprune.pricing import curve
from coreprune.prune import prune
from coreprune.queries.ball import Ball
from coreprune.queries.batch_norm import BatchNormMatched
from coreprune.queries.box import Box
from coreprune.queries.dead_leaves import DeadLeaves
from coreprune.queries.ellipsoid import Ellipsoid
from coreprune.queries.gaussian import Gaussian
from coreprune.queries.impressions import Impressions
from coreprune.queries.normalised import BehindNorms
from coreprune.queries.samples import Samples
from coreprune.queries.sentences import Sentences
from coreprune.queries.sphere import Sphere
from coreprune.queries.tokens import Tokens
from coreprune.records import (
    Certified,
    CertifiedGroup,
    Comparison,
    GroupRecord,
    Inspection,
    LayerRecord,
    RepairRecord,
    WholeRecord,
)
from coreprune.repair import Repair, Repaired, repair
from coreprune.result import PruneResult
from coreprune.shells.hf_folder.inspect_folder import BlockView, FolderInspection, inspect_folder
from coreprune.shells.hf_folder.prune_folder import prune_folder
from coreprune.shells.hf_folder.records import BlockRecord, FolderResult
from coreprune.shells.hf_folder.verify_folder import FolderVerification, verify_folder
from coreprune.sizes.curve import CurvePoint

__all__ = [
    "ArgumentError",
    "Ball",
    "BatchNormMatched",
    "BehindNorms",
    "BlockRecord",
    "BlockView",
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
    "FolderInspection",
    "FolderRepaired",
    "FolderResult",
    "FolderVerification",
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
    "Sentences",
    "Sphere",
    "Tokens",
    "UnsupportedModelError",
    "WholeRecord",
    "activations",
    "certify",
    "compare",
    "curve",
    "finetune",
    "inspect",
    "inspect_folder",
    "layer_coreset",
    "load",
    "neuron_coreset",
    "prune",
    "prune_folder",
    "repair",
    "repair_folder",
    "verify_folder",
]
