"""Sections of the report that show how the model was judged: accuracy, and what it comes to in short.

Every figure comes from the results tables of the run (``models.compare``, ``models.lists``); a table that is not there
leaves its place empty.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from models import plots, settings
from models.compare import sensitive_columns
from models.plots import title_of
from models.report_parts import (
    Block,
    date,
    figure,
    folded,
    heading,
    interval,
    listed,
    number,
    percent,
    section,
    share_with_interval,
    table,
    text,
    whole,
    with_interval,
)
from models.scorer import Scorer

COHORTS = {
    "all": "everyone in scope",
    "active_365": "with a domestic event in the last 365 days",
    "first_time": "first-time suspects",
    "unseen": "persons the model never learnt from",
}
PLACE_WORDS = {"25": "25 places", "100": "100 places", "250": "250 places", "1pc": "1 % of the cohort"}
Results = Mapping[str, Any]
Section = dict[str, Any] | None


def reads(doc: Mapping[str, Any], kind: str) -> bool:
    """Whether the model reads a column marked ``kind`` (age, health): of those it was offered a fit may take none."""
    return bool(set(sensitive_columns(doc, kind)) & set(Scorer(doc).columns))


def of_use(doc: Mapping[str, Any], results: Results) -> dict[str, Any]:
    """The results without the rows of "this model without age" (or health) where it reads none: they would say that
    something was left out."""
    none = {f"without {kind}" for kind in ("age", "health") if not reads(doc, kind)}
    return {
        name: [r for r in rows if not isinstance(r, Mapping) or r.get("score", r.get("rule")) not in none]
        if isinstance(rows, list)
        else rows
        for name, rows in results.items()
    }


def pooled(results: Results, table_name: str, cohort: str = "all") -> list[Mapping[str, Any]]:
    """Rows over all dates of a table."""
    rows = results.get(table_name, ())
    return [r for r in rows if r.get("t") == "pooled" and r.get("cohort", "all") == cohort]


def pooled_dates(results: Results) -> int:
    return max((int(r.get("dates", 0)) for r in pooled(results, "ranking")), default=0)


def mine(results: Results, table_name: str = "ranking", cohort: str = "all") -> Mapping[str, Any]:
    """The model's own row over all dates; empty where there is none."""
    rows = pooled(results, table_name, cohort)
    return next((r for r in rows if r.get("score", "model") == "model"), {})


# --- accuracy ------------------------------------------------------------------------------------------------


def accuracy(doc: Mapping[str, Any], results: Results) -> Section:
    """Who was judged, how well the model ranks, whether its figures come true, how much warning it gives."""
    return section(
        "accuracy",
        "Accuracy",
        [
            text(f"{results['how'][:1].upper()}{results['how'][1:]}." if results.get("how") else ""),
            _cohorts(results),
            heading("Does it put the right people first?"),
            _areas(results),
            heading("Does “x in 100” mean x in 100?"),
            *_calibration(results),
            heading("Does the expected harm come true?"),
            _harm(doc, results),
            *_lead(results),
        ],
    )


def _cohorts(results: Results) -> Block | None:
    rows = [
        [
            date(r["t"]),
            COHORTS.get(r["cohort"], r["cohort"]),
            whole(r["n"]),
            whole(r["serious"]),
            percent(r["base_rate"], 2),
        ]
        for r in results.get("cohort", ())
        if r["cohort"] == "all" or r["t"] == results["cohort"][-1]["t"]
    ]
    head = ["date", "who", "persons", "recorded for serious harm after", "share"]
    return table("Who was judged: every date, and the groups of the newest one", head, rows, words=(0, 1))


def _areas(results: Results) -> Block | None:
    rows = [
        [
            COHORTS.get(c, c),
            with_interval(r, "auc"),
            with_interval(r, "pr_auc"),
            share_with_interval(r, "npe_1pc", 2),
        ]
        for c in COHORTS
        if (r := mine(results, cohort=c))
    ]
    caption = (
        "This model, all dates together. AUC: the chance that a person later recorded for serious harm was "
        "ranked above "
        "one who was not. PR-AUC: average precision. Missed: of those not among the first 1 %, recorded for "
        "serious harm "
        "(negative-prediction error)."
    )
    return table(caption, ["who", "AUC", "PR-AUC", "missed at 1 %"], rows)


def _calibration(results: Results) -> list[Block | None]:
    rows = [
        [
            COHORTS.get(r["cohort"], r["cohort"]),
            whole(r["n"]),
            percent(r["base_rate"], 2),
            percent(r["mean_p"], 2),
            number(r["brier"], 4),
            number(r["skill"]),
            number(r["slope"], 2),
            number(r["intercept"], 2),
            number(r["ece"], 4),
        ]
        for r in results.get("probability", ())
        if r["t"] == "pooled"
    ]
    head = ["who", "rows", "recorded", "said, mean", "Brier", "skill", "slope", "intercept", "ECE"]
    caption = (
        "Probabilities, all dates together. Skill: Brier score against saying the same rate for everyone. "
        "Slope 1 and "
        "intercept 0 are right (the intercept with the slope held at 1)."
    )
    reliability = results.get("reliability", ())
    tenths = [[percent(r["mean_p"], 2), percent(r["observed"], 2), whole(r["n"])] for r in reliability]
    by_tenth = table(
        "Ten groups of equal size, lowest first", ["said, mean", "recorded", "rows"], tenths, words=()
    )
    plot = figure(
        plots.svg(plots.calibration(reliability)),
        "Said against recorded share of serious harm in ten groups; the figures are in the table below",
        "Said against recorded, ten groups of equal size. On the dashed line the figures come true; bars are 95 % "
        "intervals. Both axes are stretched at the low end, where most people are.",
    )
    return [
        table(caption, head, rows),
        plot if reliability else None,
        folded("The ten groups in figures", [by_tenth]),
    ]


