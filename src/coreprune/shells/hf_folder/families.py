"""Where each family of transformers keeps its feed-forward blocks: a table, not code.

A row says for one kind of block how its layers are called, in which entry of config.json its width
is, and which norm feeds it. To add a family, add a `Family` with the `model_type` of its
config.json: the layers' names are in any of its safetensors files, and its forward pass says which
norm the block reads. A block that reads the residual stream itself, with no norm in between, has no
query space and cannot have a row.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

NormKind = Literal["layer_norm", "rms_norm"]
NORMS: Mapping[NormKind, str] = {"layer_norm": "LayerNorm", "rms_norm": "RMSNorm"}
"""What people call them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockKind:
    """One kind of feed-forward block: down(φ(gate x)), or down(φ(gate x) ⊙ up x).

    A layer is named by its tensors' names without `.weight` and `.bias`, relative to `prefix`.

    Attributes:
        prefix: The end of the transformer layer's name, `{layer}` standing for its number; what
            comes before it, such as `bert.`, may be anything.
        gate: The layer whose outputs go through the activation; `{expert}` stands for the number
            of one of a mixture's experts.
        down: The layer that reads the neurons.
        norm: The normalisation whose output the block reads.
        up: The layer whose outputs the neurons are multiplied by; None for plain blocks.
        fused: Whether gate and up are one tensor, named by `gate`, the gate's rows first.
        transposed: Whether weights are stored as (inputs, outputs).
        norm_kind: Which normalisation.
        norm_offset: What is added to the norm's gain as stored: 1 where it multiplies by 1 + g.
        width: The config's entry that holds the width.
        width_factor: The width, where that entry is missing or null, in multiples of `hidden`.
        hidden: The config's entry that holds the size of what the block reads.
        layers: The config's entries that may count the layers; the first that is there does.
        every_layer: Whether each layer must have such a block.
        activation: The config's entries that may name the activation; the first that is not null.
        default_activation: What it is where none is there; None where one must be.
        activation_meant: Names that stand for another activation in this family.
        only_if: Entries of the config with the values that they must have for the row to speak;
            None among them stands for an entry that is not there.
    """

    prefix: str
    gate: str
    down: str
    norm: str
    up: str | None = None
    fused: bool = False
    transposed: bool = False
    norm_kind: NormKind = "layer_norm"
    norm_offset: float = 0.0
    width: str = "intermediate_size"
    width_factor: int | None = None
    hidden: str = "hidden_size"
    layers: tuple[str, ...] = ("num_hidden_layers",)
    every_layer: bool = True
    activation: tuple[str, ...] = ("hidden_act",)
    default_activation: str | None = None
    activation_meant: Mapping[str, str] = field(default_factory=dict)
    only_if: Mapping[str, tuple[object, ...]] = field(default_factory=dict)

    @property
    def is_gated(self) -> bool:
        """Whether its neurons are products."""
        return self.fused or self.up is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Models whose feed-forward blocks are kept alike.

    Attributes:
        name: What people call them.
        model_types: The `model_type`s of their config.json.
        blocks: The kinds of blocks that they may have: those whose layers are in the folder count.
    """

    name: str
    model_types: tuple[str, ...]
    blocks: tuple[BlockKind, ...]


def _encoder(norm: str, **only_if: tuple[object, ...]) -> BlockKind:
    return BlockKind(
        prefix="encoder.layer.{layer}",
        gate="intermediate.dense",
        down="output.dense",
        norm=norm,
        only_if=only_if,
    )


def _gated(norm: str = "post_attention_layernorm", *, of: str = "mlp") -> BlockKind:
    return BlockKind(
        prefix="layers.{layer}",
        gate=f"{of}.gate_proj",
        up=f"{of}.up_proj",
        down=f"{of}.down_proj",
        norm=norm,
        norm_kind="rms_norm",
    )


def _opt(norm: str, *, norm_first: tuple[object, ...]) -> BlockKind:
    return BlockKind(
        prefix="decoder.layers.{layer}",
        gate="fc1",
        down="fc2",
        norm=norm,
        width="ffn_dim",
        activation=("activation_function",),
        only_if={"do_layer_norm_before": norm_first},
    )


def _t5(stack: str, *, place: int, gated: bool) -> BlockKind:
    return BlockKind(
        prefix=f"{stack}.block.{{layer}}.layer.{place}",
        gate="DenseReluDense.wi_0" if gated else "DenseReluDense.wi",
        up="DenseReluDense.wi_1" if gated else None,
        down="DenseReluDense.wo",
        norm="layer_norm",
        norm_kind="rms_norm",
        width="d_ff",
        hidden="d_model",
        layers=("num_decoder_layers", "num_layers") if stack == "decoder" else ("num_layers",),
        activation=("feed_forward_proj",),
        default_activation="relu",
        activation_meant={"gated-gelu": "gelu_new"},
    )


def _gemma(norm: str) -> BlockKind:
    return replace(
        _gated(norm),
        norm_offset=1.0,
        activation=("hidden_activation", "hidden_act"),
        activation_meant={"gelu": "gelu_pytorch_tanh"},
    )


FAMILIES: tuple[Family, ...] = (
    Family(
        name="BERT",
        model_types=("bert", "roberta", "xlm-roberta", "camembert", "electra"),
        # with cross-attention another norm stands before the block
        blocks=(_encoder("attention.output.LayerNorm", add_cross_attention=(None, False)),),
    ),
    Family(name="MPNet", model_types=("mpnet",), blocks=(_encoder("attention.LayerNorm"),)),
    Family(name="ViT", model_types=("vit", "deit"), blocks=(_encoder("layernorm_after"),)),
    Family(
        name="DistilBERT",
        model_types=("distilbert",),
        blocks=(
            BlockKind(
                prefix="transformer.layer.{layer}",
                gate="ffn.lin1",
                down="ffn.lin2",
                norm="sa_layer_norm",
                width="hidden_dim",
                hidden="dim",
                layers=("n_layers",),
                activation=("activation",),
            ),
        ),
    ),
    Family(
        name="GPT-2",
        model_types=("gpt2",),
        blocks=(
            BlockKind(
                prefix="h.{layer}",
                gate="mlp.c_fc",
                down="mlp.c_proj",
                norm="ln_2",
                transposed=True,
                width="n_inner",
                width_factor=4,
                hidden="n_embd",
                layers=("n_layer",),
                activation=("activation_function",),
            ),
        ),
    ),
    Family(
        name="GPT-NeoX",
        model_types=("gpt_neox",),
        blocks=(
            BlockKind(
                prefix="layers.{layer}",
                gate="mlp.dense_h_to_4h",
                down="mlp.dense_4h_to_h",
                norm="post_attention_layernorm",
            ),
        ),
    ),
    Family(
        name="OPT",
        model_types=("opt",),
        blocks=(
            _opt("final_layer_norm", norm_first=(None, True)),
            _opt("self_attn_layer_norm", norm_first=(False,)),
        ),
    ),
    Family(
        name="T5",
        model_types=("t5", "mt5"),
        blocks=tuple(
            _t5(stack, place=place, gated=gated)
            for stack, place in (("encoder", 1), ("decoder", 2))
            for gated in (False, True)
        ),
    ),
    Family(
        name="Llama",
        model_types=("llama", "mistral", "qwen2", "qwen3"),
        blocks=(_gated(),),
    ),
    Family(
        name="Gemma",
        model_types=("gemma",),
        blocks=(_gemma("post_attention_layernorm"),),
    ),
    Family(
        name="Gemma 2 and 3",
        model_types=("gemma2", "gemma3_text"),
        blocks=(_gemma("pre_feedforward_layernorm"),),
    ),
    Family(
        name="Phi",
        model_types=("phi",),
        blocks=(
            BlockKind(
                prefix="layers.{layer}",
                gate="mlp.fc1",
                down="mlp.fc2",
                norm="input_layernorm",  # attention and block read the same one
            ),
        ),
    ),
    Family(
        name="Phi-3",
        model_types=("phi3",),
        blocks=(replace(_gated(), gate="mlp.gate_up_proj", up=None, fused=True),),
    ),
    Family(
        name="Mixtral",
        model_types=("mixtral",),
        blocks=(
            replace(
                _gated(),
                gate="block_sparse_moe.experts.{expert}.w1",
                up="block_sparse_moe.experts.{expert}.w3",
                down="block_sparse_moe.experts.{expert}.w2",
            ),
        ),
    ),
    Family(
        name="Qwen mixtures",
        model_types=("qwen2_moe", "qwen3_moe"),
        blocks=(
            replace(_gated(), every_layer=False),
            replace(
                _gated(of="mlp.experts.{expert}"), every_layer=False, width="moe_intermediate_size"
            ),
            replace(
                _gated(of="mlp.shared_expert"),
                every_layer=False,
                width="shared_expert_intermediate_size",
            ),
        ),
    ),
)
"""Every family there is."""


def family_of(model_type: str) -> Family | None:
    """The family of a `model_type`, None for one that is not in the table."""
    return next((family for family in FAMILIES if model_type in family.model_types), None)
