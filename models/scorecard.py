"""A scorecard: whole points for a dozen plain facts, added up with a pencil, and a table from total to probability.

A card gives up a little of what an elastic net tells, to fit on one sheet of paper. It is found in three steps, each
on the weighted log loss:

1. *Which facts.* A fact is "value at least c" or "value less than c" for a cut c that can be read out; a missing
   value holds no fact, so that nobody gains or loses points for what was not recorded. Facts join one at a time,
   by the score test given those already chosen (Rao 1948), coefficients limited to the declared direction; then each
   is tried against all others again.
2. *How many points.* Coefficients times a scale, rounded; over a grid of scales, each followed by steps of one point
   that lower the loss (the idea of risk scores with integer coefficients: Ustun and Rudin 2019; Liu et al. 2022).
3. *What a total means.* Intercept and log-odds per point by logistic regression on the total.

The first step is here, the others in ``models.whole_points``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import polars as pl

from models.families import Family
from models.scorer import sigmoid
from models.transforms import Array
from models.whole_points import Patterns, whole_points

Codes = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Fact:
    """``value >= cut`` (or ``value < cut`` when ``below``) of a column; ``sign``: which way its points may go."""

    column: str
    cut: float
    below: bool
    sign: int

    def item(self, points: int) -> dict[str, Any]:
        """The entry of a head of kind ``points``."""
        return {"column": self.column, "below" if self.below else "at_least": self.cut, "points": points}

    def holds(self, values: Array) -> npt.NDArray[np.bool_]:
        """Whether the fact holds; never for NaN."""
        with np.errstate(invalid="ignore"):
            return np.asarray(values < self.cut if self.below else values >= self.cut)


class Scorecard(Family):
    """Whole points for at most a dozen facts; ``head()`` is of kind ``points``."""

    name: ClassVar[str] = "scorecard"
    title: ClassVar[str] = "Scorecard"

    def _learn(self, X: pl.DataFrame, y: Array, weight: Array, groups: pl.Series | None) -> None:
        """Choose facts and points on all rows; nothing is chosen on persons held out."""
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

        config, shapes = self.config, self.shapes or {}
        w = weight / weight.mean()
        values = {c: _values(X, c) for c in shapes}
        base = _steps(values, shapes)
        directions = self.directions or {}
        if config["declared_only"] and any(directions.values()):
            shapes = {c: s for c, s in shapes.items() if s == "period" or directions.get(c, 0)}
        facts = candidates(values, shapes, directions, config)
        with threadpool_limits(limits=1):  # many small sums: threads would only wait for each other
            chosen = _choose(facts, values, base, y, w, config)
            self.head_ = whole_points(chosen, values, base, y, w, int(config["max_points"]))


def candidates(
    values: Mapping[str, Array],
    shapes: Mapping[str, str],
    directions: Mapping[str, int],
    config: Mapping[str, Any],
) -> list[Fact]:
    """Every fact a card may use, in the order of ``shapes``."""
    return [
        Fact(column, cut, below, sign)
        for column, shape in shapes.items()
        if shape != "period"
        for cut in _cuts(values[column], shape, config)
        for below, sign in _ways(shape, int(directions.get(column, 0)))
    ]


def card(head: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """What is printed: ``items`` (column, ``at_least`` or ``below``, points; heaviest first) and ``totals`` (points,
    probability), one row for every total that can be reached. Facts of a column that ``fixed`` supplies are left out:
    they are the same for everyone."""
    fixed = set(head.get("fixed") or ())
    items = [i for i in head["items"] if i["column"] not in fixed]
    reach = {0}
    for item in items:
        reach |= {total + int(item["points"]) for total in reach}
    totals = np.array(sorted(reach), dtype=np.float64)
    z = float(head["intercept"]) + float(head["per_point"]) * totals
    rows = [{"points": int(t), "probability": float(p)} for t, p in zip(totals, sigmoid(z), strict=True)]
    return {"items": sorted(items, key=lambda i: -abs(i["points"])), "totals": rows}


def _values(X: pl.DataFrame, column: str) -> Array:
    return X[column].cast(pl.Float64).fill_null(float("nan")).to_numpy().astype(np.float64)


def _ways(shape: str, direction: int) -> list[tuple[bool, int]]:
    """(below, sign of the points) in which a fact about a column of this shape is natural to say."""
    if shape in ("recency", "age", "number"):  # "less than 90 days ago", "under 25": what is near counts
        up, down = (False, 1), (True, 1)
        return [up, down] if direction == 0 else [up if direction > 0 else down]
    return [(False, s) for s in (1, -1) if direction in (0, s)]


def _cuts(values: Array, shape: str, config: Mapping[str, Any]) -> list[float]:
    """Cuts that can be read out, ascending."""
    known = values[~np.isnan(values)]
    if not known.size:
        return []
    if shape == "flag":
        return [1.0]
    if shape == "grade":
        return sorted(set(known.tolist()))
    if shape in ("recency", "age"):
        cuts = [float(c) for c in config["cut_days" if shape == "recency" else "cut_ages"]]
        return [c for c in cuts if float(known.min()) < c <= float(known.max())]
    some = known[known > 0] if shape in ("count", "harm") else known
    if not some.size:
        return []
    cuts = [_plain(float(q)) for q in np.quantile(some, [float(q) for q in config["cut_quantiles"]])]
    if shape == "count":
        whole = bool((some == np.floor(some)).all())
        small = [float(c) for c in range(1, int(config["small_counts"]) + 1)]
        cuts = [*small, *(float(np.ceil(c)) for c in cuts)] if whole else cuts
    return sorted({c for c in cuts if float(known.min()) < c <= float(known.max())})


def _plain(value: float) -> float:
    """``value`` to two figures (one and a half above a hundred): a number that can be read out."""
    if value == 0.0:
        return 0.0
    size = 10.0 ** (np.floor(np.log10(abs(value))) - 1.0)
    step = 5.0 if abs(value) >= 100.0 else 1.0
    return float(f"{round(value / (size * step)) * size * step:.12g}")


def _steps(values: Mapping[str, Array], shapes: Mapping[str, str]) -> dict[tuple[str, float], Array]:
    """Indicators of the period, which are in every fit: the same for everyone, so they are no line of the card."""
    out: dict[tuple[str, float], Array] = {}
    for column in (c for c, s in shapes.items() if s == "period"):
        for cut in np.unique(values[column][~np.isnan(values[column])])[1:]:
            out[(column, float(cut))] = (values[column] >= cut).astype(np.float64)
    return out


# --- which facts ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Column:
    """A column in bins: its facts, and of each fact the bins (of ``count``, the last for NaN) in which it holds."""

    codes: Codes
    count: int
    facts: list[Fact]
    masks: npt.NDArray[np.bool_]

    def sums(self, weights: Array) -> Array:
        """Of each fact, the sum of ``weights`` over the rows where it holds."""
        return np.asarray(self.masks @ np.bincount(self.codes, weights=weights, minlength=self.count))


def _columns(facts: Sequence[Fact], values: Mapping[str, Array], config: Mapping[str, Any]) -> list[_Column]:
    """Columns with those of their facts that hold, and fail to hold, for enough rows."""
    out = []
    for column in dict.fromkeys(f.column for f in facts):
        mine = [f for f in facts if f.column == column]
        cuts = np.array(sorted({f.cut for f in mine}))
        codes = np.searchsorted(cuts, values[column], side="right")
        codes[np.isnan(values[column])] = len(cuts) + 1
        count = len(cuts) + 2
        edges = np.concatenate([[-np.inf], cuts, [np.nan]])  # a value of each bin; NaN for the last
        masks = np.array([f.holds(edges) for f in mine])
        rows = masks @ np.bincount(codes, minlength=count)
        least = max(float(config["minimum_rows"]), float(config["minimum_share"]) * len(codes))
        kept = (rows >= least) & (len(codes) - rows >= least)
        if kept.any():
            out.append(_Column(codes, count, [f for f, k in zip(mine, kept, strict=True) if k], masks[kept]))
    return out


def _choose(
    facts: Sequence[Fact],
    values: Mapping[str, Array],
    base: Mapping[Any, Array],
    y: Array,
    w: Array,
    config: Mapping[str, Any],
) -> list[Fact]:
    """The facts of the card: forward by the score test, then each against all others."""
    values, base, y, w = _thinned(values, base, y, w, int(config["selection_rows"]))
    search = _Search(_columns(facts, values, config), values, list(base.values()), y, w, config)
    chosen: list[Fact] = []
    while len(chosen) < int(config["max_items"]):
        best = search.best(chosen)
        if best is None:
            break
        chosen.append(best)
    for _ in range(int(config["swap_rounds"])):
        before = list(chosen)
        for fact in before:
            rest = [f for f in chosen if f != fact]
            best = search.best(rest)
            if best is not None and best != fact and search.loss([*rest, best]) < search.loss(chosen) - 1e-9:
                chosen = [*rest, best]
        if chosen == before:
            break
    return chosen


def _thinned(
    values: Mapping[str, Array], base: Mapping[Any, Array], y: Array, w: Array, most: int
) -> tuple[Mapping[str, Array], Mapping[Any, Array], Array, Array]:
    """All rows with the outcome and every k-th without, its weight times k, when there are more than ``most``."""
    events = int(y.sum())
    if len(y) <= most:
        return values, base, y, w
    stride = -(-(len(y) - events) // max(most - events, most // 2))
    quiet = np.cumsum(y == 0)
    keep = (y > 0) | (quiet % stride == 0)
    weight = np.where(y > 0, w, w * stride)[keep]
    return {c: v[keep] for c, v in values.items()}, {k: b[keep] for k, b in base.items()}, y[keep], weight


class _Search:
    """Score tests and fits for sets of facts; a fit made once is kept."""

    def __init__(
        self,
        columns: list[_Column],
        values: Mapping[str, Array],
        base: list[Array],
        y: Array,
        w: Array,
        config: Mapping[str, Any],
    ) -> None:
        self.columns, self.values, self.base, self.y, self.w = columns, values, base, y, w
        self.shortlist, self.per_column = int(config["shortlist"]), int(config["per_column"])
        self._fits: dict[frozenset[Fact], tuple[float, Array]] = {}

    def _fit(self, chosen: Sequence[Fact]) -> tuple[float, Array]:
        """Loss and log-odds of every row."""
        key = frozenset(chosen)
        if key not in self._fits:
            ordered = sorted(chosen, key=lambda f: (f.column, f.cut, f.below, f.sign))
            bits = [f.holds(self.values[f.column]).astype(np.float64) for f in ordered]
            rows = Patterns([*self.base, *bits], self.y, self.w)
            beta, loss = rows.fit([0] * len(self.base) + [f.sign for f in ordered])
            self._fits[key] = loss, (beta[0] + rows.x @ beta[1:])[rows.of]
        return self._fits[key]

    def loss(self, chosen: Sequence[Fact]) -> float:
        """Weighted mean log loss of the best unrounded card of these facts."""
        return self._fit(chosen)[0]

    def best(self, chosen: Sequence[Fact]) -> Fact | None:
        """The fact whose score test given ``chosen`` is largest in its allowed direction; None when none pulls."""
        z = self._fit(chosen)[1]
        p = sigmoid(z)
        slack, v = self.w * (self.y - p), self.w * p * (1.0 - p)
        taken: dict[str, int] = {}
        for fact in chosen:
            taken[fact.column] = taken.get(fact.column, 0) + 1
        looks = []
        for column in self.columns:
            if taken.get(column.facts[0].column, 0) >= self.per_column:
                continue
            sign = np.array([f.sign for f in column.facts], dtype=np.float64)
            score, spread = column.sums(slack) * sign, column.sums(v)
            looks.append((float(np.max(np.maximum(score, 0.0) ** 2 / spread)), column, score, spread))
        looks.sort(key=lambda look: -look[0])
        around = np.stack(
            [
                np.ones(len(v)),
                *self.base,
                *(f.holds(self.values[f.column]).astype(np.float64) for f in chosen),
            ]
        )
        inverse = np.linalg.pinv((around * v) @ around.T)
        top, best = 0.0, None
        for first, column, score, spread in looks[: self.shortlist]:
            if first <= 0.0:
                break
            cross = np.stack([column.sums(v * row) for row in around])
            left = spread - np.einsum("if,ij,jf->f", cross, inverse, cross)
            ok = (left > 0.02 * spread) & (score > 0)  # else it is told by the facts already chosen
            tests = np.where(ok, score**2 / np.where(ok, left, 1.0), 0.0)
            k = int(np.argmax(tests))
            if tests[k] > top and column.facts[k] not in chosen:
                top, best = float(tests[k]), column.facts[k]
        return best
