"""What a load leaves in the audit trail: a collection, and an erasure for whoever is restricted or gone since."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from api.cli import run_command
from features.home import Home
from tests.conftest import write_small
from tests.databases import trail_of

Tables = dict[str, pl.DataFrame]


@pytest.fixture
def ingest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., list[dict[str, Any]]]:
    """Ingest the hand-made extract, some tables changed, and return the rows this added to the trail."""
    home, number = tmp_path / "home", iter(range(100))

    def run(*words: str, **changes: pl.DataFrame) -> list[dict[str, Any]]:
        before = len(trail_of(home))
        extract = write_small(tmp_path / f"extract{next(number)}", **changes)
        if "--append" in words:
            for name in {path.stem for path in extract.glob("*.parquet")} - set(changes):
                (extract / f"{name}.parquet").unlink()
        assert run_command(["ingest", str(extract), *words, "--home", str(home)]) == 0
        capsys.readouterr()
        return trail_of(home)[before:]

    return run


def people(tables: Tables, *, gone: str = "", restricted: str = "") -> pl.DataFrame:
    restrict = pl.col("person_id") == restricted
    flag = pl.when(restrict).then(pl.lit(True)).otherwise(pl.col("no_processing"))
    return tables["person"].with_columns(no_processing=flag).filter(pl.col("person_id") != gone)


def test_each_load_is_a_collection_and_the_same_one_again_is_none(
    ingest: Callable[..., list[dict[str, Any]]], tmp_path: Path
) -> None:
    rows = ingest()
    assert [(row["act"], row["page"], row["persons"]) for row in rows] == [
        ("collection", "load", []),
        ("erasure", "load", ["P9"]),
    ]
    assert "simulated" in rows[0]["detail"]
    assert "rows of" in rows[0]["detail"]
    assert rows[1]["detail"].endswith("restricted, in no list or search")
    assert ingest() == []
    Home(tmp_path / "home").pointer.write_text("{", encoding="utf-8")
    assert [row["act"] for row in ingest()] == ["collection", "erasure"], (
        "a damaged home is mended by loading again"
    )


def test_whoever_is_restricted_since_or_gone_was_erased(
    ingest: Callable[..., list[dict[str, Any]]], small_extract_tables: Tables
) -> None:
    ingest()
    rows = ingest(person=people(small_extract_tables, restricted="P7"))
    assert [(row["act"], row["persons"]) for row in rows] == [("collection", []), ("erasure", ["P7"])]
    rows = ingest(person=people(small_extract_tables, restricted="P7", gone="C1"))
    assert ("erasure", ["C1"]) in [(row["act"], row["persons"]) for row in rows]
    assert rows[-1]["detail"].endswith("no longer in the extract")


def test_rows_added_during_the_day_are_a_collection_and_a_restriction_among_them_an_erasure(
    ingest: Callable[..., list[dict[str, Any]]], small_extract_tables: Tables
) -> None:
    ingest()
    one = small_extract_tables["person"].filter(pl.col("person_id") == "P6")
    later = one.with_columns(no_processing=pl.lit(True), recorded_at=pl.lit("2025-06-02T08:00:00Z"))
    rows = ingest("--append", person=later)
    assert [(row["act"], row["persons"]) for row in rows] == [("collection", []), ("erasure", ["P6"])]
    assert ingest("--append", person=later) == [], "the same rows again change nothing"


@pytest.mark.parametrize("trouble", ["the database is away", "the key is gone"])
def test_nothing_is_loaded_when_it_cannot_be_written_down(
    trouble: str,
    ingest: Callable[..., list[dict[str, Any]]],
    small_extract_tables: Tables,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ingest()
    home = Home(tmp_path / "home")
    before = home.pointer.read_text(encoding="utf-8")
    if trouble == "the key is gone":
        (home.path / "keys" / "audit.key").unlink()
    else:
        monkeypatch.setenv("DOORSTEP_DATABASE", "postgresql://nobody@127.0.0.1:9/none")
    extract = write_small(tmp_path / "other", person=people(small_extract_tables, gone="C1"))
    assert run_command(["ingest", str(extract), "--home", str(home.path)]) == 1
    said = capsys.readouterr().err
    assert (
        "key of the audit trail" if trouble == "the key is gone" else "database could not be used"
    ) in said
    assert home.pointer.read_text(encoding="utf-8") == before
