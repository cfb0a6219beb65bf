"""Which part of a tensor belongs to a group whose neurons lie beside others on a joint axis."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """Entries of an axis that belong to a group, in the original; all others to somebody else.

    Attributes:
        parameter: The tensor.
        axis: 0 for one entry a neuron, of what acts on the joint axis; 1 for the columns of a
            layer that reads it.
        start: The first entry.
        stop: The first entry behind them.
        size: How many the whole axis has.
    """

    parameter: str
    axis: int
    start: int
    stop: int
    size: int
