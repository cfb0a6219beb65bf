"""Fewer coordinates for a ball with more axes than neurons: only the span of the rows matters."""

from dataclasses import dataclass

import torch
from torch import Tensor

from coreprune.core.query_set import QuerySet
from coreprune.core.rounding import gamma
from coreprune.core.spectral import norm_bound


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Coordinates:
    """R and A in coordinates w with ‖w‖ ≤ 1, |R_j·v − rows_j·w| ≤ row_defect_j, and so for A.

    Attributes:
        rows: Shape (n, e).
        line: Shape (m, e).
        row_defect: Shape (n,).
        line_defect: Shape (m,).
    """

    rows: Tensor
    line: Tensor
    row_defect: Tensor
    line_defect: Tensor


def coordinates(rows: Tensor, line: Tensor, space: QuerySet) -> Coordinates:
    """Orthonormal coordinates of the span of the rows, where that has fewer dimensions.

    With V the orthonormal factor of Rᵀ, w = Vᵀv / (1 + η) and ‖VᵀV − I‖ ≤ η: then ‖w‖ ≤ 1 and
    R_j·v = (R_j V)·w + (R_j − R_j V Vᵀ)·v + η (R_j V)·w. The last two are the defect.

    Args:
        rows: R. Shape (n, e).
        line: A, in the span of the rows. Shape (m, e).
        space: A cube keeps its own coordinates.

    Returns:
        The coordinates, of dimension n where 5n < 4e, else as they are.
    """
    n, e = rows.shape
    if space.unit == "cube" or 5 * n >= 4 * e:
        return Coordinates(
            rows=rows,
            line=line,
            row_defect=rows.new_zeros(n),
            line_defect=rows.new_zeros(len(line)),
        )
    v = torch.linalg.qr(rows.T).Q
    eta = norm_bound(v.T @ v - torch.eye(n, dtype=v.dtype, device=v.device)) + gamma(e + 8) * n
    new_rows, new_line = rows @ v, line @ v
    return Coordinates(
        rows=new_rows,
        line=new_line,
        row_defect=_defect(rows, new_rows, v, eta=eta),
        line_defect=_defect(line, new_line, v, eta=eta),
    )


def _defect(old: Tensor, new: Tensor, v: Tensor, *, eta: float) -> Tensor:
    size = torch.linalg.vector_norm
    left: Tensor = size(old - new @ v.T, dim=1)
    # The difference is itself rounded: by γ times |R_j V| |V|ᵀ, of norm at most ‖R_j V‖ √n (1 + η).
    lost = gamma(len(v) + v.shape[1] + 16) * (size(old, dim=1) + size(new, dim=1))
    total: Tensor = left + eta * size(new, dim=1) + lost * (v.shape[1] ** 0.5) * (1 + eta)
    return total
