"""What happened group by group, and the figures that follow: sums over dates, one value a draw of the bootstrap.

The draws are of persons, by the same seed and in the same order as every other table (``ranking.Bootstrap``): all of a
person's dates enter or leave together. Sums that do not depend on the list are first made for each person, then for
each draw.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.stats import beta

from models import metrics
from models.groups import MISSING, GroupsOf, groupings, order_of
from models.places import on_list
from models.ranking import Bootstrap, share_of
from models.scorer import sigmoid

if TYPE_CHECKING:
    from models.compare import Occasion

Array = npt.NDArray[np.float64]
EVERYONE = "everyone"


@dataclass
class _Date:
    """One T: its persons' groups and rows among all persons, and the places of the list each listed row takes."""

    o: Occasion
    groups: pl.DataFrame
    person: npt.NDArray[np.intp]
    listed: npt.NDArray[np.intp]
    taken: Array

    @property
    def outcomes(self) -> Mapping[str, Array]:
        assert self.o.outcomes is not None
        return self.o.outcomes


@dataclass
class Tally:
    """Sums of one group over all dates, one value a draw (column 0: everybody once), and its different persons.

    ``fourfold``: person-dates found, listed in vain, missed, neither.
    """

    sums: dict[str, Array]
    persons: int
    serious_persons: int
    listed_persons: int
    free_persons: int
    fourfold: tuple[float, ...]
    slope: Array
    intercept: Array


class Book:
    """The dates with outcomes, the groups of their persons and the draws; tallies are made once and kept."""

    def __init__(
        self, occasions: Sequence[Occasion], groups_of: GroupsOf, places: float, draws: int, seed: int
    ) -> None:
        self.places = places
        drawn = Bootstrap(occasions, draws, seed)
        self.counts = drawn.counts
        self.dates: list[_Date] = []
        for o, person in zip(occasions, drawn.rows, strict=True):
            listed, taken = on_list(o.scores["model"][0], self.counts[person], share_of(places, o.n))
            self.dates.append(_Date(o, groups_at(o, groups_of), person, listed, taken))
        self.names = [g for g in groupings() if self.dates and g in self.dates[0].groups.columns]
        self.whole = self.tally(None, EVERYONE)
        self._kept: dict[tuple[str, str], Tally] = {}

    def groups(self, grouping: str) -> list[str]:
        """Every group of a grouping that somebody belongs to, in the order shown."""
        return order_of(grouping, [g for d in self.dates for g in d.groups[grouping].unique().to_list()])

    def of(self, grouping: str, group: str) -> Tally:
        """The tally of a group."""
        if (grouping, group) not in self._kept:
            self._kept[grouping, group] = self.tally(grouping, group)
        return self._kept[grouping, group]

    def tally(self, grouping: str | None, group: str) -> Tally:
        """Sums over the dates of the rows in ``group`` (None: of everyone)."""
        people, width = self.counts.shape
        values = np.zeros((people, len(_SUMS)))
        listed, free_of = np.zeros(people, dtype=bool), np.zeros(people, dtype=bool)
        places, hits = np.zeros(width), np.zeros(width)
        z, y, person = [], [], []
        for d in self.dates:
            everyone = np.ones(d.o.n, dtype=bool)
            mask = everyone if grouping is None else (d.groups[grouping] == group).to_numpy()
            serious, p = d.outcomes["serious"], d.o.p["model"]
            free = (d.outcomes["harm_days"] == 0).astype(np.float64)
            columns = (everyone, serious, d.outcomes["winsor_days"], p, d.o.expected, free, free * p)
            values[d.person[mask]] += np.column_stack(columns)[mask]  # a person has one row a date
            mine = mask[d.listed]
            places += d.taken[mine].sum(axis=0)
            hits += serious[d.listed[mine]] @ d.taken[mine]
            taken = np.zeros(d.o.n)
            taken[d.listed] = d.taken[:, 0]
            listed[d.person[mask & (taken > 0)]] = True
            free_of[d.person[mask & (free > 0)]] = True
            z.append(metrics.logit(p[mask]))
            y.append(serious[mask])
            person.append(d.person[mask])
        used = values[:, 0] > 0
        summed = values[used].T @ self.counts[used]
        sums = dict(zip(_SUMS, summed, strict=True)) | {"places": places, "hits": hits}
        slope, intercept = np.full(width, np.nan), np.full(width, np.nan)
        if used.any():
            rows_ = np.concatenate(z), np.concatenate(y), np.concatenate(person)
            slope, intercept = calibration_draws(*rows_, self.counts)
        n, bad, filled, right = (float(sums[name][0]) for name in ("n", "serious", "places", "hits"))
        return Tally(
            sums,
            persons=int(used.sum()),
            serious_persons=int((values[:, 1] > 0).sum()),
            listed_persons=int(listed.sum()),
            free_persons=int(free_of.sum()),
            fourfold=(right, filled - right, bad - right, n - bad - filled + right),
            slope=slope,
            intercept=intercept,
        )


_SUMS = ("n", "serious", "harm", "p", "expected", "free", "p_free")


