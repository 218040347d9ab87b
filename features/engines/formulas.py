"""Cells, and the one element-wise routine for ratios that both engines call.

Everything additive or ordinal is an integer (harm in hundredths of a day), so that engines agree exactly. What is
not an integer is made here, once, from those integers, by one division or subtraction in a fixed order of terms:
IEEE arithmetic then gives the same bits for one person and for a whole force.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.catalogue import Column

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Cells:
    """One column before it is shown: integers, and which of them are there (the rest are null)."""

    values: Ints
    valid: Bools

    @classmethod
    def of(cls, values: list[int | None]) -> Cells:
        """From plain Python, None for null."""
        return cls(
            np.array([0 if v is None else v for v in values], dtype=np.int64),
            np.array([v is not None for v in values], dtype=np.bool_),
        )


def worked_out(column: Column, inputs: list[Cells]) -> tuple[Ints | Floats, Bools]:
    """A formula column from its input columns, element by element: values, and which of them are there.

    ``rate``: events a day in the first input's window over events a day in the second's (``parameters`` are the
    two lengths in days); null where the second is 0. ``share``: first / second; null where the second is 0.
    ``balance``: (first - second) / (first + second), from -1 to 1; null where both are 0. ``at_least``: 1 where the
    one input is >= the parameter, else 0. ``decay``: the inputs are sums over ever longer windows; what each adds to
    the one before is multiplied by its weight, added up in whole numbers and divided once (``parameters``: the
    weights, then the divisor). A null input makes a null cell.
    """
    feature = column.feature
    a = inputs[0]
    if feature.formula == "at_least":
        met = (a.values >= feature.parameters[0]).astype(np.int64)
        return met, a.valid
    if feature.formula == "decay":
        return _faded(feature.parameters, inputs)
    b = inputs[1]
    x, y = a.values.astype(np.float64), b.values.astype(np.float64)
    if feature.formula == "rate":
        days_a, days_b = feature.parameters
        above, below = x * days_b, y * days_a
    elif feature.formula == "share":
        above, below = x, y
    else:
        above, below = x - y, x + y
    valid = a.valid & b.valid & (below != 0.0)
    return np.divide(above, below, out=np.zeros_like(above), where=valid), valid


def _faded(parameters: tuple[int, ...], inputs: list[Cells]) -> tuple[Floats, Bools]:
    *weights, divisor = parameters
    total, before = np.zeros_like(inputs[0].values), np.zeros_like(inputs[0].values)
    valid = inputs[0].valid
    for weight, cells in zip(weights, inputs, strict=True):
        total = total + weight * (cells.values - before)
        before, valid = cells.values, valid & cells.valid
    return total.astype(np.float64) / divisor, valid


def in_unit(column: Column, cells: Cells) -> tuple[Ints | Floats, Bools]:
    """An integer column in its unit: Int64, or Float64 once divided by the feature's scale."""
    if column.feature.scale == 1:
        return cells.values, cells.valid
    return cells.values.astype(np.float64) / column.feature.scale, cells.valid


def combine(column: Column, inputs: list[Cells]) -> pl.Series:
    """:func:`worked_out` as a Polars column."""
    return _series(column.name, *worked_out(column, inputs))


def show(column: Column, cells: Cells) -> pl.Series:
    """:func:`in_unit` as a Polars column."""
    return _series(column.name, *in_unit(column, cells))


def _series(name: str, values: Ints | Floats, valid: Bools) -> pl.Series:
    """A Polars column; what lies under a null is zeroed first, so that equal columns are equal bytes too."""
    clean = np.where(valid, values, values.dtype.type(0))
    series = pl.Series(name, clean)
    if bool(valid.all()):
        return series
    mask = pl.Series("valid", valid)
    return pl.select(pl.when(mask).then(series).alias(name)).to_series()
