"""Rows added to a load give what one ingest of everything would have given, whole or not at all."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from features import disk, segments
from features.apart import open_audit, open_identity
from features.append import NEEDS_INGEST, append, append_folder
from features.assurance import random_extract, unambiguous
from features.errors import InputError
from features.histories import histories
from features.home import Home
from features.ingest import ingest
from features.schema import SPECS, parents_first

REPOSITORY = Path(__file__).parent.parent
T = datetime(2024, 6, 1, 5, tzinfo=UTC)
ROWS = dict.fromkeys(SPECS, 10) | {
    "event": 25,
    "involvement": 40,
    "offence": 25,
    "person": 14,
    "residence": 20,
}
Raw = dict[str, pl.DataFrame]


def everything(seed: int) -> Raw:
    """A random extract of every table; what police set going stays so, and nobody is restricted."""
    from features import assurance

    spare, assurance.TABLES = assurance.TABLES, tuple(SPECS)
    try:
        raw = random_extract(ROWS, seed, T)
    finally:
        assurance.TABLES = spare
    proactive = pl.col("event_id").str.extract(r"(\d+)").cast(pl.Int64) % 4 == 0
    long_ago = datetime(2010, 1, 1, tzinfo=UTC)
    raw["event"] = (
        raw["event"]
        .with_columns(
            source=pl.when(proactive).then(pl.lit("police_proactive")).otherwise(pl.lit("victim")),
            occurred_at=pl.when(proactive).then(long_ago).otherwise("occurred_at"),
            recorded_at=pl.when(proactive).then(long_ago).otherwise("recorded_at"),
        )
        .filter(~proactive | pl.col("event_id").is_first_distinct())
    )
    for table, spec in SPECS.items():  # what a row hangs on stays as it was
        hung = [c for c in ("event_id", "custody_id", "bail_id") if c in spec.parents and c not in spec.key]
        raw[table] = raw[table].with_columns(pl.col(c).first().over(spec.key[0]) for c in hung)
    raw["breach"] = raw["breach"].with_columns(source=pl.lit("victim"))
    raw["address"] = raw["address"].with_columns(kind=pl.lit("dwelling"))
    return unambiguous(raw)


def parted(raw: Raw, seed: int, share: float = 0.6, children_first: bool = False) -> tuple[Raw, Raw]:
    """Rows that came first, and the rest. ``children_first``: a row may come before what it points to."""
    draw = random.Random(seed)
    first: Raw = {}
    for name in parents_first():
        frame, spec = raw[name], SPECS[name]
        known = pl.lit(True)
        for column, (parent, target) in spec.parents.items():
            late = set(raw[parent][target]) - set(first[parent][target])
            if children_first and not {name, parent} & {"custody", "bail"}:  # the chain is tested by itself
                late = set[Any]()
            known &= ~pl.col(column).is_in(list(late)).fill_null(False)
        picked = pl.Series([draw.random() < share for _ in range(frame.height)], dtype=pl.Boolean)
        if (
            name == "event"
        ):  # an event known sooner than the load has it needs a full ingest; tested by itself
            clock = pl.coalesce("recorded_at", pl.max_horizontal("occurred_at", "reported_at"))
            oldest = frame.select((clock == clock.min().over("event_id")).fill_null(False)).to_series()
            late = frame.filter(~picked & oldest)["event_id"].unique().implode()
            known &= ~pl.col("event_id").is_in(late)
        first[name] = frame.filter(known & picked)
    return first, {name: _less(frame, first[name]) for name, frame in raw.items()}


def _less(frame: pl.DataFrame, part: pl.DataFrame) -> pl.DataFrame:
    gone = [json.dumps(row, default=str) for row in part.iter_rows()]
    keep = [json.dumps(row, default=str) not in gone for row in frame.iter_rows()]
    return frame.filter(pl.Series(keep, dtype=pl.Boolean))


def write(folder: Path, raw: Raw) -> Path:
    folder.mkdir(parents=True)
    (folder / "extract.json").write_text('{"nature": "simulated"}')
    for name, frame in raw.items():
        frame.write_parquet(folder / f"{name}.parquet")
    return folder


def stores(home: Home) -> dict[str, pl.DataFrame]:
    load = home.require()
    found = {f"records/{n}": f for n, f in load.records().tables.items()}
    found |= {f"identity/{n}": f for n, f in open_identity(load).items()}
    return found | {f"audit/{n}": f for n, f in open_audit(load).items()}


def same_stores(one: Home, two: Home) -> None:
    a, b = stores(one), stores(two)
    assert a.keys() == b.keys()
    for name in a:
        left, right = (
            sorted(json.dumps(row, default=str) for row in frame.iter_rows(named=True))
            for frame in (a[name], b[name])
        )
        assert left == right, (name, set(left) ^ set(right))
        if name != "identity/event_place":
            assert a[name].equals(b[name], null_equal=True), f"{name}: the order of rows"
    assert one.require().records().missing == two.require().records().missing


@pytest.mark.parametrize(
    ("seed", "children_first"), [(0, False), (2, False), (0, True), (1, True), (3, True)]
)
def test_a_load_and_what_is_added_make_the_load_of_everything(
    tmp_path: Path, seed: int, children_first: bool
) -> None:
    raw = everything(seed)
    for attempt in range(4):  # what an append may refuse is tested by itself: here such records are left out
        refused = both_ways(tmp_path / str(attempt), raw, seed, children_first)
        if not refused:
            break
        for table, key in refused:
            raw[table] = raw[table].filter(pl.col(SPECS[table].key[0]) != key)
    assert not refused
    whole, grown = Home(tmp_path / str(attempt) / "whole"), Home(tmp_path / str(attempt) / "grown")
    same_stores(whole, grown)
    assert whole.require().records().table("event").height > 5
    assert open_audit(whole.require())["proactive_event"].height > 0
    for subject in ("offender", "victim", "dyad"):
        a, b = (histories(home.require().records(), subject, T) for home in (whole, grown))
        assert a.equals(b, null_equal=True)


def both_ways(folder: Path, raw: Raw, seed: int, children_first: bool = False) -> set[tuple[str, str]]:
    """Ingest everything at once, and in three parts; (table, key) of rows that an append refused."""
    first, rest = parted(raw, seed, children_first=children_first)
    second, third = parted(rest, seed + 1, children_first=children_first)
    assert min(sum(frame.height for frame in part.values()) for part in (second, third)) > 20
    ingest(write(folder / "all", raw), Home(folder / "whole"))
    grown = Home(folder / "grown")
    ingest(write(folder / "first", first), grown)
    refused = set()
    for number, part in enumerate((second, third), start=1):
        report = append_folder(write(folder / f"part{number}", part), grown)
        assert report.segment == number
        refused |= {
            (
                fault["table"],
                part[fault["table"]].row(fault["line"] - 1, named=True)[SPECS[fault["table"]].key[0]],
            )
            for fault in report.faults
            if fault["reason"].startswith(NEEDS_INGEST)
        }
    return refused


# --- one thing at a time --------------------------------------------------------------------------------------


def small(home: Path) -> Home:
    """A load of three people at two addresses: A abused B in E1; C is nobody's business. E9 was set going by police."""
    at = datetime(2024, 1, 5, 12, tzinfo=UTC)
    extract = {
        "person": pl.DataFrame({"person_id": ["A", "B", "C"], "address_id": ["H1", "H2", "H2"], "sex": list("MFF")}),
        "address": pl.DataFrame({"address_id": ["H1", "H2"], "kind": ["dwelling"] * 2, "line": ["1 High", "2 Low"]}),
        "event": pl.DataFrame(
            {
                "event_id": ["E1", "E9"],
                "kind": ["crime"] * 2,
                "occurred_at": [at, at],
                "domestic": ["Y"] * 2,
                "source": ["victim", "police_proactive"],
            }
        ),
        "involvement": pl.DataFrame(
            {"event_id": ["E1", "E1"], "person_id": ["A", "B"], "role": ["suspect", "victim"], "victim_id": ["B", None]}
        ),
        "offence": pl.DataFrame({"offence_id": ["O1"], "event_id": ["E1"], "ho_code": ["105A"], "suspect_id": ["A"]}),
    }  # fmt: skip
    ingest(write(home / "extract", extract), Home(home / "home"))
    return Home(home / "home")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return small(tmp_path)


