"""Is the list fair? Every group beside everyone else, at the length of list in use, with intervals.

For each grouping (``models.groups``) and each group in it, over all dates T together: how much of the list it fills
beside how much of the recorded harm it does, how often a listed person did serious harm, how much serious harm the
list missed, whether probabilities and expected harm come true, and what those who did no harm were scored. The
bootstrap draws persons, by the same seed and in the same order as ``models.compare``: its draws are those of every
other table. No score is set or moved by anything here.

A group is compared on what was *recorded*. Who is reported less looks safer and done more justice to than they are;
``models.moves`` says how far that could carry.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from models import metrics, moves, settings
from models.dual import RolesOf
from models.groups import MISSING, GroupsOf, groupings, order_of
from models.places import number, on_list, places_of, shown
from models.ranking import Bootstrap, share_of
from models.scorer import sigmoid

if TYPE_CHECKING:
    from models.compare import Occasion

Array = npt.NDArray[np.float64]
EVERYONE = "everyone"
SMALL = "fewer than {least} persons"
BESIDE = "some counts withheld: those of a smaller group could be worked out from them"

FIGURES: dict[str, tuple[str, str]] = {
    "base_rate": ("recorded for serious harm", "serious_persons"),
    "list_share": ("share of the list's places", "persons"),
    "harm_share": ("share of the recorded harm (winsorised days)", "persons"),
    "list_over_harm": ("share of the list over share of the harm", "persons"),
    "ppv": ("of those listed, recorded for serious harm", "listed_persons"),
    "fnr": ("of those recorded for serious harm, not listed", "serious_persons"),
    "fnr_ratio": ("the same, over that of everyone", "serious_persons"),
    "fpr": ("of those not recorded for serious harm, listed", "persons"),
    "slope": ("calibration slope (1 is right)", "serious_persons"),
    "intercept": ("calibration intercept with the slope held at 1 (0 is right)", "serious_persons"),
    "serious_observed_over_expected": ("persons with serious harm over what was expected", "serious_persons"),
    "observed_over_expected": ("harm days (winsorised) over what was expected", "persons"),
    "mean_p_no_harm": ("mean probability of those with no harm recorded", "persons"),
}
"""Figure -> (what it is, the count of different persons it rests on). A row has each with ``_low`` and ``_high``."""
_TELLING = {
    "persons": ("list_share", "harm_share"),
    "n": ("list_share", "harm_share", "base_rate", "fpr"),
    "serious": ("base_rate",),
    "serious_persons": ("base_rate",),
    "listed_persons": (),
}
"""Count -> the figures that, with those of the other groups, would give a withheld one away."""


def tables(
    occasions: Sequence[Occasion],
    groups_of: GroupsOf,
    share_of_list: float | None = None,
    draws: int = 200,
    seed: int = 1,
    *,
    roles_of: RolesOf | None = None,
    scene: Callable[[Occasion], moves.Scene] | None = None,
) -> dict[str, list[dict[str, Any]]]:
    """``fairness``, ``fairness_sensitivity`` and ``dual_role`` of the model, as lists of plain rows.

    Parameters
    ----------
    occasions: dates T; those without outcomes count only in ``dual_role``.
    groups_of: the groups as known at T (``groups.groups_of(load)``); persons it does not know are "not recorded".
    share_of_list: the list judged: below 1 a share of the cohort, else places; None: as ``fairness.toml`` says.
    draws, seed: of the bootstrap over persons, those of ``compare.tables``.
    roles_of: ``dual_roles`` as of T; None: ``dual_role`` is empty.
    scene: scores as they would be had the records been otherwise (``moves.scene_of``), asked for the newest date with
        outcomes; None: ``fairness_sensitivity`` holds only what follows from the outcomes.

    A row of ``fairness``: grouping, group, ``dates``, counts (n and serious of person-dates; persons,
    serious_persons, listed_persons of different persons), the figures of :data:`FIGURES`, ``assessable`` (at least
    50 different persons with serious harm) and ``suppressed`` (null, or why figures or counts are null).
    """
    labelled = [o for o in occasions if o.outcomes is not None]
    places = float(settings.load("fairness")["list"]["places"] if share_of_list is None else share_of_list)
    book = Book(labelled, groups_of, places, draws, seed)
    return {
        "fairness": rows(book),
        "fairness_sensitivity": moves.rows(book, scene),
        "dual_role": dual_rows(occasions, groups_of, places, roles_of),
    }


# --- what happened, group by group ---------------------------------------------------------------------------


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
    """Sums of one group over all dates, one value a draw (column 0: everybody once), and its different persons."""

    sums: dict[str, Array]
    persons: int
    serious_persons: int
    listed_persons: int
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
        values, listed = np.zeros((people, len(_SUMS))), np.zeros(people, dtype=bool)
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
            listed[d.person[d.listed[mine & (d.taken[:, 0] > 0)]]] = True
            z.append(metrics.logit(p[mask]))
            y.append(serious[mask])
            person.append(d.person[mask])
        there = values[:, 0] > 0
        summed = values[there].T @ self.counts[there]
        sums = dict(zip(_SUMS, summed, strict=True)) | {"places": places, "hits": hits}
        slope, intercept = np.full(width, np.nan), np.full(width, np.nan)
        if there.any():
            rows_ = np.concatenate(z), np.concatenate(y), np.concatenate(person)
            slope, intercept = calibration_draws(*rows_, self.counts)
        counts = (int(there.sum()), int((values[:, 1] > 0).sum()), int(listed.sum()))
        return Tally(sums, *counts, slope, intercept)


_SUMS = ("n", "serious", "harm", "p", "expected", "free", "p_free")


def groups_at(o: Occasion, groups_of: GroupsOf) -> pl.DataFrame:
    """The groups of the persons of ``o``, in their order; who is not known there is "not recorded"."""
    mine = pl.DataFrame({"person_id": o.persons.cast(pl.String)})
    found = mine.join(groups_of(o.t), on="person_id", how="left", maintain_order="left")
    return found.with_columns(pl.exclude("person_id").fill_null(MISSING))


# --- rows ----------------------------------------------------------------------------------------------------


def rows(book: Book) -> list[dict[str, Any]]:
    """The ``fairness`` table: everyone first, then each grouping's groups."""
    if not book.dates:
        return []
    counts = settings.load("fairness")["counts"]
    out = [_row(book, EVERYONE, EVERYONE, book.whole, counts)]
    for grouping in book.names:
        lines = [_row(book, grouping, g, book.of(grouping, g), counts) for g in book.groups(grouping)]
        out += beside(lines, _TELLING)
    return out


