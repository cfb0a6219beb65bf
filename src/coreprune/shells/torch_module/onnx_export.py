"""A module as an .onnx file, run by ONNX Runtime and compared with the module before it stays."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from coreprune.errors import UnsupportedModelError
from coreprune.shells.calls import Call, first_line
from coreprune.shells.onnx_file.packages import onnx_package, onnxscript_package, runtime_package
from coreprune.shells.torch_module.programs import (
    Evaluate,
    check_file,
    program_of,
    write_checked,
)

SUFFIX = ".onnx"
INSIDE = 1_500_000_000
"""Bytes of tensors that are kept within the file, whose format ends at 2 GiB."""


def save_onnx(model: nn.Module, call: Call, path: Path, *, dynamic_shapes: Any = None) -> None:  # noqa: ANN401
    """Write a module as an .onnx file, and keep it only where it gives the same outputs.

    Args:
        model: The module.
        call: Inputs that run through it.
        path: The file; its name ends in .onnx. Large tensors go into a file beside it.
        dynamic_shapes: As `torch.export.export` takes them. None leaves axis 0, the batch, open
            where torch can.

    Raises:
        ArgumentError: When a package is missing, the name or the inputs break their rule, or the
            file cannot be written.
        UnsupportedModelError: When torch cannot export the module, or exports another function.
    """
    check_file(path, SUFFIX)
    onnx_package(), onnxscript_package(), runtime_package()
    program = program_of(model, call, dynamic_shapes=dynamic_shapes)
    size = sum(one.numel() * one.element_size() for one in model.state_dict().values())

    def write(staged: Path) -> Evaluate:
        try:
            torch.onnx.export(
                program.exported, (), staged, verbose=False, external_data=size > INSIDE
            )
        except Exception as reason:
            cause = first_line(reason.__cause__ or reason)  # torch's own words tell of its steps
            raise UnsupportedModelError(
                f"torch.onnx cannot write {type(model).__name__} ({cause}); "
                "try result.to_exported, or update onnxscript"
            ) from reason
        return lambda one: _run_file(staged, one)

    write_checked(path, program, write)


def _run_file(path: Path, call: Call) -> Sequence[Tensor]:
    """What ONNX Runtime gives.

    Raises:
        UnsupportedModelError: When it cannot run the file.
    """
    runtime = runtime_package()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    try:
        session = runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        given = [tensor.detach().cpu().numpy() for tensor in call.tensors()]
        names = [entry.name for entry in session.get_inputs()]
        found = session.run(None, dict(zip(names, given, strict=True)))
    except Exception as reason:
        raise UnsupportedModelError(
            f"ONNX Runtime cannot run what torch wrote ({first_line(reason)}); "
            "export model.float(), or use result.to_exported"
        ) from reason
    return [torch.from_numpy(array) for array in found]