NEW_EVENT: dict[str, list[dict[str, Any]]] = {
    "event": [
        {
            "event_id": "E2",
            "kind": "crime",
            "occurred_at": "2024-05-20T10:00Z",
            "domestic": "Y",
            "source": "victim",
        }
    ],
    "involvement": [{"event_id": "E2", "person_id": "A", "role": "suspect", "victim_id": "C"}],
    "offence": [{"offence_id": "O2", "event_id": "E2", "ho_code": "8N", "suspect_id": "A"}],
}


def count(home: Home, person: str = "A") -> int:
    rows = histories(
        home.require().records(), "offender", T, subjects=pl.DataFrame({"person_id": [person]}),
        columns=["domestic_events_ever"],
    )  # fmt: skip
    return int(rows.item(0, 1))


def test_an_event_is_added_and_counts(home: Home) -> None:
    before = home.require().records().state
    report = append(home, NEW_EVENT)
    assert (report.changed, report.segment, report.exit_code) == (True, 1, 0)
    assert report.counts["event"].new == 1
    assert count(home) == 2
    assert home.require().records().state != before, "what was kept for the old state must not be used again"
    assert "event: 1 read, 1 new" in report.render()
    assert report.to_dict()["tables"]["offence"]["new"] == 1


def test_the_same_rows_again_change_nothing(home: Home) -> None:
    append(home, NEW_EVENT)
    again = append(home, NEW_EVENT)
    assert (again.changed, again.counts["event"].repeats, again.exit_code) == (False, 1, 0)
    more = NEW_EVENT | {"marker": [{"person_id": "A", "code": "VI", "started_on": "2024-05-21T00:00Z"}]}
    third = append(home, more)
    assert (third.counts["event"].repeats, third.counts["marker"].new) == (1, 1)
    assert segments.numbers(home.require().path) == [1, 2]
    assert count(home) == 2


