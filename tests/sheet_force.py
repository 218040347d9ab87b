"""The hand-made force with what a sheet reads beside it: places with co-ordinates, calls, custody, bail, contacts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from tests.conftest import SMALL_T, make_home

NAMES = {  # address_id: line, postcode, district, kind, latitude, longitude
    "A1": ("1 High Row", "ZZ1 1AA", "D1", "dwelling", 51.3000, 0.5000),
    "A2": ("2 Mill Lane", "ZZ2 2BB", "D2", "dwelling", 51.3400, 0.5000),  # 4.4 km north of A1
    "A3": ("3 Quay Street", "ZZ3 3CC", "D1", "dwelling", 51.9000, 0.5000),  # 67 km
    "A4": ("4 Chapel Hill", "ZZ4 4DD", "D2", "dwelling", None, None),
    "A5": ("1 HIGH ROW ", "zz11aa", "D1", "dwelling", None, None),  # A1 entered twice
    "A6": ("6 Chapel Hill", "ZZ4 4DD", "D2", "dwelling", None, None),
    "A7": ("Custody suite", "ZZ7 7GG", "D1", "custody", 51.3000, 0.5000),
    "A8": ("8 Refuge Walk", "ZZ8 8HH", "D1", "dwelling", 51.3000, 0.5200),  # 1.4 km east of A1
    "A9": ("9 Hidden Close", "ZZ9 9JJ", "D1", "dwelling", 51.3050, 0.5000),  # 0.56 km north of A1
}
RESIDENCE = [
    ("P1", "A1", "2024-01-01T00:00:00Z", None),
    ("P1", "A9", "2020-01-01T00:00:00Z", "2023-12-31T12:00:00Z"),
    ("P2", "A2", "2023-05-01T00:00:00Z", "2025-02-01T12:00:00Z"),
    ("P7", "A6", "2025-01-05T00:00:00Z", None),
    ("V1", "A9", "2020-01-01T00:00:00Z", None),
    ("P6", "A7", "2025-05-01T00:00:00Z", None),
]
CALLS = [
    # call, reference, received, caller, victim, suspect, address, event
    ("C1", "CAD-100", "2025-05-31T22:15:00Z", "victim", "V1", "P1", "A9", None),
    ("C2", "CAD-101", "2025-05-31T23:00:00Z", "third_party", None, None, "A9", None),
    ("C3", "CAD-102", "2025-05-31T23:30:00Z", "third_party", None, None, "A3", None),
    ("C4", "CAD-103", "2025-06-01T12:00:00Z", "victim", "V1", "P1", "A9", None),  # after T
    ("C5", "CAD-104", "2025-05-31T21:00:00Z", "victim", "V2", "P8", "A8", None),  # for named users
]
CUSTODY = [
    ("K1", "P1", "E04", "2025-04-17T09:00:00Z", "2025-04-17T20:00:00Z", "precharge_bail"),  # Maundy Thursday
    ("K2", "P1", "E05", "2025-05-21T09:00:00Z", "2025-05-21T18:00:00Z", "under_investigation"),
    ("K3", "P7", "E12", "2025-05-29T09:00:00Z", None, None),
]
BAIL = [  # bail, person, custody, event, from, conditions, recorded
    ("B1", "P1", "K1", "E04", "2025-04-17T20:00:00Z", ["no_contact", "exclusion"], "2025-04-17T20:05:00Z"),
    ("B1", "P1", "K1", "E04", "2025-04-17T20:00:00Z", ["no_contact"], "2025-05-27T10:00:00Z"),
]
CONTACT = [
    ("N1", "V1", "E04", "2025-04-22T10:00:00Z", "phone", "update given"),
    ("N2", "V1", None, "2025-05-21T12:00:00Z", "phone", "no answer"),
]
PLAN = [
    # person, channel, times, do_not, language, interpreter, needs, video, every, idva, contact, agreed
    ("V1", "phone", "mornings", None, None, None, None, "Y", 7, None, None, "2025-02-01T10:00:00Z"),
    ("V1", "text", "after ten", "leave a message", "Polish", True, None, "U", 14, "A. Adviser", "a sister",
     "2025-04-16T10:00:00Z"),
]  # fmt: skip
DISCLOSURE = [("Q1", "right_to_know", "P1", "V2", "2025-05-02T10:00:00Z")]


def tables() -> dict[str, pl.DataFrame]:
    """The tables that differ from those of ``conftest.small_tables``, for ``small_home_maker(**tables())``."""

    def frame(names: str, rows: list[tuple[Any, ...]]) -> pl.DataFrame:
        return pl.DataFrame(
            [dict(zip(names.split(), row, strict=True)) for row in rows], infer_schema_length=None
        )

    places = [(a, *row) for a, row in NAMES.items()]
    return {
        "address": frame("address_id line postcode district kind latitude longitude", places),
        "residence": frame("person_id address_id started_on ended_on", RESIDENCE),
        "call": frame(
            "call_id reference received_at caller_role victim_id suspect_id address_id event_id", CALLS
        ),
        "custody": frame("custody_id person_id event_id arrested_at released_at release", CUSTODY),
        "bail": frame("bail_id person_id custody_id event_id from_at conditions recorded_at", BAIL),
        "victim_plan": frame(
            "person_id safe_channel safe_times do_not language interpreter access_needs video_consent "
            "update_every_days idva named_contact agreed_on",
            PLAN,
        ),
        "disclosure": frame("application_id route subject_id protected_id opened_at", DISCLOSURE),
        "contact": frame("contact_id person_id event_id at channel summary_code", CONTACT),
    }


def make(folder: Path) -> Path:
    """A home of that force with the hand-made model and the list of 1 June 2025."""
    from features.clocks import parse_as_of
    from features.home import Home
    from risk.priority import publish

    home = make_home(folder, **tables())
    publish(Home(home), parse_as_of(SMALL_T))
    return home