def _harm(doc: Mapping[str, Any], results: Results) -> Block | None:
    winsor = settings.load("logistic")["harm"]["winsor_days"]
    rows = [
        [
            r["part"],
            whole(r["expected_days"]),
            whole(r["observed_days"]),
            number(r["observed_over_expected"], 2),
            number(r["unwinsorised_over_expected"], 2),
        ]
        for r in results.get("harm", ())
    ]
    head = [
        "part of the list",
        "expected days",
        "recorded days",
        "recorded / expected",
        "without the ceiling",
    ]
    caption = (
        f"Harm in days ({doc['harm']['scheme']}, edition {doc['harm']['edition']}); a person's harm is counted up to "
        f"{winsor:,} days, beside it what it is without that ceiling."
    )
    return table(caption, head, rows)


def _lead(results: Results) -> list[Block | None]:
    rows = [
        r for r in results.get("lead_time", ()) if r["k"] == "1pc" and r["cases"] and r["score"] != "constant"
    ]
    rows = [r for r in rows if not r["score"].startswith("without")]
    if not rows:
        return []
    body = [
        [
            title_of(r["score"]),
            number(r["cases"], 0),
            (whole(r["median_days"]), interval(r["lower_days"], r["upper_days"], 0)),
            percent(r["within_7"]),
            percent(r["within_30"]),
        ]
        for r in rows
    ]
    head = ["list made by", "did serious harm", "days until it", "within 7 days", "within 30 days"]
    strong = [i for i, r in enumerate(rows) if r["score"] == "model"]
    caption = (
        "Days from a list of 1 % of the cohort to the first serious harm of those on it who did any: median, and the "
        "middle half. Harm within days of a list leaves little time to act."
    )
    return [heading("How much warning?"), table(caption, head, body, strong=strong)]


# --- in short ------------------------------------------------------------------------------------------------


def in_short(results: Results) -> list[str]:
    """What the figures say, in a few sentences that a reader without statistics can repeat."""
    row = mine(results)
    if not row:
        return []
    rules = [r for r in pooled(results, "ranking") if _is_rule(r["score"], results)]
    best = max(rules, key=lambda r: r["auc"] or 0.0, default=None)
    said = [
        f"It ranks people with an AUC of {number(row['auc'])} ({interval(row['auc_low'], row['auc_high'])})"
    ]
    if best is not None:
        gap = next(
            (d for d in results["difference"] if d["rule"] == best["score"] and d["figure"] == "auc"), None
        )
        verdict = _verdict(gap)
        said[0] += (
            f"; the best simple rule, {title_of(best['score'])}, reaches {number(best['auc'])}{verdict}."
        )
    else:
        said[0] += "."
    by_harm = max(rules, key=lambda r: r["capture_1pc"] or 0.0, default=None)
    harm = percent(row["capture_1pc"], 0)
    line = f"A list of 1 % of the cohort would have held the people who did {harm} of the recorded harm"
    if by_harm is not None:
        line += f"; the best simple rule, {title_of(by_harm['score'])}, {percent(by_harm['capture_1pc'], 0)}"
    said.append(line + ".")
    probability = next((r for r in pooled(results, "probability")), None)
    if probability and probability["mean_p"]:
        said.append(
            f"It said {percent(probability['mean_p'], 2)} on average and "
            f"{percent(probability['base_rate'], 2)} were recorded "
            f"for serious harm; calibration slope {number(probability['slope'], 2)} (1 is right)."
        )
    reach = [r["harm_unreachable"] for r in results.get("reach", ()) if "harm_unreachable" in r]
    if reach:
        said.append(
            f"{percent(sum(reach) / len(reach), 0)} of the harm that followed was done by people no list "
            "could have held."
        )
    return said


def _is_rule(score: str, results: Results) -> bool:
    other = ("model", "oracle", "champion", "challenger", *results.get("others", ()))
    return score not in other and not score.startswith(("without", "m-"))


def _verdict(gap: Mapping[str, Any] | None) -> str:
    if gap is None or gap["low"] is None:
        return ""
    if gap["low"] > 0:
        return ", and the difference is more than chance"
    return (
        ", and the rule is better by more than chance"
        if gap["high"] < 0
        else "; the difference may be chance"
    )


def best_rules(results: Results) -> Sequence[str]:
    """The rules that are compared, by name."""
    return [title_of(r["score"]) for r in pooled(results, "ranking") if _is_rule(r["score"], results)]


def names_of_rules(results: Results) -> str:
    return listed(list(best_rules(results)))
