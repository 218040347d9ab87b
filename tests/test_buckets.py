"""Partitions without Spark: whatever the cut, the parts give the bits of the whole; and the cut keeps its promises.

``cut_and_answer`` does by hand what the Spark engine lets Spark do: hash ids, plan, pack, and answer bucket by bucket.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from features.assurance import TABLES, random_extract
from features.catalogue import KEYS
from features.clocks import canonical
from features.engines import partition
from features.engines.buckets import TIE, Lookup, Routes, plan
from features.engines.partition import EVENT, HASH, OWN, Job, shell
from features.examples import records_of
from features.histories import histories, subjects_at
from features.records import Records
from features.slices import IN_EVENT, OF_EVENT, PAIRS, POINTERS, around

T = datetime(2024, 6, 1, 5, tzinfo=UTC)
SUBJECTS = ("offender", "victim", "dyad")
ROWS = {table: 30 if table in ("event", "involvement", "offence") else 9 for table in TABLES}


def hashed(*columns: str, salt: str = "") -> pl.Expr:
    return (
        pl.concat_str([pl.lit(salt), *(pl.col(c) for c in columns)])
        .hash(7)
        .reinterpret(signed=True)
        .alias(columns[0])
    )


def ties_of(records: Records) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(h, p, child) of events and (h, p) of rows that name two persons."""
    events, pairs = [], [pl.DataFrame(schema=TIE)]
    for name in IN_EVENT:
        for column in POINTERS[name]:
            child = (
                pl.col("role") == "child" if (name, column) == ("involvement", "person_id") else pl.lit(False)
            )
            rows = records.table(name).filter(pl.col(column).is_not_null())
            events.append(rows.select(h=hashed("event_id", salt="e"), p=hashed(column), child=child))
    for name in PAIRS:
        if name in records.tables:
            a, b = POINTERS[name]
            rows = records.table(name).filter(pl.col(a).is_not_null() & pl.col(b).is_not_null())
            pairs += [rows.select(h=hashed(a, b, salt="p"), p=hashed(side)) for side in (a, b)]
    return pl.concat(events), pl.concat(pairs)


def routes_of(records: Records, rows: int, steps: int = 2, loose: pl.DataFrame | None = None) -> Routes:
    events, pairs = ties_of(records)
    units = None
    if records.links is not None:
        linked = records.links.pairs.select(p=hashed("person_id_b"), u=hashed("person_id_a"))
        units = pl.concat([linked, linked.select(p="u", u="u")]).unique()
    return plan(events, pairs, rows=rows, steps=steps, units=units, loose=loose)


def buckets_of(
    records: Records, job: Job, routes: Routes, keys: pl.DataFrame | None
) -> Iterator[pl.DataFrame]:
    """(name, chunk) of each bucket, empty buckets too; the chunks of a bucket in any order."""
    chunks = []
    for name, frame in records.tables.items():
        marks = [hashed("event_id", salt="e").alias(EVENT)] if name in OF_EVENT else []
        if name not in IN_EVENT:
            marks += [hashed(c).alias(f"{HASH}{c}") for c in POINTERS[name]]
        halves = [half.with_columns(marks) for half in (frame[::2], frame[1::2])]
        chunks += list(partition.packed(name, halves, routes.events, routes.near))
    if keys is None:
        who = [records.table(n).select(person_id=c).drop_nulls() for n in IN_EVENT for c in POINTERS[n]]
        own = pl.concat(who).with_columns(hashed("person_id").alias(f"{HASH}own"))
    else:
        own = keys.with_columns(hashed(KEYS[job.subject][0]).alias(f"{HASH}own"))
    chunks += list(partition.packed(OWN, [own], None, routes.home))
    everything = pl.concat(chunks).sample(fraction=1, shuffle=True, seed=3)
    for bucket in range(routes.buckets + 1):  # one more than there are: nobody's
        yield everything.filter(pl.col("bucket") == bucket)


