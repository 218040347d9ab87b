"""``doorstep drift``: is the model in use still the model that was approved, on records that still mean the same?

Five things by month, each with the thresholds of ``data/drift.toml`` that call for a review, for training again or for
switching off: breaks in recording practice (records alone), the histories the model reads, its scores and who fills
the list (monthly, no label), calibration and fairness (90-day label, marked with the month they describe). A call is
advice to named people; nothing here switches anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from features.cohort import settings as cohort_settings
from features.errors import InputError
from features.home import Home, Load
from features.labels import reporting_delay
from features.records import Records
from models import baselines, drift_labels, drift_scores, drift_words, fairness, settings, store
from models.compare import Occasion
from models.dataset import Progress, Source, monthly, records_begin
from models.drift_calls import FOLDER, calls_of, reviews
from models.drift_practice import breaks
from models.drift_scores import month_of, worst
from models.drift_signals import Months
from models.groups import groups_of
from models.scorer import Scorer
from models.training import last_known


@dataclass(frozen=True)
class Drift:
    """What was found: ``facts``, and ``tables`` (lists of plain rows): ``practice``, ``practice_months``, ``features``,
    ``scores``, ``list``, ``calibration``, ``fairness``, ``calls``."""

    facts: dict[str, Any]
    tables: dict[str, list[dict[str, Any]]]

    def to_dict(self) -> dict[str, Any]:
        """Everything, as plain data."""
        return {**self.facts, **self.tables}

    def render(self) -> str:
        """Text for a terminal: what is called for first, then why."""
        return drift_words.render(self.facts, self.tables)


def drift(
    home: Home,
    as_of: datetime | None = None,
    months: int | None = None,
    model: str | None = None,
    *,
    progress: Progress | None = None,
) -> Drift:
    """Look at the current load and a model as of a moment; the result is kept in ``HOME/drift/``.

    Parameters
    ----------
    home: the home folder.
    as_of: nothing recorded later is looked at; None: the end of the records.
    months: monthly dates of the model to show, newest last; None: as ``drift.toml`` says.
    model: a version; None: the one in use. Without any model the records alone are looked at.

    Raises InputError when nothing had been recorded by ``as_of``, when it is still to come, or when the model's
    columns cannot be computed.
    """
    if as_of is not None and as_of > datetime.now(UTC):
        raise InputError(
            f"{as_of:%Y-%m-%d} is still to come: months that are not over would look empty.",
            where="drift --as-of",
            cure="Choose an earlier date, or leave it off: the end of the records.",
        )
    config = settings.load("drift")
    load, path = home.require(), Path(home.path)
    records = load.records()
    until = as_of or _end(records)
    if until is None or last_known(records, until) is None:
        raise InputError(
            "No event had been recorded by then: there is nothing to look at.",
            where="drift --as-of",
            cure="Choose a later date, or load an extract.",
        )
    version = model or store.champion_version(path)
    doc = store.load_model(path, version) if version else None
    found, watched = breaks(records, until)
    tables: dict[str, list[dict[str, Any]]] = {
        "practice": [b.to_dict() | {"text": b.sentence()} for b in found]
    }
    tables["practice_months"] = _practice_months(watched)
    facts: dict[str, Any] = {
        "as_of": _iso(until),
        "load_id": load.load_id,
        "nature": load.nature,
        "settings": config["version"],
        "months_watched": watched.count,
        "signals": len(watched.signals),
        "model": version,
        "notes": [],
    }
    if watched.count <= int(config["practice"]["least_months"]):
        facts["notes"].append(
            f"{watched.count} whole months of records: practice is judged from month "
            f"{int(config['practice']['least_months']) + 1} on"
        )
    tables |= {name: [] for name in ("features", "scores", "list", "calibration", "fairness")}
    if doc is None:
        facts["notes"].append("no model in use: the records alone were looked at")
    else:
        view = _View.of(load, doc, until, path, progress)
        count = months if months is not None else int(config["model"]["months"])
        _model_tables(view, count, config, facts, tables)
    since = doc["training"]["until"] if doc else ""
    tables["calls"] = calls_of(tables, since, reviews(path), config)
    facts["call"] = worst([row["call"] for row in tables["calls"]])
    out = Drift(facts, tables)
    name = f"{until:%Y-%m-%d}-{version or 'records'}.json"
    store.write_atomic(path / FOLDER / name, store.canonical_bytes(out.to_dict()))
    return out


def _end(records: Records) -> datetime | None:
    last = last_known(records)
    return None if last is None else last + timedelta(days=1)


def _iso(t: datetime) -> str:
    return t.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _practice_months(watched: Months) -> list[dict[str, Any]]:
    """The signals themselves by month, for plots: volumes, and what ``drift.toml`` counts of events."""
    rows = []
    for signal in watched.signals:
        if signal.kind == "volume" or signal.column in ("kind", "suspect_id"):
            rows += [
                {"month": watched.label(i), "signal": signal.name, "title": signal.title, "kind": signal.kind,
                 "k": int(signal.k[i]), "n": int(signal.n[i])}
                for i in range(watched.count)
            ]  # fmt: skip
    return rows


# --- the model -----------------------------------------------------------------------------------------------


@dataclass
class _View:
    """A model on the records of a load, as of a moment."""

    source: Source
    scorer: Scorer
    load: Load
    until: datetime
    reference: datetime
    made: datetime

    @classmethod
    def of(
        cls, load: Load, doc: Mapping[str, Any], until: datetime, home: Path, progress: Progress | None
    ) -> _View:
        records = load.records()
        source = Source(records, home / "cache" / records.state, reporting_delay(records, until), progress)
        made = datetime.fromisoformat(doc["training"]["until"])
        dates = doc["training"].get("dates")  # a model written by hand has learnt from no date
        newest = datetime.fromisoformat(dates[-1]) if dates else made
        return cls(source, Scorer(doc), load, until, newest, made)

    def frame(self, t: datetime) -> pl.DataFrame:
        """Everyone in scope at T with the histories the model reads and its scores."""
        rows = self.source.features_at(t).filter(pl.col("in_scope"))
        return rows.join(self.scorer.score(rows), on="person_id", how="left", maintain_order="left")

    def occasion(self, t: datetime, frame: pl.DataFrame) -> Occasion:
        """The model's scores and those of a few rules at T."""
        rules = baselines.baseline_scores(frame)
        expected, p = frame["expected_harm"].to_numpy(), frame["p_serious"].to_numpy()
        scores = {"model": (expected, p)}
        scores |= {
            name: (rules[name].to_numpy(),) * 2 for name in drift_labels.RULES if name in rules.columns
        }
        by_period = {str(d): frame[f"p_serious_{d}"].to_numpy() for d in self.scorer.periods[:-1]}
        return Occasion(t, frame["person_id"], scores, {"model": p, **by_period}, expected, {})


