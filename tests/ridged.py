"""Small problems of choosing neurons under a ridge, and their error by its definition."""

import torch

from coreprune.core.moments import Moments
from coreprune.core.reconstruction import expected_error, reconstructed


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
