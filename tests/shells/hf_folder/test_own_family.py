"""A row that is not in the table, as docs/families.md has it."""

import torch
from tiny_transformers import _TEXT, transformers

import coreprune
from coreprune.shells.hf_folder.families import BlockKind, Family, family_of

ROW = Family(
    name="StarCoder2",
    model_types=("starcoder2",),
    blocks=(
        BlockKind(
            prefix="layers.{layer}",
            gate="mlp.c_fc",
            down="mlp.c_proj",
            norm="post_attention_layernorm",
        ),
    ),
)


def test_the_documented_row_is_right(tmp_path):
    """Of the class that transformers has: nothing missing, and certified on what its norm gives."""
    assert family_of("starcoder2") is None
    torch.manual_seed(0)
    config = transformers.Starcoder2Config(**_TEXT, num_key_value_heads=2)
    model = transformers.Starcoder2ForCausalLM(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    model.save_pretrained(tmp_path / "big")
    result = coreprune.prune_folder(tmp_path / "big", tmp_path / "small", keep=0.5, family=ROW)
    small, info = type(model).from_pretrained(tmp_path / "small", output_loading_info=True)
    assert not any(info.values()), info
    assert coreprune.verify_folder(tmp_path / "big", tmp_path / "small", family=ROW).holds
    changes = {}
    for layer, block in enumerate(result.blocks):
        original, cut = (one.model.layers[layer].mlp for one in (model, small))

        def compare(module, inputs, output, cut=cut, name=block.name):
            changes[name] = float((output - cut(*inputs)).abs().max())

        original.register_forward_hook(compare)
    with torch.no_grad():
        model(torch.randint(32, (4, 20), generator=torch.Generator().manual_seed(0)))
    for block in result.blocks:
        assert 0 < changes[block.name] <= block.certificate