def _row(book: Book, grouping: str, group: str, tally: Tally, counts: Mapping[str, Any]) -> dict[str, Any]:
    least = int(counts["least"])
    row: dict[str, Any] = {"grouping": grouping, "group": group, "dates": len(book.dates)}
    known = {
        "persons": tally.persons,
        "serious_persons": tally.serious_persons,
        "listed_persons": tally.listed_persons,
    }
    small = tally.persons < least
    row |= {name: shown(value, least) for name, value in known.items()}
    row["n"] = None if small else int(tally.sums["n"][0])
    row["serious"] = None if tally.serious_persons < least else int(tally.sums["serious"][0])
    figures = figures_of(tally, book.whole)
    for name, (_, rests_on) in FIGURES.items():
        with np.errstate(invalid="ignore"):  # a draw without harm in the group has no finite ratio
            low, high = metrics.interval(figures[name][1:])
        hidden = small or known[rests_on] < least
        for key, value in ((name, figures[name][0]), (f"{name}_low", low), (f"{name}_high", high)):
            row[key] = None if hidden else number(value)
    row["assessable"] = not small and tally.serious_persons >= int(counts["assessable"])
    row["suppressed"] = SMALL.format(least=least) if small else None
    return row


def beside(lines: list[dict[str, Any]], telling: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    """A count withheld in one group alone is what everyone less the other groups leaves: the smallest of the others is
    then withheld too, with the shares that would give it away (``telling``: count -> these). Its rates stay."""
    for count, tell in telling.items():
        open_ = [line for line in lines if line[count] is not None]
        if len(open_) != len(lines) - 1 or not open_:
            continue
        next_one = min(open_, key=lambda line: (line[count], line["group"]))
        telltale = [f"{name}{end}" for name in tell for end in ("", "_low", "_high")]
        next_one |= dict.fromkeys(key for key in (count, *telltale) if key in next_one)
        next_one["suppressed"] = next_one.get("suppressed") or BESIDE
    return lines


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


# --- likely victims on the list ------------------------------------------------------------------------------


def dual_rows(
    occasions: Sequence[Occasion], groups_of: GroupsOf, places: float, roles_of: RolesOf | None
) -> list[dict[str, Any]]:
    """Per T and sex: how many of the cohort stand on record as suspect and victim of the same person, how many of them
    may be the victim and wait for review, and how many of those would have been on the list. Counts below 10: null."""
    out: list[dict[str, Any]] = []
    for o in occasions if roles_of is not None else ():
        assert roles_of is not None
        frame = groups_at(o, groups_of).with_columns(
            listed=pl.Series(places_of(o.scores["model"][0], places) > 0)
        )
        frame = frame.join(roles_of(o.t), on="person_id", how="left", maintain_order="left")
        frame = frame.with_columns(pl.col("held").fill_null(False), pl.col("pairs", "likely").fill_null(0))
        sexes = order_of("sex", frame["sex"].to_list()) if "sex" in frame.columns else []
        parts = [(sex, frame.filter(pl.col("sex") == sex)) for sex in sexes]
        lines = [_dual_row(o, group, part) for group, part in parts]
        out += [_dual_row(o, EVERYONE, frame), *beside(lines, _DUAL_TELLING)]
    return out


_DUAL_TELLING = {
    "persons": ("held_share",),
    "both_roles": (),
    "pairs": (),
    "likely_pairs": (),
    "held": ("held_share",),
    "held_listed": (),
}


def _dual_row(o: Occasion, group: str, part: pl.DataFrame) -> dict[str, Any]:
    least = int(settings.load("fairness")["counts"]["least"])
    counts = {
        "persons": part.height,
        "both_roles": part.filter(pl.col("pairs") > 0).height,
        "pairs": int(part["pairs"].sum()),
        "likely_pairs": int(part["likely"].sum()),
        "held": part.filter("held").height,
        "held_listed": part.filter(pl.col("held") & pl.col("listed")).height,
    }
    row: dict[str, Any] = {"t": o.t.strftime("%Y-%m-%dT%H:%M:%SZ"), "group": group}
    row |= {name: shown(value, least) for name, value in counts.items()}
    return row | {"held_share": number(counts["held"] / part.height) if counts["held"] >= least else None}