def _model_tables(
    view: _View,
    count: int,
    config: Mapping[str, Any],
    facts: dict[str, Any],
    tables: dict[str, list[dict[str, Any]]],
) -> None:
    """Histories, scores and the list by month; then what the 90-day label says of the months it is complete for."""
    dates = monthly(view.made, view.until)
    facts |= {
        "reference": _iso(view.reference),
        "model_until": _iso(view.made),
        "delay_days": view.source.delay_days,
    }
    if not dates:
        facts["notes"].append("the model is younger than a month: nothing to compare yet")
        return
    groups = groups_of(view.load)
    places, least = (settings.load("fairness")[a][b] for a, b in (("list", "places"), ("counts", "least")))
    then = view.frame(view.reference)
    if not then.height:
        facts["notes"].append("nobody was in scope at the reference date: nothing to compare with")
        return
    facts["notes"] += _young(view)
    then_occasion, weight = view.occasion(view.reference, then), drift_scores.weights(view.scorer, then)
    labels = _Labels(view, config, float(places))
    for i, t in enumerate(dates):
        if view.source.progress:
            view.source.progress("months", i, len(dates))
        if t not in dates[-count:] and not labels.wanted(t, dates[-count:]):
            continue
        now = view.frame(t)
        occasion = view.occasion(t, now)
        labels.add(t, occasion)
        if t in dates[-count:]:
            stamp = (month_of(t), _iso(t))
            tables["features"] += drift_scores.feature_rows(
                view.scorer, then, now, *stamp, config["features"], weight
            )
            tables["scores"].append(drift_scores.score_row(then, now, *stamp, config["scores"]))
            rows = drift_labels.list_rows(
                t, occasion, then_occasion, groups, float(places), int(least), config["list"]
            )
            tables["list"] += rows
    if view.source.progress:
        view.source.progress("months", len(dates), len(dates))
    for t in [d for d in dates[-count:] if d in labels.occasions]:
        row, by_group = labels.rows(t, dates, groups)
        tables["calibration"].append(row)
        tables["fairness"] += by_group
    if not tables["calibration"]:
        facts["notes"].append(
            f"no month since the model was made has complete 90-day outcomes yet: calibration and fairness can be "
            f"known {drift_labels.LABEL_DAYS} + {view.source.delay_days} days after a month begins"
        )


def _young(view: _View) -> list[str]:
    """A note when the cohort still grew at the reference date, because the records were younger than it looks back."""
    begin = records_begin(view.source.records, view.until)
    lookback = int(cohort_settings()["cohort"]["lookback_days"])
    days = (view.reference - begin).days if begin else lookback
    if days >= lookback:
        return []
    return [
        f"at the reference date there were {days} days of records, and the cohort looks back {lookback}: histories and "
        "scores drift from then on because the records grew, whatever else changed"
    ]


class _Labels:
    """Occasions of the months whose 90-day outcomes are complete, and the rows made of them."""

    def __init__(self, view: _View, config: Mapping[str, Any], places: float) -> None:
        self.view, self.config, self.places = view, config, places
        self.occasions: dict[datetime, Occasion] = {}
        self.can = drift_labels.LABEL_DAYS in view.scorer.periods[:-1]

    def complete(self, t: datetime) -> bool:
        return self.can and drift_labels.known_at(t, self.view.source.delay_days) <= self.view.until

    def wanted(self, t: datetime, shown: list[datetime]) -> bool:
        """Is an older month part of what a shown month pools?"""
        return self.complete(t) and any(
            t in drift_labels.pooled([t, s], s) for s in shown if self.complete(s)
        )

    def add(self, t: datetime, occasion: Occasion) -> None:
        if self.complete(t):
            self.occasions[t] = drift_labels.labelled(self.view.source, t, occasion)

    def rows(
        self, t: datetime, dates: list[datetime], groups: Any
    ) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """The calibration row and the fairness rows of the month that begins at T."""
        members = [self.occasions[d] for d in drift_labels.pooled(dates, t) if d in self.occasions]
        draws, seed = int(self.config["model"]["draws"]), int(self.config["model"]["seed"])
        table = fairness.rows(fairness.Book(members, groups, self.places, draws, seed))
        complete = drift_labels.known_at(t, self.view.source.delay_days)
        row = drift_labels.calibration_row(
            members, table[0], complete, draws, seed, self.config["calibration"]
        )
        return row, drift_labels.fairness_rows(table, month_of(t), complete, self.config["fairness"])
