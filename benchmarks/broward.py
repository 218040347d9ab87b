"""Every model family beside COMPAS on the same persons: Broward County, Florida.

    python -m benchmarks.broward --out docs/results-broward-families.md
    python -m benchmarks.broward --held-out /folder/of/other/persons

The rows are those of ``models.broward``: histories as of the end of the day of screening, by the same code as a force's
list. Trained on those screened from January to June 2013 and judged on those screened from July to September; with
``--held-out DIR`` (the same files, other persons) trained on everyone here and judged on everyone there. Sex and
ethnicity are in no model.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.nij_data import default_data
from features.errors import DoorstepError, InputError
from models import broward as study
from models import families, metrics


def rows_of(data: Path) -> tuple[pl.DataFrame, dict[str, str]]:
    """Screened persons with their histories as of screening and outcomes, and the shapes of the history columns."""
    people, _ = study.screened(data)
    rows, shapes, _ = study.rows_as_screened(study.ingested(data), people)
    return rows, {**shapes, **dict.fromkeys(study.COUNTS, "count")}


def fitted(
    family: str, before: pl.DataFrame, after: pl.DataFrame, outcome: str, shapes: Mapping[str, str]
) -> study.Array:
    """Chance of the outcome for ``after`` by a family learnt on ``before``."""
    y = before[outcome].to_numpy().astype(np.float64)
    model = families.make(family, shapes, None, 1).fit(before, y, None, before["person_id"])
    return np.asarray(model.predict_proba(after)[:, 1])


def judge(
    before: pl.DataFrame, after: pl.DataFrame, shapes: Mapping[str, str], say: Any = lambda line: None
) -> dict[str, list[dict[str, Any]]]:
    """Outcome -> figures of each family, of their mean log-odds and of the COMPAS decile, on ``after``."""
    weight = metrics.person_weights(np.arange(after.height), study.DRAWS, study.SEED)
    out: dict[str, list[dict[str, Any]]] = {}
    for outcome in study.OUTCOMES:
        for part, name in ((before, "learnt from"), (after, "judged")):
            if not 0 < int(part[outcome.column].sum()) < part.height:
                raise InputError(
                    f"the persons {name} all have the same outcome ({outcome.title}).",
                    where=name,
                    cure="give a folder with persons of both kinds",
                )
        p = {}
        for family in families.NAMES:
            began = time.process_time()
            p[families.class_of(family).title] = fitted(family, before, after, outcome.column, shapes)
            say(f"{outcome.title}, {family}: {time.process_time() - began:.1f} CPU-seconds")
        mean = np.mean([metrics.logit(one) for one in p.values()], axis=0)
        p["Their mean log-odds"] = np.asarray(study.sigmoid(mean))
        compas = study.decile_probability(before, after, outcome)
        p[f"COMPAS {outcome.scale} decile"] = compas
        y = after[outcome.column].to_numpy().astype(np.float64)
        out[outcome.column] = [study.figures(name, one, compas, y, weight) for name, one in p.items()]
    return out


def render(result: Mapping[str, Any]) -> str:
    """The page for ``figures`` (of :func:`judge`), ``learnt``, ``judged`` (persons) and ``held_out`` (None, or how many
    persons of it were left out because they are here)."""
    how = (
        f"Trained on the {result['learnt']:,} persons screened from January to June 2013, judged on the "
        f"{result['judged']:,} screened from July to September."
        if result["held_out"] is None
        else f"Trained on all {result['learnt']:,} persons here, judged on the {result['judged']:,} of the folder held "
        f"out ({result['held_out']:,} persons that are here too were left out)."
    )
    parts = [
        "# Every family beside COMPAS: Broward County, Florida",
        "Written by `python -m benchmarks.broward --out docs/results-broward-families.md`; do not edit. "
        + how
        + " Each family at its default settings, with histories as of screening and the file's undated counts. "
        "Intervals are 95 % bootstrap intervals over persons, the same draws for every score.",
    ]
    header = ["score", "AUC", "AUC less COMPAS", "Brier", "slope", "found in top tenth"]
    for outcome in study.OUTCOMES:
        rows = [
            [f["name"], _three(f["auc"]), _three(f["gain"], True), _three(f["brier"]), _three(f["slope"], digits=2),
             _three(f["top"], digits=2)]
            for f in result["figures"][outcome.column]
        ]  # fmt: skip
        rows[-1][2] = ""
        lines = [header, ["---"] * len(header), *rows]
        parts += [f"## {outcome.title}", "\n".join("| " + " | ".join(line) + " |" for line in lines)]
    parts.append(
        "What this data cannot show is told in [the first page about it](results-broward.md): it is not domestic "
        "abuse, the split by date has no embargo, and COMPAS rests on a questionnaire that is not here and was not "
        "fitted on these persons."
    )
    return "\n\n".join(parts) + "\n"


def _three(values: Sequence[float], signed: bool = False, digits: int = 3) -> str:
    point, low, high = (f"{v:{'+' if signed else ''}.{digits}f}" for v in values)
    return f"{point} ({low} to {high})"


def run(data: Path, held_out: Path | None, say: Any = lambda line: None) -> dict[str, Any]:
    """Values of the page."""
    for folder in (data, *([] if held_out is None else [held_out])):
        study.screened(folder)  # says what is missing before any work is done
    rows, shapes = rows_of(data)
    if held_out is None:
        before, after, left_out = (
            rows.filter(pl.col("screened_on") < study.SPLIT),
            rows.filter(pl.col("screened_on") >= study.SPLIT),
            None,
        )
    else:
        others, _ = rows_of(held_out)
        mine = others["person_id"].is_in(rows["person_id"].implode())
        before, after, left_out = rows, others.filter(~mine), int(mine.sum())
    if not (before.height and after.height):
        raise InputError(
            "no one is left to learn from or to judge.",
            where=str(held_out or data),
            cure="give other persons",
        )
    figures = judge(before, after, shapes, say)
    return {"figures": figures, "learnt": before.height, "judged": after.height, "held_out": left_out}


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; exit code 0, or 2 when the data are not there or not as published."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.broward", description="Every family beside COMPAS."
    )
    parser.add_argument("--data", type=Path, default=default_data("broward"), help="the Broward folder")
    parser.add_argument("--held-out", type=Path, help="a folder of the same files about other persons")
    parser.add_argument("--out", type=Path, help="the Markdown page to write; none: print it")
    options = parser.parse_args(arguments)
    try:
        page = render(run(options.data, options.held_out, lambda line: print(line, file=sys.stderr)))
    except DoorstepError as problem:
        print(f"error: {problem}", file=sys.stderr)
        return problem.exit_code
    if options.out is None:
        print(page)
    else:
        options.out.write_text(page, encoding="utf-8")
        print(f"wrote {options.out}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
