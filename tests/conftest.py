"""Shared fixtures: a hand-made force of a dozen people, loaded, with a hand-made model and two published lists.

Small enough to know every row by heart; what a whole simulated force does is tested elsewhere.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest

if TYPE_CHECKING:
    from features.home import Home

SMALL_T = "2025-06-01"
SMALL_WEEK_BEFORE = "2025-05-25"

PERSONS = [
    # person_id, family, given, born, address, deceased, no_processing, access
    ("P1", "Quillmark", "Adam", "1985-02-03", "A1", None, None, None),
    ("P2", "Brackfold", "Ben", "1990-01-01", "A2", None, None, None),
    ("P3", "Carrowby", "Cal", "1992-05-05", "A2", None, None, None),
    ("P4", "Dunstile", "Dan", "2009-01-01", "A3", None, None, None),
    ("P5", "Ellerwick", "Eve", "1970-01-01", "A3", "2025-03-01T12:00:00Z", None, None),
    ("P6", "Fennimoor", "Fay", None, None, None, None, None),
    ("P7", "Garnleigh", "Gus", "1988-08-08", "A4", None, None, None),
    ("P8", "Holtbeck", "Hal", "1979-09-09", "A4", None, None, "named_users"),
    ("P9", "Inchwater", "Ian", "1981-01-01", "A4", None, True, None),
    ("V1", "Josselyn", "Jo", "1986-06-06", "A9", None, None, None),
    ("V2", "Kettlewell", "Kim", "1991-02-02", "A8", None, None, None),
    ("V3", "Lambourne", "Lee", "1989-03-03", "A4", None, None, None),
    ("C1", "Josselyn", "Mo", "2018-03-03", "A9", None, None, None),
]
ADDRESSES = [("A1", "1 High Row", "D1"), ("A2", "2 Mill Lane", "D2"), ("A3", "3 Quay Street", "D1"),
             ("A4", "4 Chapel Hill", "D2"), ("A8", "8 Refuge Walk", "D1"), ("A9", "9 Hidden Close", "D1")]  # fmt: skip
EVENTS = [
    # event, occurred, kind, ho_code, description, suspect, victim, source, counter, children
    ("E01", "2022-11-01T20:00:00Z", "crime", "105A", "Assault without injury", "P1", "V2", "victim", False, None),
    ("E02", "2024-09-10T21:00:00Z", "non_crime", None, None, "P1", "V1", "victim", False, 1),
    ("E03", "2025-01-20T22:00:00Z", "crime", "8N", "Assault occasioning actual bodily harm", "P1", "V1", "victim",
     False, 1),
    ("E04", "2025-04-15T19:30:00Z", "crime", "5E", "Non-fatal strangulation", "P1", "V1", "victim", False, 2),
    ("E05", "2025-05-20T23:10:00Z", "crime", "8L", "Harassment", "P1", "V1", "third_party", True, None),
    ("E06", "2025-05-22T23:10:00Z", "crime", "8N", "Found on patrol", "P1", "V1", "police_proactive", False, None),
    ("E07", "2024-08-01T12:00:00Z", "crime", "8N", "Assault occasioning actual bodily harm", "P2", "V2", "victim",
     False, 0),
    ("E08", "2024-12-24T12:00:00Z", "crime", "3B", "Threats to kill", "P3", "V2", "victim", False, None),
    ("E09", "2025-02-14T12:00:00Z", "crime", "105A", "Assault without injury", "P4", "V2", "victim", False, None),
    ("E10", "2024-10-05T12:00:00Z", "crime", "105A", "Assault without injury", "P5", "V2", "victim", False, None),
    ("E11", "2025-03-08T12:00:00Z", "non_crime", None, None, "P6", "V2", "witness", False, None),
    ("E12", "2025-04-01T12:00:00Z", "crime", "8N", "Assault occasioning actual bodily harm", "P7", "V3", "victim",
     True, None),
    ("E13", "2025-04-02T12:00:00Z", "crime", "105A", "Assault without injury", "V3", "P7", "victim", True, None),
    ("E14", "2025-05-01T12:00:00Z", "crime", "8N", "Assault occasioning actual bodily harm", "P8", "V2", "victim",
     False, None),
    ("E15", "2025-05-02T12:00:00Z", "crime", "8N", "Assault occasioning actual bodily harm", "P9", "V2", "victim",
     False, None),
]  # fmt: skip


def _frame(rows: list[dict[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame(rows, infer_schema_length=None)


def small_tables() -> dict[str, pl.DataFrame]:
    """The tables of the hand-made force, as an extract holds them."""
    names = ("person_id", "family_name", "given_names", "date_of_birth", "address_id", "deceased_on",
             "no_processing", "access")  # fmt: skip
    tables: dict[str, list[dict[str, Any]]] = {
        "person": [dict(zip(names, row, strict=True)) for row in PERSONS],
        "address": [{"address_id": a, "line": line, "district": d, "kind": "dwelling"} for a, line, d in ADDRESSES],
        "team": [{"team_id": t, "name": f"Team {t}", "district": t} for t in ("D1", "D2", "D3")],
        "event": [], "offence": [], "involvement": [],
        "alias": [{"person_id": "P1", "family_name": "Markquill", "given_names": "Adam", "date_of_birth": None}],
        "relationship": [{"person_id_a": "P1", "person_id_b": "V1", "kind": "partner",
                          "started_on": "2020-01-01T00:00:00Z", "ended_on": "2025-05-01T00:00:00Z",
                          "shared_child": True}],
        "risk_assessment": [{"assessment_id": "R1", "event_id": "E04", "victim_id": "V1", "suspect_id": "P1",
                             "tool": "DASH", "grade": "high", "completed_at": "2025-04-15T23:00:00Z", "q01": "Y",
                             "q02": "Y", "q03": "N"}],
        "order": [{"order_id": "O1", "kind": "NMO", "respondent_id": "P1", "protected_id": "V1",
                   "made_on": "2025-04-20T10:00:00Z", "served_at": "2025-04-21T10:00:00Z",
                   "expires_on": "2025-12-31T23:59:59Z", "conditions": ["no_contact"],
                   "conditions_text": "Not to go within 100 metres"}],
        "bail": [{"bail_id": "B1", "person_id": "P1", "event_id": "E05", "from_at": "2025-05-21T10:00:00Z",
                  "until_at": "2025-06-18T10:00:00Z", "conditions": ["no_contact", "exclusion"]}],
        "marker": [{"person_id": "P1", "code": "WE", "started_on": "2024-01-01T00:00:00Z"}],
        "wanted": [{"person_id": "P1", "circulated_at": "2025-05-30T09:00:00Z", "reason": "failed to answer bail"}],
        "spell": [{"person_id": "P2", "state": "prison", "started_on": "2025-01-01T00:00:00Z",
                   "expected_end": "2026-01-01T00:00:00Z"},
                  {"person_id": "P3", "state": "remand", "started_on": "2025-03-01T00:00:00Z",
                   "expected_end": "2025-06-20T00:00:00Z"}],
        "victim_plan": [{"person_id": "V1", "safe_channel": "text", "safe_times": "after ten",
                         "do_not": "leave a message", "update_every_days": 14, "agreed_on": "2025-04-16T10:00:00Z"}],
        "promise": [{"promise_id": "M1", "person_id": "V1", "what": "callback", "made_on": "2025-05-01T10:00:00Z",
                     "due_on": "2025-05-08T10:00:00Z"}],
        "intervention": [{"person_id": "V1", "scheme": "MARAC", "role": "victim",
                          "started_on": "2025-05-10T10:00:00Z"}],
    }  # fmt: skip
    for event, at, kind, code, words, suspect, victim, source, counter, children in EVENTS:
        row = {
            "event_id": event,
            "reference": f"REF-{event}",
            "kind": kind,
            "occurred_at": at,
            "reported_at": at,
        }
        row |= {"domestic": "Y", "source": source, "counter_allegation": counter, "district": "D1"}
        tables["event"].append(row | {"children_present": children})
        if code:
            offence = {"offence_id": f"{event}-1", "event_id": event, "ho_code": code, "description": words}
            tables["offence"].append(offence | {"suspect_id": suspect, "victim_id": victim})
        part = {"event_id": event, "relationship_to_victim": None, "victim_id": None}
        seen_as = {"role": "suspect", "victim_id": victim, "relationship_to_victim": "partner"}
        tables["involvement"].append(part | {"person_id": suspect} | seen_as)
        tables["involvement"].append(part | {"person_id": victim, "role": "victim"})
    child = {"event_id": "E03", "person_id": "C1", "role": "child"}
    tables["involvement"].append(child | {"victim_id": None, "relationship_to_victim": None})
    return {name: _frame(rows) for name, rows in tables.items()}


def linear(intercept: float, terms: list[dict[str, Any]], weights: list[float]) -> dict[str, Any]:
    """A linear head of a model document."""
    both = zip(terms, weights, strict=True)
    return {
        "kind": "linear",
        "intercept": intercept,
        "terms": [{"fill": 0.0, "b": 0.0, **term, "weight": weight} for term, weight in both],
    }


def small_model() -> dict[str, Any]:
    """A model document written by hand: a few terms, so that every contribution can be worked out."""
    terms = [
        {"column": "domestic_events_90d", "kind": "log1p", "a": 50.0, "center": 0.3, "scale": 0.5},
        {"column": "domestic_events_365d", "kind": "log1p", "a": 50.0, "center": 0.6, "scale": 0.5},
        {"column": "days_since_domestic", "kind": "decay", "a": 90.0, "center": 0.2, "scale": 0.3},
        {"column": "harm_days_365d", "kind": "log1p", "a": 5000.0, "center": 1.5, "scale": 2.0},
        {"column": "last_dash_grade", "kind": "step", "a": 3.0, "center": 0.2, "scale": 0.4},
        {
            "column": "age",
            "kind": "linear",
            "a": 18.0,
            "b": 70.0,
            "fill": 35.0,
            "center": 36.0,
            "scale": 10.0,
        },
    ]
    return {
        "format": "doorstep-model-3", "family": "elastic_net", "changes": None, "tuned_until": None, "seed": 1,
        "key": "person_id", "horizon_days": 365,
        "harm": {"scheme": "cchi-da", "edition": "2020.1"},
        "training": {"until": "2025-05-01T05:00:00Z"},
        "heads": {
            "serious": linear(-3.2, terms, [0.5, 0.3, 0.4, 0.35, 0.3, -0.45]),
            "other": linear(-0.8, terms, [0.4, 0.4, 0.3, 0.1, 0.0, -0.1]),
        },
        "harm_parts": {"scale": 1.0, "serious_days": 250.0, "other_days": 8.0},
    }  # fmt: skip


def write_small(folder: Path, nature: str = "simulated", **changes: pl.DataFrame) -> Path:
    """Write the hand-made extract, some tables changed."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, frame in (small_tables() | changes).items():
        frame.write_parquet(folder / f"{name}.parquet")
    (folder / "extract.json").write_text(json.dumps({"nature": nature, "made_by": "tests"}), encoding="utf-8")
    return folder


