"""The Broward study: the toolkit's own path on real public records, beside the COMPAS deciles on the same persons.

    python -m models.broward --out docs/results-broward.md

The folder is converted and ingested like any extract; every screened person's history is computed as of the end of
the day of screening by the same code as a force's list; an elastic-net logistic regression is trained on those
screened from January to June 2013 and judged on those screened from July to September. The page that comes out
holds figures only, and says what the data cannot show. No row of the data is kept.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import polars as pl

from features.convert import broward as converter
from features.errors import DoorstepError, InputError
from features.histories import histories
from features.records import Records
from models import metrics, settings
from models.dataset import model_columns, person_folds
from models.elasticnet import Fit, fit_path
from models.scorer import sigmoid
from models.transforms import Term, declare, design

Array = npt.NDArray[np.float64]

DATA_SETTING = "DOORSTEP_DATA"
SPLIT = date(2013, 7, 1)
SEED = 20130701
DRAWS = 2000
FOLLOWED_DAYS = 730
INDEX_WITHIN_DAYS = 30
COUNTS = ("priors_count", "juv_fel_count", "juv_misd_count", "juv_other_count")


@dataclass(frozen=True)
class Outcome:
    """One outcome of the study: its column, its name in the tables, and the COMPAS scale made for it."""

    column: str
    title: str
    scale: str


OUTCOMES = (
    Outcome("any", "Any new charge within two years", "recidivism"),
    Outcome("violent", "A new violent charge within two years", "violence"),
)


@dataclass(frozen=True)
class Fitted:
    """A trained model: terms, the chosen fit, and the recalibration from held-out persons."""

    terms: list[Term]
    fit: Fit
    slope: float
    intercept: float

    def probability(self, frame: pl.DataFrame) -> Array:
        return sigmoid(self.intercept + self.slope * self.fit.predict(design(frame, self.terms)))


def default_data() -> Path:
    """The Broward folder: under the folder that DOORSTEP_DATA names, else beside the repository."""
    root = os.environ.get(DATA_SETTING)
    base = Path(root) if root else Path(__file__).resolve().parent.parent.parent / "shared" / "data"
    return base / "broward"


def screened(data: Path, unmatched: bool = False) -> tuple[pl.DataFrame, dict[str, int]]:
    """Everyone in the study and how many were left out, with why.

    Columns: person_id, screened_on (Date), any, violent, explicit_dv (Boolean; new explicit domestic charge within
    two years, a lower bound), index_dv, decile_recidivism, decile_violence, and the file's undated counts.
    ``unmatched`` keeps persons whose index charge is absent or lies over 30 days from the screening: next to none
    of them has an outcome, so the case looked up is not theirs and "none" means "not matched".
    """
    person = _read(data, "person", ("person_id", "first_screening_date", "is_recid", *COUNTS))
    labels = _read(
        data, "duke_labels", ("person_id", "screening_date", "general_two_year", "violent_two_year")
    )
    score = _read(data, "compas_score", ("person_id", "screening_date", "scale", "decile_score"))
    charge = _read(data, "charge", ("person_id", "event_kind", "event_date", "dv_class"))
    frame = person.select("person_id", "is_recid", *COUNTS, screened_on="first_screening_date")
    labels = labels.select(
        "person_id",
        screened_on=pl.col("screening_date").str.slice(0, 10).str.to_date(),
        any=pl.col("general_two_year") == 1,
        violent=pl.col("violent_two_year") == 1,
    )
    frame = frame.join(labels, on=["person_id", "screened_on"], how="left")
    for outcome in OUTCOMES:
        decile = score.filter(pl.col("scale") == outcome.scale, pl.col("decile_score") > 0)
        decile = decile.group_by("person_id", screened_on="screening_date").agg(
            pl.col("decile_score").max().alias(f"decile_{outcome.scale}")
        )
        frame = frame.join(decile, on=["person_id", "screened_on"], how="left")
    index_on = (
        charge.filter(pl.col("event_kind") == "index")
        .group_by("person_id")
        .agg(index_on=pl.col("event_date").max())
    )
    frame = frame.join(index_on, on="person_id", how="left")
    frame = frame.join(_explicit(charge, person), on="person_id", how="left").with_columns(
        pl.col("explicit_dv", "index_dv").fill_null(False)
    )
    gap = (pl.col("screened_on") - pl.col("index_on")).dt.total_days().abs()
    keep = {
        "no case found for the person (is_recid -1)": pl.col("is_recid") != -1,
        "no two-year outcome": pl.col("any").is_not_null() & pl.col("violent").is_not_null(),
        "no COMPAS decile on both scales": pl.all_horizontal(
            pl.col(f"decile_{o.scale}").is_not_null() for o in OUTCOMES
        ),
    }
    if not unmatched:
        keep["index charge absent or over 30 days from the screening"] = (gap <= INDEX_WITHIN_DAYS).fill_null(
            False
        )
    left_out = {}
    for why, wanted in keep.items():
        left_out[why] = frame.filter(~wanted).height
        frame = frame.filter(wanted)
    return frame.with_columns(pl.col("person_id").cast(pl.String)).sort("person_id"), left_out


def rows_as_screened(
    records: Records, people: pl.DataFrame
) -> tuple[pl.DataFrame, dict[str, str], dict[str, str]]:
    """Histories of each person as of the end of the day of screening, joined to ``people``.

    Returns the rows, the shapes of the history columns (as the model takes them) and the features left out, with
    why. The files give days, not hours, so T is 23:59:59 in London of the screening day: what is dated that day is
    known, what follows is outcome.
    """
    chosen = model_columns(records.missing)
    parts = []
    for (day,), group in people.group_by("screened_on", maintain_order=True):
        t = datetime.combine(day, time(23, 59, 59), ZoneInfo("Europe/London")).astimezone(UTC)
        parts.append(histories(records, "offender", t, group.select("person_id"), columns=[*chosen.shapes]))
    rows = people.join(pl.concat(parts), on="person_id", how="left").sort("person_id")
    return rows, dict(chosen.shapes), chosen.left_out


def train(rows: pl.DataFrame, outcome: str, shapes: Mapping[str, str]) -> Fitted:
    """Elastic-net logistic regression: penalty by held-out loss over person folds, recalibrated on the held-out."""
    config = settings.load("logistic")["fit"] | settings.load("elastic_net")["fit"]
    terms, _ = declare(rows, shapes)
    x, y = design(rows, terms), rows[outcome].to_numpy().astype(np.float64)
    fold = person_folds(rows["person_id"], int(config["person_folds"]))
    penalties = sorted((float(p) for p in config["penalties"]), reverse=True)
    held = np.zeros((len(penalties), len(y)))
    for k in range(int(config["person_folds"])):
        for i, fit in enumerate(_path(x[fold != k], y[fold != k], penalties)):
            held[i, fold == k] = fit.predict(x[fold == k])
    loss = (np.maximum(held, 0.0) - held * y + np.log1p(np.exp(-np.abs(held)))).mean(axis=1)
    best = int(np.argmin(loss))
    intercept, slope = metrics.fit_slope(held[best], y, np.ones(len(y)))
    return Fitted(terms, _path(x, y, [penalties[best]])[0], slope, intercept)


def pooled_cross_validated(rows: pl.DataFrame, outcome: str, shapes: Mapping[str, str]) -> Array:
    """Held-out probability of every person: each fold is scored by a model that never saw it, penalty included."""
    fold = person_folds(rows["person_id"], 5)
    out = np.zeros(rows.height)
    for k in range(5):
        model = train(rows.filter(pl.Series(fold != k)), outcome, shapes)
        out[fold == k] = model.probability(rows.filter(pl.Series(fold == k)))
    return out


def study(data: Path, records: Records) -> dict[str, Any]:
    """Everything the page prints, as plain values."""
    people, left_out = screened(data)
    everyone, shapes, features_out = rows_as_screened(records, screened(data, unmatched=True)[0])
    rows = everyone.filter(pl.col("person_id").is_in(people["person_id"].implode()))
    before, after = _split(rows)
    if min(before.height, after.height) == 0:
        raise InputError(
            "no one was screened on one side of 1 July 2013",
            where=str(data),
            cure="use the files as published",
        )
    weight = metrics.person_weights(np.arange(after.height), DRAWS, SEED)
    with_counts = {**shapes, **dict.fromkeys(COUNTS, "count")}
    result: dict[str, Any] = {
        "people": rows.height,
        "left_out": left_out,
        "columns": len(shapes),
        "features_out": len(features_out),
        "dates": rows["screened_on"].n_unique(),
        "history": int((rows["suspect_events_ever"].fill_null(0) > 1).sum()),
        "parts": {
            "January to June": {
                "n": before.height,
                **{o.column: int(before[o.column].sum()) for o in OUTCOMES},
            },
            "July to September": {
                "n": after.height,
                **{o.column: int(after[o.column].sum()) for o in OUTCOMES},
            },
        },
        "outcomes": {},
    }
    for outcome in OUTCOMES:
        y = after[outcome.column].to_numpy().astype(np.float64)
        own, wider = train(before, outcome.column, shapes), train(before, outcome.column, with_counts)
        scores = {
            "Histories as of screening": own.probability(after),
            "The same and the file's undated counts": wider.probability(after),
            f"COMPAS {outcome.scale} decile": decile_probability(before, after, outcome),
        }
        compas = list(scores)[-1]
        result["outcomes"][outcome.column] = [
            figures(name, p, scores[compas], y, weight) for name, p in scores.items()
        ]
        result[f"all_{outcome.column}"] = _whole_sample(rows, outcome)
    result["dv"] = _explicit_figures(rows, shapes)
    result["artefact"] = _artefact(everyone, people, shapes)
    return result


def figures(name: str, p: Array, compas: Array, y: Array, weight: Array) -> dict[str, Any]:
    """Figures of one score on the test persons with bootstrap intervals; every score meets the same draws."""
    ones = np.ones(len(y))
    auc, against = metrics.Board(p, weight).auc(y), metrics.Board(compas, weight).auc(y)
    mass = weight.sum(axis=0)
    errors = ((p - y) ** 2 @ weight) / mass
    z = metrics.logit(p)
    few = weight[:, :500]  # Newton's method runs once a draw
    slopes = np.array([metrics.fit_slope(z, y, few[:, k])[1] for k in range(few.shape[1])])
    large = np.array([metrics.fit_slope(z, y, few[:, k], slope=1.0)[0] for k in range(few.shape[1])])
    found, _ = metrics.Board(p, weight).top(y, 0.1)
    found_once, _ = metrics.Board(p, ones).top(y, 0.1)
    exact = metrics.calibration(p, y, ones)
    point = float(metrics.Board(p, ones).auc(y)[0])
    return {
        "name": name,
        "auc": (point, *metrics.interval(auc)),
        "gain": (point - float(metrics.Board(compas, ones).auc(y)[0]), *metrics.interval(auc - against)),
        "brier": (metrics.brier(p, y, ones), *metrics.interval(errors)),
        "slope": (exact["slope"], *metrics.interval(slopes)),
        "intercept": (exact["intercept"], *metrics.interval(large)),
        "top": (float(found_once[0] / y.sum()), *metrics.interval(found / (y @ weight))),
    }


def decile_probability(before: pl.DataFrame, after: pl.DataFrame, outcome: Outcome) -> Array:
    """A decile as a probability: logistic in the decile, fitted on those screened from January to June."""
    column = f"decile_{outcome.scale}"
    y = before[outcome.column].to_numpy().astype(np.float64)
    z = before[column].to_numpy().astype(np.float64)
    a, b = metrics.fit_slope(z, y, np.ones(len(y)))
    return sigmoid(a + b * after[column].to_numpy().astype(np.float64))


def _whole_sample(rows: pl.DataFrame, outcome: Outcome) -> tuple[float, float, float]:
    """AUC of the COMPAS decile on everyone in the study, with its interval: comparable with what was published."""
    y = rows[outcome.column].to_numpy().astype(np.float64)
    score = rows[f"decile_{outcome.scale}"].to_numpy().astype(np.float64)
    return _auc(score, y)


def _explicit_figures(rows: pl.DataFrame, shapes: Mapping[str, str]) -> dict[str, Any]:
    y = rows["explicit_dv"].to_numpy().astype(np.float64)
    p = pooled_cross_validated(rows, "explicit_dv", shapes)
    return {
        "index": int(rows["index_dv"].sum()),
        "new": int(y.sum()),
        "both": int((rows["index_dv"] & rows["explicit_dv"]).sum()),
        "auc": _auc(p, y),
    }


def _artefact(everyone: pl.DataFrame, people: pl.DataFrame, shapes: Mapping[str, str]) -> dict[str, Any]:
    """What the figures would have been with the persons whose index charge does not match their screening."""
    unmatched = everyone.filter(~pl.col("person_id").is_in(people["person_id"].implode()))
    before, after = _split(everyone)
    y = after["any"].to_numpy().astype(np.float64)
    return {
        "n": unmatched.height,
        "any": int(unmatched["any"].sum()),
        "auc": _auc(train(before, "any", shapes).probability(after), y),
    }


def _auc(score: Array, y: Array) -> tuple[float, float, float]:
    draws = metrics.Board(score, metrics.person_weights(np.arange(len(y)), DRAWS, SEED)).auc(y)
    return (float(metrics.Board(score, np.ones(len(y))).auc(y)[0]), *metrics.interval(draws))


def _path(x: Array, y: Array, penalties: Sequence[float]) -> list[Fit]:
    config = settings.load("elastic_net")["fit"]
    return fit_path(
        x,
        y,
        np.ones(len(y)),
        penalties,
        float(config["l1_ratio"]),
        float(config["tolerance"]),
        int(config["max_iterations"]),
    )


def _explicit(charge: pl.DataFrame, person: pl.DataFrame) -> pl.DataFrame:
    """person_id with explicit_dv (a new charge with explicit domestic text within two years) and index_dv."""
    explicit = charge.filter(pl.col("dv_class") == "explicit").join(
        person.select("person_id", "first_screening_date"), on="person_id"
    )
    days = (pl.col("event_date") - pl.col("first_screening_date")).dt.total_days()
    index = pl.col("event_kind") == "index"
    return explicit.group_by("person_id").agg(
        explicit_dv=(~index & (days > 0) & (days <= FOLLOWED_DAYS)).any(), index_dv=index.any()
    )


def _split(rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    return rows.filter(pl.col("screened_on") < SPLIT), rows.filter(pl.col("screened_on") >= SPLIT)


def _read(data: Path, name: str, columns: Sequence[str]) -> pl.DataFrame:
    path = data / f"{name}.parquet"
    cure = f"give the Broward folder with --data, or its parent folder in {DATA_SETTING}"
    try:
        frame = pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as fault:
        raise InputError("a file of the Broward data cannot be read", where=str(path), cure=cure) from fault
    if lacking := [c for c in columns if c not in frame.columns]:
        raise InputError(f"{name} lacks {', '.join(lacking)}", where=str(path), cure=cure)
    return frame.select(columns)


def ingested(data: Path) -> Records:
    """The record store of the converted folder, by the ordinary conversion and load, in a folder that goes away."""
    from features.home import Home
    from features.ingest import ingest

    with tempfile.TemporaryDirectory(prefix="doorstep-broward-") as scratch:
        converter.convert(data, Path(scratch) / "extract")
        home = Home(Path(scratch) / "home")
        ingest(Path(scratch) / "extract", home)
        return home.require().records()


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; exit code 0, or 2 when the data are not there or not as published."""
    parser = argparse.ArgumentParser(prog="python -m models.broward", description="The Broward results page.")
    parser.add_argument("--data", type=Path, default=default_data(), help="the Broward folder")
    parser.add_argument("--out", type=Path, required=True, help="the Markdown page to write")
    options = parser.parse_args(arguments)
    from models.broward_page import render

    try:
        screened(options.data)  # says what is missing before any work is done
        page = render(study(options.data, ingested(options.data)))
    except DoorstepError as problem:
        print(f"error: {problem}", file=sys.stderr)
        return problem.exit_code
    options.out.write_text(page, encoding="utf-8")
    print(f"wrote {options.out}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
