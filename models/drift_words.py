"""Drift in words: what is called for and why, for a terminal and for the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

MEANS = {
    "none": "nothing is called for",
    "review": "review: a person looks at what changed and writes down what they found",
    "retrain": "train again: the model no longer fits what it is used on; test and approve the new one as any other",
    "off": "switch off: stop publishing from this model (go back to the last one or to a simple rule) until reviewed",
}
"""Call -> what it asks for."""


def _number(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _with_interval(row: Mapping[str, Any], name: str, digits: int = 2) -> str:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return f"{_number(row[name], digits)} [{_number(low, digits)}, {_number(high, digits)}]"


def sentence(topic: str, row: Mapping[str, Any]) -> str:
    """What a row says, in words."""
    if topic == "scores":
        return (
            f"PSI {_number(row['psi'], 3)} (chance reaches {_number(row['noise'], 3)}), mean probability "
            f"{_number(row['mean_p_was'], 4)} at the reference date, {_number(row['mean_p'], 4)} now"
        )
    if topic == "list":
        return (
            f"{row['grouping']} {row['group']} filled {_share(row['list_share_was'])} of it at the "
            f"reference date, {_share(row['list_share'])} now"
        )
    if topic == "fairness":
        return (
            f"{row['grouping']} {row['group']}: serious harm observed over expected "
            f"{_with_interval(row, 'serious_observed_over_expected')}, missed by the list "
            f"{_with_interval(row, 'fnr_ratio')} times as often as everyone's"
        )
    behind = (
        f", AUC {_with_interval(row, 'auc', 3)}, over {row['rule']} {_with_interval(row, 'auc_over_rule', 3)}"
    )
    return (
        f"serious harm in 90 days: observed over expected {_with_interval(row, 'observed_over_expected')}, slope "
        f"{_with_interval(row, 'slope')}{behind if row['rule'] else ''}"
    )


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def moved_features(rows: Sequence[Mapping[str, Any]]) -> str:
    """Which histories drifted in a month, those that weigh most first."""
    moved = sorted((r for r in rows if r["call"] != "none"), key=lambda r: -(r["weight"] or 0.0))
    carried = sum(r["weight"] or 0.0 for r in moved)
    named = ", ".join(f"{r['column']} (PSI {_number(r['psi'])})" for r in moved[:6])
    more = f" and {len(moved) - 6} more" if len(moved) > 6 else ""
    return f"{len(moved)} of {len(rows)} columns drifted, {carried:.0%} of the score's weight: {named}{more}"


def render(facts: Mapping[str, Any], tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Terminal text: the gravest call, every call, then each table by month."""
    lines = [f"as of {facts['as_of'][:10]}: {MEANS[facts['call']]}"]
    if facts["model"] and "reference" in facts:
        lines.append(
            f"model {facts['model']}, made with what was known by {facts['model_until'][:10]}; "
            f"reference date {facts['reference'][:10]}"
        )
    lines.append(f"{facts['months_watched']} months of records, {facts['signals']} signals")
    for row in tables["calls"]:
        refer = f" (and to the {row['refer']})" if row["refer"] else ""
        said = f"reviewed by {row['reviewed']}" if row["reviewed"] else f"{row['call'].upper()}{refer}"
        lines.append(f"  {row['month']}  {said}  {row['topic']}: {row['text']}")
    lines += _scores(tables["scores"], tables["features"]) + _outcomes(
        tables["calibration"], tables["fairness"]
    )
    return "\n".join([*lines, *(f"note: {note}" for note in facts["notes"])])


def _scores(scores: Sequence[Mapping[str, Any]], features: Sequence[Mapping[str, Any]]) -> list[str]:
    if not scores:
        return []
    out = ["", f"{'month':<9}{'persons':>9}{'PSI':>8}{'mean p':>9}{'columns that drifted':>22}  call"]
    for row in scores:
        moved = sum(f["month"] == row["month"] and f["call"] != "none" for f in features)
        out.append(
            f"{row['month']:<9}{row['n']:>9}{_number(row['psi'], 3):>8}{_number(row['mean_p'], 4):>9}{moved:>22}"
            f"  {row['call']}"
        )
    return out


def _outcomes(rows: Sequence[Mapping[str, Any]], groups: Sequence[Mapping[str, Any]]) -> list[str]:
    if not rows:
        return []
    out = [
        "",
        "serious harm within 90 days, by the month it describes (each with those 3, 6 and 9 months before)",
        f"{'month':<9}{'known at':<12}{'serious':>8}  {'observed / expected':<22}{'AUC':<22}{'groups':>7}  call",
    ]
    for row in rows:
        judged = sum(g["month"] == row["month"] and g["assessable"] for g in groups)
        call = row["call"] if row["assessable"] else "too few to say"
        out.append(
            f"{row['month']:<9}{row['known_at'][:10]:<12}{row['serious']:>8}  "
            f"{_with_interval(row, 'observed_over_expected'):<22}{_with_interval(row, 'auc', 3):<22}{judged:>7}  {call}"
        )
    return out
