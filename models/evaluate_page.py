"""Results tables as text for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from models import fairness_words

Rows = Sequence[Mapping[str, Any]]
COHORTS = {
    "all": "everyone",
    "active_365": "active in 365 days",
    "first_time": "first-time suspects",
    "unseen": "not in training",
}
RANKED = (
    ("AUC", "auc"),
    ("harm at 100", "capture_100"),
    ("harm at 250", "capture_250"),
    ("harm at 1 %", "capture_1pc"),
    ("PPV at 100", "ppv_100"),
    ("PPV at 1 %", "ppv_1pc"),
)
RANKED_MORE = (
    ("PR-AUC", "pr_auc"),
    ("harm at 25", "capture_25"),
    ("PPV at 25", "ppv_25"),
    ("missed at 100", "npe_100"),
    ("missed at 1 %", "npe_1pc"),
)


def render(facts: Mapping[str, Any], tables: Mapping[str, Any]) -> str:
    """Terminal text: cohort, then every score pooled, differences, probability and harm, what the list is like, oracle,
    reach, what-ifs, notes."""
    lines = [facts["how"] + "."]
    lines += [
        f"beside: {b['score']} is model {b['model']}, {b['kind']}{', made again as well' if b['refit'] else ''}"
        for b in facts.get("beside", ())
    ]
    lines.append(f"horizon {facts['horizon_days']} d, reporting delay {facts['delay_days']} d")
    lines += ["", *_cohort(tables["cohort"])]
    for cohort in COHORTS:
        lines += _ranked(tables["ranking"], cohort, RANKED)
        lines += _ranked(tables["ranking"], cohort, RANKED_MORE) if cohort == "all" else []
    lines += _differences(tables["difference"])
    lines += _probability(tables)
    lines += _list_is_like(tables)
    lines += _oracle(tables["oracle"])
    reach = [r for r in tables["reach"] if "harm_unreachable" in r]
    if reach:
        share = sum(r["harm_unreachable"] for r in reach) / len(reach)
        lines += ["", f"share of the harm that no list could reach (persons not in the cohort): {share:.3f}"]
    lines += _what_if([r for r in tables["sensitivity"] if "kind" in r])
    lines += ["", *fair] if (fair := fairness_words.brief(tables)) else []
    lines += ["", ("LEAK-SUSPECT: " if tables["leak_suspect"] else "leak check: ") + tables["leak"]["text"]]
    return "\n".join([*lines, *(f"note: {n}" for n in facts["notes"])])


def _cell(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    if value is None:
        return "-"
    low, high = row.get(f"{name}_low"), row.get(f"{name}_high")
    return f"{value:.3f}" + (f" [{low:.3f}, {high:.3f}]" if low is not None and high is not None else "")


def _cohort(rows: Rows) -> list[str]:
    return [
        f"{'T':<12}{'cohort':<22}{'n':>7}{'serious':>9}{'base rate':>11}",
        *(
            f"{r['t'][:10]:<12}{COHORTS.get(r['cohort'], r['cohort']):<22}{r['n']:>7}"
            + (
                f"{r['serious']:>9}{r['base_rate'] or 0:>11.4f}"
                if r["serious"] is not None
                else f"{'-':>9}{'-':>11}"
            )
            for r in rows
        ),
    ]


def _ranked(rows: Rows, cohort: str, shown: Sequence[tuple[str, str]]) -> list[str]:
    pooled = [r for r in rows if r["t"] == "pooled" and r["cohort"] == cohort]
    if not pooled:
        return []
    return [
        "",
        f"pooled over {pooled[0]['dates']} dates, {COHORTS[cohort]}  (95 % intervals, persons resampled)",
        f"{'':<16}" + "".join(f"{head:<24}" for head, _ in shown),
        *(f"{r['score']:<16}" + "".join(f"{_cell(r, name):<24}" for _, name in shown) for r in pooled),
    ]


def _differences(rows: Rows) -> list[str]:
    kept = [r for r in rows if r["figure"] in ("auc", "capture_1pc")]
    if not kept:
        return []
    return [
        "",
        "the model less each other score, same persons, same draws",
        *(
            f"{r['rule']:<16}{r['figure']:<14}"
            + _cell({"d": r["difference"], "d_low": r["low"], "d_high": r["high"]}, "d")
            for r in kept
        ),
    ]


def _probability(tables: Mapping[str, Any]) -> list[str]:
    lines = [
        "",
        *(
            f"probability of serious harm, {r.get('score', 'model')}, {COHORTS.get(r['cohort'], r['cohort'])}: "
            f"Brier {_cell(r, 'brier')}, skill {_cell(r, 'skill')}, slope {_cell(r, 'slope')}, "
            f"intercept {_cell(r, 'intercept')}, ECE {_cell(r, 'ece')}"
            for r in [*tables["probability"], *tables["probability_others"]]
            if r["t"] == "pooled"
        ),
    ]
    lines += [
        f"harm observed / expected, {r.get('score', 'model')}, {r['part']}: {_cell(r, 'observed_over_expected')} "
        f"(unwinsorised {_cell(r, 'unwinsorised_over_expected')})"
        for r in [*tables["harm"], *tables["harm_others"]]
    ]
    return lines


def _list_is_like(tables: Mapping[str, Any]) -> list[str]:
    """Warning, steadiness and what the list rests on, at 100 places."""
    models = ("model", *tables["others"])
    lines = [
        f"warning, {r['score']}: half of those on the list of 100 who did serious harm did it more than "
        f"{r['median_days']:.0f} days after the list; within 30 days {_cell(r, 'within_30')}"
        for r in tables["lead_time"]
        if r["k"] == "100" and r["score"] in models and r["median_days"] is not None
    ]
    lines += [
        f"steadiness, {r['score']}: {_cell(r, 'kept')} of the list of 100 is on it a {r['step']} later, "
        f"rank overlap {_cell(r, 'rbo')} ({r['pairs']} pairs)"
        for r in tables["stability"]
        if r["k"] == "100" and r["score"] in models
    ]
    most = [r for r in tables["explained_by"] if r["k"] == "100"][:3]
    lines += [
        f"the list of 100 rests on {r['family']}: the first reason for {_cell(r, 'leads')} of it; alone it would list "
        f"{_cell(r, 'alone')} of the same persons, without it {_cell(r, 'without')} stay"
        for r in most
    ]
    return ["", *lines] if lines else []


def _oracle(rows: Rows) -> list[str]:
    if not rows:
        return []
    return [
        "",
        "ratio to the oracle (expected recorded harm of the top K over the oracle's own top K)",
        *(
            f"{r['t'][:10]:<12}{r['score']:<16}at 25 {_cell(r, 'ratio_25')}  at 100 {_cell(r, 'ratio_100')}  "
            f"at 250 {_cell(r, 'ratio_250')}  at 1 % {_cell(r, 'ratio_1pc')}"
            for r in rows
        ),
    ]


def _what_if(rows: Rows) -> list[str]:
    if not rows:
        return []
    lines = [
        "",
        "what hangs on a choice",
        f"{'':<62}{'AUC':<8}{'harm at 1 %':<13}{'of the list of 100 kept'}",
    ]
    for r in rows:
        what = r["what"] if r["score"] == "model" else f"  {r['what']}: {r['score']}"
        lines.append(f"{what:<62}{_cell(r, 'auc'):<8}{_cell(r, 'capture_1pc'):<13}{_cell(r, 'kept_100')}")
        if "auc_difference" in r:
            lines[-1] += f"   AUC given up {_cell(r, 'auc_difference')}"
    return lines
