"""Outcomes and the reporting delay, against a plain Python version on made-up forces, and their edges."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import polars as pl
import pytest

from features.clocks import canonical
from features.errors import InputError
from features.harm import load_scheme
from features.labels import exposure_days, outcomes, reporting_delay
from features.records import Records
from features.schema import SPECS

START = datetime(2020, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
Row = dict[str, Any]
Raw = dict[str, list[Row]]
CODES = ["008/06", "105/01", "005/01", "8Q", "019/08", "ZZ", "008/01", "149/00", "008/67"]


def records_of(raw: Raw) -> Records:
    frames = {}
    for name, rows in raw.items():
        known = {**SPECS[name].dtypes, "recorded_at": pl.Datetime("us", "UTC"), "withdrawn": pl.Boolean}
        columns = {column for row in rows for column in row}
        schema = {column: dtype for column, dtype in known.items() if column in columns}
        frames[name] = pl.DataFrame(rows, schema=schema or SPECS[name].dtypes)
    return Records.from_canonical(canonical(frames))


def made_up_force(seed: int) -> Raw:
    """A small force with late entry, corrections, withdrawals, unnamed suspects, several suspects, U and N events."""
    rng = random.Random(seed)
    people = [f"p{i}" for i in range(8)]
    raw: Raw = {"person": [], "event": [], "offence": [], "involvement": [], "spell": []}
    for person in people:
        died = START + rng.uniform(0, 1200) * DAY if rng.random() < 0.2 else None
        raw["person"].append({"person_id": person, "deceased_on": died})
        for _ in range(rng.randint(0, 2)):
            began = START + rng.uniform(0, 1200) * DAY
            ended = began + rng.uniform(1, 200) * DAY if rng.random() < 0.7 else None
            state = rng.choice(["prison", "remand", "licence"])
            raw["spell"].append({"person_id": person, "state": state, "started_on": began, "ended_on": ended})
    for n in range(40):
        event = f"e{n:02d}"
        occurred = START + rng.uniform(0, 1200) * DAY
        entered = occurred + rng.choice([0.1, 1, 5, 40, 300]) * rng.random() * DAY
        row = {
            "event_id": event, "kind": rng.choice(["crime"] * 4 + ["non_crime"]), "occurred_at": occurred,
            "domestic": rng.choice("YYYYNU"), "recorded_at": entered, "withdrawn": False,
        }  # fmt: skip
        raw["event"].append(row)
        if rng.random() < 0.3:
            change = {"domestic": rng.choice("YNU"), "occurred_at": occurred - rng.uniform(0, 20) * DAY}
            raw["event"].append({**row, **change, "recorded_at": entered + rng.uniform(1, 300) * DAY})
        if rng.random() < 0.1:
            raw["event"].append({**row, "recorded_at": entered + 400 * DAY, "withdrawn": True})
        for k in range(rng.randint(0, 3)):
            known = entered + rng.choice([0.0, 0.0, 30.0, 250.0]) * rng.random() * DAY
            offence = {
                "offence_id": f"{event}-{k}", "event_id": event, "ho_code": rng.choice(CODES),
                "suspect_id": rng.choice([None, rng.choice(people)]), "recorded_at": known, "withdrawn": False,
            }  # fmt: skip
            raw["offence"].append(offence)
            if rng.random() < 0.2:
                change = {"ho_code": rng.choice(CODES), "withdrawn": rng.random() < 0.4}
                raw["offence"].append({**offence, **change, "recorded_at": known + rng.uniform(1, 300) * DAY})
        for person in rng.sample(people, rng.randint(0, 3)):
            role = rng.choice(["suspect", "suspect", "victim", "witness"])
            known = rng.choice([None, entered + rng.uniform(0, 200) * DAY])
            raw["involvement"].append(
                {
                    "event_id": event,
                    "person_id": person,
                    "role": role,
                    "recorded_at": known,
                    "withdrawn": False,
                }
            )
    return raw


class PlainForce:
    """The same questions answered row by row, from the raw rows and the text of the contract alone."""

    def __init__(self, raw: Raw) -> None:
        self.raw = raw
        self.scheme = load_scheme()
        self.event_first: dict[str, datetime] = {}
        for row in raw["event"]:
            if not row["withdrawn"]:
                first = self.event_first.get(row["event_id"])
                self.event_first[row["event_id"]] = min(first or row["recorded_at"], row["recorded_at"])

    @cache  # noqa: B019 - one force lives as long as its test
    def known(self, table: str, key: tuple[str, ...], at: datetime) -> dict[tuple[Any, ...], Row]:
        latest: dict[tuple[Any, ...], tuple[datetime, Row]] = {}
        for row in self.raw[table]:
            clock = row["recorded_at"] or self.event_first[row["event_id"]]
            ident = tuple(row[k] for k in key)
            if clock <= at and (ident not in latest or latest[ident][0] <= clock):
                latest[ident] = (clock, row)
        return {ident: row for ident, (_, row) in latest.items() if not row["withdrawn"]}

    def events(self, at: datetime) -> dict[str, Row]:
        return {k[0]: r for k, r in self.known("event", ("event_id",), at).items() if r["occurred_at"] <= at}

    def suspects(self, event: str, at: datetime) -> set[str]:
        involved = self.known("involvement", ("event_id", "person_id", "role"), at).values()
        offences = self.known("offence", ("offence_id",), at).values()
        return {r["person_id"] for r in involved if r["event_id"] == event and r["role"] == "suspect"} | {
            r["suspect_id"] for r in offences if r["event_id"] == event and r["suspect_id"]
        }

    def crimes(self, at: datetime) -> list[tuple[str, Row, Row, int, bool]]:
        """(person, offence, event, harm, serious) for every offence and suspect of a domestic crime known at ``at``."""
        events, rows = self.events(at), []
        for offence in self.known("offence", ("offence_id",), at).values():
            event = events.get(offence["event_id"])
            if event is None or event["domestic"] != "Y" or event["kind"] != "crime":
                continue
            price = self.scheme.find(None, None, offence["ho_code"], None)
            blamed = offence["suspect_id"]
            who = {blamed} if blamed else self.suspects(offence["event_id"], at)
            rows.extend((person, offence, event, price.harm_cd, price.serious) for person in who)
        return rows

    def outcome(self, person: str, t: datetime, horizon: int, delay: int) -> Row:
        until = t + horizon * DAY
        seen = until + delay * DAY
        mine = [row for row in self.crimes(seen) if row[0] == person]
        within = [row for row in mine if t < row[2]["occurred_at"] <= until]
        happened = any(
            event["domestic"] == "Y"
            and t < event["occurred_at"] <= until
            and person in self.suspects(name, seen)
            for name, event in self.events(seen).items()
        )
        learnt = 0
        for _, offence, event, harm, _ in mine:
            entered = [
                r["recorded_at"] for r in self.raw["offence"] if r["offence_id"] == offence["offence_id"]
            ]
            learnt += harm if event["occurred_at"] <= t < min(entered) <= until else 0
        harms = [row[3] for row in within]
        serious = any(row[4] for row in within)
        return {
            "person_id": person, "serious": serious, "other": happened and not serious, "any_event": happened,
            "harm_cd": sum(harms), "max_harm_cd": max(harms, default=0), "learnt_cd": learnt,
            "serious_182": max(harms, default=0) >= 18200, "serious_10": max(harms, default=0) >= 1000,
            "serious_day": min((-((t - row[2]["occurred_at"]) // DAY) for row in within if row[4]), default=None),
        }  # fmt: skip

    def delay(self, t: datetime) -> int:
        lags = sorted(
            self.event_first[name] - event["occurred_at"]
            for name, event in self.events(t).items()
            if event["domestic"] == "Y"
        )
        if not lags:
            return 90
        return max(90, math.ceil(lags[math.ceil(0.95 * len(lags)) - 1] / DAY))

    def exposure(self, person: str, t: datetime, horizon: int, delay: int) -> tuple[float, str]:
        until = t + horizon * DAY
        seen = until + delay * DAY
        ends = [(until, 3, "horizon")]
        for who, _, event, _, serious in self.crimes(seen):
            if who == person and serious and t < event["occurred_at"] <= until:
                ends.append((event["occurred_at"], 0, "serious harm"))
        for spell in self.raw["spell"]:
            over = spell["ended_on"] is not None and spell["ended_on"] <= t
            if (
                spell["person_id"] == person
                and spell["state"] != "licence"
                and spell["started_on"] <= until
                and not over
            ):
                ends.append((max(t, spell["started_on"]), 1, "custody"))
        died = next(r["deceased_on"] for r in self.raw["person"] if r["person_id"] == person)
        if died is not None and died <= until:
            ends.append((max(t, died), 2, "death"))
        end, _, why = min(ends)
        return (end - t) / DAY, why


PERSONS = pl.DataFrame({"person_id": [f"p{i}" for i in range(8)]})


@pytest.mark.parametrize("seed", range(6))
def test_outcomes_are_those_of_the_plain_version(seed: int) -> None:
    raw = made_up_force(seed)
    force, records = PlainForce(raw), records_of(raw)
    for t in (START + 200 * DAY, START + 600.25 * DAY, START + 1100 * DAY):
        assert reporting_delay(records, t) == force.delay(t)
        for horizon, delay in ((365, None), (90, 0)):
            got = outcomes(records, PERSONS, t, horizon, delay)
            wait = force.delay(t) if delay is None else delay
            expected = [force.outcome(person, t, horizon, wait) for person in PERSONS["person_id"]]
            assert got.to_dicts() == expected


@pytest.mark.parametrize("seed", range(6))
def test_street_days_are_those_of_the_plain_version(seed: int) -> None:
    raw = made_up_force(seed)
    force, records = PlainForce(raw), records_of(raw)
    for t in (START + 300 * DAY, START + 700.5 * DAY):
        got = exposure_days(records, PERSONS, t, 365, 90)
        for person, days, why in got.rows():
            expected, reason = force.exposure(person, t, 365, 90)
            assert days == pytest.approx(expected, abs=1e-9)
            assert why == reason


def test_the_made_up_forces_hold_every_kind_of_case() -> None:
    found = pl.concat(
        outcomes(records_of(made_up_force(seed)), PERSONS, START + 600 * DAY, 365, 90) for seed in range(12)
    )
    for column in ("serious", "other", "any_event", "serious_182", "serious_10"):
        assert 0 < found[column].sum() < found.height, column
    assert found["learnt_cd"].sum() > 0
    delays = {reporting_delay(records_of(made_up_force(seed)), START + 1100 * DAY) for seed in range(12)}
    assert len(delays) > 1, "some force must be slower than the floor of 90 days"


@pytest.mark.parametrize("seed", range(4))
def test_nothing_after_the_cut_changes_a_label(seed: int) -> None:
    raw, t = made_up_force(seed), START + 400 * DAY
    seen = t + (200 + 100) * DAY
    before = {
        name: [row for row in rows if (row.get("recorded_at") or row.get("started_on") or START) <= seen]
        for name, rows in raw.items()
    }
    known = {row["event_id"] for row in before["event"]}
    for name in ("offence", "involvement"):
        before[name] = [row for row in before[name] if row["event_id"] in known]
    cut = outcomes(records_of(before), PERSONS, t, 200, 100)
    assert cut.equals(outcomes(records_of(raw), PERSONS, t, 200, 100))


def one_offence(**event: Any) -> Raw:
    occurred = START + 10 * DAY
    return {
        "person": [{"person_id": "a"}, {"person_id": "b"}],
        "event": [{"event_id": "e", "kind": "crime", "occurred_at": occurred, "domestic": "Y", **event}],
        "offence": [{"offence_id": "o", "event_id": "e", "ho_code": "005/01", "suspect_id": None}],
        "involvement": [
            {"event_id": "e", "person_id": "a", "role": "suspect"},
            {"event_id": "e", "person_id": "b", "role": "victim"},
        ],
    }


@pytest.mark.parametrize(
    ("after", "counts"), [(timedelta(0), False), (-timedelta(microseconds=1), True), (-90 * DAY, True),
                          (-90 * DAY - timedelta(microseconds=1), False)]
)  # fmt: skip
def test_the_horizon_is_open_at_t_and_closed_at_its_end(after: timedelta, counts: bool) -> None:
    t = START + 10 * DAY + after
    got = outcomes(records_of(one_offence()), pl.DataFrame({"person_id": ["a", "b"]}), t, 90, 90)
    assert got["serious"].to_list() == [counts, False]


def test_an_unknown_or_proactive_or_non_crime_event_is_no_serious_harm() -> None:
    who = pl.DataFrame({"person_id": ["a"]})
    for change in (
        {"domestic": "U"},
        {"domestic": "N"},
        {"source": "police_proactive"},
        {"kind": "non_crime"},
    ):
        got = outcomes(records_of(one_offence(**change)), who, START, 365, 90)
        assert got["serious"].to_list() == [False], change
        assert got["any_event"].to_list() == [change == {"kind": "non_crime"}]


def test_a_person_without_records_gets_a_row_of_nothing_and_repeats_count_once() -> None:
    got = outcomes(records_of(one_offence()), pl.DataFrame({"person_id": ["z", "a", "z"]}), START, 365, 90)
    assert got["person_id"].to_list() == ["a", "z"]
    assert got["harm_cd"].to_list() == [146000, 0]


@pytest.mark.parametrize("t", [START - 9000 * DAY, START + 9000 * DAY])
def test_empty_tables_and_dates_outside_the_records_work(t: datetime) -> None:
    nothing = Records.from_canonical(canonical({}))
    who = pl.DataFrame({"person_id": ["a"]})
    for records in (nothing, records_of(one_offence())):
        assert outcomes(records, who, t, 365).row(0)[1:] == (False,) * 3 + (0,) * 3 + (False, False, None)
        assert exposure_days(records, who, t, 365).rows() == [("a", 365.0, "horizon")]
        assert reporting_delay(records, t) >= 90
    assert outcomes(nothing, who.clear(), START, 365).height == 0


def test_impossible_horizons_are_refused() -> None:
    who, records = pl.DataFrame({"person_id": ["a"]}), records_of(one_offence())
    with pytest.raises(InputError, match="horizon"):
        outcomes(records, who, START, 0)
    with pytest.raises(InputError, match="delay"):
        exposure_days(records, who, START, 30, -1)
