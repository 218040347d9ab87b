"""The two clocks: what was on the screen at T, said twice; and London wall-clock time against zoneinfo."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.cells import read_cells
from features.clocks import (
    ALWAYS,
    NEVER,
    canonical,
    canonical_counted,
    in_autumn_hour,
    in_spring_gap,
    parse_as_of,
)
from features.errors import InputError
from features.records import Records
from features.schema import SPECS, UTC_TIME

LONDON = ZoneInfo("Europe/London")


def utc(*parts: int) -> dt.datetime:
    return dt.datetime(*parts, tzinfo=dt.UTC)  # type: ignore[arg-type,misc]


def day(n: int | None) -> dt.datetime | None:
    return None if n is None else utc(2024, 1, 1) + dt.timedelta(days=n)


# --- canonical tables against a plain 'what was on the screen at T' -----------------------------------------

rows_of_events = st.lists(
    st.fixed_dictionaries(
        {
            "event_id": st.sampled_from(["e1", "e2", "e3"]),
            "occurred": st.integers(0, 6),
            "reported": st.none() | st.integers(0, 6),
            "recorded": st.none() | st.integers(0, 8),
            "domestic": st.sampled_from(["Y", "N"]),
            "withdrawn": st.booleans(),
        }
    ),
    max_size=12,
)


def one_clock_each(rows: list[dict]) -> list[dict]:
    """Keep the rows that no other row of the key contradicts (a load quarantines the rest)."""
    kept: list[dict] = []
    for row in rows:
        clocks = {(r["event_id"], known(r)) for r in kept} | {
            (r["event_id"], "as given", r["recorded"]) for r in kept
        }
        if (
            row in kept
            or not {(row["event_id"], known(row)), (row["event_id"], "as given", row["recorded"])} & clocks
        ):
            kept.append(row)
    return kept


def known(row: dict) -> int:
    """When the force knew of an event row, straight from the contract."""
    if row["recorded"] is not None:
        return row["recorded"]
    return max(row["occurred"], row["reported"] if row["reported"] is not None else row["occurred"])


def on_the_screen(rows: list[dict], t: int) -> dict[str, tuple[int, str]]:
    """event_id -> (occurred, domestic) at day t: the newest row known, unless it takes the event back."""
    screen: dict[str, tuple[int, str]] = {}
    for key in {row["event_id"] for row in rows}:
        seen = [row for row in rows if row["event_id"] == key and known(row) <= t]
        if seen:
            newest = max(seen, key=known)
            if not newest["withdrawn"] and newest["occurred"] <= t:
                screen[key] = (newest["occurred"], newest["domestic"])
    return screen


@settings(max_examples=40, deadline=None)
@given(rows_of_events, st.integers(-1, 10))
def test_versions_show_what_was_on_the_screen(rows: list[dict], t: int) -> None:
    rows = one_clock_each(rows)
    raw = pl.DataFrame(
        {
            "event_id": [r["event_id"] for r in rows],
            "kind": ["crime"] * len(rows),
            "occurred_at": [day(r["occurred"]) for r in rows],
            "reported_at": [day(r["reported"]) for r in rows],
            "recorded_at": [day(r["recorded"]) for r in rows],
            "domestic": [r["domestic"] for r in rows],
            "withdrawn": [r["withdrawn"] for r in rows],
        },
        schema_overrides={
            **dict.fromkeys(["occurred_at", "reported_at", "recorded_at"], UTC_TIME),
            **dict.fromkeys(["event_id", "kind", "domestic"], pl.String),
            "withdrawn": pl.Boolean,
        },
    )
    table = canonical({"event": raw})["event"]
    at = day(t)
    shown = table.filter(
        (pl.col("known_from") <= at)
        & (pl.col("known_to").is_null() | (pl.col("known_to") > at))
        & (pl.col("occurred_at") <= at)
    )
    assert shown["event_id"].is_unique().all()
    got = {r["event_id"]: (r["occurred_at"], r["domestic"]) for r in shown.iter_rows(named=True)}
    assert got == {key: (day(o), d) for key, (o, d) in on_the_screen(rows, t).items()}


def test_every_table_is_there_with_its_types() -> None:
    tables = canonical({})
    assert list(tables) == list(SPECS)
    for name, frame in tables.items():
        assert frame.height == 0
        assert dict(frame.schema) == {**SPECS[name].dtypes, "known_from": UTC_TIME, "known_to": UTC_TIME}


def test_missing_recorded_at_takes_the_contracts_default() -> None:
    event = {"event_id": ["e"], "kind": ["crime"], "domestic": ["Y"]}
    tables = canonical(
        {
            "person": pl.DataFrame({"person_id": ["p"]}),
            "event": pl.DataFrame({**event, "occurred_at": [day(1)], "reported_at": [day(3)]}),
            "offence": pl.DataFrame({"offence_id": ["o"], "event_id": ["e"], "ho_code": ["8N"]}),
            "involvement": pl.DataFrame(
                {
                    "event_id": ["e", "e"],
                    "person_id": ["p", "p"],
                    "role": ["suspect", "witness"],
                    "recorded_at": [day(9), None],
                }
            ),
            "risk_assessment": pl.DataFrame(
                {
                    "assessment_id": ["a", "b"],
                    "event_id": ["e", "e"],
                    "victim_id": ["p", "p"],
                    "tool": ["DASH", "DASH"],
                    "completed_at": [day(2), day(5)],
                }
            ),
            "custody": pl.DataFrame({"custody_id": ["c"], "person_id": ["p"], "arrested_at": [day(4)]}),
        }
    )
    first = {name: frame["known_from"].to_list() for name, frame in tables.items() if frame.height}
    assert first["person"] == [ALWAYS]
    assert first["event"] == [day(3)]
    assert first["offence"] == [day(3)]
    assert sorted(first["involvement"]) == [day(3), day(9)]
    assert first["risk_assessment"] == [day(3), day(5)]
    assert first["custody"] == [day(4)]


def test_a_row_without_any_clock_is_counted_and_never_known() -> None:
    marker = pl.DataFrame({"person_id": ["p", "q"], "code": ["VI", "WE"], "started_on": [None, day(1)]})
    counted = canonical_counted({"marker": marker})
    assert counted.without_clock == {"marker": 1}
    assert counted.tables["marker"]["known_from"].to_list() == [NEVER, day(1)]


def test_a_later_value_without_its_clock_feeds_nothing_and_is_counted() -> None:
    event = pl.DataFrame({"event_id": ["e"], "kind": ["crime"], "domestic": ["Y"], "occurred_at": [day(1)]})
    offence = pl.DataFrame(
        {
            "offence_id": ["o1", "o2"],
            "event_id": ["e", "e"],
            "ho_code": ["8N", "8N"],
            "outcome_code": ["1", "16"],
            "outcome_at": [None, day(5)],
        }
    )
    counted = canonical_counted({"event": event, "offence": offence})
    assert counted.later_without_clock == {"offence.outcome_code": 1}
    assert counted.tables["offence"]["outcome_code"].to_list() == [None, "16"]


def test_identical_rows_count_once_and_differing_ones_are_refused() -> None:
    person = pl.DataFrame({"person_id": ["p", "p"], "sex": ["F", "F"]})
    assert canonical({"person": person})["person"].height == 1
    with pytest.raises(InputError, match="share key and recorded_at"):
        canonical({"person": person.with_columns(sex=pl.Series(["F", "M"]))})


def test_a_null_in_a_key_is_a_value() -> None:
    event = pl.DataFrame({"event_id": ["e"], "kind": ["crime"], "domestic": ["Y"], "occurred_at": [day(1)]})
    part = {"event_id": ["e"] * 3, "person_id": ["p"] * 3, "role": ["suspect"] * 3}
    involvement = pl.DataFrame(
        {**part, "victim_id": [None, None, "v"], "recorded_at": [day(1), day(2), day(1)]}
    )
    table = canonical({"event": event, "involvement": involvement})["involvement"]
    spans = {(r["victim_id"], r["known_from"]): r["known_to"] for r in table.iter_rows(named=True)}
    assert spans == {(None, day(1)): day(2), (None, day(2)): None, ("v", day(1)): None}


def test_added_again_after_withdrawal() -> None:
    person = pl.DataFrame(
        {"person_id": ["p"] * 3, "recorded_at": [day(1), day(2), day(5)], "withdrawn": [False, True, None]}
    )
    table = canonical({"person": person})["person"]
    assert table.select("known_from", "known_to").rows() == [(day(1), day(2)), (day(5), None)]


# --- the record store ---------------------------------------------------------------------------------------


def test_police_initiated_and_restricted_rows_are_not_in_the_record_store() -> None:
    ids = ["e1", "e2", "e3", "e3"]
    tables = canonical(
        {
            "person": pl.DataFrame(
                {"person_id": ["p", "q", "r"], "no_processing": [False, True, None], "sex": ["M"] * 3}
            ),
            "event": pl.DataFrame(
                {
                    "event_id": ids,
                    "kind": ["crime"] * 4,
                    "domestic": ["Y"] * 4,
                    "occurred_at": [day(1)] * 4,
                    "source": ["victim", "police_proactive", "victim", "police_proactive"],
                    "recorded_at": [day(1), day(1), day(1), day(6)],
                    "primary_aggressor_id": ["q", "p", "p", "p"],
                }
            ),
            "offence": pl.DataFrame(
                {"offence_id": ["o1", "o2", "o3"], "event_id": ["e1", "e2", "e3"], "ho_code": ["8N"] * 3}
            ),
            "involvement": pl.DataFrame(
                {
                    "event_id": ["e1", "e1", "e1"],
                    "person_id": ["p", "q", "r"],
                    "role": ["suspect", "suspect", "victim"],
                    "victim_id": ["q", "r", None],
                }
            ),
        }
    )
    records = Records.from_canonical(tables)
    event = records.table("event")
    assert set(event["event_id"]) == {"e1", "e3"}
    assert event.filter(event_id="e1")["primary_aggressor_id"].to_list() == [None]
    assert not {"address_id", "district", "officer_in_charge"} & set(event.columns)
    assert set(records.table("person").columns) == {
        "person_id", "date_of_birth", "deceased_on", "access", "known_from", "known_to",
    }  # fmt: skip
    assert records.table("person")["person_id"].to_list() == ["p", "r"]
    assert set(records.table("involvement").select("person_id", "victim_id").rows()) == {
        ("p", None),
        ("r", None),
    }
    # A source corrected on day 6 moves the event from day 6: what was seen before stays.
    offence = records.table("offence").select("offence_id", "known_from", "known_to").rows()
    assert offence == [("o1", day(1), None), ("o3", day(1), day(6))]
    with pytest.raises(KeyError):
        records.table("intervention")


# --- London time --------------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(st.lists(st.datetimes(dt.datetime(1901, 1, 1), dt.datetime(2099, 12, 31)), min_size=1, max_size=50))
def test_london_time_agrees_with_zoneinfo(times: list[dt.datetime]) -> None:
    times = [t.replace(microsecond=0) for t in times]
    raw = pl.DataFrame(
        {
            "source_line": range(1, len(times) + 1),
            "call_id": ["c"] * len(times),
            "reference": ["r"] * len(times),
            "received_at": [t.isoformat(sep=" ") for t in times],
        }
    )
    cells = read_cells(SPECS["call"], raw)
    expected = [t.replace(tzinfo=LONDON).astimezone(dt.UTC) for t in times]
    assert cells.frame["received_at"].to_list() == expected
    assert cells.faults.is_empty()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-10-27 01:30:00", utc(2024, 10, 27, 0, 30)),  # comes twice: the first
        ("2024-10-27T02:00", utc(2024, 10, 27, 2)),
        ("2024-03-31T01:30:00", utc(2024, 3, 31, 1, 30)),  # never shown: moved forward
        ("2024-07-01", utc(2024, 7, 1, 22, 59, 59)),
        ("2024-01-01", utc(2024, 1, 1, 23, 59, 59)),
        ("20240701", utc(2024, 7, 1, 22, 59, 59)),
        ("20240701T101500Z", utc(2024, 7, 1, 10, 15)),
        ("2024-07-01T10:15:30.987", utc(2024, 7, 1, 9, 15, 30)),
        ("2024-07-01T10:15:30+05:30", utc(2024, 7, 1, 4, 45, 30)),
        ("2024-07-01T10:15-02", utc(2024, 7, 1, 12, 15)),
        ("2024-07-01T10:15:30z", utc(2024, 7, 1, 10, 15, 30)),
        ("31/12/2024", None),
        ("2024-02-30", None),
        ("2024-07-01T24:00", None),
        ("yesterday", None),
        ("1899-12-31T23:00Z", None),
        ("2101-01-01T00:00Z", None),
    ],
)
def test_forms_of_a_time(text: str, expected: dt.datetime | None) -> None:
    raw = pl.DataFrame({"source_line": [1], "person_id": ["p"], "deceased_on": [text]})
    cells = read_cells(SPECS["person"], raw)
    if expected is None:
        assert cells.faults.select("column", "value").rows() == [("deceased_on", text)]
    else:
        assert cells.faults.is_empty()
        assert cells.frame["deceased_on"].item() == expected


def test_both_odd_hours_are_counted() -> None:
    times = pl.Series(
        "t", [dt.datetime(2024, 10, 27, 1, 30), dt.datetime(2024, 3, 31, 1, 30), dt.datetime(2024, 5, 1)]
    )
    flags = pl.DataFrame(times).select(a=in_autumn_hour(pl.col("t")), s=in_spring_gap(pl.col("t")))
    assert flags.rows() == [(True, False), (False, True), (False, False)]


def test_as_of() -> None:
    assert parse_as_of("2025-06-01") == utc(2025, 6, 1, 5)
    assert parse_as_of("2025-01-01") == utc(2025, 1, 1, 6)
    assert parse_as_of("2025-06-01T14:30") == utc(2025, 6, 1, 13, 30)
    assert parse_as_of(" 2025-06-01T14:30Z ") == utc(2025, 6, 1, 14, 30)
    for wrong in ("tomorrow", "2025-13-01", "", "1850-01-01", "01/06/2025"):
        with pytest.raises(InputError):
            parse_as_of(wrong)
