"""The algebra of a block step, against dense matrices."""

import pytest
import torch
from ridged import problem

from coreprune.core.selection.blocks import (
    block_scores,
    column_grams,
    reduced,
    step_squares,
    whiteners,
)
from coreprune.core.taps import diagonal_blocks


def stack(*matrices):
    return torch.stack([torch.as_tensor(matrix, dtype=torch.float64) for matrix in matrices])


def test_a_whitener_makes_a_pivot_the_identity():
    pivots = torch.stack([problem(3, seed=seed)[1] for seed in range(5)])
    whitening = whiteners(pivots, 1e-12)
    eye = torch.eye(3, dtype=torch.float64).expand(5, 3, 3)
    torch.testing.assert_close(whitening @ pivots @ whitening.mT, eye)


@pytest.mark.parametrize("spoilt", [[[1.0, 2.0], [2.0, 1.0]], [[1.0, 1.0], [1.0, 1.0 + 1e-9]]])
def test_what_rounding_spoilt_is_raised_to_the_floor_and_the_others_stay(spoilt):
    good = [[2.0, 0.5], [0.5, 1.0]]
    whitening = whiteners(stack(good, spoilt, good), 1e-3)
    assert torch.equal(whitening[:1], whiteners(stack(good), 1e-3))
    assert torch.equal(whitening[2], whitening[0])
    values, vectors = torch.linalg.eigh(stack(spoilt)[0])
    raised = vectors @ torch.diag(values.clamp_min(1e-3)) @ vectors.T
    torch.testing.assert_close(whitening[1].T @ whitening[1], torch.linalg.inv(raised))


def test_scores_are_traces():
    w, form = problem(12)
    found = block_scores(
        column_grams(w.T.contiguous(), 3), whiteners(diagonal_blocks(form, 3), 1e-12)
    )
    for j in range(4):
        own = slice(3 * j, 3 * j + 3)
        expected = torch.trace(w[:, own].T @ w[:, own] @ torch.linalg.inv(form[own, own]))
        torch.testing.assert_close(found[j], expected)


def test_diagonals_are_those_of_the_products():
    w = problem(12)[0]
    torch.testing.assert_close(column_grams(w.T.contiguous(), 3), diagonal_blocks(w.T @ w, 3))
    torch.testing.assert_close(step_squares(w, 3), diagonal_blocks(w.T @ w, 3))


@pytest.mark.parametrize("k", [2, 6, 40])
def test_fewer_rows_have_the_same_gram_matrix(k):
    w = problem(6, k)[0].float()
    factor = reduced(w)
    assert factor.shape == (min(k, 6), 6)
    torch.testing.assert_close(factor.T @ factor, w.double().T @ w.double())