def make_home(
    folder: Path, nature: str = "simulated", *, model: bool = True, **changes: pl.DataFrame
) -> Path:
    """A home with the hand-made force loaded and, unless told otherwise, the hand-made model in use."""
    from features.home import Home
    from features.ingest import ingest

    ingest(write_small(folder / "extract", nature, **changes), Home(folder / "home"))
    return use_small_model(folder / "home") if model else folder / "home"


def use_small_model(home: Path) -> Path:
    """Put the hand-made model in use."""
    from models.store import point_champion, save

    point_champion(home, save(home, small_model())["version"], "tests", "by hand", "2025-05-01T00:00:00Z")
    return home


@pytest.fixture(scope="session")
def _small_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The hand-made force loaded once; tests that change a home work on a copy."""
    return make_home(tmp_path_factory.mktemp("template"), model=False).parent


@pytest.fixture
def small_home_maker(tmp_path: Path, _small_template: Path) -> Callable[..., Path]:
    """Makes homes of the hand-made force: ``maker(name, nature=..., model=False, table=frame)``."""

    def maker(name: str = "force", nature: str = "simulated", *, model: bool = True, **changes: Any) -> Path:
        if changes or nature != "simulated":
            return make_home(tmp_path / name, nature, model=model, **changes)
        shutil.copytree(_small_template, tmp_path / name)
        return use_small_model(tmp_path / name / "home") if model else tmp_path / name / "home"

    return maker


@pytest.fixture
def small_document() -> dict[str, Any]:
    """The hand-made model's document, in use nowhere."""
    return small_model()


