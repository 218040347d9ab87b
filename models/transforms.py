"""From a history column to the numbers a linear model adds up: a few declared, reversible-by-eye transforms.

A *term* is one transformed column: ``(f(x) - center) / scale``. Terms are plain data (they are written into the
model document), and one routine applies them in training, batch scoring and live scoring alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from models import settings

Array = npt.NDArray[np.float64]
LANES = 16
"""Columns are padded to a multiple of this: vectorised log and exp take the same path for one row as for many."""


@dataclass(frozen=True)
class Term:
    """One transformed column.

    ``kind``: ``log1p`` (counts, harm; capped at ``a``), ``decay`` (half-life ``a`` days; never = 0), ``missing``
    (1 where null), ``step`` (1 where value >= ``a``), ``linear`` (clipped to [a, b]), ``hinge`` (excess over ``a``
    up to ``b``). ``fill`` stands for a null before the transform.
    """

    column: str
    kind: str
    a: float = 0.0
    b: float = 0.0
    fill: float = 0.0
    center: float = 0.0
    scale: float = 1.0

    def raw(self, values: Array) -> Array:
        """The transform before centring; ``values`` holds NaN for null, length a multiple of ``LANES``."""
        return _raw(self.kind, self.a, self.b, self.fill, values)

    def apply(self, values: Array) -> Array:
        """Centred and scaled values, same length."""
        return (self.raw(values) - self.center) / self.scale

    @property
    def name(self) -> str:
        """A stable label for tables and plots."""
        detail = {
            "decay": f" half-life {self.a:g} d",
            "step": f" >= {self.a:g}",
            "hinge": f" {self.a:g} to {self.b:g}",
        }
        return f"{self.column} [{self.kind}{detail.get(self.kind, '')}]"

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def _raw(kind: str, a: float | Array, b: float | Array, fill: float | Array, values: Array) -> Array:
    """:meth:`Term.raw`; parameters may be columns of numbers, one a row of ``values``."""
    null = np.isnan(values)
    if kind == "missing":
        return null.astype(np.float64)
    x = np.where(null, fill, values)
    if kind == "log1p":
        return np.log1p(np.clip(x, 0.0, a))
    if kind == "decay":
        return np.where(null, 0.0, np.exp(np.maximum(x, 0.0) * (-np.log(2.0) / a)))
    if kind == "step":
        return np.where(null, 0.0, (x >= a).astype(np.float64))
    if kind == "linear":
        return np.clip(x, a, b)
    if kind == "hinge":
        return np.clip(x, a, b) - a
    raise ValueError(f"unknown transform {kind!r}")


class Terms:
    """Terms applied together to few rows; each number gets the bits that :meth:`Term.apply` gives it.

    ``places``: of each term, the row of its column in the values given to :meth:`apply`.
    """

    def __init__(self, terms: Sequence[Term], places: Sequence[int]) -> None:
        self._count = len(terms)
        self._center, self._scale = (_column(terms, name) for name in ("center", "scale"))
        self._kinds: list[tuple[str, Array, Array, Array, npt.NDArray[np.intp], npt.NDArray[np.intp]]] = []
        by_kind: dict[str, list[int]] = {}
        for j, term in enumerate(terms):
            by_kind.setdefault(term.kind, []).append(j)
        for kind, found in by_kind.items():
            a, b, fill = (_column([terms[j] for j in found], name) for name in ("a", "b", "fill"))
            self._kinds.append((kind, a, b, fill, np.array(found), np.array([places[j] for j in found])))

    def apply(self, values: Array) -> Array:
        """Terms x lanes, from columns x lanes (NaN for null, a multiple of ``LANES`` wide)."""
        out = np.empty((self._count, values.shape[1]))
        for kind, a, b, fill, found, rows in self._kinds:
            out[found] = _raw(kind, a, b, fill, values[rows])
        return (out - self._center) / self._scale


def _column(terms: Sequence[Term], name: str) -> Array:
    return np.array([getattr(term, name) for term in terms], dtype=np.float64).reshape(-1, 1)


def padded_length(rows: int) -> int:
    """``rows`` brought up to whole lanes; at least one."""
    return -(-max(rows, 1) // LANES) * LANES


def padded(frame: pl.DataFrame, column: str) -> Array:
    """``column`` as contiguous float64 with NaN for null, padded with NaN to a multiple of ``LANES``."""
    n = frame.height
    out = np.full(padded_length(n), np.nan)
    if n <= LANES:  # the same numbers; for one person a query a column would cost more than the score
        out[:n] = [np.nan if value is None else value for value in frame[column].to_list()]
    else:
        out[:n] = frame[column].cast(pl.Float64).fill_null(float("nan")).to_numpy()
    return out


def design(frame: pl.DataFrame, terms: Sequence[Term]) -> Array:
    """Matrix rows x terms (C order) of applied terms."""
    out = np.empty((frame.height, len(terms)))
    column, values = "", np.empty(0)
    for j, term in enumerate(terms):
        if term.column != column:
            column, values = term.column, padded(frame, term.column)
        out[:, j] = term.apply(values)[: frame.height]
    return out


def _shapes(column: str, unit: str, has_null: bool, values: Array) -> list[Term]:
    """Untrained terms for one column, by its declared unit."""
    set_ = settings.load("logistic")["transforms"]
    missing = [Term(column, "missing")] if has_null else []
    known = values[~np.isnan(values)]
    if unit in ("days_since", "recency"):
        far = float(known.max()) if known.size else 0.0  # never: as long ago as anyone's
        ramps = _ramps(column, known, far, set_)
        return [*(Term(column, "decay", a=float(h)) for h in set_["half_lives"]), *ramps, *missing]
    if unit == "age":
        low, high = map(float, set_["age_limits"])
        middle = float(np.median(known)) if known.size else low
        hinges = [Term(column, "hinge", a=float(k), b=high, fill=middle) for k in set_["age_knots"]]
        return [Term(column, "linear", a=low, b=high, fill=middle), *hinges, *missing]
    if unit == "period":
        return [Term(column, "step", a=float(k)) for k in sorted(set(known.tolist()))[1:]]
    if unit == "grade":
        cuts = sorted(set(known.tolist()))[1:] if not has_null else sorted(set(known.tolist()))
        return [Term(column, "step", a=float(c)) for c in cuts]
    if unit in ("count", "harm") and (known.size == 0 or known.min() >= 0):
        return [Term(column, "log1p", a=float(set_["log_cap"])), *_ramps(column, known, 0.0, set_), *missing]
    if unit == "flag":
        return [Term(column, "linear", a=0.0, b=1.0), *missing]
    low, high = (float(v) for v in np.quantile(known, [0.005, 0.995])) if known.size else (0.0, 0.0)
    middle = float(np.median(known)) if known.size else 0.0
    ramps = _ramps(column, known, middle, set_)
    return [Term(column, "linear", a=low, b=high, fill=middle), *ramps, *missing]


def _ramps(column: str, known: Array, fill: float, set_: Mapping[str, Any]) -> list[Term]:
    """A linear spline as consecutive ramps: each rises from one knot to the next and stays. Coefficients of one sign
    make a curve that never turns; beyond the last knot the column's own transform speaks alone.

    Knots are quantiles of the values above zero (of all values where some are negative). Fewer than two distinct knots,
    or fewer than ``spline_rows`` values between two of them, and there is no ramp there: the sample cannot carry it.
    """
    some = known[known > 0] if known.size and known.min() >= 0 else known
    least = int(set_["spline_rows"])
    if some.size < 2 * least:
        return []
    knots = np.unique(np.quantile(some, [float(q) for q in set_["spline_knots"]]))
    pairs = list(zip(knots[:-1].tolist(), knots[1:].tolist(), strict=True))
    return [
        Term(column, "hinge", a=low, b=high, fill=fill)
        for low, high in pairs
        if int(((some > low) & (some <= high)).sum()) >= least
    ]


def declare(frame: pl.DataFrame, units: Mapping[str, str]) -> tuple[list[Term], list[str]]:
    """Terms for ``frame``'s columns named in ``units``, centred and scaled on the frame.

    Returns the terms and the columns left out because they never vary here (a constant carries no information, and
    its coefficient would be noise later). ``units``: column -> count, harm, recency, age, grade, flag or any other
    word, which is taken as a plain number clipped at its 0.5 and 99.5 per cent points.
    """
    terms: list[Term] = []
    constant: list[str] = []
    masks: set[bytes] = set()  # one flag for one pattern of absence, however many columns share it
    for column, unit in units.items():
        values = padded(frame, column)
        inner = values[: frame.height]
        kept: list[Term] = []
        seen: set[bytes] = set()
        for term in _shapes(column, unit, bool(np.isnan(inner).any()), inner):
            raw = term.raw(values)[: frame.height]
            scale = float(raw.std()) if raw.size else 0.0
            key = np.round(raw, 12).tobytes()
            if scale < 1e-9 or key in seen or key in masks:
                continue
            seen.add(key)
            if term.kind == "missing":
                masks.add(key)
            kept.append(Term(**{**term.to_dict(), "center": float(raw.mean()), "scale": scale}))
        terms += kept
        if not kept:
            constant.append(column)
    return terms, constant
