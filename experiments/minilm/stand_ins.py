"""An untrained sentence transformer and made-up pairs, for quick runs without anything fetched."""

from pathlib import Path

import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch import Generator

from experiments.minilm.sts import Pairs

_WORDS = tuple(f"{first}{last}" for first in "bdfgklmnprst" for last in ("a", "ei", "o", "un"))


def untrained(place: Path) -> Path:
    """Write a small random model with a tokenizer of whole words.

    Args:
        place: Where.

    Returns:
        The folder.
    """
    names = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", *_WORDS]
    inner = Tokenizer(models.WordLevel({name: i for i, name in enumerate(names)}, "[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        unk_token="[UNK]",
    ).save_pretrained(place)
    torch.manual_seed(0)  # the only randomness that transformers knows
    config = transformers.BertConfig(
        vocab_size=len(names),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    transformers.BertModel(config).save_pretrained(place)
    return place


def made_up(count: int) -> Pairs:
    """Pairs of random words of which the second shares some with the first.

    Args:
        count: How many.

    Returns:
        The pairs; the score is the number of words shared.
    """
    generator = Generator().manual_seed(0)
    first, second, scores = [], [], []
    for _ in range(count):
        words = [_WORDS[i] for i in torch.randperm(len(_WORDS), generator=generator)[:10]]
        shared = int(torch.randint(6, (), generator=generator))
        first.append(" ".join(words[:5]))
        second.append(" ".join([*words[:shared], *words[5 : 10 - shared]]))
        scores.append(float(shared))
    return Pairs(first=tuple(first), second=tuple(second), scores=torch.tensor(scores))
