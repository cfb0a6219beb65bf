"""What pruning gives back: the model, how it came about, and the files it can be written to."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import nn

from coreprune.errors import ArgumentError
from coreprune.records import (
    Certified,
    Comparison,
    GroupRecord,
    RepairRecord,
    WholeRecord,
    finite,
)
from coreprune.report.context import Context
from coreprune.report.programs import programs
from coreprune.report.publishing import publish
from coreprune.shells.calls import Call, call_of
from coreprune.shells.onnx_file.record import save_file
from coreprune.shells.torch_module.files import save
from coreprune.shells.torch_module.onnx_export import save_onnx
from coreprune.shells.torch_module.programs import save_program
from coreprune.sizes.curve import CurvePoint


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PruneResult:
    """The pruned model and how it came about.

    Attributes:
        model: A module of the same class with smaller layers and the same names; of an .onnx file
            what it holds, which `save` writes.
        groups: One record a group that was cut, in order of execution.
        whole: The layers that keep all their neurons, with the reasons.
        method: The method's name.
        order: "top_down" or "bottom_up".
        seed: The seed of all randomness.
        query_space: The inputs that radii were taken from, in words.
        law: The law of the inputs that expectations are taken over and why it was taken, in words.
        expected_error: What the outputs change by, to first order and each group's error taken for
            itself; None for methods that need no law.
        measured_error: The root mean square change of the outputs on fresh queries of the law (of
            the user's samples: on the same), in the outputs' units; None for methods that need no
            law and for networks without such outputs.
        output_spread: The standard deviation of the original's outputs on them.
        certificate: No output is further from the original's, for every input of norm at most
            `certificate_radius`, evaluating both networks in their own dtype included; None for a
            network that is no plain chain of layers, or whose rounding has no bound. A fast bound,
            of the network as it is given back; `coreprune.certify` finds better ones.
        certificate_radius: The norm of inputs that it speaks of.
        certificate_scope: "network", or "group" and why no bound of the whole network exists.
        repair: How it was repaired, None when it was not; the groups' records and the expected
            error speak of the network before, the measured error of the one after.
        curve: The price of every size, from the whole network down; empty for methods without.
        parameters_before: Numbers in the original's parameters.
        parameters_after: Numbers in the pruned model's parameters.
        bytes_before: What the original's parameters take in their own types.
        bytes_after: What the pruned model's take.
        flops_before: Floating-point operations of the example call in the original; a multiply-add
            counts as two.
        flops_after: The same in the pruned model.
        original_shapes: The original's tensors' shapes by their names.
        original_hash: SHA-256 of the original's tensors.
        notes: What a careful user should know about this run.
        example: The call that the model was traced with, for `to_onnx` and `to_exported`.
    """

    model: Any
    groups: tuple[GroupRecord, ...]
    whole: tuple[WholeRecord, ...]
    method: str
    order: str
    seed: int
    query_space: str
    law: str
    expected_error: float | None
    measured_error: float | None
    output_spread: float | None
    certificate: float | None
    certificate_radius: float | None
    certificate_scope: str
    repair: RepairRecord | None
    curve: tuple[CurvePoint, ...]
    parameters_before: int
    parameters_after: int
    bytes_before: int
    bytes_after: int
    flops_before: float
    flops_after: float
    original_shapes: Mapping[str, tuple[int, ...]]
    original_hash: str
    notes: tuple[str, ...] = ()
    example: Call | None = None

    def __str__(self) -> str:
        share = self.parameters_after / max(1, self.parameters_before)  # none may be trained
        lines = [f"{self.parameters_before:,} → {self.parameters_after:,} parameters ({share:.1%})"]
        lines += [f"{g.name}: {g.neurons_before} → {g.neurons_after} neurons" for g in self.groups]
        lines += [f"{entry.name}: left whole: {entry.reason}" for entry in self.whole]
        return "\n".join([*lines, *self.notes])

    def to_json(self) -> dict[str, Any]:
        """The record as plain JSON values, without the weights; JSON has no infinity."""
        return {
            "method": self.method,
            "order": self.order,
            "seed": self.seed,
            "query_space": self.query_space,
            "law": self.law,
            "expected_error": self.expected_error,
            "measured_error": finite(self.measured_error),
            "output_spread": self.output_spread,
            "certificate": self.certificate,
            "certificate_radius": self.certificate_radius,
            "certificate_scope": self.certificate_scope,
            "repair": None if self.repair is None else asdict(self.repair),
            "curve": [asdict(point) for point in self.curve],
            "parameters_before": self.parameters_before,
            "parameters_after": self.parameters_after,
            "bytes_before": self.bytes_before,
            "bytes_after": self.bytes_after,
            "flops_before": self.flops_before,
            "flops_after": self.flops_after,
            "original_hash": self.original_hash,
            "groups": [asdict(group) for group in self.groups],
            "whole": [asdict(entry) for entry in self.whole],
            "notes": list(self.notes),
        }

    def save(self, target: str | Path) -> None:
        """Write the pruned model and this record, or nothing at all.

        Args:
            target: Of a module a new directory, which gets `weights.safetensors` and
                `coreprune.json`. Of an .onnx file another file, which holds the record as well.

        Raises:
            ArgumentError: When the target is not new or cannot be written.
            UnsupportedModelError: When the model's state holds more than parameters and buffers.
        """
        record, shapes = self.to_json(), self.original_shapes
        if isinstance(self.model, nn.Module):
            save(self.model, Path(target), record=record, original=shapes)
        else:
            save_file(self.model, Path(target), record=record)

    def report(
        self,
        path: str | Path,
        *,
        comparison: Comparison | None = None,
        certified: Certified | None = None,
        saved: str | Path | None = None,
        figures: str | Path | None = None,
    ) -> None:
        """Write one HTML file that says what was done; it opens without a network.

        Args:
            path: The file; an older one is replaced.
            comparison: Latency and score, as `coreprune.compare` measures them.
            certified: What `coreprune.certify` proves and finds of the two networks.
            saved: Where the result was saved, for the lines that load it.
            figures: A folder for its drawings as SVG files.

        Raises:
            ArgumentError: When a file cannot be written.

        Example:
            >>> import tempfile, torch, coreprune
            >>> from torch import nn
            >>> net = nn.Sequential(nn.Linear(8, 100), nn.ReLU(), nn.Linear(100, 3))
            >>> example = torch.randn(2, 8)
            >>> result = coreprune.prune(net, example, keep=0.25)
            >>> measured = coreprune.compare(net, result.model, example, seconds=0.05)
            >>> result.report(Path(tempfile.mkdtemp()) / "report.html", comparison=measured)
        """
        is_module = isinstance(self.model, nn.Module)
        context = Context(
            name=type(self.model).__name__ if is_module else _file_name(self.model),
            kind="module" if is_module else "onnx",
            saved=None if saved is None else str(saved),
            versions=programs("torch") if is_module else programs("torch", "onnxruntime"),
            comparison=None if comparison is None else comparison.to_json(),
            certified=None if certified is None else certified.to_json(),
        )
        publish(self.to_json(), path, context=context, figures=figures)

    def to_onnx(
        self,
        path: str | Path,
        example_inputs: Any = None,  # noqa: ANN401
        *,
        example_kwargs: Mapping[str, Any] | None = None,
        dynamic_shapes: Any = None,  # noqa: ANN401
    ) -> None:
        """Write the pruned model as an .onnx file that gives the same outputs, or nothing at all.

        The file is run by ONNX Runtime and compared with the model before it stays. Needs the extra
        `onnx`.

        Args:
            path: The file; its name ends in .onnx.
            example_inputs: What the model is traced with, as `coreprune.prune` takes it; left out,
                what it was pruned with.
            example_kwargs: Keyword arguments of the forward pass, with `example_inputs`.
            dynamic_shapes: As `torch.export.export` takes them; left out, the batch stays open
                where torch can.

        Raises:
            ArgumentError: When a package is missing, an argument breaks its rule, or the file
                cannot be written.
            UnsupportedModelError: When torch cannot export the model, or exports another function.
        """
        if isinstance(self.model, nn.Module):
            call = self._call(example_inputs, example_kwargs)
            save_onnx(self.model, call, Path(path), dynamic_shapes=dynamic_shapes)
        else:
            self.save(path)

    def to_exported(
        self,
        path: str | Path,
        example_inputs: Any = None,  # noqa: ANN401
        *,
        example_kwargs: Mapping[str, Any] | None = None,
        dynamic_shapes: Any = None,  # noqa: ANN401
    ) -> None:
        """Write the pruned model as a `.pt2` file, which `torch.export.load` reads.

        That needs none of the model's code. The file is loaded and compared with the model before
        it stays.

        Args:
            path: The file; its name ends in .pt2.
            example_inputs: As `to_onnx` takes them.
            example_kwargs: As `to_onnx` takes them.
            dynamic_shapes: As `to_onnx` takes them.

        Raises:
            ArgumentError: When an argument breaks its rule, or the file cannot be written.
            UnsupportedModelError: When torch cannot export the model, or exports another function.

        Example:
            >>> import tempfile, torch, coreprune
            >>> from torch import nn
            >>> net = nn.Sequential(nn.Linear(8, 40), nn.ReLU(), nn.Linear(40, 3))
            >>> result = coreprune.prune(net, torch.randn(1, 8), keep=0.5)
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     result.to_exported(f"{folder}/small.pt2")
            ...     program = torch.export.load(f"{folder}/small.pt2").module()
            >>> program(torch.zeros(5, 8)).shape
            torch.Size([5, 3])
        """
        if not isinstance(self.model, nn.Module):
            raise ArgumentError(
                "an .onnx file holds no torch program; write it with result.save, or prune the "
                "torch module that it was exported from"
            )
        call = self._call(example_inputs, example_kwargs)
        save_program(self.model, call, Path(path), dynamic_shapes=dynamic_shapes)

    def _call(self, example_inputs: Any, example_kwargs: Mapping[str, Any] | None) -> Call:  # noqa: ANN401
        """The inputs to trace the model with.

        Raises:
            ArgumentError: When keyword arguments come alone, or no example is known.
        """
        if example_inputs is not None:
            return call_of(example_inputs, example_kwargs)
        if example_kwargs is not None or self.example is None:
            raise ArgumentError(
                "example_inputs must be given with example_kwargs, or where the result holds no "
                "example; pass what model(...) takes, () for no positional argument"
            )
        return self.example


def _file_name(document: Any) -> str:  # noqa: ANN401
    return "ONNX model" if document.path is None else str(document.path.name)
