"""Rows to learn from and to be judged on: monthly as-of dates, the cohort at each, histories and later outcomes.

A row is (person, T): what was known at T, and what was recorded in (T, T + h] as known by T + h + delay. For a model
trained until U only dates with T + h + delay <= U enter, so that no number depends on anything recorded after U.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from features.catalogue import Catalogue, Column, Feature, load_catalogue
from features.clocks import parse_as_of
from features.cohort import cohort
from features.errors import InputError
from features.histories import histories
from features.labels import outcomes, reporting_delay
from features.nominals import clusters_at, onto
from features.records import Records
from models import baselines, settings
from models.store import code_version

COHORT_FLAGS = ("active_365", "first_time", "age_unknown")
WITHIN = "serious_within_"
"""Outcome columns of further horizons: ``serious_within_90d``."""
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Columns:
    """The history columns a model may use: name -> shape (count, harm, recency, age, grade, flag, number), and why
    others are not used."""

    shapes: dict[str, str]
    declared: dict[str, Column]
    left_out: dict[str, str]
    catalogue: Catalogue | None = None

    def without(self, sensitive: str) -> Columns:
        """The same less every column marked ``sensitive``."""
        kept = {n: s for n, s in self.shapes.items() if self.declared[n].feature.sensitive != sensitive}
        return replace(self, shapes=kept)


def shape_of(column: Column) -> str:
    """How a column enters the model, from what the catalogue says of it."""
    f = column.feature
    if f.sensitive == "age" or column.name == "age":
        return "age"
    if f.aggregate in ("days_since", "days_first"):
        return "recency"
    if f.aggregate == "last" and f.unit == "grade":
        return "grade"
    if f.aggregate == "any" or f.formula == "at_least":
        return "flag"
    if f.aggregate in ("rate", "formula"):
        return "number"
    return "harm" if f.scale != 1 else "count"


def model_columns(
    missing: frozenset[str], health: bool = False, catalogue: Catalogue | None = None
) -> Columns:
    """Columns of the offender catalogue that enter the model on a force lacking ``missing``.

    Windows are those of ``logistic.toml`` (an own feature enters with every window it declares); features marked
    health stay out unless ``health`` (an authorisation is recorded by the caller); features of a flagged family,
    those declared ``model = false`` and those whose records the force does not hold are left out by name. Raises
    InputError when the settings ask for a feature that no model may take, or that is not declared.
    """
    catalogue = catalogue or load_catalogue()
    config = settings.load("logistic")
    use, only = set(config["windows"]["use"]), config["features"]["only"]
    _check_asked(only, catalogue)
    left_out = {
        name: f"the records lack {lack}" for name, lack in catalogue.left_out("offender", missing).items()
    }
    shapes: dict[str, str] = {}
    declared: dict[str, Column] = {}
    for column in catalogue.columns("offender"):
        declared[column.name] = column
        f = column.feature
        barred = catalogue.refused(f) or _barred(f, health, only)
        if barred:
            left_out[f.name] = barred
        anyhow = f.model or bool(f.origin) or not f.windows
        if f.name not in left_out and (anyhow or column.name.rsplit("_", 1)[-1] in use):
            shapes[column.name] = shape_of(column)
    return Columns(shapes, declared, left_out, catalogue)


def _barred(feature: Feature, health: bool, only: Sequence[str]) -> str | None:
    """Why a feature that a model may take stays out of this one, in words."""
    if feature.model is False:
        return "declared with model = false"
    if feature.sensitive == "health" and not health:
        return "health data: used only when a named person has authorised it"
    return "not among the features the settings name" if only and feature.name not in only else None


def _check_asked(names: Sequence[str], catalogue: Catalogue) -> None:
    by_name = {feature.name: feature for feature in catalogue.features("offender")}
    for name in names:
        why = catalogue.refused(by_name[name]) if name in by_name else "there is no such offender feature"
        if why:
            raise InputError(
                f"The settings ask for {name}: {why}.", where="logistic.toml: features", cure="Take it out."
            )


def refuse_flagged(columns: Columns) -> None:
    """The last gate before a fit, whoever chose the columns: InputError names the first that no model may take."""
    catalogue = columns.catalogue or load_catalogue()
    for name in baselines.apart():
        if name in columns.shapes:
            raise InputError(
                f"{name}: a rule to compare with; it reads what no score may.",
                where="training features",
                cure="Leave it out: results tables show it beside every model.",
            )
    known = {column.name: column for column in catalogue.columns("offender")} | columns.declared
    for feature in (known[name].feature for name in columns.shapes if name in known):
        why = catalogue.refused(feature)
        if why:
            raise InputError(
                f"{feature.name}: {why}.", where="training features", cure="Leave the feature out."
            )


def records_begin(records: Records, until: datetime) -> datetime | None:
    """When recording got under way: the moment by which one in a hundred of the domestic events known at ``until`` had
    been entered; None without events. The very first would not do: a few old events stand at the head of any load."""
    entered = (
        records.table("event")
        .filter(pl.col("domestic") == "Y", pl.col("known_from") <= until)["known_from"]
        .sort()
    )
    begin = entered[int(0.01 * len(entered))] if len(entered) else None
    return begin if isinstance(begin, datetime) else None


def monthly(start: datetime, end: datetime) -> list[datetime]:
    """06:00 in London on the first of each month within [start, end], ascending."""
    out: list[datetime] = []
    year, month = start.year, start.month
    while True:
        t = parse_as_of(f"{year:04d}-{month:02d}-01")
        if t > end:
            return out
        if t >= start:
            out.append(t)
        year, month = (year + 1, 1) if month == 12 else (year, month + 1)


def label_grid(records: Records, until: datetime, horizon_days: int, delay_days: int) -> list[datetime]:
    """Monthly as-of dates whose outcomes are complete by ``until``, newest last; at most the last 24.

    Complete: T + horizon + delay <= until. Dates less than ``min_history_days`` after the first domestic event see
    too little and are left out.
    """
    grid = settings.load("logistic")["grid"]
    first = records_begin(records, until)
    if first is None:
        return []
    newest = until - timedelta(days=horizon_days + delay_days)
    dates = monthly(first + timedelta(days=int(grid["min_history_days"])), newest)
    return dates[-int(grid["months"]) :]


@dataclass
class Source:
    """Where rows come from: the records of one load, with a cache so that an interrupted run takes up where it was.

    Cached frames are keyed by load, code and catalogue, and T: nothing else can change them.
    """

    records: Records
    cache: Path | None = None
    delay_days: int = 90
    progress: Progress | None = None
    _last: tuple[datetime, pl.DataFrame] | None = None

    @classmethod
    def of(
        cls, records: Records, until: datetime, home: Path | None = None, progress: Progress | None = None
    ) -> Source:
        """A source that knows the force's own reporting delay as it stood at ``until``."""
        delay = reporting_delay(records, until)
        return cls(records, home / "cache" / records.state if home else None, delay, progress)

    def features_at(self, t: datetime) -> pl.DataFrame:
        """Everyone in the cohort at ``t``: ``person_id``, cohort columns and all offender histories the model, the
        rules and the report may want; sorted by person_id."""
        if self._last is not None and self._last[0] == t:
            return self._last[1]
        catalogue = self.records.declared
        wanted = [*model_columns(self.records.missing, health=True, catalogue=catalogue).shapes]
        known = {c.name for c in catalogue.columns("offender")}
        lost = catalogue.left_out("offender", self.records.missing)
        rules = [c for c in baselines.needed_columns() if c in known and _feature(catalogue, c) not in lost]
        columns = list(dict.fromkeys([*wanted, *rules]))
        path = self._path("histories", t, "\n".join(columns))
        if path is not None and path.is_file():
            self._last = (t, pl.read_parquet(path))
            return self._last[1]
        members = cohort(self.records, t)
        frame = histories(self.records, "offender", t, subjects=members.select("person_id"), columns=columns)
        frame = members.join(frame, on="person_id", how="left").sort("person_id")
        _write(path, frame)
        self._last = (t, frame)
        return frame

    def outcomes_at(self, t: datetime, horizon_days: int, everyone: bool = False) -> pl.DataFrame:
        """What was recorded in the horizon, known by T + horizon + delay, for the cohort (or everyone on record)."""
        name = f"outcomes-{horizon_days}-{self.delay_days}{'-all' if everyone else ''}"
        path = self._path(name, t, "")
        if path is not None and path.is_file():
            return pl.read_parquet(path)
        if everyone:
            persons = pl.concat(
                [self.records.table(n).select("person_id") for n in ("person", "involvement")]
                + [self.records.table("offence").select(person_id="suspect_id")]
            )
            clusters = clusters_at(self.records.links, t)
            persons = onto(persons.drop_nulls(), clusters).unique().sort("person_id")
        else:
            persons = self.features_at(t).select("person_id")
        frame = outcomes(self.records, persons, t, horizon_days, self.delay_days).sort("person_id")
        _write(path, frame)
        return frame

    def frame_at(self, t: datetime, in_scope_only: bool = True) -> pl.DataFrame:
        """Histories of the cohort at ``t`` with their outcomes: the main horizon's under their own names
        (``serious``, ``other``, ``harm_days``, ``winsor_days``, ``serious_182``, ``serious_10``) and
        ``serious_within_<h>d`` for each further horizon."""
        config = settings.load("logistic")
        main, *further = [int(h) for h in config["grid"]["horizons"]]
        rows = self.features_at(t)
        rows = rows.filter(pl.col("in_scope")) if in_scope_only else rows
        main_outcomes = with_days(self.outcomes_at(t, main))
        rows = rows.join(main_outcomes, on="person_id", how="left")
        for h in further:
            other = self.outcomes_at(t, h).select("person_id", pl.col("serious").alias(f"{WITHIN}{h}d"))
            rows = rows.join(other, on="person_id", how="left")
        return rows.with_columns(pl.lit(t).cast(pl.Datetime("us", "UTC")).alias("as_of")).sort("person_id")

    def frames(self, dates: Sequence[datetime], what: str) -> Iterator[tuple[datetime, pl.DataFrame]]:
        """``frame_at`` each date, reporting progress."""
        for i, t in enumerate(dates):
            if self.progress:
                self.progress(what, i, len(dates))
            yield t, self.frame_at(t)
        if self.progress:
            self.progress(what, len(dates), len(dates))

    def _path(self, kind: str, t: datetime, extra: str) -> Path | None:
        if self.cache is None:
            return None
        key = hashlib.sha256(f"{code_version(('features',))}\n{extra}".encode()).hexdigest()[:12]
        return self.cache / f"{kind}-{t:%Y%m%dT%H%M%S%f}-{key}.parquet"


