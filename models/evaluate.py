"""Judge a model on dates whose outcomes are known, honestly: never on a date whose future it has learnt from.

A model trained until U has seen outcomes recorded up to U. At a date T >= U its figures are out of sample. At an
earlier T they would not be: then the model is made again as it would have been at the earliest T asked for (same
settings, same seed, only what was known by then), and the tables say so in their first line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from features.clocks import parse_as_of
from features.errors import InputError
from features.home import Home
from features.labels import reporting_delay
from features.records import Records
from models import baselines, compare, evaluate_page, own, sensitivity, settings, store
from models.dataset import Progress, Source, monthly, records_begin
from models.judge import Judge, unreachable
from models.recipe import Recipe
from models.scorer import check_format
from models.training import fit_until, last_known

POOL = 6


@dataclass(frozen=True)
class Evaluation:
    """Results tables with the words that must stand beside them."""

    facts: dict[str, Any]
    tables: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Everything, as plain data."""
        return {**self.facts, **self.tables}

    def render(self) -> str:
        """The headline tables for a terminal."""
        return evaluate_page.render(self.facts, self.tables)


def evaluate(
    home: Home,
    as_of: Sequence[datetime] = (),
    truth: Path | None = None,
    model: str = "champion",
    *,
    others: Sequence[str] = (),
    sensitivities: bool = False,
    draws: int = 200,
    seed: int = 1,
    progress: Progress | None = None,
    track: bool = True,
) -> Evaluation:
    """Figures of a model and of every rule on the same persons, per T and pooled.

    Parameters
    ----------
    home: the home folder; its current load is judged.
    as_of: dates T. With a single date further month starts are added, up to six in all, where that is honest. With
        none: the newest six months whose outcomes are complete.
    truth: a simulation's truth folder: adds the ratio to the oracle for dates that have an ``oracle_<T>.parquet``.
    model: "champion" or a version.
    others: further models, "champion" or versions, judged beside it on the same persons and dates, under these names.
    sensitivities: also fit again without each feature family, price harm otherwise and join records otherwise
        (``models.sensitivity``): minutes rather than seconds.
    draws, seed: of the bootstrap over persons.

    Raises InputError when no date can be judged (outcomes incomplete and no oracle for it).
    """
    home_path = Path(home.path)
    load = home.require()
    records = load.records()
    doc = named(home_path, model)
    beside = _others(home_path, doc, others)
    end = last_known(records)
    if end is None:
        raise InputError(
            "The load holds no events: there is nothing to judge.", where="event", cure="Load an extract."
        )
    source = Source(records, home_path / "cache" / records.state, reporting_delay(records, end), progress)
    main = int(settings.load("logistic")["grid"]["horizons"][0])
    complete = end + timedelta(days=1) - timedelta(days=main + source.delay_days)
    oracles = oracle_files(truth)
    asked = sorted(dict.fromkeys(as_of))
    made = max(_trained(d) for d in (doc, *beside.values()))
    dates = choose_dates(records, asked, made, complete, set(oracles))
    facts: dict[str, Any] = {"asked": [_iso(t) for t in asked], "load_id": load.load_id, "notes": []}
    judged, facts["how"] = _honest(records, doc, dates, home_path, progress)
    again = {name: _honest(records, d, dates, home_path, progress)[0] for name, d in beside.items()}
    judge = Judge(records, judged, load, again)
    facts |= {"model": doc["version"], "model_until": judged["training"]["until"], "refit": judged is not doc}
    facts["beside"] = [
        {
            "score": name,
            "model": beside[name]["version"],
            "kind": d.get("kind"),
            "refit": d is not beside[name],
        }
        for name, d in again.items()
    ]
    facts |= {
        "horizon_days": main,
        "delay_days": source.delay_days,
        "harm": judged["harm"],
        "draws": draws,
        "seed": seed,
    }
    occasions = []
    for i, t in enumerate(dates):
        if progress:
            progress("dates", i, len(dates))
        occasions.append(_occasion(source, judge, t, t <= complete, oracles.get(t)))
    if progress:
        progress("dates", len(dates), len(dates))
    rate = float(judged["training"]["base_rate_newest"])
    tables = judge.tables(occasions, rate, draws, seed, source=source)
    tables["rules"] = judge.rules(source.features_at(dates[-1]))
    if sensitivities:
        labelled = [o for o in occasions if o.outcomes is not None]
        tables["sensitivity"] += sensitivity.rows(source, judge, labelled, seed, progress)
    facts["notes"] = [*_notes(occasions, asked, complete, source, judged), *tables["score_notes"]]
    out = Evaluation(facts, tables)
    if track:
        from models.tracking import log_evaluation

        try:
            facts["mlflow_run"] = log_evaluation(home_path, str(doc["version"]), out.to_dict())
        except InputError as problem:  # the figures are here; only their record is not
            facts["notes"].append(f"{problem.what} ({problem.where})")
    return out


def named(home: Path, model: str) -> dict[str, Any]:
    """The document of a version, or of the model in use under the name "champion"; InputError for one of an older
    format, which cannot be scored with or made again."""
    doc = store.champion(home) if model == "champion" else store.load_model(home, model)
    check_format(doc)
    return doc


