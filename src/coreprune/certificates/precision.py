"""Precisions in words."""

import torch


def named(*types: torch.dtype) -> str:
    """The types in words, each once."""
    return " and ".join(dict.fromkeys(str(dtype).removeprefix("torch.") for dtype in types))


def unbounded(precision: str) -> str:
    """Why rounding has no bound, and the way out."""
    return (
        f"rounding in {precision} has no bound for sums as long or as large as these; "
        "certify both networks in float32 (model.float())"
    )