def test_a_correction_and_a_withdrawal_hold_from_their_own_time(home: Home) -> None:
    row = NEW_EVENT["event"][0]
    append(home, NEW_EVENT)
    append(home, {"event": [row | {"domestic": "N", "recorded_at": "2024-05-25T10:00Z"}]})
    assert count(home) == 1
    taken = {"event_id": "E1", "recorded_at": "2024-05-28T10:00Z", "withdrawn": True}
    report = append(home, {"event": [{c: taken.get(c) for c in [*row, "recorded_at", "withdrawn"]}]})
    assert report.counts["event"].withdrawals == 1
    assert count(home) == 0
    early = histories(home.require().records(), "offender", datetime(2024, 5, 21, tzinfo=UTC))
    assert early.row(by_predicate=pl.col("person_id") == "A", named=True)["domestic_events_ever"] == 2


def test_faults_are_quarantined_with_their_reason_and_the_rest_is_added(home: Home) -> None:
    rows = NEW_EVENT | {
        "involvement": [
            *NEW_EVENT["involvement"],
            {"event_id": "E77", "person_id": "A", "role": "suspect", "victim_id": None},
            {"event_id": "E2", "person_id": "nobody", "role": "victim", "victim_id": None},
        ]
    }
    report = append(home, rows)
    assert report.exit_code == 2
    assert {(f["column"], f["reason"]) for f in report.faults} == {
        ("event_id", "parent missing"),
        ("person_id", "parent missing"),
    }
    assert count(home) == 2
    held = pl.read_parquet(segments.folder_of(home.require().path) / "000001" / "quarantine" / "rows.parquet")
    assert held.height == 2
    later = append(home, {"person": [{"person_id": "nobody"}]})
    assert (later.returned, later.returning) == (1, 0), "a row had waited for what has now come"
    assert "are whole again" in later.render()
    assert "nobody" in home.require().records().table("involvement")["person_id"].to_list()


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ({"event": [{"event_id": "E1", "kind": "crime", "occurred_at": "2024-01-05T12:00Z", "domestic": "Y",
                     "source": "police_proactive", "recorded_at": "2024-02-01T00:00Z"}]}, "whether police set"),
        ({"event": [{"event_id": "E1", "kind": "crime", "occurred_at": "2024-01-05T12:00Z", "domestic": "Y",
                     "source": "victim", "recorded_at": "2024-01-01T00:00Z"}]}, "known sooner"),
        ({"event": [{"event_id": "E1", "kind": "contact", "occurred_at": "2024-01-05T12:00Z", "domestic": "Y",
                     "source": "victim"}]}, "ambiguous"),
    ],
)  # fmt: skip
def test_what_an_append_cannot_do_waits_and_says_so(home: Home, rows: dict[str, Any], says: str) -> None:
    report = append(home, rows)
    assert report.exit_code == 2
    assert says in report.faults[0]["reason"]
    assert count(home) == 1, "the load stands as it was"


