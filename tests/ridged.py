"""Small problems of choosing neurons under a ridge, and their error by its definition."""

import torch

from coreprune.core.moments import Moments
from coreprune.core.reconstruction import expected_error, reconstructed
from coreprune.core.taps import columns


def problem(n, k=3, seed=0):
    """W of shape (k, n) and K of shape (n, n)."""
    generator = torch.Generator().manual_seed(seed)
    root = torch.randn(n, n, generator=generator, dtype=torch.float64)
    return torch.randn(k, n, generator=generator, dtype=torch.float64), root @ root.T / n


def ridged_error(w, covariance, kept, ridge):
    """E‖(W − U) h‖² + λ‖W − U‖² for the best weights U on the neurons kept; W has no bias."""
    moments = Moments(mean=torch.zeros(len(covariance)).double(), covariance=covariance)
    subset = reconstructed(w, moments, torch.as_tensor(kept), ridge=ridge)
    moved = w.clone()
    moved[:, subset.indices] -= subset.weights
    return expected_error(w, moments, subset) + ridge * float(moved.square().sum())


def block_view(n, taps, *, k=3, ridge=1e-3, seed=0):
    """(W, K, λ, T) of a reader of n channels."""
    return *problem(n * taps, k, seed), ridge, taps


def block_error(views, kept):
    """The ridged error of all readers for the channels kept, by its definition."""
    channels = torch.as_tensor(sorted(kept))
    return sum(
        ridged_error(w, covariance, columns(channels, taps), ridge)
        for w, covariance, ridge, taps in views
    )
