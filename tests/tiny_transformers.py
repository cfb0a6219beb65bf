"""Tiny random transformers of every family of the table, and their inputs."""

import functools

import pytest
import torch

transformers = pytest.importorskip("transformers")
transformers.utils.logging.disable_progress_bar()

_TEXT = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "vocab_size": 32,
    "max_position_embeddings": 32,
    "pad_token_id": 0,
}
_GROUPED = _TEXT | {"num_key_value_heads": 2, "head_dim": 8}
_T5 = {"d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 2, "num_heads": 2, "vocab_size": 32}
_OPT = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "ffn_dim": 24,
    "vocab_size": 32,
    "max_position_embeddings": 32,
    "word_embed_proj_dim": 16,
}
_DISTIL = {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 24, "vocab_size": 32}
_GPT2 = {"n_embd": 16, "n_layer": 2, "n_head": 2, "vocab_size": 32, "n_positions": 32}
_VIT = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "image_size": 8,
    "patch_size": 4,
}
_MOE = {"num_experts": 2, "moe_intermediate_size": 16, "num_experts_per_tok": 1}

MODELS = {
    "bert": ("BertConfig", "BertForMaskedLM", _TEXT),
    "roberta": ("RobertaConfig", "RobertaForMaskedLM", _TEXT),
    "xlm-roberta": ("XLMRobertaConfig", "XLMRobertaModel", _TEXT),
    "camembert": ("CamembertConfig", "CamembertModel", _TEXT),
    "electra": ("ElectraConfig", "ElectraModel", _TEXT | {"embedding_size": 16}),
    "mpnet": ("MPNetConfig", "MPNetModel", _TEXT),
    "distilbert": ("DistilBertConfig", "DistilBertForMaskedLM", _DISTIL),
    "vit": ("ViTConfig", "ViTForImageClassification", _VIT),
    "deit": ("DeiTConfig", "DeiTModel", _VIT),
    "gpt2": ("GPT2Config", "GPT2LMHeadModel", _GPT2),
    "gpt_neox": ("GPTNeoXConfig", "GPTNeoXForCausalLM", _TEXT),
    "opt": ("OPTConfig", "OPTForCausalLM", _OPT),
    "opt after": ("OPTConfig", "OPTForCausalLM", _OPT | {"do_layer_norm_before": False}),
    "t5": ("T5Config", "T5ForConditionalGeneration", _T5),
    "t5 encoder": ("T5Config", "T5EncoderModel", _T5),
    "t5 gated": (
        "T5Config",
        "T5ForConditionalGeneration",
        _T5 | {"feed_forward_proj": "gated-gelu"},
    ),
    "mt5": ("MT5Config", "MT5ForConditionalGeneration", _T5),
    "llama": ("LlamaConfig", "LlamaForCausalLM", _GROUPED | {"tie_word_embeddings": True}),
    "llama biased": ("LlamaConfig", "LlamaForCausalLM", _GROUPED | {"mlp_bias": True}),
    "mistral": ("MistralConfig", "MistralForCausalLM", _GROUPED),
    "qwen2": ("Qwen2Config", "Qwen2ForCausalLM", _GROUPED),
    "qwen3": ("Qwen3Config", "Qwen3ForCausalLM", _GROUPED),
    "gemma": ("GemmaConfig", "GemmaForCausalLM", _GROUPED),
    "gemma2": ("Gemma2Config", "Gemma2ForCausalLM", _GROUPED),
    "gemma3_text": ("Gemma3TextConfig", "Gemma3ForCausalLM", _GROUPED),
    "phi": ("PhiConfig", "PhiForCausalLM", _TEXT),
    "phi3": ("Phi3Config", "Phi3ForCausalLM", _GROUPED),
    "mixtral": ("MixtralConfig", "MixtralForCausalLM", _GROUPED | {"num_local_experts": 2}),
    "qwen2_moe": (
        "Qwen2MoeConfig",
        "Qwen2MoeForCausalLM",
        _GROUPED | _MOE | {"shared_expert_intermediate_size": 24, "mlp_only_layers": [1]},
    ),
    "qwen3_moe": ("Qwen3MoeConfig", "Qwen3MoeForCausalLM", _GROUPED | _MOE),
}
"""By the model type, with a word behind it for variants: config class, model class, sizes."""


def tiny(name, *, seed=0):
    """A random model; biases and gains are no ones and zeros, so that moving them shows."""
    config, model, sizes = MODELS[name]
    torch.manual_seed(seed)
    built = getattr(transformers, model)(getattr(transformers, config)(**sizes)).eval()
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return built


@functools.cache
def inputs_of(name):
    """Inputs of a model of that name."""
    generator = torch.Generator().manual_seed(1)
    if MODELS[name][2] is _VIT:
        return {"pixel_values": torch.randn(2, 3, 8, 8, generator=generator)}
    ids = torch.randint(2, 32, (2, 7), generator=generator)
    if name in {"t5", "t5 gated", "mt5"}:
        return {"input_ids": ids, "decoder_input_ids": ids.flip(1)}
    return {"input_ids": ids}


def first_output(model, name):
    """What the model gives for them."""
    with torch.no_grad():
        return model(**inputs_of(name))[0]


WORDS = ("plane", "man", "flute", "plays", "flies", "a", "the", "high")


def save_tokenizer(folder):
    """A tokenizer of whole words that begins texts with 1 and ends them with 2, as BERT's do."""
    tokenizers = pytest.importorskip("tokenizers")
    names = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[unused0]", *WORDS]
    words = tokenizers.models.WordLevel({name: i for i, name in enumerate(names)}, "[UNK]")
    inner = tokenizers.Tokenizer(words)
    inner.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    inner.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        unk_token="[UNK]",
    ).save_pretrained(folder)
