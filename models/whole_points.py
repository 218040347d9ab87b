"""How many points: whole numbers for the facts of a scorecard, and what a total means (``models.scorecard``).

Rows with the same facts are one row with a sum of weights, which makes all of this a matter of milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from models.scorer import sigmoid
from models.transforms import Array

if TYPE_CHECKING:
    from models.scorecard import Fact

RIDGE = 1e-4
"""Keeps a coefficient finite when a fact never occurs without the outcome; per unit of mean log loss."""


class Patterns:
    """Rows with the same facts as one: ``x`` patterns x facts, ``w`` their weights, ``e`` weight with the outcome,
    ``of`` the pattern of each row."""

    def __init__(self, columns: Sequence[Array], y: Array, w: Array) -> None:
        key = np.zeros(len(y), dtype=np.int64)
        for bits in columns:
            key = (key << 1) | bits.astype(np.int64)
        _, first, self.of = np.unique(key, return_index=True, return_inverse=True)
        self.x = np.stack([c[first] for c in columns], axis=1) if columns else np.zeros((1, 0))
        self.w: Array = np.bincount(self.of, weights=w).astype(np.float64)
        self.e: Array = np.bincount(self.of, weights=w * y).astype(np.float64)

    def fit(self, signs: Sequence[int]) -> tuple[Array, float]:
        """Intercept and coefficients (limited to their sign where it is not 0), and the loss without the ridge."""
        x = np.concatenate([np.ones((len(self.x), 1)), self.x], axis=1)
        return logistic(x, self.w, self.e, np.array([0, *signs]), RIDGE)


def logistic(x: Array, w: Array, e: Array, signs: npt.NDArray[np.int_], ridge: float) -> tuple[Array, float]:
    """Coefficients with the least weighted mean log loss plus ``ridge`` / 2 x squares (none on the first, the
    intercept), each limited to its sign where that is not 0; and that loss without the ridge.

    Newton's method on the coefficients that are free to move, steps halved until they help and cut off at the limits.
    ``w``: weight of each row of ``x``, ``e``: the part of it with the outcome.
    """
    n, rate = float(w.sum()), float(e.sum() / w.sum())
    penalty = np.full(x.shape[1], ridge)
    penalty[0] = 0.0

    def loss(beta: Array) -> float:
        z = x @ beta
        return float(w @ np.logaddexp(0.0, z) - e @ z) / n

    def within(beta: Array) -> Array:
        return np.where((signs != 0) & (beta * signs < 0), 0.0, beta)

    beta = np.zeros(x.shape[1])
    beta[0] = np.log(rate / (1.0 - rate))
    value = loss(beta)
    for _ in range(60):
        p = sigmoid(x @ beta)
        pull = (e - w * p) @ x / n - penalty * beta
        free = ~((signs != 0) & (beta == 0.0) & (pull * signs <= 0.0))
        part = x[:, free]
        curve = (part * (w * p * (1.0 - p) / n)[:, None]).T @ part + np.diag(penalty[free] + 1e-10)
        step = np.zeros(len(beta))
        step[free] = np.linalg.solve(curve, pull[free])
        share, before = 1.0, value + 0.5 * float(penalty @ beta**2)
        while True:
            there = within(beta + share * step)
            now = loss(there)
            if now + 0.5 * float(penalty @ there**2) <= before or share < 1e-6:
                break
            share *= 0.5
        moved = float(np.abs(there - beta).max())
        if share >= 1e-6:
            beta, value = there, now
        if moved < 1e-8 or share < 1e-6:
            break
    return beta, value


def whole_points(
    chosen: Sequence[Fact],
    values: Mapping[str, Array],
    base: Mapping[tuple[str, float], Array],
    y: Array,
    w: Array,
    most: int,
) -> dict[str, Any]:
    """The head: whole points for ``chosen``, then intercept, log-odds a point and the effects of the periods."""
    bits = [f.holds(values[f.column]).astype(np.float64) for f in chosen]
    rows = Patterns([*base.values(), *bits], y, w)
    beta, _ = rows.fit([0] * len(base) + [f.sign for f in chosen])
    periods, facts = rows.x[:, : len(base)], rows.x[:, len(base) :]
    signs = np.array([f.sign for f in chosen], dtype=np.float64)
    total = _Totals(rows, periods, facts)
    points = _rounded(total, beta[1 + len(base) :], signs, most)
    solved, _ = total.calibrate(points)
    told = solved[-1] > 0  # else no fact tells anyone apart: a card without lines
    per_point = float(solved[-1]) if told else 1.0
    items = [f.item(int(p)) for f, p in zip(chosen, points, strict=True) if told and p != 0]
    for (column, cut), effect in zip(base, solved[1:-1], strict=True):
        items.append({"column": column, "at_least": cut, "points": float(effect) / per_point})
    return {"kind": "points", "intercept": float(solved[0]), "per_point": per_point, "items": items}


class _Totals:
    """The best intercept, period effects and log-odds a point for given points, and their loss."""

    def __init__(self, rows: Patterns, periods: Array, facts: Array) -> None:
        self.rows, self.periods, self.facts = rows, periods, facts
        self._known: dict[bytes, tuple[Array, float]] = {}

    def calibrate(self, points: Array) -> tuple[Array, float]:
        """Intercept, period effects and log-odds a point (not below 0), and the loss."""
        key = points.tobytes()
        if key not in self._known:
            self._known[key] = self._solve(self.facts @ points)
        return self._known[key]

    def _solve(self, totals: Array) -> tuple[Array, float]:
        x = np.concatenate([np.ones((len(totals), 1)), self.periods, totals[:, None]], axis=1)
        signs = np.array([0] * (x.shape[1] - 1) + [1])
        return logistic(x, self.rows.w, self.rows.e, signs, 0.0)


def _rounded(total: _Totals, beta: Array, signs: Array, most: int) -> Array:
    """Whole points with the least loss: scaled and rounded over a grid of scales, then steps of one point."""
    largest = float(np.abs(beta).max(initial=0.0))
    if largest == 0.0:
        return np.zeros(len(beta))
    starts: dict[bytes, Array] = {}
    for reach in np.arange(1.0, most + 1.01, 0.25):
        points = np.clip(np.round(beta * reach / largest), -most, most) + 0.0
        if points.any():
            starts[points.tobytes()] = points
    ranked = sorted(starts.values(), key=lambda points: total.calibrate(points)[1])
    finished = [_stepped(total, points, signs, most) for points in ranked[:3]]
    return min(finished, key=lambda points: total.calibrate(points)[1])


def _stepped(total: _Totals, points: Array, signs: Array, most: int) -> Array:
    """The best single step of one point, again and again, until none lowers the loss."""
    points = points.copy()
    for _ in range(100):
        best, found = total.calibrate(points)[1] - 1e-9, None
        for j in range(len(points)):
            for step in (-1.0, 1.0):
                there = points[j] + step
                if abs(there) > most or there * signs[j] < 0:
                    continue
                tried = points.copy()
                tried[j] = there + 0.0
                if not tried.any():
                    continue
                loss = total.calibrate(tried)[1]
                if loss < best:
                    best, found = loss, tried
        if found is None:
            return points
        points = found
    return points
