"""Agreement over time, and exposure: kept for those who audit, seen by nothing that scores."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import polars as pl
import pytest

from api.cli import run_command
from features.clocks import parse_as_of
from features.errors import InputError
from features.exposure import EXPOSURE, exposure_path, open_exposure
from features.home import Home
from models.store import champion
from risk import actions
from risk.agreement import agreement
from risk.decisions import decide, say
from risk.exposure import write_exposure
from risk.holds import place_hold
from risk.priority import publish
from risk.published import PublishedList, lists
from risk.score import score_cohort
from risk.store import Database
from risk.written import Seen
from tests.databases import trail_of
from tests.deciding import ANN, NEXT_WEEK, SUE, WHY, proposed

JUNE = parse_as_of("2025-06-01")


@pytest.fixture
def home(small_home_maker: Callable[..., Path]) -> Home:
    """A home with one list: P1, P7, P3, P8 and P6 on it."""
    made = Home(small_home_maker())
    publish(made, JUNE)
    return made


def seen(one: PublishedList, person: str) -> Seen:
    return Seen.of(one, person, one.as_of)


def decided(home: Home) -> None:
    """P1 adopted, P7 put up, P3 put down with a supervisor's word, P8 put down without one, P6 left."""
    (one,) = lists(home)
    with closing(Database.of(home.path)) as db:
        decide(db, ANN, "P1", proposed(), seen(one, "P1"))
        actions.plan(db, ANN, "P1", actions.Planned("visit", WHY, "PC Bob", NEXT_WEEK), seen(one, "P1"))
        decide(db, ANN, "P7", proposed("disagree_up"), seen(one, "P7"))
        lower = decide(db, ANN, "P3", proposed("disagree_down"), seen(one, "P3"))
        say(db, SUE, lower["id"], True, WHY, one.as_of)
        decide(db, ANN, "P8", proposed("disagree_down"), seen(one, "P8"))
        place_hold(db, ANN, "P6", "identity", WHY, one.as_of)
        write_exposure(home, db)


def test_exposure_says_who_was_listed_what_was_decided_and_what_was_done(home: Home) -> None:
    first = open_exposure(home.path)
    assert dict(first.schema) == EXPOSURE
    assert first["choice"].null_count() == first.height == 5, (
        "publishing writes it: listed, nobody decided yet"
    )
    decided(home)
    rows = {row["person_id"]: row for row in open_exposure(home.path).iter_rows(named=True)}
    kept = ("choice", "agrees", "actions", "results", "on_hold", "place")
    told = {person: tuple(row[name] for name in kept) for person, row in rows.items()}
    assert told == {
        "P1": ("adopt", "yes", 1, 0, False, "rank"),
        "P7": ("disagree_up", "no", 0, 0, False, "rank"),
        "P3": ("disagree_down", "no", 0, 0, False, "rank"),
        "P8": (None, None, 0, 0, False, "rank"),
        "P6": (None, None, 0, 0, True, "rank"),
    }
    assert rows["P1"]["decided_as"] == "proactive"


def test_neither_a_score_nor_a_rank_knows_of_a_decision(home: Home) -> None:
    load, doc = home.require(), champion(home.path)
    before = score_cohort(load, doc, JUNE)
    state = load.records().state
    decided(home)
    after = score_cohort(Home(home.path).require(), doc, JUNE)
    assert after.frame.equals(before.frame)
    assert after.features.equals(before.features)
    assert Home(home.path).require().records().state == state
    assert not any("exposure" in str(path) for path in load.path.rglob("*")), "no part of the records"


def test_agreement_counts_what_speaks_of_the_place(home: Home) -> None:
    decided(home)
    with closing(Database.of(home.path)) as db:
        (line,) = agreement(db, lists(home))
        (one_district,) = agreement(db, lists(home), ["D2"])
    assert (line["listed"], line["decided"], line["waiting"], line["refused"]) == (5, 3, 1, 0)
    assert (line["agree"], line["differ"]) == (1, 2)
    assert line["share"] == pytest.approx(1 / 3)
    assert one_district["listed"] < line["listed"]


def test_only_the_last_decision_about_a_person_on_a_list_counts(home: Home) -> None:
    (one,) = lists(home)
    with closing(Database.of(home.path)) as db:
        decide(db, ANN, "P1", proposed("not_now"), seen(one, "P1"))
        decide(db, ANN, "P1", proposed(version=1), seen(one, "P1"))
        decide(db, ANN, "P1", proposed("disagree_down", version=2), seen(one, "P1"))
        (line,) = agreement(db, lists(home))
    assert (line["adopt"], line["not_now"], line["decided"], line["waiting"]) == (1, 0, 1, 0)
    assert line["share"] == 1.0


def test_a_list_nobody_spoke_about_has_no_share(home: Home) -> None:
    with closing(Database.of(home.path)) as db:
        (line,) = agreement(db, lists(home))
    assert (line["decided"], line["share"]) == (0, None)


def test_a_damaged_file_is_told_with_its_cure_and_written_anew(home: Home) -> None:
    exposure_path(home.path).write_bytes(b"not a table")
    with pytest.raises(InputError, match="exposure to lists cannot be read"):
        open_exposure(home.path)
    with closing(Database.of(home.path)) as db:
        assert write_exposure(home, db).height == 5
    assert open_exposure(home.path).height == 5


def test_who_is_in_the_records_no_more_is_in_no_exposure(
    home: Home, small_extract_tables: dict[str, pl.DataFrame]
) -> None:
    from features.ingest import ingest

    extract = home.path.parent / "extract"
    people = small_extract_tables["person"].with_columns(
        no_processing=pl.when(pl.col("person_id") == "P1").then(True).otherwise("no_processing")
    )
    people.write_parquet(extract / "person.parquet")
    ingest(extract, home)
    with closing(Database.of(home.path)) as db:
        assert "P1" not in write_exposure(home, db)["person_id"].to_list()


def test_the_command_writes_it_and_says_so_in_the_audit_trail(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    decided(home)
    exposure_path(home.path).unlink()
    assert run_command(["exposure", "--home", str(home.path)]) == 0
    assert "5 rows of 1 list, 3 with a decision" in capsys.readouterr().out.replace("\n", " ")
    assert open_exposure(home.path).height == 5
    last = trail_of(home.path)[-1]
    assert (last["act"], last["page"], last["detail"]) == (
        "combination",
        "exposure",
        "5 rows of 1 list, 3 with a decision",
    )
