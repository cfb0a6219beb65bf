from itertools import islice

import pytest
import torch
from tiny_transformers import save_tokenizer, tiny

from coreprune.errors import ArgumentError
from coreprune.queries.sentences import Sentences
from coreprune.queries.tokens import LONGEST, SHORTEST, Tokens
from coreprune.shells.hf_folder.sequences import (
    drawn_sequences,
    sentence_sequences,
    vocabulary_of,
)
from coreprune.shells.hf_folder.transformer import transformer_of


def bert(folder, *, with_tokenizer):
    tiny("bert").save_pretrained(folder)
    if with_tokenizer:
        save_tokenizer(folder)
    return transformer_of(folder)


def drawn(vocabulary, law=None, *, count=40, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return list(islice(drawn_sequences(law or Tokens(), vocabulary, generator=generator), count))


def test_special_tokens_stand_where_the_tokenizer_puts_them(tmp_path):
    vocabulary = vocabulary_of(tmp_path, bert(tmp_path, with_tokenizer=True))
    for ids in drawn(vocabulary):
        assert (ids[:, 0] == 1).all()
        assert (ids[:, -1] == 2).all()
        assert ((ids[:, 1:-1] >= 5) & (ids[:, 1:-1] < 13)).all()  # words alone


def test_without_a_tokenizer_every_id_but_special_ones_is_drawn(tmp_path):
    vocabulary = vocabulary_of(tmp_path, bert(tmp_path, with_tokenizer=False))
    found = torch.cat([ids.flatten() for ids in drawn(vocabulary)])
    assert set(found.tolist()) == set(range(1, 32))  # 0 is padding, as the config says


def test_lengths_vary_and_fit_the_model(tmp_path):
    vocabulary = vocabulary_of(tmp_path, bert(tmp_path, with_tokenizer=True))
    lengths = {ids.shape[1] for ids in drawn(vocabulary, count=200)}
    assert min(lengths) == SHORTEST + 2
    assert max(lengths) == min(LONGEST, 30) + 2  # the tiny model has 32 positions
    assert {ids.shape[1] for ids in drawn(vocabulary, Tokens(length=7))} == {9}


def test_draws_depend_on_the_seed(tmp_path):
    vocabulary = vocabulary_of(tmp_path, bert(tmp_path, with_tokenizer=True))
    one, again, other = (drawn(vocabulary, count=3, seed=seed) for seed in (0, 0, 1))
    assert all(torch.equal(a, b) for a, b in zip(one, again, strict=True))
    assert not all(a.shape == b.shape and a.equal(b) for a, b in zip(one, other, strict=True))


def test_sentences_of_one_length_stand_together(tmp_path):
    save_tokenizer(tmp_path)
    law = Sentences(["a plane flies", "the man", "a man plays", "a bird"])
    found = [ids.tolist() for ids in sentence_sequences(law, tmp_path)]
    assert found == [[[1, 11, 6, 2], [1, 10, 3, 2]], [[1, 10, 5, 9, 2], [1, 10, 6, 8, 2]]]


def test_sentences_need_a_tokenizer(tmp_path):
    with pytest.raises(ArgumentError, match="needs the folder's tokenizer"):
        sentence_sequences(Sentences(["a"]), tmp_path)
