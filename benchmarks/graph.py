"""Relationships in bulk: every network column for 400,000 persons with 1.5 million involvements.

``python -m benchmarks.graph`` makes a force's worth of ties (seeded), computes every column of the catalogue that rests
on relationships, at one T, for every person who is a suspect or a victim, and prints time and memory. Then the same
count (persons within two steps) and sum (their recent harm) for a sample of persons by NetworkX and by DuckDB, checked
cell by cell against ours. ``--persons`` and ``--involvements`` change the size.
"""

from __future__ import annotations

import argparse
import os
import resource
import time
from datetime import UTC, datetime
from typing import Any

import networkx as nx
import numpy as np
import polars as pl

from features.catalogue import KEYS, load_catalogue
from features.clocks import canonical
from features.engines.facts_network import STREAMS_HERE, Graph
from features.histories import histories
from features.records import Records

T = datetime(2025, 1, 1, 6, tzinfo=UTC)
YEARS = 6
CODES = np.array(["008/06", "105A", "8N", "8L", "8U", "005/01"])
RATES = [0.3, 0.3, 0.2, 0.1, 0.08, 0.02]


def world(persons: int, involvements: int, seed: int) -> Records:
    """A record store of persons in small circles: most events stay inside a circle, one in ten crosses over."""
    rng = np.random.default_rng(seed)
    events = involvements * 10 // 26  # a suspect and a victim each; here and there a second suspect, a child
    circle = 12
    active = rng.gamma(0.6, 1.0, persons)
    suspect = rng.choice(persons, events, p=active / active.sum())
    near = (suspect // circle) * circle + rng.integers(0, circle, events)
    victim = np.where(rng.random(events) < 0.9, near, rng.integers(0, persons, events)) % persons
    second = np.where(rng.random(events) < 0.2, (near + 1) % persons, -1)
    child = np.where(rng.random(events) < 0.4, (suspect // circle) * circle + circle - 1, -1) % persons
    child = np.where(rng.random(events) < 0.4, child, -1)
    when = (
        np.datetime64("2019-01-01T00:00:00", "us") + rng.integers(0, YEARS * 365 * 86_400, events) * 1_000_000
    )
    at = pl.Series(when).dt.replace_time_zone("UTC")
    event_id = pl.Series([f"E{k}" for k in range(events)])
    name = pl.Series([f"P{k:07d}" for k in range(persons)])

    def of(numbers: Any) -> pl.Series:
        return name.gather(pl.Series(np.asarray(numbers, dtype=np.uint32)))

    def part(mask: Any, numbers: Any, role: str, victims: Any = None) -> pl.DataFrame:
        whom = (
            of(victims[mask])
            if victims is not None
            else pl.repeat(None, int(mask.sum()), dtype=pl.String, eager=True)
        )
        return pl.DataFrame(
            {"event_id": event_id.filter(pl.Series(mask)), "person_id": of(numbers[mask]), "victim_id": whom}
        ).with_columns(role=pl.lit(role))

    everyone = np.ones(events, dtype=np.bool_)
    involvement = pl.concat(
        [
            part(everyone, suspect, "suspect", victim),
            part(everyone, victim, "victim"),
            part(second >= 0, second, "suspect", victim),
            part(child >= 0, child, "child"),
        ]
    ).unique(["event_id", "person_id", "role", "victim_id"])
    kin = persons // 3
    a = rng.integers(0, persons, kin)
    b = (a // circle) * circle + rng.integers(0, circle, kin)
    began = pl.Series(
        np.datetime64("2010-01-01T00:00:00", "us") + rng.integers(0, 14 * 365, kin) * 86_400_000_000
    )
    relationship = pl.DataFrame(
        {
            "person_id_a": of(a),
            "person_id_b": of(b % persons),
            "started_on": began.dt.replace_time_zone("UTC"),
        }
    ).with_columns(kind=pl.Series(rng.choice(["partner", "ex_partner", "sibling", "parent"], kin)))
    order = pl.DataFrame(
        {
            "order_id": [f"O{k}" for k in range(events // 40)],
            "respondent_id": of(suspect[: events // 40]),
            "protected_id": of(victim[: events // 40]),
            "made_on": at[: events // 40],
        }
    ).with_columns(kind=pl.lit("NMO"))
    home = rng.integers(0, persons // 2, persons)
    frames = {
        "person": pl.DataFrame({"person_id": name}),
        "event": pl.DataFrame({"event_id": event_id, "occurred_at": at}).with_columns(
            kind=pl.lit("crime"), domestic=pl.lit("Y"), first_reporter_id=of(victim)
        ),
        "offence": pl.DataFrame(
            {"offence_id": event_id, "event_id": event_id, "ho_code": rng.choice(CODES, events, p=RATES)}
        ),
        "involvement": involvement,
        "relationship": relationship.unique(["person_id_a", "person_id_b", "kind", "started_on"]),
        "order": order,
        "address": pl.DataFrame({"address_id": [f"A{k}" for k in range(persons // 2)]}).with_columns(
            kind=pl.lit("dwelling")
        ),
        "residence": pl.DataFrame({"person_id": name, "address_id": [f"A{k}" for k in home]}).with_columns(
            started_on=pl.lit(datetime(2018, 1, 1, tzinfo=UTC))
        ),
    }
    return Records.from_canonical(canonical(frames), load_id=f"graph-{persons}-{seed}")


def columns_of_relationships(subject: str) -> list[str]:
    """The columns of the catalogue that rest on relationships."""
    return [c.name for c in load_catalogue().columns(subject) if c.feature.source in STREAMS_HERE]


def ours(records: Records) -> tuple[dict[str, pl.DataFrame], float]:
    """Every column of relationships for every subject at T, and the seconds it took."""
    started = time.perf_counter()
    made = {
        s: histories(records, s, T, columns=columns_of_relationships(s))
        for s in ("offender", "victim", "dyad")
    }
    return made, time.perf_counter() - started


def with_networkx(graph: Graph, people: list[str]) -> tuple[dict[str, tuple[int, int]], float]:
    """Persons within two steps and their recent harm, by breadth-first search; building the graph included."""
    harm = dict(graph.acted.select("person", "recent_harm").iter_rows())
    ties = graph.ties.select("a", "b")
    started = time.perf_counter()
    seen: nx.Graph = nx.Graph()
    seen.add_edges_from(ties.iter_rows())
    built = time.perf_counter() - started
    found = {}
    for person in people:
        near = nx.single_source_shortest_path_length(seen, person, cutoff=2) if person in seen else {}
        found[person] = (max(len(near) - 1, 0), sum(harm.get(n, 0) for n in near if n != person))
    walked = time.perf_counter() - started - built
    return found, built + walked * (graph.persons.len() / max(len(people), 1))


def with_duckdb(graph: Graph, people: list[str]) -> tuple[dict[str, tuple[int, int]], float]:
    """The same in one SQL statement, two threads."""
    import duckdb

    ties = graph.ties.select("a", "b").to_arrow()
    acts = graph.acted.select("person", "recent_harm").to_arrow()
    asked = pl.DataFrame({"p": people}).to_arrow()
    link = duckdb.connect()
    link.execute("SET threads = 2")
    for name, table in (("ties", ties), ("acts", acts), ("asked", asked)):
        link.register(name, table)
    started = time.perf_counter()
    rows = link.execute(
        """WITH e AS MATERIALIZED (SELECT a, b FROM ties UNION ALL SELECT b, a FROM ties),
        near AS (
          SELECT p, b AS n FROM asked JOIN e ON e.a = p
          UNION SELECT p, f.b FROM asked JOIN e ON e.a = p JOIN e f ON f.a = e.b WHERE f.b <> p)
        SELECT p, count(*), coalesce(sum(recent_harm), 0)::BIGINT
        FROM near LEFT JOIN acts ON acts.person = n GROUP BY p"""
    ).fetchall()
    return {p: (int(n), int(h)) for p, n, h in rows}, time.perf_counter() - started


def two_steps(graph: Graph) -> tuple[pl.DataFrame, float]:
    """Ours for everybody: person, how many within two steps, their recent harm."""
    keys = (
        pl.DataFrame(graph.persons).with_row_index("subject").with_columns(pl.col("subject").cast(pl.Int64))
    )
    _ = graph.adjacency, graph.acted
    started = time.perf_counter()
    parts = [
        p.group_by("subject").agg(n=pl.len(), harm=pl.col("recent_harm").sum()) for p in graph.near(keys)
    ]
    found = keys.join(pl.concat(parts), on="subject").select("person", "n", "harm")
    return found, time.perf_counter() - started


def main() -> None:
    """Print the table."""
    ask = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    ask.add_argument("--persons", type=int, default=400_000)
    ask.add_argument("--involvements", type=int, default=1_500_000)
    ask.add_argument("--sample", type=int, default=4_000, help="persons whom the peers answer")
    ask.add_argument("--seed", type=int, default=1)
    given = ask.parse_args()
    records = world(given.persons, given.involvements, given.seed)
    before = resource.getrusage(resource.RUSAGE_SELF)
    print(
        f"{given.persons:,} persons, {records.table('involvement').height:,} involvements, "
        f"{records.table('household').height:,} household rows; load of the machine {os.getloadavg()[0]:.1f} "
        f"on {os.cpu_count()} cores; polars {pl.__version__}, networkx {nx.__version__}"
    )
    made, seconds = ours(records)
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(
        f"every column of relationships: {seconds:.1f} s, {cpu:.1f} CPU s, peak {after.ru_maxrss / 1e6:.1f} GB"
    )
    for subject, frame in made.items():
        print(f"  {subject}: {frame.height:,} rows x {frame.width - len(KEYS[subject])} columns")
    graph = Graph(records, T)
    found, took = two_steps(graph)
    people = found.sample(given.sample, seed=given.seed)["person"].to_list()
    print(f"two steps and the harm there, {found.height:,} persons: ours {took:.1f} s")
    mine = {person: (n, harm) for person, n, harm in found.filter(pl.col("person").is_in(people)).iter_rows()}
    theirs, took_nx = with_networkx(graph, people)
    print(
        f"  NetworkX {took_nx:.0f} s (graph whole, {len(people):,} persons walked and scaled), "
        f"{took_nx / took:.0f}x ours; cells {'equal' if theirs == mine else 'DIFFER'}"
    )
    told, took_db = with_duckdb(graph, graph.persons.to_list())
    sampled = {person: told[person] for person in people}
    print(
        f"  DuckDB {took_db:.1f} s, {took_db / took:.1f}x ours; cells {'equal' if sampled == mine else 'DIFFER'}"
    )


if __name__ == "__main__":
    main()
