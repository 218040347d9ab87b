"""The NIJ results as a Markdown page: what was reached beside what was set out, and what it cannot show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.nij_data import facts

ADDITIVE = ("ebm", "elastic_net")
WAYS = {
    "rules": "by the challenge's rules, with the supervision columns",
    "honest": "forecast-honest, with nothing recorded after release",
}


def render(result: Mapping[str, Any]) -> str:
    """The page for the values that ``benchmarks.nij.run`` returns, with ``left_out`` and ``without_sex``."""
    folds = facts()["folds"]
    how = (
        f"Stratified {folds['count']}-fold cross-validation of the training rows (seed {folds['seed']}), each year "
        "among those not arrested before."
        if result["judged_on"] == "folds"
        else "Fitted on all training rows, judged on the test file's rows"
        + (f" ({result['left_out']} training rows in it were left out)." if result["left_out"] else ".")
    )
    parts = [
        "# Results on public records: the NIJ recidivism challenge",
        "Written by `python -m benchmarks.nij --out docs/results-nij.md`; do not edit. People released on parole in "
        "Georgia; what is forecast is an arrest in the first, second and third year. "
        + how
        + " Brier is the "
        "challenge's: the mean squared error of men and of women, averaged (lower is better). Intervals are 95 %, "
        "paired by person.",
        _reached(result),
        *(_year(result, year) for year in result["years"]),
        _sex(result),
        _limits(result),
    ]
    return "\n\n".join(parts) + "\n"


def reached(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each bar with what was reached: what, year, bar, reached, by whom, met."""
    told, out = facts(), []
    blends = [b["name"] for b in told["blend"]]
    kind = {m["name"]: m["family"] for m in told["member"]}
    for year, variants in result["years"].items():
        for variant, found in variants.items():
            figures = found["figures"]
            bar = told["bars"]["honest" if variant == "honest" and year > 1 else "blend"][year - 1]
            name = min(blends, key=lambda n: figures[n]["brier"])
            out.append(_row(f"best blend, {WAYS[variant]}", year, bar, figures[name]["brier"], name))
            for family in ADDITIVE:
                mine = [n for n in figures if kind.get(n) == family]
                name = min(mine, key=lambda n: figures[n]["brier"])
                gap = figures[name]["less_best"][0]
                what = f"{name} behind the best boosting, {WAYS[variant]}"
                out.append(_row(what, year, told["bars"]["additive_gap"], gap, found["best_boosting"]))
    return out


def _row(what: str, year: int, bar: float, value: float, by: str) -> dict[str, Any]:
    return {"what": what, "year": year, "bar": bar, "reached": value, "by": by, "met": value <= bar}


def _reached(result: Mapping[str, Any]) -> str:
    rows = [
        [
            f"Year {r['year']}",
            r["what"],
            f"{r['bar']:.4f}" if r["bar"] > 0.01 else f"{r['bar']:.3f}",
            f"{r['reached']:.5f}" if r["bar"] > 0.01 else f"{r['reached']:+.5f}",
            r["by"],
            "reached" if r["met"] else "**not reached**",
        ]
        for r in reached(result)
    ]
    told = facts()["winners"]
    winners = [[team, *(f"{v:g}" for v in told[team])] for team in ("small", "large")]
    return "\n\n".join(
        [
            "## What was set out, and what was reached",
            _table(["", "what", "at most", "here", "by (or beside)", ""], rows),
            "The winners' figures, second-hand and **on other rows** (the official test rows, which are not here): no "
            "comparison on the same persons.",
            _table(["winners, team size", "Year 1", "Year 2", "Year 3"], winners),
        ]
    )


def _year(result: Mapping[str, Any], year: int) -> str:
    people = result["people"][year]
    parts = [
        f"## Year {year}",
        f"{people['n']:,} persons ({people['women']:,} women), {people['arrested']:,} arrested "
        f"({100 * people['arrested'] / people['n']:.1f} %). Each sex's rate for everyone: Brier "
        f"{people['constant']:.4f}.",
    ]
    header = ["", "Brier", "less best boosting", "fair and accurate", "AUC", "slope"]
    for variant, found in result["years"][year].items():
        rows = [
            [
                name,
                f"{f['brier']:.5f}",
                _three(f["less_best"]) if "less_best" in f else "",
                f"{f['fair']:.4f}",
                f"{f['auc']:.3f}",
                f"{f['slope']:.2f}",
            ]
            for name, f in found["figures"].items()
        ]
        way = WAYS[variant] if year > 1 else "with what is known at release (the rules give no more)"
        parts += [f"{way[0].upper()}{way[1:]}:", _table(header, rows)]
    return "\n\n".join(parts)


def _sex(result: Mapping[str, Any]) -> str:
    rows = [
        [
            f"Year {year}",
            f"{f['told']:.5f}",
            f"{f['untold']:.5f}",
            *(f"{100 * v:+.1f} points" for v in f["women_over"]),
        ]
        for year, f in result["without_sex"].items()
    ]
    header = ["EBM, forecast-honest", "Brier, told the sex", "not told", "women's mean, told", "not told"]
    return "\n\n".join(
        [
            "## Sex",
            "The challenge gives the sex and halves its error between men and women, so every model above is told it. "
            "Doorstep's own models never are. What that costs by this yardstick, and how far the mean forecast for "
            "women then lies above or below what happened (gang membership was not recorded for women, so its absence "
            "is hidden too):",
            _table(header, rows),
            "Race and place of residence are in no model; race is read for the fairness figure alone.",
        ]
    )


LIMITS = (
    "**It is not domestic abuse.** Parole in one American state: arrests for anything, by people who had been in "
    "prison. It shows how the learners stand on public rows, not how a force's list would do.",
    "**The supervision columns know the future.** They were written over the whole of the parole: of who was arrested "
    "early, days in work and jobs a year stopped being counted early. The rules allow them in Years 2 and 3; a force's "
    "forecast could not have had them. Only the forecast-honest figures say what could have been foreseen.",
    "**Fair and accurate can be gamed.** It looks at false positives at p >= 0.5 only; where hardly anyone gets such a "
    "chance it is the accuracy alone. Cutting every chance off below 0.5 would make it perfect. Nothing was cut off "
    "here.",
    "**Women weigh half and are few.** The error among women rests on an eighth of the persons, so that differences "
    "in the third decimal are often chance: see the intervals.",
)
CHOSEN = {
    "folds": "**Settings and derived columns were chosen while looking at these folds** (a few dozen fits; "
    "benchmarks/nij.toml holds what came of it), so that the figures are a little kind. The blends take equal shares "
    "and fit nothing.",
    "test": "**Settings were chosen on the training rows**, which are not judged here.",
}


def _limits(result: Mapping[str, Any]) -> str:
    points = [*LIMITS, CHOSEN[result["judged_on"]]]
    return "\n".join(["## What this data cannot show", "", *(f"- {point}" for point in points)])


def _three(values: Sequence[float]) -> str:
    point, low, high = (f"{v:+.4f}" for v in values)
    return f"{point} ({low} to {high})"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [list(header), ["---"] * len(header), *map(list, rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