@pytest.fixture
def small_extract_tables() -> dict[str, pl.DataFrame]:
    """The tables of the hand-made force."""
    return small_tables()


@pytest.fixture(scope="session")
def small_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The hand-made force, loaded, with a model and the lists of 25 May and 1 June 2025. Not to be changed."""
    from features.clocks import parse_as_of
    from features.home import Home
    from risk.priority import publish

    home = make_home(tmp_path_factory.mktemp("small"))
    for when in (SMALL_WEEK_BEFORE, SMALL_T):
        publish(Home(home), parse_as_of(when))
    return home


@pytest.fixture(scope="session")
def sheet_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The hand-made force with places, calls, custody and contacts beside (tests/sheet_force.py). Not to be changed."""
    from tests import sheet_force

    return sheet_force.make(tmp_path_factory.mktemp("sheet"))


# --- a drawn force: a few hundred suspects over four years, for what is learnt ------------------------------------

DRAWN_FROM = datetime(2021, 1, 1, tzinfo=UTC)
DRAWN_TO = datetime(2024, 12, 31, 6, tzinfo=UTC)
CODES = ("105/01", "008/06", "058/01", "005/01", "019/08", "008/66")
CHANCE = (0.5, 0.2, 0.15, 0.05, 0.04, 0.06)


