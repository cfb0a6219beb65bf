"""Everything of coreprune that reads files, each with a small file that it reads without fault."""

import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import coreprune
from coreprune.shells.hf_folder.blocks import find_blocks
from coreprune.shells.hf_folder.config import read_config
from coreprune.shells.hf_folder.weights import INDEX, find_weights
from coreprune.shells.onnx_file.document import read
from coreprune.shells.onnx_file.record import record_in

HIDDEN, WIDTH, LAYERS = 8, 12, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """One kind of file.

    Attributes:
        file: The name of the file that is damaged.
        write: Makes a folder with a whole file and all that goes with it.
        read: Reads that folder.
    """

    file: str
    write: Callable[[Path], None]
    read: Callable[[Path], object]


def _net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3))


def _saved(folder: Path) -> None:
    law = coreprune.Gaussian(4)
    result = coreprune.prune(_net(), torch.ones(1, 4), keep=0.5, queries=law)
    result.save(folder / "small")


def _loaded(folder: Path) -> object:
    return coreprune.load(folder / "small", into=_net())


def _onnx(folder: Path) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(2, 6, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(24, 12),
        nn.Sigmoid(),
        nn.Linear(12, 3),
    ).eval()
    exported(net, torch.ones(1, 2, 4, 4), folder / "net.onnx")


def exported(net: nn.Module, example: Tensor, path: Path) -> None:
    """Write a network as an .onnx file; of what torch has to say of its own code nothing is heard.

    Args:
        net: The network.
        example: Its input.
        path: The file.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(net, (example,), path, verbose=False, external_data=False)


def _recorded(folder: Path) -> None:
    _onnx(folder)
    coreprune.prune(folder / "net.onnx", keep=0.5, method="magnitude").save(folder / "small.onnx")


def bert_folder(folder: Path) -> None:
    """Write a BERT-like folder of two shards with an index.

    Args:
        folder: Where.
    """
    config = {
        "model_type": "bert",
        "hidden_size": HIDDEN,
        "intermediate_size": WIDTH,
        "num_hidden_layers": LAYERS,
        "hidden_act": "gelu",
    }
    (folder / "config.json").write_text(json.dumps(config))
    draw = torch.Generator().manual_seed(0)
    homes = {}
    for layer in range(LAYERS):
        shapes = {
            "attention.output.LayerNorm.weight": (HIDDEN,),
            "attention.output.LayerNorm.bias": (HIDDEN,),
            "intermediate.dense.weight": (WIDTH, HIDDEN),
            "intermediate.dense.bias": (WIDTH,),
            "output.dense.weight": (HIDDEN, WIDTH),
            "output.dense.bias": (HIDDEN,),
        }
        tensors = {
            f"encoder.layer.{layer}.{name}": torch.randn(shape, generator=draw)
            for name, shape in shapes.items()
        }
        file = f"model-{layer}.safetensors"
        save_file(tensors, folder / file)
        homes |= dict.fromkeys(tensors, file)
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": homes}))


def bert_blocks(folder: Path) -> object:
    """Read such a folder.

    Args:
        folder: Where.

    Returns:
        The tensors of its blocks.
    """
    weights = find_weights(folder)
    blocks = find_blocks(read_config(folder), weights)
    return [weights.read(block.tensors) for block in blocks]


READERS = {
    "weights": Reader(file="small/weights.safetensors", write=_saved, read=_loaded),
    "record": Reader(file="small/coreprune.json", write=_saved, read=_loaded),
    "onnx": Reader(
        file="net.onnx", write=_onnx, read=lambda folder: coreprune.inspect(folder / "net.onnx")
    ),
    "onnx record": Reader(
        file="small.onnx",
        write=_recorded,
        read=lambda folder: record_in(read(folder / "small.onnx")),
    ),
    "config": Reader(file="config.json", write=bert_folder, read=bert_blocks),
    "index": Reader(file=INDEX, write=bert_folder, read=bert_blocks),
    "shard": Reader(file="model-1.safetensors", write=bert_folder, read=bert_blocks),
}
"""By name."""