def cut_and_answer(
    records: Records, subject: str, t: datetime, rows: int, keys: pl.DataFrame | None = None
) -> tuple[pl.DataFrame, Routes]:
    loose = None if keys is None else keys.select(p=hashed(KEYS[subject][0]))
    routes = routes_of(records, rows, 2 + (subject == "dyad"), loose)
    job = Job(shell(records), subject, t, None, keys is not None)
    answers = [partition.answer(job, bucket) for bucket in buckets_of(records, job, routes, keys)]
    assert all(dict(answer.schema) == job.schema() for answer in answers)
    return pl.concat(answers).sort(KEYS[subject]), routes


def assert_same(got: pl.DataFrame, want: pl.DataFrame) -> None:
    assert got.schema == want.schema
    differ = [c for c in want.columns if not want[c].equals(got[c], null_equal=True)]
    assert not differ, differ


def towns(number: int, seed: int) -> dict[str, pl.DataFrame]:
    """Several small random worlds in one extract, their ids told apart."""
    parts = [random_extract(ROWS, seed + town, T) for town in range(number)]
    named = [
        {
            name: frame.with_columns(
                (pl.lit(f"t{town}.") + pl.col(c)).alias(c)
                for c in frame.columns
                if c.endswith(("_id", "_id_a", "_id_b"))
            )
            for name, frame in part.items()
        }
        for town, part in enumerate(parts)
    ]
    return {name: pl.concat([part[name] for part in named]) for name in TABLES}


@pytest.fixture(scope="module")
def world() -> Records:
    return Records.from_canonical(canonical(towns(4, 400)))


@pytest.mark.parametrize("subject", SUBJECTS)
@pytest.mark.parametrize("rows", [90, 10**6])
def test_parts_give_the_bits_of_the_whole(world: Records, subject: str, rows: int) -> None:
    got, routes = cut_and_answer(world, subject, T, rows)
    assert (routes.buckets == 1) == (rows == 10**6)
    assert got.height > 8
    assert_same(got, histories(world, subject, T))


@pytest.mark.parametrize("subject", SUBJECTS)
def test_subjects_by_name_are_answered_once_each_also_the_unknown(world: Records, subject: str) -> None:
    known = subjects_at(world, subject, T)
    strangers = pl.DataFrame({name: ["nobody", known[-1].item(0, 0)] for name in KEYS[subject]})
    far_apart = pl.DataFrame(
        {name: [known[0 if i == 0 else -1].item(0, 0)] for i, name in enumerate(KEYS[subject])}
    )
    keys = pl.concat([known[:3], known[:3], strangers, far_apart])
    got, _ = cut_and_answer(world, subject, T, 90, keys)
    assert_same(got, histories(world, subject, T, subjects=keys))


def test_every_bucket_holds_all_that_its_own_persons_slice_holds(world: Records) -> None:
    routes = routes_of(world, 40)
    persons = world.table("person")["person_id"].unique()
    home = dict(zip(routes.home.keys.tolist(), routes.home.buckets.tolist(), strict=True))
    hashes = pl.DataFrame({"p": persons}).select(hashed("p"))["p"].to_list()
    for bucket in range(routes.buckets):
        own = pl.Series(
            [p for p, h in zip(persons, hashes, strict=True) if home.get(h) == bucket], dtype=pl.String
        )
        slice_of = around(world, own)
        for column, lookup in (("event_id", routes.events),):
            need = slice_of.table("event").select(hashed(column, salt="e"))[column].to_numpy()
            at, found = lookup.find(need)
            assert set(at[found == bucket].tolist()) == set(range(need.size))
        near = slice_of.table("person").select(hashed("person_id"))["person_id"].to_numpy()
        tied = np.isin(near, routes.near.keys)  # a person without any tie goes nowhere and matters to nobody
        at, found = routes.near.find(near[tied])
        assert set(at[found == bucket].tolist()) == set(range(int(tied.sum())))


