import pytest
import torch
from tiny_transformers import MODELS, inputs_of, tiny

from coreprune.core.feed_forward import outputs
from coreprune.shells.hf_folder.blocks import find_blocks
from coreprune.shells.hf_folder.config import read_config
from coreprune.shells.hf_folder.stored import feed_forward, law_of
from coreprune.shells.hf_folder.weights import find_weights

READS_ITS_NORM = [name for name in MODELS if "moe" not in name and name != "mixtral"]


@pytest.mark.parametrize("name", READS_ITS_NORM)
def test_blocks_compute_what_the_model_s_own_layers_do(name, tmp_path):
    """What goes into the norm and comes out of the down layer, watched while the model runs."""
    model = tiny(name)
    model.save_pretrained(tmp_path / "big")
    weights = find_weights(tmp_path / "big")
    blocks = find_blocks(read_config(tmp_path / "big"), weights)
    assert blocks
    seen = {}
    for block in blocks:
        for weight in (block.gate, block.down, block.norm):
            module = holder_of(weights.read([weight])[weight], model)
            module.register_forward_hook(
                lambda _, args, output, key=weight: seen.update({key: (args[0], output)})
            )
    with torch.no_grad():
        model(**inputs_of(name))
    for block in blocks:
        tensors = weights.read(block.tensors)
        x, y = seen[block.gate][0].double(), seen[block.down][1].double()
        assert_near(outputs(feed_forward(block, tensors), x), y)
        before, after = seen[block.norm]
        assert_near(after, x)
        assert_near(through(law_of(block, tensors), before.double()), x)


def through(law, x):
    """What a norm of that law makes of x."""
    v = x - x.mean(-1, keepdim=True) if law.centred else x
    v = v / (v.square().mean(-1, keepdim=True) + 1e-6).sqrt()
    return law.gain * v + (0 if law.bias is None else law.bias)


def assert_near(found, expected):
    torch.testing.assert_close(found.double().flatten(), expected.flatten(), rtol=1e-3, atol=1e-3)


def holder_of(weight, model):
    """The module whose weight it is: its name in memory need not be the one on disk."""
    return next(
        module
        for module in model.modules()
        if isinstance(getattr(module, "weight", None), torch.Tensor)
        and torch.equal(module.weight, weight)
    )
