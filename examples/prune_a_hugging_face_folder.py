"""A Hugging Face folder in, a smaller one out, which vanilla `from_pretrained` reads."""

import tempfile
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM

import coreprune

torch.manual_seed(0)
config = LlamaConfig(
    hidden_size=32,
    intermediate_size=128,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    vocab_size=100,
)

with tempfile.TemporaryDirectory() as folder:
    # A tiny random Llama stands for the checkpoint that you have.
    original = Path(folder) / "llama"
    LlamaForCausalLM(config).save_pretrained(original)

    # Block by block, from the weights alone: the model is never built, no code of the folder runs.
    result = coreprune.prune_folder(original, Path(folder) / "small", keep=0.5, round_to=16)
    for block in result.blocks:
        print(f"{block.name}: {block.neurons_before} → {block.neurons_after} neurons")

    # transformers reads it as it reads any folder.
    whole = LlamaForCausalLM.from_pretrained(original)
    small = LlamaForCausalLM.from_pretrained(Path(folder) / "small")
    print(f"{whole.num_parameters():,} → {small.num_parameters():,} parameters")

    tokens = torch.randint(100, (4, 16))
    with torch.no_grad():
        off = (small(tokens).logits - whole(tokens).logits).square().mean().sqrt()
        print(f"logits are off by {off:.4f}, and vary by {whole(tokens).logits.std():.4f}")