def draw_force(persons: int = 400, seed: int = 3) -> dict[str, pl.DataFrame]:
    """Raw frames of a force of ``persons`` suspects over four years: a gamma rate each, a few grave offences."""
    rng = np.random.default_rng(seed)
    rate = rng.gamma(0.5, 1.6, persons)
    event, offence, involvement, assessment = [], [], [], []
    for i in range(persons):
        grave = 3.0 if rng.random() < 0.2 else 0.6
        for _ in range(rng.poisson(rate[i] * 4)):
            k = len(event)
            at = (DRAWN_FROM + timedelta(seconds=float(rng.uniform(0, 4 * 365.25 * 86400)))).replace(
                microsecond=0
            )
            crime = rng.random() < 0.7
            entered = at + timedelta(hours=float(rng.exponential(20)))
            event.append(
                {
                    "event_id": f"E{k:05d}",
                    "kind": "crime" if crime else "non_crime",
                    "occurred_at": at,
                    "reported_at": at,
                    "domestic": "Y",
                    "source": "victim",
                    "recorded_at": entered,
                }
            )
            involvement.append(
                {
                    "event_id": f"E{k:05d}",
                    "person_id": f"P{i:04d}",
                    "role": "suspect",
                    "victim_id": f"V{i:04d}{int(rng.integers(2))}",
                    "relationship_to_victim": "partner",
                    "recorded_at": entered,
                }
            )
            if crime:
                weights = np.array(CHANCE) * np.array([1, 1, 1, grave, grave, grave])
                offence.append(
                    {
                        "offence_id": f"O{k:05d}",
                        "event_id": f"E{k:05d}",
                        "ho_code": str(rng.choice(CODES, p=weights / weights.sum())),
                        "suspect_id": f"P{i:04d}",
                        "recorded_at": entered,
                    }
                )
            if rng.random() < 0.6:
                assessment.append(
                    {
                        "assessment_id": f"A{k:05d}",
                        "event_id": f"E{k:05d}",
                        "victim_id": f"V{i:04d}0",
                        "suspect_id": f"P{i:04d}",
                        "tool": "DASH",
                        "grade": str(rng.choice(["standard", "medium", "high"])),
                        "completed_at": entered,
                        "recorded_at": entered,
                    }
                )
    person = [
        {"person_id": f"P{i:04d}", "date_of_birth": date(1960 + int(rng.integers(40)), 3, 4)}
        for i in range(persons)
    ]
    raw = {"person": person, "event": event, "offence": offence}
    raw |= {"involvement": involvement, "risk_assessment": assessment}
    utc = pl.Datetime("us", "UTC")
    frames = {}
    for name, rows in raw.items():
        frame = pl.DataFrame(rows, infer_schema_length=None)
        frames[name] = frame.with_columns(
            pl.col(c).cast(utc) for c, d in frame.schema.items() if d == pl.Datetime
        )
    return frames


@pytest.fixture(scope="session")
def drawn_force() -> dict[str, pl.DataFrame]:
    """Raw frames of the drawn force; never changed in place."""
    return draw_force()


@pytest.fixture(scope="session")
def home_of() -> Callable[..., Home]:
    """Makes a home of raw frames in a folder, through the front door."""
    return make_drawn_home


def make_drawn_home(raw: dict[str, pl.DataFrame], folder: Path, load_id: str = "load-1") -> Home:
    """A home whose current load holds ``raw``, through the front door."""
    from features.home import Home
    from features.ingest import ingest

    extract = folder / "extract"
    extract.mkdir(parents=True)
    for name, frame in raw.items():
        frame.write_parquet(extract / f"{name}.parquet")
    (extract / "extract.json").write_text(json.dumps({"nature": "simulated", "made_by": "test"}))
    home = Home(folder / "home")
    ingest(extract, home)
    return home