def _feature(catalogue: Catalogue, column: str) -> str:
    return catalogue.column("offender", column).feature.name


def _write(path: Path | None, frame: pl.DataFrame) -> None:
    """Whole or not at all: an interruption leaves no half file to be read next time."""
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_suffix(".half")
    frame.write_parquet(half)
    half.replace(path)


def with_days(frame: pl.DataFrame) -> pl.DataFrame:
    """Outcomes with harm in days, as it is and winsorised."""
    ceiling = float(settings.load("logistic")["harm"]["winsor_days"])
    days = pl.col("harm_cd").cast(pl.Float64) / 100.0
    return frame.with_columns(days.alias("harm_days"), days.clip(0.0, ceiling).alias("winsor_days"))


def person_folds(persons: pl.Series, folds: int) -> np.ndarray:
    """Fold 0 ... folds-1 of each person, from a digest of the id: the same on every machine and in every run."""
    ids = persons.unique().to_list()
    fold = {i: int.from_bytes(hashlib.sha256(str(i).encode()).digest()[:8], "big") % folds for i in ids}
    return persons.replace_strict(fold, return_dtype=pl.Int64).to_numpy() if ids else np.zeros(0, np.int64)


def training_rows(
    source: Source, dates: Sequence[datetime], columns: Sequence[str], seed: int
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """All (person, T) rows of ``dates`` with a ``weight``, and the newest date's rows unsampled.

    Events are all kept. When the whole would exceed ``max_rows``, persons without serious harm are sampled per date
    to ``non_events_per_event`` for each event (fewer when that would still pass ``most_rows``) and weighted by the
    inverse of the share kept.
    """
    if not dates:
        raise InputError(
            "No as-of date has complete outcomes.", where="train --until", cure="Load a longer period."
        )
    fit = settings.load("logistic")["fit"]
    newest = source.frame_at(dates[-1])
    sampling = newest.height * len(dates) > int(fit["max_rows"])
    likely = max(int(newest["serious"].sum()), 1) * len(dates)
    per_event = float(fit["most_rows"]) / likely - 1.0
    per_event = min(max(per_event, fit["least_non_events_per_event"]), fit["non_events_per_event"])
    kept = []
    for t, frame in source.frames(dates, "as-of dates"):
        rows = frame.select("person_id", "as_of", *columns, *outcome_columns(frame))
        weight = np.ones(rows.height)
        if sampling:
            events = rows["serious"].to_numpy()
            share = min(1.0, per_event * max(int(events.sum()), 1) / max(int((~events).sum()), 1))
            draw = np.random.default_rng([seed, t.year, t.month, t.day]).random(rows.height)
            keep = events | (draw < share)
            weight = np.where(events, 1.0, 1.0 / share)[keep]
            rows = rows.filter(pl.Series(keep))
        kept.append(rows.with_columns(weight=pl.Series(weight, dtype=pl.Float64)))
    return pl.concat(kept), newest


def outcome_columns(frame: pl.DataFrame) -> list[str]:
    """The outcome columns of a labelled frame that are present."""
    names = (
        "serious",
        "other",
        "any_event",
        "harm_days",
        "winsor_days",
        "serious_182",
        "serious_10",
        "serious_day",
    )
    return [c for c in frame.columns if c in names or c.startswith(WITHIN)]
