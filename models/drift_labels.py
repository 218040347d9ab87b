"""Does what the model says still come true, and for every group? By month, with the 90-day label.

The year's label of a month is complete more than a year later; the 90-day label (T + 90 days, and the reporting delay)
is the soonest that can be had. Every row names the month it describes (its T) and when that could be known. A single
month of a small force holds few outcomes, so a row pools its T with those three, six and nine months before, as far as
they lie after the model was made: their 90-day windows do not overlap. Intervals: bootstrap over persons.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from models import fairness, metrics, ranking
from models.compare import Occasion
from models.dataset import Source
from models.drift_scores import month_of, worst
from models.groups import GroupsOf, order_of
from models.places import number, places_of

LABEL_DAYS = 90
RULES = ("count_365", "harm_365", "last_dash")
"""Simple rules beside which the ranking is watched: a model that falls behind one of them is of no use."""
Score = Callable[[datetime], Occasion]


def labelled(source: Source, t: datetime, occasion: Occasion) -> Occasion:
    """``occasion`` of ``t`` with the 90-day label in place of the year's, and the model's own 90-day probability."""
    outcome = source.outcomes_at(t, LABEL_DAYS).select("person_id", "serious", "harm_cd")
    mine = pl.DataFrame({"person_id": occasion.persons}).join(
        outcome, on="person_id", how="left", maintain_order="left"
    )
    serious = mine["serious"].fill_null(False).cast(pl.Float64).to_numpy()
    days = mine["harm_cd"].fill_null(0).cast(pl.Float64).to_numpy() / 100.0
    p = occasion.p[str(LABEL_DAYS)]
    scores = {"model": (occasion.scores["model"][0], p)}
    scores |= {name: occasion.scores[name] for name in RULES if name in occasion.scores}
    outcomes = {"serious": serious, "harm_days": days, "winsor_days": days}
    return Occasion(t, occasion.persons, scores, {"model": p}, occasion.expected, occasion.flags, outcomes)


def pooled(dates: Sequence[datetime], t: datetime) -> list[datetime]:
    """``t`` and the dates three, six and nine months before it, those that are among ``dates``; oldest first."""
    month = t.year * 12 + t.month
    return [d for d in dates if month - (d.year * 12 + d.month) in (0, 3, 6, 9)]


def known_at(t: datetime, delay_days: int) -> datetime:
    """When the 90-day outcomes of ``t`` are complete."""
    return t + timedelta(days=LABEL_DAYS + delay_days)


def calibration_row(
    occasions: Sequence[Occasion],
    whole: Mapping[str, Any],
    complete: datetime,
    draws: int,
    seed: int,
    limits: Mapping[str, Any],
) -> dict[str, Any]:
    """Observed over expected, slope and ranking of the newest of ``occasions``, pooled with the others.

    ``whole``: the row of everyone of the fairness table of the same occasions; ``complete``: when the outcomes of the
    newest are.
    """
    _, spread = ranking.ranking(occasions, ranking.Bootstrap(occasions, draws, seed))
    auc = spread["model"]["auc"]
    rows = [r for r in ranking.differences(spread) if r["figure"] == "auc"]
    rival = min(rows, key=lambda r: (r["difference"] is None, r["difference"]), default=None)
    low, high = metrics.interval(auc[1:])
    serious = int(sum(o.outcomes["serious"].sum() for o in occasions if o.outcomes is not None))
    ratio = [whole[f"serious_observed_over_expected{end}"] for end in ("", "_low", "_high")]
    slope = [whole[f"slope{end}"] for end in ("", "_low", "_high")]
    few = serious < int(limits["least_serious"])
    row = {
        "month": month_of(occasions[-1].t),
        "known_at": complete.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "dates": len(occasions),
        "n": sum(o.n for o in occasions),
        "serious": serious,
        "observed_over_expected": ratio[0],
        "observed_over_expected_low": ratio[1],
        "observed_over_expected_high": ratio[2],
        "slope": slope[0],
        "slope_low": slope[1],
        "slope_high": slope[2],
        "auc": number(auc[0]),
        "auc_low": number(low),
        "auc_high": number(high),
        "rule": rival["rule"] if rival else None,
        "auc_over_rule": rival["difference"] if rival else None,
        "auc_over_rule_low": rival["low"] if rival else None,
        "auc_over_rule_high": rival["high"] if rival else None,
        "assessable": not few,
    }
    behind = rival is not None and rival["high"] is not None and rival["high"] < 0.0
    calls = [
        outside(ratio, limits["observed_over_expected"]),
        outside(slope, limits["slope"]),
        str(limits["behind_rule"]) if behind else "none",
    ]
    return {**row, "call": "none" if few else worst(calls)}


def outside(figure: Sequence[float | None], bands: Mapping[str, Sequence[float]]) -> str:
    """The gravest call whose band the whole interval of a figure (value, low, high) lies outside of."""
    _, low, high = figure
    if low is None or high is None:
        return "none"
    return worst([call for call, (least, most) in bands.items() if high < least or low > most])


def fairness_rows(
    table: Sequence[Mapping[str, Any]], month: str, complete: datetime, limits: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """What of the fairness table is watched: observed over expected and missed harm, a row a group."""
    figures = ("serious_observed_over_expected", "fnr", "fnr_ratio", "list_share")
    rows = []
    for line in table:
        if line["grouping"] == fairness.EVERYONE:
            continue
        row = {"month": month, "known_at": complete.strftime("%Y-%m-%dT%H:%M:%SZ")}
        row |= {
            k: line[k]
            for k in ("grouping", "group", "persons", "serious_persons", "assessable", "suppressed")
        }
        row |= {f"{f}{end}": line[f"{f}{end}"] for f in figures for end in ("", "_low", "_high")}
        ratio = [line[f"serious_observed_over_expected{end}"] for end in ("", "_low", "_high")]
        missed = line["fnr_ratio_low"]
        calls = [outside(ratio, limits["observed_over_expected"])]
        calls += [call for call, most in limits["fnr_ratio"].items() if missed is not None and missed > most]
        rows.append({**row, "call": worst(calls) if line["assessable"] else "none"})
    return rows


def list_rows(
    t: datetime,
    occasion: Occasion,
    then: Occasion,
    groups_of: GroupsOf,
    places: float,
    least: int,
    limits: Mapping[str, Any],
) -> list[dict[str, Any]]:
    """Who fills the list at ``t``, group by group, beside the reference date ``then``; no label is needed.

    A group with fewer than ``least`` persons in the cohort at either date is not shown, nor, when it is the only such
    group, the smallest other one, whose share would give it away. A call needs the share to have moved by
    ``limits["share_apart"]`` and by more than ``limits["deviations"]`` standard deviations of two random lists.
    """
    now_groups, then_groups = (fairness.groups_at(o, groups_of) for o in (occasion, then))
    taken = {
        True: places_of(occasion.scores["model"][0], places),
        False: places_of(then.scores["model"][0], places),
    }
    rows = []
    for grouping in (c for c in now_groups.columns if c != "person_id"):
        lines = []
        names = {*now_groups[grouping].to_list(), *then_groups[grouping].to_list()}
        for group in order_of(grouping, sorted(names)):
            mask, old = ((frame[grouping] == group).to_numpy() for frame in (now_groups, then_groups))
            size = int(min(mask.sum(), old.sum()))
            share, was = (_part(taken[new], rows_) for new, rows_ in ((True, mask), (False, old)))
            line = {"month": month_of(t), "known_at": t.strftime("%Y-%m-%dT%H:%M:%SZ"), "grouping": grouping,
                    "group": group, "cohort_share": number(float(mask.mean())), "list_share_was": number(was),
                    "list_share": number(share), "call": _moved(share, was, taken, limits)}  # fmt: skip
            lines.append((size, line))
        rows += _hidden(lines, least)
    return rows


def _part(taken: Any, mask: Any) -> float:
    total = float(taken.sum())
    return float(taken[mask].sum()) / total if total else float("nan")


def _moved(share: float, was: float, taken: Mapping[bool, Any], limits: Mapping[str, Any]) -> str:
    mean = (share + was) / 2.0
    error = float(np.sqrt(mean * (1.0 - mean) * sum(1.0 / max(float(v.sum()), 1.0) for v in taken.values())))
    far = abs(share - was) >= limits["share_apart"] and abs(share - was) > limits["deviations"] * error
    return "review" if far else "none"


def _hidden(lines: list[tuple[int, dict[str, Any]]], least: int) -> list[dict[str, Any]]:
    """Shares of small groups taken out, and of the next smallest where one alone could be worked out."""
    small = [line for size, line in lines if size < least]
    if len(small) == 1 and len(lines) > 1:
        small.append(
            min((item for item in lines if item[0] >= least), key=lambda item: item[0], default=lines[0])[1]
        )
    for line in small:
        line |= {"cohort_share": None, "list_share": None, "list_share_was": None, "call": "none"}
    return [line for _, line in lines]
