"""Exact counts on a real graph of suspects and victims, through our own records and our own ties."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import networkx as nx
import polars as pl
import pytest

from features.clocks import canonical
from features.engines.facts import Events
from features.histories import histories, subjects_at
from features.records import Records

ROOT = Path(__file__).resolve().parents[1]
FOLDER = Path(os.environ.get("DOORSTEP_DATA", ROOT.parent / "shared" / "data")) / "network"
T = datetime(2000, 1, 1, tzinfo=UTC)

pytestmark = pytest.mark.skipif(
    not (FOLDER / "stlouis_person_incident_role.parquet").is_file(),
    reason=f"the St. Louis data is not in {FOLDER} (set DOORSTEP_DATA)",
)


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    """person_id, event_id, role as our records name them; someone in both roles has a row for each."""
    raw = pl.read_parquet(FOLDER / "stlouis_person_incident_role.parquet")
    return raw.select(
        person_id=pl.format("P{}", "person_id"),
        event_id=pl.format("E{}", "incident_id"),
        role=pl.col("role").str.to_lowercase().str.split(" "),
    ).explode("role")


@pytest.fixture(scope="module")
def records(rows: pl.DataFrame) -> Records:
    events = rows.select("event_id").unique().sort("event_id").with_row_index("n")
    start = datetime(1995, 1, 1, tzinfo=UTC)
    when = pl.lit(start) + pl.col("n").cast(pl.Int64) * timedelta(
        days=1
    )  # the data has no dates: any order will do
    frames = {
        "person": rows.select("person_id").unique(),
        "event": events.select("event_id", occurred_at=when).with_columns(
            kind=pl.lit("crime"), domestic=pl.lit("Y")
        ),
        "involvement": rows.unique(),
    }
    return Records.from_canonical(canonical(frames), load_id="stlouis")


def test_the_published_counts_to_the_person(rows: pl.DataFrame, records: Records) -> None:
    suspects = histories(
        records,
        "offender",
        T,
        columns=["domestic_events_ever", "distinct_victims_ever", "repeat_victims", "new_victims_1095d"],
    )
    victims = histories(records, "victim", T, columns=["victim_events_ever"])
    pairs = histories(records, "dyad", T, columns=["pair_events_ever"])
    assert (suspects.height, suspects["domestic_events_ever"].max()) == (442, 23)
    assert (victims.height, victims["victim_events_ever"].max()) == (394, 9)
    assert pairs.height == 538
    assert (pairs["pair_events_ever"] > 1).sum() == 17
    assert suspects["repeat_victims"].sum() == 17
    assert suspects["distinct_victims_ever"].sum() == 538
    both = set(suspects["person_id"]) & set(victims["person_id"])
    assert len(both) == 127
    known = Events(records, T)
    graph: nx.Graph = nx.Graph()
    graph.add_nodes_from(records.table("person")["person_id"])
    graph.add_edges_from(known.involvement.select("person_id", "event_id").iter_rows())
    parts = sorted((len(part) for part in nx.connected_components(graph)), reverse=True)
    assert (len(parts), parts[0]) == (20, 1_263)


def test_three_engines_agree_on_a_real_graph(records: Records) -> None:
    for subject in ("offender", "victim", "dyad"):
        keys = subjects_at(records, subject, T).gather_every(15)
        answers = [
            histories(records, subject, T, subjects=keys, engine=e) for e in ("fast", "reference", "single")
        ]
        assert all(answers[0].equals(other, null_equal=True) for other in answers[1:])
