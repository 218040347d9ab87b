"""The Broward results as a Markdown page: figures, and what they cannot show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

TITLES = {
    "any": "Any new charge within two years of screening",
    "violent": "A new violent charge within two years of screening",
}


def render(result: dict[str, Any]) -> str:
    """The page for the values that ``models.broward.study`` returns."""
    parts = [
        "# Results on public records: Broward County, Florida",
        "Written by `python -m models.broward --out docs/results-broward.md` (`make results`); do not edit. Intervals "
        "are 95 % bootstrap intervals over persons, the same draws for every score.",
        _people(result),
        *(_outcome(result, column) for column in TITLES),
        _explicit(result),
        _limits(result),
    ]
    return "\n\n".join(parts) + "\n"


def _people(result: dict[str, Any]) -> str:
    rows = [
        [name, _whole(part["n"]), *(f"{part[c]:,} ({100 * part[c] / part['n']:.1f} %)" for c in TITLES)]
        for name, part in result["parts"].items()
    ]
    left_out = "; ".join(f"{_whole(n)} {why}" for why, n in result["left_out"].items())
    return "\n\n".join(
        [
            "## Who",
            _table(["screened in 2013", "persons", "any new charge", "new violent charge"], rows),
            f"{_whole(result['people'])} persons, each as of the end of the day of the first screening "
            f"({result['dates']} different days). Left out: {left_out}. {result['columns']} history columns; "
            f"{result['features_out']} declared features are left out because the records have nothing to feed them. "
            f"{_whole(result['history'])} persons have more than one event on record at screening.",
        ]
    )


def _outcome(result: dict[str, Any], column: str) -> str:
    rows = [
        [
            score["name"],
            _three(score["auc"]),
            "" if score is result["outcomes"][column][-1] else _three(score["gain"], signed=True),
            _three(score["brier"]),
            _three(score["slope"], 2),
            _three(score["intercept"], 2, signed=True),
            _three(score["top"], 2),
        ]
        for score in result["outcomes"][column]
    ]
    header = ["score", "AUC", "AUC less COMPAS", "Brier", "slope", "intercept", "found in top tenth"]
    compas = result["outcomes"][column][-1]["name"]
    return "\n\n".join(
        [
            f"## {TITLES[column]}",
            "Trained on those screened from January to June, judged on those screened from July to September.",
            _table(header, rows),
            "Slope 1 and intercept 0 are right. The decile becomes a probability by a logistic curve fitted on the "
            f"persons of January to June. {compas} on all {_whole(result['people'])} persons: AUC "
            f"{_three(result[f'all_{column}'])}.",
        ]
    )


def _explicit(result: dict[str, Any]) -> str:
    dv = result["dv"]
    return "\n\n".join(
        [
            "## Explicit domestic violence",
            _table(
                ["", "persons"],
                [
                    ["index charge says domestic violence", _whole(dv["index"])],
                    ["new charge within two years says so", _whole(dv["new"])],
                    ["both", _whole(dv["both"])],
                ],
            ),
            f"New explicit charge, pooled five-fold cross-validated AUC over all persons: {_three(dv['auc'])}.",
        ]
    )


def _limits(result: dict[str, Any]) -> str:
    artefact = result["artefact"]
    unmatched = (
        f"{_whole(artefact['n'])} persons whose index charge is absent or lies over 30 days from the screening show "
        f"{_whole(artefact['any'])} new charges: their outcomes were never matched. Kept in, they would lift the "
        f"first AUC for any charge to {_three(artefact['auc'])}, because a history then tells who was matched. The "
        "rule was set after looking at the outcomes."
    )
    points = [
        "**It is not domestic abuse.** These are people arrested for anything in one American county. There is no "
        "victim, no call, no risk assessment, no order and no incident short of arrest. Nothing here says how well "
        "a list of domestic-abuse suspects would do.",
        "**New domestic charges are a lower bound.** The files tell the text of the index charge, the first new "
        "charge and the first new violent charge only, and plain 'Battery' is domestic or not without saying so.",
        "**The split by date has no embargo.** Everyone was screened within nine months and followed for two years: "
        "in July 2013 no force could yet have known the outcomes of January to June. It shows that the model "
        "carries over to other people, not that it would have been ready in time.",
        "**Histories have holes.** Arrest history was attached to persons by inference, where that was sure; others "
        "look as if they had none. Jail stays begin in 2013. Time locked up after screening is not taken off.",
        "**Who is left out matters.** " + unmatched,
        "**COMPAS is at home elsewhere.** It rests on its own questionnaire, which these files do not hold, and was "
        "not fitted on these persons; our models were fitted on people of the same year and county. The published "
        "AUC of its deciles (.70 any charge, .65 violent) is for other outcome files of the same persons.",
        "**Harm days mean little here.** Florida's charges have no Home Office code; every weight is assumed.",
    ]
    return "\n".join(["## What this data cannot show", "", *(f"- {point}" for point in points)])


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [list(header), ["---"] * len(header), *map(list, rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _three(values: Sequence[float], digits: int = 3, signed: bool = False) -> str:
    point, low, high = (f"{v:{'+' if signed else ''}.{digits}f}" for v in values)
    return f"{point} ({low} to {high})"


def _whole(n: int) -> str:
    return f"{n:,}"
