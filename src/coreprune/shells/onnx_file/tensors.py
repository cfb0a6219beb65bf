"""A tensor of an ONNX file apart from its file: a header, and bytes that are held once."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from coreprune.shells.onnx_file.packages import onnx_package

if TYPE_CHECKING:
    from onnx import TensorProto

Bytes = np.ndarray[Any, np.dtype[np.uint8]]

TYPES = {
    1: torch.float32,
    2: torch.uint8,
    3: torch.int8,
    6: torch.int32,
    7: torch.int64,
    9: torch.bool,
    10: torch.float16,
    11: torch.float64,
    16: torch.bfloat16,
}
"""Of ONNX's element types those that torch has."""
CODES = {dtype: code for code, dtype in TYPES.items()}
FLOATING = frozenset(code for code, dtype in TYPES.items() if dtype.is_floating_point)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Held:
    """A tensor.

    Attributes:
        name: Its name in the graph.
        kind: ONNX's number of its element type.
        shape: Its shape.
        data: Its entries in row-major order, little-endian. Shape (bytes,).
    """

    name: str
    kind: int
    shape: tuple[int, ...]
    data: Bytes

    def tensor(self) -> Tensor | None:
        """The same memory as a torch tensor; None for a type that torch does not have."""
        dtype = TYPES.get(self.kind)
        if dtype is None or self.data.nbytes != math.prod(self.shape) * dtype.itemsize:
            return None
        if not self.data.nbytes:
            return torch.zeros(self.shape, dtype=dtype)
        return torch.from_numpy(self.data).view(dtype).reshape(self.shape)

    def header(self) -> "TensorProto":
        """The tensor's message without its entries."""
        proto: TensorProto = onnx_package().TensorProto(
            name=self.name, data_type=self.kind, dims=self.shape
        )
        return proto

    def proto(self) -> "TensorProto":
        """The whole message."""
        proto = self.header()
        proto.raw_data = self.data.tobytes()
        return proto


def held_from_proto(proto: "TensorProto", name: str) -> Held | None:
    """A message's tensor with its own copy of the entries; None for entries that are packed."""
    if proto.HasField("raw_data"):
        data = np.frombuffer(bytearray(proto.raw_data), dtype=np.uint8)
    elif proto.data_type in TYPES:
        array = onnx_package().numpy_helper.to_array(proto)
        data = np.frombuffer(bytearray(array.tobytes()), dtype=np.uint8)
    else:
        return None
    return Held(name=name, kind=proto.data_type, shape=tuple(proto.dims), data=data)


def held_from_tensor(tensor: Tensor, name: str) -> Held:
    """A torch tensor under a name; contiguous ones share their memory."""
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return Held(
        name=name,
        kind=CODES[tensor.dtype],
        shape=tuple(tensor.shape),
        data=flat.view(torch.uint8).numpy(),
    )
