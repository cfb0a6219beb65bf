"""Folders of a Llama's shape with random weights, one shard a layer."""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Generator, Tensor

_HEAD = 64
_VOCABULARY = 1024


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A Llama's.

    Attributes:
        hidden: d.
        neurons: n of every feed-forward block.
        layers: How many.
    """

    hidden: int = 2048
    neurons: int = 5632
    layers: int = 4


def write_folder(
    folder: Path, shape: Shape, *, seed: int = 0, dtype: torch.dtype = torch.bfloat16
) -> None:
    """Write a folder that transformers reads, layer by layer.

    Args:
        folder: The folder; made if it is not there.
        shape: Its sizes.
        seed: Of the weights, normal with deviation 1/√(inputs); gains are near 1.
        dtype: What they are stored in.
    """
    folder.mkdir(parents=True, exist_ok=True)
    generator = Generator().manual_seed(seed)
    homes, size = {}, 0
    for number in range(shape.layers + 1):
        last = number == shape.layers
        tensors = _ends(shape, generator) if last else _layer(shape, number, generator)
        stored = {name: tensor.to(dtype) for name, tensor in tensors.items()}
        name = f"model-{number + 1:05d}-of-{shape.layers + 1:05d}.safetensors"
        save_file(stored, folder / name, metadata={"format": "pt"})
        homes |= dict.fromkeys(stored, name)
        size += sum(tensor.nbytes for tensor in stored.values())
    index = {"metadata": {"total_size": size}, "weight_map": homes}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "config.json").write_text(json.dumps(_config(shape, dtype)))


def _config(shape: Shape, dtype: torch.dtype) -> dict[str, object]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_act": "silu",
        "hidden_size": shape.hidden,
        "intermediate_size": shape.neurons,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": max(1, shape.hidden // _HEAD),
        "num_key_value_heads": max(1, shape.hidden // _HEAD),
        "rms_norm_eps": 1e-5,
        "tie_word_embeddings": False,
        "dtype": str(dtype).removeprefix("torch."),
        "vocab_size": _VOCABULARY,
    }


def _ends(shape: Shape, generator: Generator) -> dict[str, Tensor]:
    return {
        "model.embed_tokens.weight": _normal(_VOCABULARY, shape.hidden, generator),
        "lm_head.weight": _normal(_VOCABULARY, shape.hidden, generator),
        "model.norm.weight": torch.ones(shape.hidden),
    }


def _layer(shape: Shape, number: int, generator: Generator) -> dict[str, Tensor]:
    d, n, prefix = shape.hidden, shape.neurons, f"model.layers.{number}"
    found = {
        f"{prefix}.mlp.gate_proj.weight": _normal(n, d, generator),
        f"{prefix}.mlp.up_proj.weight": _normal(n, d, generator),
        f"{prefix}.mlp.down_proj.weight": _normal(d, n, generator),
    }
    for name in ("q", "k", "v", "o"):
        found[f"{prefix}.self_attn.{name}_proj.weight"] = _normal(d, d, generator)
    for name in ("input_layernorm", "post_attention_layernorm"):
        found[f"{prefix}.{name}.weight"] = 1 + 0.1 * torch.randn(d, generator=generator)
    return found


def _normal(rows: int, columns: int, generator: Generator) -> Tensor:
    return torch.randn(rows, columns, generator=generator) / columns**0.5
