"""What police set going stays out of every feature, however it hangs together; a non-crime weighs nothing."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest

from features.clocks import canonical
from features.histories import histories
from features.records import Records
from features.stores import split

T = dt.datetime(2025, 6, 1, 5, tzinfo=dt.UTC)


def day(month: int, number: int) -> dt.datetime:
    return dt.datetime(2025, month, number, 12, tzinfo=dt.UTC)


def force(source: str = "police_proactive", kind: str = "crime") -> dict[str, pl.DataFrame]:
    """One domestic event reported by the victim, one as given; arrest, bail and breach hang on the second in a chain
    of which only the first link names the event."""
    return {
        "person": pl.DataFrame({"person_id": ["S", "V"]}),
        "event": pl.DataFrame(
            {
                "event_id": ["E1", "E2"],
                "kind": ["crime", kind],
                "occurred_at": [day(1, 5), day(2, 5)],
                "domestic": ["Y", "Y"],
                "source": ["victim", source],
            }
        ),
        "involvement": pl.DataFrame(
            {
                "event_id": ["E1", "E2"],
                "person_id": ["S", "S"],
                "role": ["suspect"] * 2,
                "victim_id": ["V", "V"],
            }
        ),
        "offence": pl.DataFrame(
            {
                "offence_id": ["O1", "O2"],
                "event_id": ["E1", "E2"],
                "ho_code": ["105/01", "5D"],
                "suspect_id": ["S", "S"],
            }
        ),
        "custody": pl.DataFrame(
            {"custody_id": ["C2"], "person_id": ["S"], "event_id": ["E2"], "arrested_at": [day(2, 6)]}
        ),
        "bail": pl.DataFrame(
            {
                "bail_id": ["B2"],
                "person_id": ["S"],
                "custody_id": ["C2"],
                "from_at": [day(2, 7)],
                "until_at": [day(9, 1)],
                "conditions": [["no_contact"]],
            }
        ),
        "breach": pl.DataFrame(
            {"breach_id": ["X2"], "person_id": ["S"], "bail_id": ["B2"], "occurred_at": [day(3, 1)]}
        ),
    }


def of(raw: dict[str, pl.DataFrame], engine: str) -> dict[str, object]:
    records = Records.from_canonical(canonical(raw))
    return histories(records, "offender", T, engine=engine).row(0, named=True)


@pytest.mark.parametrize("engine", ["reference", "fast"])
def test_arrest_bail_and_breach_go_with_the_event_police_set_going(engine: str) -> None:
    alone = force()
    for table in ("custody", "bail", "breach"):
        alone[table] = alone[table].clear()
    for table in ("event", "offence", "involvement"):
        alone[table] = alone[table].filter(pl.col("event_id") == "E1")
    assert of(force(), engine) == of(alone, engine)
    reported = of(force(source="victim"), engine)
    assert reported["on_bail"] == 1
    assert reported["breaches_365d"] == 1


def test_what_is_set_apart_is_kept_for_audit() -> None:
    stores = split(canonical(force()))
    for table, key in (("custody", "C2"), ("bail", "B2"), ("breach", "X2")):
        assert stores.records[table].is_empty()
        assert stores.audit[f"proactive_{table}"].to_series(0).to_list() == [key]


@pytest.mark.parametrize("engine", ["reference", "fast"])
def test_an_offence_on_a_non_crime_weighs_nothing(engine: str) -> None:
    seen = of(force(source="victim", kind="non_crime"), engine)
    assert seen["domestic_events_365d"] == 2
    assert seen["domestic_crimes_365d"] == 1
    assert seen["serious_events_ever"] == 0
    assert seen["harm_days_ever"] == seen["max_harm_days_ever"] == 1.0
    assert of(force(source="victim"), engine)["serious_events_ever"] == 1
