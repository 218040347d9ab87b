"""Results tables as text for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def _cell(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    if value is None:
        return "-"
    low, high = row.get(f"{name}_low"), row.get(f"{name}_high")
    return f"{value:.3f}" + (f" [{low:.3f}, {high:.3f}]" if low is not None and high is not None else "")


def render(facts: Mapping[str, Any], tables: Mapping[str, Any]) -> str:
    """Terminal text: cohort, then every score pooled, harm, probability, oracle, reach, notes."""
    lines = [
        facts["how"] + ".",
        f"horizon {facts['horizon_days']} d, reporting delay {facts['delay_days']} d",
        "",
    ]
    lines.append(f"{'T':<12}{'cohort':<12}{'n':>7}{'serious':>9}{'base rate':>11}")
    lines += [
        f"{r['t'][:10]:<12}{r['cohort']:<12}{r['n']:>7}"
        + (
            f"{r['serious']:>9}{r['base_rate'] or 0:>11.4f}"
            if r["serious"] is not None
            else f"{'-':>9}{'-':>11}"
        )
        for r in tables["cohort"]
    ]
    for cohort in ("all", "active_365", "first_time"):
        rows = [r for r in tables["ranking"] if r["t"] == "pooled" and r["cohort"] == cohort]
        if rows:
            lines += [
                "",
                f"pooled over {rows[0]['dates']} dates, {cohort}  (95 % intervals, persons resampled)",
            ]
            head = ("AUC", "harm at 100", "harm at 250", "harm at 1 %", "PPV at 100", "PPV at 1 %")
            names = ("auc", "capture_100", "capture_250", "capture_1pc", "ppv_100", "ppv_1pc")
            lines.append(f"{'':<16}" + "".join(f"{h:<24}" for h in head))
            lines += [f"{r['score']:<16}" + "".join(f"{_cell(r, n):<24}" for n in names) for r in rows]
    rows = [r for r in tables["difference"] if r["figure"] in ("auc", "capture_1pc")]
    if rows:
        lines += ["", "model minus rule, same persons, same draws"]
        lines += [
            f"{r['rule']:<16}{r['figure']:<14}"
            + _cell({"d": r["difference"], "d_low": r["low"], "d_high": r["high"]}, "d")
            for r in rows
        ]
    for r in tables["probability"]:
        if r["t"] == "pooled":
            lines += [
                "",
                f"probability of serious harm, {r['cohort']}: Brier {_cell(r, 'brier')}, skill {_cell(r, 'skill')}, "
                f"slope {_cell(r, 'slope')}, intercept {_cell(r, 'intercept')}, ECE {_cell(r, 'ece')}",
            ]
    lines += [
        f"harm observed / expected, {r['part']}: {_cell(r, 'observed_over_expected')} "
        f"(unwinsorised {_cell(r, 'unwinsorised_over_expected')})"
        for r in tables["harm"]
    ]
    if tables["oracle"]:
        lines += ["", "ratio to the oracle (expected recorded harm of the top K over the oracle's own top K)"]
        lines += [
            f"{r['t'][:10]:<12}{r['score']:<16}at 100 {_cell(r, 'ratio_100')}  at 250 {_cell(r, 'ratio_250')}  "
            f"at 1 % {_cell(r, 'ratio_1pc')}"
            for r in tables["oracle"]
        ]
    reach = [r for r in tables["reach"] if "harm_unreachable" in r]
    if reach:
        share = sum(r["harm_unreachable"] for r in reach) / len(reach)
        lines += ["", f"share of the harm that no list could reach (persons not in the cohort): {share:.3f}"]
    if tables["leak_suspect"]:
        lines.append("LEAK-SUSPECT: AUC above .85 among persons active in the last 365 days")
    return "\n".join([*lines, *(f"note: {n}" for n in facts["notes"])])