def skewed() -> Records:
    """One person with 1,200 events against few people, an event with 3,000 people, and 300 couples."""
    day, lines = datetime(2024, 5, 30), []
    for n in range(1200):
        at = (day - timedelta(hours=7 * n)).isoformat(timespec="minutes")
        lines.append(f"event H{n} {at} HEAVY>V{n % 5} domestic=Y")
    for n in range(300):
        at = (day - timedelta(days=n % 700)).isoformat(timespec="minutes")
        lines.append(f"event C{n} {at} S{n}>W{n} domestic=Y")
    records = records_of(lines)
    crowd = (
        records.table("involvement")[:1]
        .drop("person_id", "role", "event_id")
        .join(
            pl.DataFrame({"person_id": [f"S{n}" if n < 300 else f"X{n}" for n in range(3000)]}), how="cross"
        )
    )
    crowd = crowd.with_columns(
        event_id=pl.lit("C0"), role=pl.lit("witness"), victim_id=pl.lit(None, dtype=pl.String)
    )
    part = records.table("involvement")
    return Records(
        records.load_id,
        {**records.tables, "involvement": pl.concat([part, crowd.select(part.columns)])},
        records.missing,
    )


def test_a_heavy_person_and_a_crowded_event_change_no_answer() -> None:
    records = skewed()
    for subject in ("offender", "dyad"):
        got, routes = cut_and_answer(records, subject, T, 2000)
        assert routes.buckets > 2
        want = histories(records, subject, T)
        assert_same(got, want)
    assert want.filter(pl.col("suspect_id") == "HEAVY").height == 5


def test_no_bucket_but_one_of_a_heavy_person_is_far_above_the_rest() -> None:
    """Couples spread evenly; the heavy person's events are one bucket's work, not everybody's."""
    lines = [f"event C{n} 2024-05-0{1 + n % 9} S{n}>W{n} domestic=Y" for n in range(600)]
    lines += [f"event H{n} 2023-05-01 HEAVY>V{n % 5} domestic=Y" for n in range(1200)]
    routes = routes_of(records_of(lines), 400)
    held = np.bincount(routes.events.buckets, minlength=routes.buckets)
    heavy = held.argmax()
    assert held[heavy] > 1200
    others = np.delete(held, heavy)
    assert others.max() < 3 * max(1, np.median(others))
    assert routes.copies < 1.1, "couples have no need of the heavy person's rows"


def test_neighbours_share_a_bucket_so_that_few_rows_travel_twice() -> None:
    rng = random.Random(5)
    lines = []
    for n in range(400):
        town = n // 8
        lines.append(
            f"event E{n} 2024-01-0{1 + n % 9} P{town}.{rng.randrange(4)}>Q{town}.{rng.randrange(4)} domestic=Y"
        )
    assert routes_of(records_of(lines), 100).copies < 1.3


def test_the_order_of_ties_and_repeats_do_not_move_anybody(world: Records) -> None:
    events, pairs = ties_of(world)
    a = plan(events, pairs, rows=30, steps=2)
    b = plan(
        pl.concat([events, events]).sample(fraction=1, shuffle=True, seed=1),
        pairs.reverse(),
        rows=30,
        steps=2,
    )
    for role in ("home", "near", "events"):
        left, right = getattr(a, role), getattr(b, role)
        assert np.array_equal(left.keys, right.keys)
        assert np.array_equal(left.buckets, right.buckets)


def test_nothing_at_all_is_one_empty_bucket() -> None:
    empty = Records.from_canonical(canonical(random_extract({}, 1, T)))
    got, routes = cut_and_answer(empty, "offender", T, 50)
    assert (got.height, routes.buckets) == (0, 1)
    assert_same(got, histories(empty, "offender", T))


def test_a_lookup_finds_every_bucket_of_a_key() -> None:
    lookup = Lookup.of(pl.DataFrame({"p": [5, -3, 5, 9], "bucket": [2, 0, 1, 7]}))
    at, bucket = lookup.find(np.array([9, 4, 5, -3, 5]))
    assert list(zip(at.tolist(), bucket.tolist(), strict=True)) == [
        (0, 7),
        (2, 1),
        (2, 2),
        (3, 0),
        (4, 1),
        (4, 2),
    ]
