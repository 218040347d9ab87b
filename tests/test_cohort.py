"""Who is scored at T: in the cohort, apart with a reason, or not there at all."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from features.clocks import canonical, parse_as_of
from features.cohort import COHORT, DIED, HELD, UNDER_AGE, cohort, suspects
from features.records import Records
from features.schema import SPECS

DAY = timedelta(days=1)
T = datetime(2024, 6, 1, 5, tzinfo=UTC)
Row = dict[str, Any]


def records_of(**raw: list[Row]) -> Records:
    frames = {}
    for name, rows in raw.items():
        known = {**SPECS[name].dtypes, "recorded_at": pl.Datetime("us", "UTC"), "withdrawn": pl.Boolean}
        columns = {column for row in rows for column in row}
        frames[name] = pl.DataFrame(rows, schema={c: d for c, d in known.items() if c in columns})
    return Records.from_canonical(canonical(frames))


def suspect(
    person: str = "a", *, at: datetime = T - 10 * DAY, event: str = "e", **event_facts: Any
) -> dict[str, list[Row]]:
    return {
        "event": [{"event_id": event, "kind": "crime", "occurred_at": at, "domestic": "Y"} | event_facts],
        "involvement": [{"event_id": event, "person_id": person, "role": "suspect"}],
    }


def person(person_id: str = "a", **facts: Any) -> list[Row]:
    return [{"person_id": person_id, "date_of_birth": date(1990, 1, 1)} | facts]


def only(records: Records, t: datetime = T) -> Row:
    rows = cohort(records, t).to_dicts()
    assert len(rows) == 1
    return rows[0]


def test_a_suspect_of_a_domestic_event_is_in() -> None:
    assert only(records_of(person=person(), **suspect())) == {
        "person_id": "a", "in_scope": True, "out_of_scope_reason": None, "age_unknown": False, "active_365": True,
        "first_time": True, "release_due": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("at", "there", "active"),
    [(T, True, True), (T + timedelta(microseconds=1), False, None), (T - 365 * DAY, True, False),
     (T - 365 * DAY + timedelta(microseconds=1), True, True), (T - 1095 * DAY, False, None),
     (T - 1095 * DAY + timedelta(microseconds=1), True, False)],
)  # fmt: skip
def test_windows_are_open_at_their_start_and_closed_at_t(
    at: datetime, there: bool, active: bool | None
) -> None:
    frame = cohort(records_of(person=person(), **suspect(at=at)), T)
    assert frame.height == there
    if there:
        assert frame["active_365"].item() is active


@pytest.mark.parametrize("change", [{"domestic": "U"}, {"domestic": "N"}, {"source": "police_proactive"},
                                    {"recorded_at": T + DAY}])  # fmt: skip
def test_events_that_are_not_domestic_not_theirs_or_not_yet_known_bring_no_one_in(change: Row) -> None:
    assert cohort(records_of(person=person(), **suspect(**change)), T).is_empty()


def test_being_named_by_an_offence_makes_a_suspect_and_being_a_victim_does_not() -> None:
    event = suspect()["event"]
    named = records_of(
        person=person() + person("v"),
        event=event,
        offence=[{"offence_id": "o", "event_id": "e", "ho_code": "8N", "suspect_id": "a", "victim_id": "v"}],
        involvement=[{"event_id": "e", "person_id": "v", "role": "victim"}],
    )
    assert cohort(named, T)["person_id"].to_list() == ["a"]
    assert suspects(named, T).rows() == [("e", "a")]


def test_a_withdrawn_role_takes_the_person_out() -> None:
    facts = suspect()
    facts["involvement"].append(
        {"event_id": "e", "person_id": "a", "role": "suspect", "recorded_at": T - DAY, "withdrawn": True}
    )
    records = records_of(person=person(), **facts)
    assert cohort(records, T).is_empty()
    assert cohort(records, T - 2 * DAY).height == 1


def test_one_event_in_all_is_a_first_time_and_an_old_one_ends_that() -> None:
    facts = suspect()
    for name, rows in suspect(at=T - 3000 * DAY, event="old").items():
        facts[name] += rows
    row = only(records_of(person=person(), **facts))
    assert (row["first_time"], row["active_365"]) == (False, True)


@pytest.mark.parametrize(
    ("born", "reason", "unknown"),
    [(date(2006, 6, 1), None, False), (date(2006, 6, 2), UNDER_AGE, False), (None, None, True),
     (date(1930, 1, 1), None, False)],
)  # fmt: skip
def test_eighteen_on_the_day_is_in_and_an_unknown_age_is_kept_and_flagged(
    born: date | None, reason: str | None, unknown: bool
) -> None:
    row = only(records_of(person=person(date_of_birth=born), **suspect()))
    assert (row["out_of_scope_reason"], row["in_scope"], row["age_unknown"]) == (
        reason,
        reason is None,
        unknown,
    )


def test_the_day_of_t_is_the_london_day_and_a_leap_day_birth_counts_from_the_first_of_march() -> None:
    records = records_of(
        person=person(date_of_birth=date(2004, 2, 29)), **suspect(at=datetime(2022, 1, 1, tzinfo=UTC))
    )
    assert only(records, parse_as_of("2022-02-28"))["out_of_scope_reason"] == UNDER_AGE
    assert only(records, parse_as_of("2022-03-01"))["in_scope"]
    summer = records_of(person=person(date_of_birth=date(2006, 6, 1)), **suspect())
    assert only(summer, datetime(2024, 5, 31, 23, 30, tzinfo=UTC))["in_scope"], "half past midnight in London"


def test_death_counts_from_the_day_it_is_known_to_have_happened() -> None:
    records = records_of(person=person(deceased_on=T - DAY), **suspect())
    assert only(records)["out_of_scope_reason"] == DIED
    assert only(records, T - 2 * DAY)["in_scope"]


@pytest.mark.parametrize(
    ("spells", "reason", "due"),
    [
        ([("prison", -30, None, None)], HELD, None),
        ([("remand", -30, None, 29)], HELD, 29),
        ([("remand", -30, None, 28)], None, 28),
        ([("prison", -30, None, -2)], None, -2),
        ([("prison", -30, None, 10), ("remand", -20, None, None)], HELD, None),
        ([("prison", -30, None, 10), ("remand", -20, None, 20)], None, 20),
        ([("prison", -30, -1, 60)], None, None),
        ([("prison", -30, 5, 60)], HELD, 60),
        ([("prison", 1, None, None)], None, None),
        ([("licence", -30, None, None), ("tag", -3, None, None)], None, None),
    ],
)
def test_those_held_stand_apart_unless_release_is_due_within_28_days(
    spells: list[tuple[str, int, int | None, int | None]], reason: str | None, due: int | None
) -> None:
    rows = [
        {
            "person_id": "a",
            "state": state,
            "started_on": T + began * DAY,
            "ended_on": None if ended is None else T + ended * DAY,
            "expected_end": None if expected is None else T + expected * DAY,
        }
        for state, began, ended, expected in spells
    ]
    row = only(records_of(person=person(), spell=rows, **suspect()))
    assert row["out_of_scope_reason"] == reason
    assert row["release_due"] == (None if due is None else T + due * DAY)


def test_restricted_persons_are_nowhere() -> None:
    assert cohort(records_of(person=person(no_processing=True), **suspect()), T).is_empty()


def test_a_suspect_without_a_person_row_yet_is_kept_with_age_unknown() -> None:
    row = only(records_of(person=person(recorded_at=T + DAY), **suspect()))
    assert (row["in_scope"], row["age_unknown"]) == (True, True)


@pytest.mark.parametrize("t", [datetime(1990, 1, 1, tzinfo=UTC), T, datetime(2090, 1, 1, tzinfo=UTC)])
def test_nothing_to_score_is_an_empty_frame_of_the_same_shape(t: datetime) -> None:
    frame = cohort(Records.from_canonical(canonical({})), t)
    assert dict(frame.schema) == COHORT
    assert frame.is_empty()
    assert cohort(records_of(person=person(), **suspect()), datetime(1990, 1, 1, tzinfo=UTC)).is_empty()


@pytest.mark.parametrize("seed", range(6))
def test_nothing_recorded_after_t_changes_the_cohort(seed: int) -> None:
    rng = random.Random(seed)
    events, roles, spells = [], [], []
    people = [f"p{i}" for i in range(12)]
    for n in range(60):
        at = T + rng.uniform(-1500, 400) * DAY
        entered = at + rng.choice([0, 1, 200]) * rng.random() * DAY
        event = {"event_id": f"e{n}", "kind": "crime", "occurred_at": at, "domestic": rng.choice("YYNU")}
        events.append(event | {"recorded_at": entered})
        if rng.random() < 0.4:
            events.append(
                event | {"domestic": rng.choice("YNU"), "recorded_at": entered + rng.uniform(1, 500) * DAY}
            )
        roles.append(
            {"event_id": f"e{n}", "person_id": rng.choice(people), "role": "suspect", "recorded_at": entered}
        )
    for who in people:
        began = T + rng.uniform(-400, 100) * DAY
        ended = began + 200 * rng.random() * DAY
        spell = {"person_id": who, "state": "remand", "started_on": began, "ended_on": ended}
        spells.append(spell | {"expected_end": began + 100 * DAY})
    everyone = [row for who in people for row in person(who, deceased_on=T + rng.uniform(-200, 900) * DAY)]
    whole = cohort(records_of(person=everyone, event=events, involvement=roles, spell=spells), T)
    then = cohort(
        records_of(
            person=[
                p | {"deceased_on": p["deceased_on"] if p["deceased_on"] <= T else None} for p in everyone
            ],
            event=[e for e in events if e["recorded_at"] <= T],
            involvement=[r for r in roles if r["recorded_at"] <= T],
            spell=[
                s | {"ended_on": s["ended_on"] if s["ended_on"] <= T else None}
                for s in spells
                if s["started_on"] <= T
            ],
        ),
        T,
    )
    assert whole.equals(then)
    assert whole.height > 3
    assert 0 < whole["in_scope"].sum() < whole.height