def test_a_restricted_person_is_gone_from_everything_of_everyone(home: Home) -> None:
    append(home, NEW_EVENT)
    append(home, {"person": [{"person_id": "B", "no_processing": True, "recorded_at": "2024-05-30T00:00Z"}]})
    for name, frame in stores(home).items():
        for column in frame.columns:
            if column.endswith(("_id", "_id_a", "_id_b")):
                assert "B" not in frame[column].to_list(), (name, column)
    assert "B" not in json.dumps(histories(home.require().records(), "victim", T).to_dicts())
    assert count(home) == 2
    again = append(
        home, {"involvement": [{"event_id": "E2", "person_id": "B", "role": "witness", "victim_id": None}]}
    )
    assert again.counts["involvement"].new == 1
    assert home.require().records().table("involvement").filter(pl.col("person_id") == "B").is_empty()
    lifted = append(
        home, {"person": [{"person_id": "B", "no_processing": False, "recorded_at": "2024-05-31T00:00Z"}]}
    )
    assert "lifts a restriction" in lifted.faults[0]["reason"]


def test_who_shares_an_address_follows(home: Home) -> None:
    def shared() -> list[tuple[Any, ...]]:
        table = home.require().records().table("household").filter(pl.col("known_to").is_null())
        return table.select("person_id_a", "person_id_b").unique().sort("person_id_a", "person_id_b").rows()

    assert shared() == [("B", "C")]
    append(home, {"residence": [{"person_id": "A", "address_id": "H2", "started_on": "2024-03-01T00:00Z"}]})
    assert shared() == [("A", "B"), ("A", "C"), ("B", "C")]


def test_columns_and_files_nobody_knows_are_told(home: Home, tmp_path: Path) -> None:
    rows = NEW_EVENT | {"event": [NEW_EVENT["event"][0] | {"shoe": 4}]}
    report = append(home, rows)
    assert report.to_dict()["unknown"] == {"columns": ["event.shoe"], "files": []}
    assert "event.shoe" in report.render()
    folder = write(tmp_path / "more", {"event": pl.DataFrame(NEW_EVENT["event"])})
    (folder / "shoes.csv").write_text("a\n1\n")
    told = append_folder(folder, home)
    assert "shoes.csv" in told.render()


def test_nothing_given_is_one_clear_error(home: Home, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Table event holds no rows but NoneType"):
        append(home, {"event": None})  # type: ignore[dict-item]
    with pytest.raises(InputError, match="There is no table to add"):
        append(home, {})
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="There is no table to add"):
        append_folder(tmp_path / "empty", home)


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ({"nonsense": [{"a": 1}]}, "No such table"),
        ({"event": [{"event_id": "E5"}]}, "Required column"),
        (
            {"custody": [{"custody_id": "C1", "person_id": "A", "arrested_at": "2024-05-01T00:00Z"}]},
            "no table custody",
        ),
    ],
)
def test_a_question_that_cannot_be_answered_is_one_clear_error(
    home: Home, rows: dict[str, Any], says: str
) -> None:
    with pytest.raises(InputError, match=says):
        append(home, rows)
    assert not segments.numbers(home.require().path)


