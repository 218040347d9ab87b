"""From a force that never was to a page: the real simulator, front door, training, list and service, once through."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest
from fastapi.testclient import TestClient

from api import cli
from features.clocks import parse_as_of
from features.home import Home
from risk.audit import rows
from risk.published import read_list
from risk.store import Database
from tests.signing import client_of

FIRST, LAST = "2025-12-25", "2026-01-01"


@pytest.fixture(scope="session")
def tiny_force(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated force with a trained model and two lists a week apart."""
    from models.training import train

    root = tmp_path_factory.mktemp("tiny")
    made = ["simulate", str(root), "--events-per-year", "2000", "--years", "2", "--seed", "3"]
    assert cli.run_command(made) == 0
    home = ["--home", str(root / "home")]
    assert cli.run_command([*home, "ingest", str(root / "extract")]) == 0
    train(Home(root / "home"), parse_as_of(FIRST), seed=1, track=False)  # MLflow has its own tests
    for when in (FIRST, LAST):
        assert cli.run_command([*home, "publish", "--as-of", when]) == 0
    return root


@pytest.fixture(scope="session")
def served(tiny_force: Path) -> TestClient:
    return client_of(tiny_force / "home", "supervisor")


def test_the_list_is_full_ranked_and_cites_events_of_the_records(
    tiny_force: Path, served: TestClient
) -> None:
    body = served.get("/api/v1/lists/latest").json()
    rows = body["rows"]
    assert [row["rank"] for row in rows if row["rank"] <= 100] == list(range(1, 101))
    assert all(row["stays_until"] for row in rows if row["rank"] > 100), "four weeks have not passed"
    assert body["counts"]["listed"] >= 100
    told = [row for row in rows if not row["restricted"]]
    assert len(told) > len(rows) / 2
    assert all(a["expected_harm"] >= b["expected_harm"] for a, b in pairwise(told))
    known: set[str] = set()
    for table in ("event", "call", "custody", "bail", "order", "breach", "conviction"):
        known |= set(pl.read_parquet(tiny_force / "extract" / f"{table}.parquet")[f"{table}_id"])
    cited = [event for row in rows for reason in row["reasons"] for event in reason["events"]]
    assert len(cited) > 100
    assert [reference for reference in cited if reference not in known] == []
    assert all("{" not in reason["sentence"] for row in rows for reason in row["reasons"] or ())


def test_each_listed_person_opens_and_says_the_same_as_the_list(served: TestClient) -> None:
    for row in served.get("/api/v1/lists/latest?top=3").json()["rows"]:
        found = served.get(f"/api/v1/persons/{row['person_id']}").json()
        assert found["score"]["p_serious"] == row["p_serious"], "to the bit"
        assert found["score"]["expected_harm"] == row["expected_harm"]
        parts = found["contributions"]
        total = parts["intercept"] + sum(part["contribution"] for part in parts["parts"])
        assert total == pytest.approx(math.log(row["p_serious"] / (1 - row["p_serious"])), abs=1e-9)
        for page in ("", "/sheet"):
            assert served.get(f"/persons/{row['person_id']}{page}").status_code == 200


def test_every_team_has_a_list_and_it_prints(tiny_force: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = ["--home", str(tiny_force / "home")]
    for team in ("D1", "D4", "D8"):
        capsys.readouterr()
        assert (
            cli.run_command([*home, "list", "--team", team, "--top", "5", "--json", "--purpose", "briefing"])
            == 0
        )
        found = json.loads(capsys.readouterr().out)
        assert [row["team_rank"] for row in found["rows"]] == [1, 2, 3, 4, 5]
        assert {row["district"] for row in found["rows"]} == {team}
    trail = rows(Database.of(tiny_force / "home"), limit=10_000)
    assert [one["purpose"] for one in trail if one["face"] == "command line" and one["persons"]][-3:] == [
        "briefing"
    ] * 3


def test_nothing_known_later_is_on_the_earlier_list(tiny_force: Path) -> None:
    home = Home(tiny_force / "home")
    t = parse_as_of(FIRST)
    made = next(
        one
        for one in (read_list(home, path.name) for path in (home.path / "lists").iterdir())
        if one.as_of == t
    )
    event = pl.read_parquet(tiny_force / "extract" / "event.parquet")
    known = set(event.filter(pl.col("occurred_at") <= t)["event_id"])
    everything = set(event["event_id"])
    cited = (
        made.rows.filter("listed")
        .explode("reasons")
        .unnest("reasons")["events"]
        .explode()
        .drop_nulls()
        .to_list()
    )
    later = [one for one in cited if one in everything and one not in known]
    assert cited
    assert later == []


def test_the_scores_file_agrees_with_the_list(tiny_force: Path, tmp_path: Path) -> None:
    home = ["--home", str(tiny_force / "home")]
    assert (
        cli.run_command(
            [*home, "score", "--as-of", LAST, "--out", str(tmp_path / "s.parquet"), "--purpose", "review"]
        )
        == 0
    )
    scores = pl.read_parquet(tmp_path / "s.parquet").filter("in_scope").sort("rank")
    rows = read_list(Home(tiny_force / "home")).rows
    assert scores.select("person_id", "rank", "p_serious").equals(
        rows.select("person_id", "rank", "p_serious")
    )