def groups_at(o: Occasion, groups_of: GroupsOf) -> pl.DataFrame:
    """The groups of the persons of ``o``, in their order; who is not known there is "not recorded"."""
    mine = pl.DataFrame({"person_id": o.persons.cast(pl.String)})
    found = mine.join(groups_of(o.t), on="person_id", how="left", maintain_order="left")
    return found.with_columns(pl.exclude("person_id").fill_null(MISSING))


def intervals_of(
    figures: Mapping[str, Array], tally: Tally, whole: Tally, least: int
) -> dict[str, tuple[float, float]]:
    """Lower and upper end of each figure: percentiles of the draws. Where the rate comes to fewer than ``least`` of the
    different persons, draws of them hardly vary: the interval also covers the exact one for that part of the persons
    (worked out from what is shown, since an exact interval can be turned back into its counts).
    Figures with fewer persons behind them than that are not shown (``models.withheld``)."""
    with np.errstate(invalid="ignore"):  # a draw without harm in the group has no finite ratio
        ends = {name: metrics.interval(draws[1:]) for name, draws in figures.items()}
    listed, serious = tally.listed_persons, tally.serious_persons
    missed, hit = float(figures["fnr"][0]) * serious, float(figures["ppv"][0]) * listed
    if min(missed, serious - missed) < least <= serious:
        low, high = clopper_pearson(missed, serious)
        everyone = float(1 - whole.sums["hits"][0] / whole.sums["serious"][0])
        ends["fnr"] = _wider(ends["fnr"], low, high)
        if everyone > 0:
            ends["fnr_ratio"] = _wider(ends["fnr_ratio"], low / everyone, high / everyone)
    if min(hit, listed - hit) < least <= listed:
        ends["ppv"] = _wider(ends["ppv"], *clopper_pearson(hit, listed))
    return ends


def _wider(ends: tuple[float, float], low: float, high: float) -> tuple[float, float]:
    """The smallest interval over both; NaN where either end of ``ends`` is."""
    return float(np.minimum(ends[0], low)), float(np.maximum(ends[1], high))


def clopper_pearson(found: float, of: int, level: float = 0.95) -> tuple[float, float]:
    """Exact binomial interval of a part ``found`` of ``of`` (Clopper and Pearson 1934)."""
    tail = (1 - level) / 2
    low = float(beta.ppf(tail, found, of - found + 1)) if found else 0.0
    return low, float(beta.ppf(1 - tail, found + 1, of - found)) if found < of else 1.0


def figures_of(tally: Tally, whole: Tally) -> dict[str, Array]:
    """Every figure of a group, one value a draw (formulas: docs/fairness.md)."""
    s, w = tally.sums, whole.sums
    with np.errstate(invalid="ignore", divide="ignore"):
        list_share, harm_share = s["places"] / w["places"], s["harm"] / w["harm"]
        fnr, fnr_whole = 1 - s["hits"] / s["serious"], 1 - w["hits"] / w["serious"]
        return {
            "base_rate": s["serious"] / s["n"],
            "list_share": list_share,
            "harm_share": harm_share,
            "list_over_harm": list_share / harm_share,
            "ppv": s["hits"] / s["places"],
            "fnr": fnr,
            "fnr_ratio": fnr / fnr_whole,
            "fpr": (s["places"] - s["hits"]) / (s["n"] - s["serious"]),
            "slope": tally.slope,
            "intercept": tally.intercept,
            "serious_observed_over_expected": s["serious"] / s["p"],
            "observed_over_expected": s["harm"] / s["expected"],
            "serious_over_everyone": (s["serious"] / s["p"]) / (w["serious"] / w["p"]),
            "harm_over_everyone": (s["harm"] / s["expected"]) / (w["harm"] / w["expected"]),
            "mean_p_no_harm": s["p_free"] / s["free"],
        }


def calibration_draws(z: Array, y: Array, person: npt.NDArray[np.intp], counts: Array) -> tuple[Array, Array]:
    """Calibration slope, and intercept with the slope held at 1, for each draw: rows with log-odds ``z`` and outcomes
    ``y`` (0 or 1) of ``person`` (a row of ``counts``, persons x draws, the first draw all ones).

    The first is the maximum-likelihood fit; a draw is one Newton step from there under its own weights (the one-step
    bootstrap: exact to first order, and no refit for each of many draws). NaN where a class is absent.
    """
    width = counts.shape[1]
    if not 0 < y.sum() < len(y):
        return np.full(width, np.nan), np.full(width, np.nan)
    ones = np.ones(len(y))
    a1, _ = metrics.fit_slope(z, y, ones, slope=1.0)
    a, b = metrics.fit_slope(z, y, ones)
    p1, p = sigmoid(a1 + z), sigmoid(a + b * z)
    h = p * (1 - p)
    rows_ = (y - p1, p1 * (1 - p1), y - p, (y - p) * z, h, h * z, h * z * z)
    used, place = np.unique(person, return_inverse=True)
    columns = np.array([np.bincount(place, weights=line, minlength=len(used)) for line in rows_])
    g1, h1, ga, gb, haa, hab, hbb = columns @ counts[used]
    with np.errstate(invalid="ignore", divide="ignore"):
        intercept = a1 + g1 / h1
        det = haa * hbb - hab * hab
        slope = np.where(det > 1e-12 * haa * hbb, b + (haa * gb - hab * ga) / det, np.nan)
    slope[0], intercept[0] = b, a1
    return slope, intercept
