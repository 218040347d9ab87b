"""Figures that judge a ranking or a probability, exact under ties and under person weights.

Every function takes weights, because the bootstrap draws weights for persons instead of rows: one draw, one weight
per person, the same for all of a person's dates and for every score compared. With weights of one they are the
plain figures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from models.scorer import sigmoid

Array = npt.NDArray[np.float64]


class Board:
    """One ranking under one set of weights: tied scores form groups without an order inside, best group first.

    ``score`` one per row; ``weight`` rows x draws (or one per row). Everything is computed from cumulative weights,
    sorted once.
    """

    def __init__(self, score: Array, weight: Array) -> None:
        self.n = len(score)
        self.weight = weight.reshape(self.n, -1)
        self.order = np.argsort(-score, kind="stable")
        ordered = score[self.order]
        new = np.r_[True, ordered[1:] != ordered[:-1]] if self.n else np.zeros(0, bool)
        self.starts = np.flatnonzero(new)
        self.ends = np.r_[self.starts[1:], self.n].astype(np.intp)
        cumulative = np.cumsum(self.weight[self.order], axis=0)
        self.upto = cumulative[self.ends - 1] if self.n else np.zeros((0, self.weight.shape[1]))
        """Weight of each group and all better ones, groups x draws."""

    @property
    def total(self) -> Array:
        """Whole weight of each draw."""
        return self.upto[-1] if self.n else np.zeros(self.weight.shape[1])

    def _sums(self, values: Array, groups: int) -> tuple[npt.NDArray[np.intp], Array]:
        """Which of the best ``groups`` groups hold a value that is not 0 (they are few where harm is rare), and the
        weighted sums of ``values`` in them, groups x draws."""
        ordered = values[self.order[: self.ends[groups - 1]]] if self.n else np.zeros(0)
        rows = np.flatnonzero(ordered)
        if not len(rows):
            return np.zeros(0, np.intp), np.zeros((0, self.weight.shape[1]))
        group = np.searchsorted(self.ends, rows, side="right")
        first = np.flatnonzero(np.r_[True, group[1:] != group[:-1]])
        sums = np.add.reduceat(self.weight[self.order[rows]] * ordered[rows, None], first, axis=0)
        return group[first], sums

    def auc(self, positive: Array) -> Array:
        """Chance that a random positive outranks a random negative, ties counting half; one value a draw, NaN where
        a class is absent."""
        return self.areas(positive)[0]

    def pr_auc(self, positive: Array) -> Array:
        """Area under the precision-recall curve, as average precision: over the groups, precision down to the group
        weighted by the share of the positives in it (tied rows enter together, in no order); one value a draw, NaN
        without a positive. A constant score gives the base rate."""
        return self.areas(positive)[1]

    def areas(self, positive: Array) -> tuple[Array, Array]:
        """:meth:`auc` and :meth:`pr_auc` at the cost of one."""
        auc, precise = np.full((2, self.weight.shape[1]), np.nan)
        at, pos = self._sums(positive, len(self.starts))
        if not len(at):
            return auc, precise
        upto = self.upto[at]
        before = np.where(at[:, None] > 0, self.upto[at - 1], 0.0)
        found, total_pos = np.cumsum(pos, axis=0), pos.sum(axis=0)
        total_neg = self.total - total_pos
        neg = upto - before - pos
        below = total_neg - (upto - found)
        wins = (pos * (below + 0.5 * neg)).sum(axis=0)
        both, some = (total_pos > 0) & (total_neg > 1e-12), total_pos > 0
        auc[both] = wins[both] / (total_pos * total_neg)[both]
        precision = np.divide(found, upto, out=np.zeros_like(pos), where=upto > 0)
        precise[some] = (pos * precision).sum(axis=0)[some] / total_pos[some]
        return auc, precise

    def listed(self, share: float) -> Array:
        """The share of a place each row has on a list of the best ``share`` of the weight (first draw): 1 above the
        cut, 0 below it, and for the rows tied at the cut an equal part of the places that remain."""
        places = min(share, 1.0) * self.total[0] if self.n else 0.0
        upto = self.upto[:, 0]
        held = np.diff(upto, prepend=0.0)
        taken = np.clip(places - (upto - held), 0.0, held)
        part = np.divide(taken, held, out=np.zeros_like(held), where=held > 0)
        out = np.zeros(self.n)
        out[self.order] = np.repeat(part, self.ends - self.starts)
        return out

    def top(self, values: Array, share: float) -> tuple[Array, Array]:
        """Weighted sum of ``values`` over the best ``share`` of the weight, and the weight taken, per draw.

        Where the cut falls inside a group of tied scores its rows share the remaining places: the sum is the exact
        expectation over all orders of the tied rows, places x mean of the group.
        """
        if not self.n:
            zero = np.zeros(self.weight.shape[1])
            return zero, zero
        places = min(share, 1.0) * self.total
        groups = min(64, len(self.starts))
        while groups < len(self.starts) and not (self.upto[groups - 1] >= places - 1e-9).all():
            groups = min(2 * groups, len(self.starts))  # the cut lies further down in some draw
        held = np.diff(self.upto[:groups], axis=0, prepend=0.0)
        taken = np.clip(places - (self.upto[:groups] - held), 0.0, held)
        fraction = np.divide(taken, held, out=np.zeros_like(held), where=held > 0)
        at, sums = self._sums(values, groups)
        return (fraction[at] * sums).sum(axis=0), taken.sum(axis=0)


def missed(hits: Array, taken: Array, events: Array, total: Array) -> Array:
    """Negative-prediction error: of those who were not listed, the share that came to harm (Grogger et al. 2021);
    NaN where everybody was listed."""
    left = total - taken
    return np.divide(events - hits, left, out=np.full(np.shape(left), np.nan), where=left > 1e-9)


def overlap(first: Mapping[str, float], second: Mapping[str, float]) -> tuple[float, float]:
    """Two lists as person -> share of a place (:meth:`Board.listed`): the share of the first's places that the same
    person holds on the second, and Jaccard (common over all on either). Ties at the cut are broken independently, so
    that a rule which cannot tell people apart is not thought steady."""
    both = sum(share * second[person] for person, share in first.items() if person in second)
    size, other = sum(first.values()), sum(second.values())
    either = size + other - both
    return (both / size if size else 1.0), (both / either if either else 1.0)


def rank_overlap(first: Sequence[str], second: Sequence[str], depth: int, p: float = 0.98) -> float:
    """Rank-biased overlap of two rankings down to ``depth`` places, extrapolated (Webber, Moffat and Zobel 2010, eq.
    32): 1 for the same order, 0 for nothing in common; at ``p`` .98 the first 50 places carry about two thirds."""
    a, b = list(first[:depth]), list(second[:depth])
    depth = min(depth, len(a), len(b))
    if not depth:
        return 1.0
    seen_a: set[str] = set()
    seen_b: set[str] = set()
    common, total = 0, 0.0
    for d in range(1, depth + 1):
        x, y = a[d - 1], b[d - 1]
        common += (x == y) + (x in seen_b) + (y in seen_a)
        seen_a.add(x)
        seen_b.add(y)
        total += common / d * p**d
    return (1 - p) / p * total + common / depth * p**depth


def brier(p: Array, y: Array, weight: Array) -> float:
    """Mean squared error of a probability."""
    return float(np.average((p - y) ** 2, weights=weight))


def logit(p: Array) -> Array:
    clipped = np.clip(p, 1e-9, 1.0 - 1e-9)
    return np.log(clipped) - np.log1p(-clipped)


def fit_slope(z: Array, y: Array, weight: Array, slope: float | None = None) -> tuple[float, float]:
    """Intercept and slope of the logistic regression of ``y`` on ``z``, by Newton's method.

    ``slope`` fixes the slope (1 gives calibration in the large). Returns (NaN, NaN) when one class is absent.
    """
    total = float(weight.sum())
    rate = float((weight * y).sum() / total) if total else 0.0
    if not 0.0 < rate < 1.0:
        return float("nan"), float("nan")
    a, b = 0.0, 1.0 if slope is None else slope
    for _ in range(100):
        p = sigmoid(a + b * z)
        g = weight * (y - p)
        h = weight * p * (1.0 - p)
        ga, haa = float(g.sum()), float(h.sum())
        if slope is not None:
            step_a, step_b = ga / max(haa, 1e-12), 0.0
        else:
            gb, hab, hbb = float((g * z).sum()), float((h * z).sum()), float((h * z * z).sum())
            det = haa * hbb - hab * hab
            if det <= 1e-12 * max(haa * hbb, 1e-300):  # z does not vary: a slope cannot be told
                step_a, step_b = ga / max(haa, 1e-12), 0.0
            else:
                step_a, step_b = (hbb * ga - hab * gb) / det, (haa * gb - hab * ga) / det
        limit = max(abs(step_a), abs(step_b)) / 4.0  # a long first step can overshoot when classes are rare
        if limit > 1.0:
            step_a, step_b = step_a / limit, step_b / limit
        a, b = a + step_a, b + step_b
        if max(abs(step_a), abs(step_b)) < 1e-12:
            break
    return float(a), float(b)


def calibration(p: Array, y: Array, weight: Array) -> dict[str, float]:
    """Slope (1 is right), intercept with the slope held at 1 (0 is right), and expected calibration error over ten
    groups of equal size (0 is right)."""
    z = logit(p)
    slope = fit_slope(z, y, weight)[1]
    intercept = fit_slope(z, y, weight, slope=1.0)[0]
    table = reliability(p, y, weight)
    ece = sum(row["share"] * abs(row["mean_p"] - row["observed"]) for row in table)
    return {"slope": slope, "intercept": intercept, "ece": float(ece)}


def reliability(p: Array, y: Array, weight: Array, bins: int = 10) -> list[dict[str, float]]:
    """Predicted against observed in groups of equal weight by predicted probability (fewer when scores tie)."""
    order = np.argsort(p, kind="stable")
    cum = np.cumsum(weight[order])
    if not len(p) or cum[-1] <= 0:
        return []
    index = np.minimum(((cum - 0.5 * weight[order]) / cum[-1] * bins).astype(int), bins - 1)
    out = []
    for b in np.unique(index):
        rows = order[index == b]
        w = weight[rows]
        if w.sum() <= 0:
            continue
        out.append(
            {
                "mean_p": float(np.average(p[rows], weights=w)),
                "observed": float(np.average(y[rows], weights=w)),
                "n": float(w.sum()),
                "share": float(w.sum() / cum[-1]),
            }
        )
    return out


def person_weights(persons: npt.NDArray[np.intp], draws: int, seed: int) -> Array:
    """Bootstrap weights, rows x draws: each draw gives every person a Poisson(1) count, so that all rows of a person
    enter or leave together. ``persons`` holds a person index (0 ...) for each row."""
    n = int(persons.max()) + 1 if len(persons) else 0
    counts = np.random.default_rng(seed).poisson(1.0, size=(n, draws)).astype(np.float64)
    return counts[persons]


def interval(draws: Array, level: float = 0.95) -> tuple[float, float]:
    """Percentile interval of bootstrap draws; NaN draws (a class vanished) are left out."""
    known = draws[~np.isnan(draws)]
    if known.size < 20:
        return float("nan"), float("nan")
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
