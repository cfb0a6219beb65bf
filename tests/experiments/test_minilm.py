import pytest
import torch

pytest.importorskip("transformers")
pytest.importorskip("torch_pruning")

from tiny_transformers import tiny

from experiments.minilm import by_torch_pruning
from experiments.minilm.sentence_model import correlation
from experiments.minilm.stand_ins import made_up, untrained
from experiments.minilm.sts import spearman


def test_equal_values_share_their_mean_rank():
    """Ranks 1, 2.5, 2.5, 4 and 1, 2, 3, 4: 4.5 / √(4.5 · 5)."""
    one, other = torch.tensor([1.0, 2.0, 2.0, 7.0]), torch.tensor([0.0, 1.0, 2.0, 3.0])
    assert spearman(one, other) == pytest.approx((4.5 / 5) ** 0.5)
    assert spearman(-one, other) == pytest.approx(-((4.5 / 5) ** 0.5))


def test_shared_words_make_sentences_alike(tmp_path):
    assert correlation(untrained(tmp_path), made_up(100)) > 0.5


def test_torch_pruning_keeps_the_widths_asked_for():
    small = by_torch_pruning.prune(tiny("bert").bert, keep=0.5)
    assert {len(layer.intermediate.dense.weight) for layer in small.encoder.layer} == {12}
    assert small.embeddings.word_embeddings.weight.shape == (32, 16)
