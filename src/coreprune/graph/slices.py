"""Which part of a tensor belongs to a group whose neurons have not one entry each, side by side.

Either they lie beside others on a joint axis, or a layer's rows are split into equal parts that
are multiplied together, so that each neuron has a row of every part.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """Entries of an axis that belong to a group, in the original, so many a neuron.

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