def test_a_load_of_an_earlier_version_says_what_to_do_and_is_made_anew(home: Home, tmp_path: Path) -> None:
    folder = home.require().path
    shutil.rmtree(folder / "front")
    with pytest.raises(InputError, match="earlier version"):
        append(home, NEW_EVENT)
    manifest = json.loads((folder / "load.json").read_text())
    manifest["files"] = {n: s for n, s in manifest["files"].items() if not n.startswith("front/")}
    (folder / "load.json").write_text(json.dumps(manifest))
    ingest(tmp_path / "extract", home)
    assert append(home, NEW_EVENT).changed


def test_rows_of_another_nature_are_not_added(home: Home, tmp_path: Path) -> None:
    folder = write(tmp_path / "more", {"event": pl.DataFrame(NEW_EVENT["event"])})
    (folder / "extract.json").write_text('{"nature": "operational"}')
    with pytest.raises(InputError, match="the load is simulated"):
        append_folder(folder, home)


# --- killed ---------------------------------------------------------------------------------------------------


class Killed(BaseException):
    """Stands for the end of the process: nothing in the code may catch it."""


def test_stopped_at_every_single_write(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Die before the n-th write, for every n: nothing of the rows is there or all, and the next append succeeds."""
    real = {"sync": disk.sync, "rename": Path.rename, "parquet": pl.DataFrame.write_parquet}
    left = [0]

    def dying(name: str) -> Any:
        def step(*args: Any, **kwargs: Any) -> Any:
            left[0] -= 1
            if left[0] < 0:
                raise Killed
            return real[name](*args, **kwargs)

        return step

    steps, seen = 0, set()
    while True:
        with monkeypatch.context() as patch:
            patch.setattr(disk, "sync", dying("sync"))
            patch.setattr(Path, "rename", dying("rename"))
            patch.setattr(pl.DataFrame, "write_parquet", dying("parquet"))
            left[0] = steps
            try:
                append(home, NEW_EVENT)
                break
            except Killed:
                pass
        seen.add(count(home))
        if segments.numbers(home.require().path):
            shutil.rmtree(segments.folder_of(home.require().path))
        steps += 1
    assert steps > 10
    assert seen == {1, 2}
    assert count(home) == 2
    assert not list(segments.folder_of(home.require().path).glob(".*"))


APPEND = (
    "import sys, pathlib; from features.home import Home; from features.append import append_folder; "
    "append_folder(pathlib.Path(sys.argv[1]), Home(pathlib.Path(sys.argv[2])))"
)


@pytest.mark.slow
def test_killed_at_random_moments(home: Home, tmp_path: Path) -> None:
    rng = random.Random(5)
    folder = write(tmp_path / "more", {n: pl.DataFrame(rows) for n, rows in NEW_EVENT.items()})
    run = [sys.executable, "-c", APPEND, str(folder), str(home.path)]
    environment = {**os.environ, "POLARS_MAX_THREADS": "1"}
    begun = time.monotonic()
    subprocess.run(run, check=True, cwd=REPOSITORY, env=environment)
    full = time.monotonic() - begun
    seen = set()
    for _ in range(12):
        shutil.rmtree(segments.folder_of(home.require().path), ignore_errors=True)
        process = subprocess.Popen(run, cwd=REPOSITORY, env=environment)
        time.sleep(rng.uniform(0.6, 1.05) * full)
        process.send_signal(signal.SIGKILL)
        process.wait()
        seen.add(count(home))
    assert seen <= {1, 2}
    append_folder(folder, home)
    assert count(home) == 2


def test_two_appends_at_once(home: Home, tmp_path: Path) -> None:
    environment = {**os.environ, "POLARS_MAX_THREADS": "1"}
    both = []
    for n in (2, 3):
        rows = json.loads(json.dumps(NEW_EVENT).replace("E2", f"E{n}").replace("O2", f"O{n}"))
        folder = write(tmp_path / f"more{n}", {name: pl.DataFrame(part) for name, part in rows.items()})
        both.append(
            subprocess.Popen(
                [sys.executable, "-c", APPEND, folder, home.path], cwd=REPOSITORY, env=environment
            )
        )
    assert [process.wait(timeout=120) for process in both] == [0, 0]
    assert segments.numbers(home.require().path) == [1, 2]
    assert count(home) == 3
