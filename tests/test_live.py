"""One person asked for live gets the bits of the batch, and the next question knows what was just added."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from features.append import append
from features.assurance import TABLES, random_extract
from features.clocks import canonical
from features.cohort import cohort
from features.histories import histories, subjects_at
from features.home import Home
from features.live import Live
from features.nominals import Links, clusters_at
from features.records import Records
from risk.score import score_cohort

T = datetime(2024, 6, 1, 5, tzinfo=UTC)
ROWS = {table: 30 if table in ("event", "involvement", "offence") else 9 for table in TABLES}


def towns(number: int, seed: int) -> dict[str, pl.DataFrame]:
    """Several small random worlds in one extract, their ids told apart."""
    parts = []
    for town in range(number):
        raw = random_extract(ROWS, seed + town, T)
        parts.append(
            {
                name: frame.with_columns(
                    (pl.lit(f"t{town}.") + pl.col(c)).alias(c)
                    for c in frame.columns
                    if c.endswith(("_id", "_id_a", "_id_b"))
                )
                for name, frame in raw.items()
            }
        )
    return {name: pl.concat([part[name] for part in parts]) for name in TABLES}


@pytest.fixture(scope="module")
def world() -> Records:
    return Records.from_canonical(canonical(towns(8, 170)))


def same(a: pl.DataFrame, b: pl.DataFrame) -> None:
    assert a.schema == b.schema
    differ = [c for c in a.columns if not a[c].equals(b[c], null_equal=True)]
    assert not differ, differ


@pytest.mark.parametrize("subject", ["offender", "victim", "dyad"])
@pytest.mark.parametrize("days", [0, 200])
def test_live_equals_the_batch_to_the_bit(world: Records, subject: str, days: int) -> None:
    t = T - timedelta(days=days)
    live = Live(world)
    batch = histories(world, subject, t)
    assert batch.height > 3
    for number in range(0, batch.height, 2):
        keys = subjects_at(world, subject, t)[number]
        near = live.around(keys.row(0), t)
        assert near.table("event").height < world.table("event").height
        same(histories(near, subject, t, subjects=keys, engine="auto"), batch[number])


def test_the_cohort_of_a_slice_is_the_persons_own_line(world: Records) -> None:
    live, whole = Live(world), cohort(world, T)
    assert whole.height > 3
    for person in whole["person_id"]:
        mine = pl.col("person_id") == person
        near = live.around([person], T)
        assert cohort(near, T).filter(mine).equals(whole.filter(mine), null_equal=True)
        same(cohort(near, T, [person]), whole.filter(mine))


@pytest.mark.parametrize("seed", range(6))
def test_a_few_cohort_lines_equal_the_query(seed: int) -> None:
    """Read row by row off plain Python, or by the query over everyone: the same lines, linked nominals or not."""
    world = Records.from_canonical(canonical(towns(2, 300 + 2 * seed)))
    for records in (world, linked(world)):
        for days in (0, 90, 400, 2000):
            t = T - timedelta(days=days)
            whole = cohort(records, t)
            everyone = sorted(set(records.table("person")["person_id"]) | set(whole["person_id"]))
            for start in range(0, len(everyone), 16):
                some = everyone[start : start + 16]
                same(cohort(records, t, some), whole.filter(pl.col("person_id").is_in(some)))


def linked(world: Records) -> Records:
    """Two pairs of nominals linked, one of them from six months before T on, one told apart since."""
    ids = sorted(world.table("person")["person_id"].unique())
    long_ago, late = datetime(2015, 1, 1, tzinfo=UTC), T - timedelta(days=180)
    pairs = pl.DataFrame(
        {
            "person_id_a": ["t0.P1", "t1.P2"],
            "person_id_b": ["t2.P3", "t3.P0"],
            "probability": [0.95, 0.99],
            "known_from": pl.Series([long_ago, late], dtype=pl.Datetime("us", "UTC")),
        }
    )
    first = pl.DataFrame({"person_id": ids}).with_columns(
        known_from=pl.lit(long_ago).cast(pl.Datetime("us", "UTC"))
    )
    return Records(world.load_id, world.tables, world.missing, links=Links(pairs, 0.9, persons=first))


@pytest.mark.parametrize("days", [0, 200])
def test_linked_nominals_are_one_person_live_too(world: Records, days: int) -> None:
    t, records = T - timedelta(days=days), linked(world)
    clusters = clusters_at(records.links, t)
    assert clusters.height == (4 if days == 0 else 2)
    live, batch = Live(records), histories(records, "offender", t)
    asked = [p for p in batch["person_id"] if p.startswith(("t0.", "t1.", "t2.", "t3."))]
    assert asked
    for person in asked:
        keys = pl.DataFrame({"person_id": [person]})
        near = live.around([person], t)
        same(
            histories(near, "offender", t, subjects=keys, engine="auto"),
            batch.filter(pl.col("person_id") == person),
        )


# --- following what is added --------------------------------------------------------------------------------


def added_event(
    event: str, at: str, suspect: str = "P2", victim: str = "V2"
) -> dict[str, list[dict[str, Any]]]:
    return {
        "event": [
            {"event_id": event, "kind": "crime", "occurred_at": at, "domestic": "Y", "source": "victim",
             "reference": event, "district": "D1"}
        ],
        "involvement": [
            {"event_id": event, "person_id": suspect, "role": "suspect", "victim_id": victim},
            {"event_id": event, "person_id": victim, "role": "victim", "victim_id": None},
        ],
        "offence": [
            {"offence_id": f"{event}-1", "event_id": event, "ho_code": "8N", "suspect_id": suspect,
             "victim_id": victim}
        ],
    }  # fmt: skip


NOW = datetime(2025, 6, 1, 5, tzinfo=UTC)


def events_of(records: Records, person: str, t: datetime = NOW) -> int:
    asked = pl.DataFrame({"person_id": [person]})
    columns = ["domestic_events_ever"]
    return int(histories(records, "offender", t, subjects=asked, columns=columns, engine="auto").item(0, 1))


def test_the_next_question_knows_the_event_just_added(small_home_maker: Any) -> None:
    home = Home(small_home_maker(model=False))
    load = home.require()
    append(home, added_event("N0", "2025-05-30T20:00Z"))
    before = events_of(load.records(), "P2")
    append(home, added_event("N00", "2025-05-30T21:00Z"))  # between reading and indexing
    load.ready()
    assert events_of(load.near(["P2"], NOW), "P2") == before
    assert load.refresh()
    before += 1
    assert not load.refresh()
    append(home, added_event("N1", "2025-05-31T20:00Z"))
    assert load.refresh()
    assert events_of(load.near(["P2"], NOW), "P2") == before + 1
    row = added_event("N1", "2025-05-31T20:00Z")["event"][0]
    append(home, {"event": [row | {"domestic": "N", "recorded_at": "2025-06-01T04:00Z"}]})
    load.refresh()
    assert events_of(load.near(["P2"], NOW), "P2") == before
    assert events_of(load.near(["P2"], NOW), "P2", NOW - timedelta(hours=2)) == before + 1
    fresh = home.require().records()
    assert load.records().state == fresh.state, "one name for one state, whoever read it"
    for subject in ("offender", "victim", "dyad"):
        same(histories(fresh, subject, NOW), histories(load.records(), subject, NOW))
        asked = subjects_at(fresh, subject, NOW)
        for number in range(asked.height):
            near = load.near(list(asked.row(number)), NOW)
            alone = histories(near, subject, NOW, subjects=asked[number], engine="auto")
            same(alone, histories(fresh, subject, NOW)[number])


def test_restriction_and_households_reach_the_live_records(small_home_maker: Any) -> None:
    home = Home(small_home_maker(model=False))
    load = home.require()
    load.ready()
    append(
        home,
        {
            "person": [
                {
                    "person_id": "N9",
                    "family_name": "New",
                    "address_id": "A2",
                    "recorded_at": "2025-05-30T00:00Z",
                }
            ]
        },
    )
    load.refresh()
    assert (
        "N9"
        in load.near(["P2"], NOW)
        .table("household")
        .select("person_id_a", "person_id_b")
        .to_series()
        .to_list()
    )
    append(home, {"person": [{"person_id": "V2", "no_processing": True, "recorded_at": "2025-05-31T00:00Z"}]})
    load.refresh()
    for name, frame in load.near(["P2"], NOW).tables.items():
        assert not any(
            "V2" in frame[c].to_list() for c in frame.columns if c.endswith(("_id", "_id_a", "_id_b"))
        ), name
    same(histories(home.require().records(), "offender", NOW), histories(load.records(), "offender", NOW))


def test_a_live_score_equals_the_batch_before_and_after(small_home_maker: Any) -> None:
    from models.store import champion

    home = Home(small_home_maker())
    doc, load = champion(home.path), home.require()
    load.ready()
    first = score_cohort(load, doc, NOW, ["P2"]).frame
    append(home, added_event("N2", "2025-05-31T22:00Z"))
    load.refresh()
    batch = score_cohort(home.require(), doc, NOW).frame
    alone = [score_cohort(load, doc, NOW, [person]).frame for person in batch["person_id"]]
    for name in ("p_serious", "p_any", "expected_harm", "in_scope", "count_365"):
        assert pl.concat(alone)[name].equals(batch[name], null_equal=True), name
    now = batch.filter(pl.col("person_id") == "P2")["p_serious"][0]
    assert now > first["p_serious"][0], "he was named again last night"


def test_the_page_of_a_person_follows(small_home_maker: Any) -> None:
    from tests.signing import client_of

    home = Home(small_home_maker())
    client = client_of(home.path, "proactive")
    path = "/api/v1/persons/P2?as_of=2025-06-01"
    before = client.get(path).json()
    append(home, added_event("N3", "2025-05-31T22:00Z"))
    after = client.get(path).json()
    assert after["score"]["p_serious"] > before["score"]["p_serious"]
    assert len(after["history"]) == len(before["history"]) + 1
    assert "N3" in json.dumps(after["history"])


# --- awkward times --------------------------------------------------------------------------------------------


def test_clock_changes_future_events_and_equal_times(small_home_maker: Any) -> None:
    """The autumn hour comes twice (the first is meant), the spring gap moves forward, the future is not yet known,
    and of rows at one instant the order does not matter."""
    home = Home(small_home_maker(model=False))
    load = home.require()
    load.ready()
    rows: dict[str, list[dict[str, Any]]] = {}
    times = {
        "N4": "2024-10-27T01:30",
        "N5": "2025-03-30T01:30",
        "N6": "2025-05-31T22:00Z",
        "N7": "2025-05-31T22:00Z",
    }
    for event, at in (times | {"N8": "2031-01-01T00:00Z"}).items():
        for table, part in added_event(event, at).items():
            rows.setdefault(table, []).extend(part)
    before = events_of(load.near(["P2"], NOW), "P2")
    append(home, {table: part[::-1] for table, part in rows.items()})
    load.refresh()
    at = dict(load.near(["P2"], NOW).table("event").select("event_id", "occurred_at").iter_rows())
    assert at["N4"] == datetime(2024, 10, 27, 0, 30, tzinfo=UTC)
    assert at["N5"] == datetime(2025, 3, 30, 1, 30, tzinfo=UTC)
    assert events_of(load.near(["P2"], NOW), "P2") == before + 4
    asked = pl.DataFrame({"person_id": ["P2"]})
    near = load.near(["P2"], NOW)
    turned = Records(near.load_id, {n: f.reverse() for n, f in near.tables.items()}, near.missing)
    for engine in ("single", "fast", "reference"):
        same(
            histories(near, "offender", NOW, subjects=asked, engine="single"),
            histories(turned, "offender", NOW, subjects=asked, engine=engine),
        )


def test_memory_is_told(world: Records, tmp_path: Path) -> None:
    live = Live(world)
    assert live.bytes() > sum(frame.estimated_size() for frame in world.tables.values())
    assert not live.refresh()
    assert not Live(world, tmp_path / "loads" / "none").refresh()