def _others(home: Path, doc: Mapping[str, Any], names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Further models by the name they bear in the tables."""
    out = {}
    for name in dict.fromkeys(names):
        other = named(home, name)
        if other["version"] == doc["version"]:
            raise InputError(
                f"{name} is the model that is judged: it cannot stand beside itself.",
                where="evaluate --beside",
                cure="Name another version (doorstep models list shows them).",
            )
        out[name] = other
    return out


def _trained(doc: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(doc["training"]["until"])


def choose_dates(
    records: Records, asked: Sequence[datetime], trained: datetime, complete: datetime, oracle: set[datetime]
) -> list[datetime]:
    """The dates to judge: those asked for if they can be; one date, or none, is filled up to six month starts."""
    late = [t for t in asked if t > complete and t not in oracle]
    if late:
        raise InputError(
            f"Outcomes for {late[0]:%Y-%m-%d} are not complete: the records would have to reach its horizon and the "
            "reporting delay.",
            where="evaluate --as-of",
            cure=f"The latest date that can be judged is {complete:%Y-%m-%d}; "
            "a simulation's truth folder judges later ones against the oracle.",
        )
    first = records_begin(records, complete)
    if first is None or (asked and asked[0] <= first):
        raise InputError(
            "There are no domestic events before the date asked for.",
            where="evaluate --as-of",
            cure="Choose a later one.",
        )
    if len(asked) >= 2:
        return list(asked)
    earliest = first + timedelta(days=int(settings.load("logistic")["grid"]["min_history_days"]))
    candidates = [t for t in monthly(earliest, complete) if t not in asked]
    if asked:
        # stay out of sample: after the date asked for, else before it, but never before the model was made
        floor = max(trained, earliest) if trained <= asked[0] else asked[0]
        near = sorted((t for t in candidates if t >= floor), key=lambda t: (t < asked[0], abs(t - asked[0])))
        return sorted([*asked, *near[: POOL - 1]])
    if not candidates:
        raise InputError(
            "No date has complete outcomes yet.",
            where="evaluate --as-of",
            cure="Load a longer period, or give a simulation's truth folder and a date it has an oracle for.",
        )
    return candidates[-POOL:]


def _honest(
    records: Records,
    doc: dict[str, Any],
    dates: Sequence[datetime],
    home: Path,
    progress: Progress | None,
) -> tuple[dict[str, Any], str]:
    own.check(doc, records.declared)
    trained = _trained(doc)
    if dates[0] >= trained:
        return (
            doc,
            f"out of sample: model {doc['version']} was trained until {trained:%Y-%m-%d}, before every date judged",
        )
    again = fit_until(records, dates[0], Recipe.of(doc).at(dates[0]), home, progress, "evaluate --as-of")
    how = (
        f"made again: model {doc['version']} was trained until {trained:%Y-%m-%d} and has seen the future of "
        f"{dates[0]:%Y-%m-%d}, so its own figures there would be in-sample. These are of the same procedure with only "
        f"what was known by {dates[0]:%Y-%m-%d}"
    )
    return again, how


def _occasion(
    source: Source, judge: Judge, t: datetime, labelled: bool, oracle: Path | None
) -> compare.Occasion:
    frame = source.frame_at(t) if labelled else source.features_at(t).filter(pl.col("in_scope"))
    if not frame.height:
        raise InputError(
            f"Nobody is in the cohort at {t:%Y-%m-%d}.", where="evaluate --as-of", cure="Choose another date."
        )
    truth = None if oracle is None else pl.read_parquet(oracle).select("person_id", "expected_harm")
    out = judge.occasion(frame, t, truth)
    if labelled:
        out.reach = unreachable(source, t)
    if truth is not None:
        out.reach["oracle_missing"] = float(out.persons.is_in(truth["person_id"].implode()).not_().sum())
    return out


def oracle_files(truth: Path | None) -> dict[datetime, Path]:
    """``oracle_<T>.parquet`` files of a truth folder by the moment their names spell."""
    if truth is None:
        return {}
    if not truth.is_dir():
        raise InputError(
            f"There is no folder {truth}.",
            where="evaluate --truth",
            cure="Give the simulation's truth folder.",
        )
    return {parse_as_of(p.stem.removeprefix("oracle_")): p for p in sorted(truth.glob("oracle_*.parquet"))}


def _notes(
    occasions: Sequence[compare.Occasion],
    asked: Sequence[datetime],
    complete: datetime,
    source: Source,
    doc: Mapping[str, Any],
) -> list[str]:
    notes = []
    labelled = sum(o.outcomes is not None for o in occasions)
    if labelled < POOL:
        notes.append(
            f"pooled over {labelled} dates, fewer than six: intervals understate what a year can bring"
        )
    if len(asked) == 1 and len(occasions) > 1:
        notes.append(f"{len(occasions) - 1} further month starts were added to the date asked for")
    for o in occasions:
        if o.outcomes is None:
            notes.append(
                f"{o.t:%Y-%m-%d}: outcomes not complete (they are up to {complete:%Y-%m-%d}); oracle only"
            )
        if o.reach.get("oracle_missing"):
            notes.append(
                f"{o.t:%Y-%m-%d}: {o.reach['oracle_missing']:.0f} persons in scope are not in the oracle file"
            )
    notes += baselines.not_applicable(source.features_at(occasions[-1].t)).values()
    return [*notes, *doc["notes"]]


def _iso(t: datetime) -> str:
    return t.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
