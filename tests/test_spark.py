"""The Spark engine on a local session: the same bits as on one machine, also with links, own features and skew.

What a partition is and does is tested without Spark in test_buckets; here the same rows go through Spark itself.
"""

from __future__ import annotations

import builtins
import importlib.util
import re
import runpy
import shutil
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from features.assurance import TABLES, random_extract
from features.catalogue import KEYS
from features.clocks import canonical, parse_as_of
from features.engines import spark as engine
from features.errors import InputError
from features.examples import records_of
from features.histories import histories, subjects_at
from features.home import Home
from features.nominals import Links
from features.own import with_files
from features.records import Records
from tests.databases import trail_of

T = datetime(2024, 6, 1, 5, tzinfo=UTC)
ROWS = {table: 30 if table in ("event", "involvement", "offence") else 9 for table in TABLES}

needs_spark = pytest.mark.skipif(
    importlib.util.find_spec("pyspark") is None or shutil.which("java") is None,
    reason="needs PySpark (pip install doorstep[spark]) and a Java 17 runtime",
)
OWN = b"""
[[offender]]
name = "contacts_not_domestic"
family = "history"
text = "events as suspect that are not domestic abuse {window}"
unit = "events"
source = "suspect_event"
where = { domestic = "N" }
aggregate = "count"
windows = [365]
direction = 1
given = ["event E1 2024-05-20 P>V domestic=N"]
expect = { contacts_not_domestic_365d = 1 }
"""


@pytest.fixture(scope="module")
def spark() -> Iterator[Any]:
    session = engine.session("local[2]")
    yield session
    session.stop()


def towns(number: int, seed: int) -> dict[str, pl.DataFrame]:
    """Several small random worlds in one extract, their ids told apart."""
    named = []
    for town in range(number):
        part = random_extract(ROWS, seed + town, T)
        named.append(
            {
                name: frame.with_columns(
                    (pl.lit(f"t{town}.") + pl.col(c)).alias(c)
                    for c in frame.columns
                    if c.endswith(("_id", "_id_a", "_id_b"))
                )
                for name, frame in part.items()
            }
        )
    return {name: pl.concat([part[name] for part in named]) for name in TABLES}


@pytest.fixture(scope="module")
def world() -> Records:
    return Records.from_canonical(canonical(towns(5, 800)))


def assert_same(got: pl.DataFrame, want: pl.DataFrame) -> None:
    assert got.schema == want.schema
    differ = [c for c in want.columns if not want[c].equals(got[c], null_equal=True)]
    assert not differ, differ


# --- through Spark ------------------------------------------------------------------------------------------


@needs_spark
@pytest.mark.slow
@pytest.mark.parametrize(("subject", "route"), [("offender", "apply"), ("victim", "map"), ("dyad", "apply")])
def test_spark_gives_the_bits_of_one_machine(spark: Any, world: Records, subject: str, route: str) -> None:
    """Both ways through Spark: per group (Spark 4) and per partition (Spark 3.5 too); several buckets."""
    want = histories(world, subject, T)
    assert want.height > 8
    assert_same(engine.histories(world, subject, T, spark=spark, partition_rows=120, route=route), want)


@needs_spark
@pytest.mark.slow
def test_subjects_by_name_and_fewer_columns(spark: Any, world: Records) -> None:
    """By the door everybody uses: named subjects, one unknown, two columns in the order asked for."""
    keys = pl.concat(
        [subjects_at(world, "offender", T, "spark")[:3], pl.DataFrame({"person_id": ["nobody"]})]
    )
    columns = ["harm_days_365d", "domestic_events_ever"]
    got = histories(world, "offender", T, subjects=keys, engine="spark", columns=columns)
    assert got.columns == ["person_id", *columns]
    assert_same(got, histories(world, "offender", T, subjects=keys, columns=columns))


@needs_spark
@pytest.mark.slow
def test_links_and_own_features_travel_along(spark: Any, world: Records) -> None:
    """Nominals of different towns that are one person are answered once, in one bucket; own columns are there."""
    persons = subjects_at(world, "offender", T)["person_id"].to_list()
    a, b = sorted([persons[0], persons[-1]])
    early = [datetime(2015, 1, 1, tzinfo=UTC)]
    pairs = pl.DataFrame(
        {"person_id_a": [a], "person_id_b": [b], "probability": [0.99], "known_from": early},
        schema_overrides={"known_from": pl.Datetime("us", "UTC")},
    )
    linked = Records(
        world.load_id,
        world.tables,
        world.missing,
        links=Links(pairs, 0.9),
        catalogue=with_files({"mine.toml": OWN}),
    )
    want = histories(linked, "offender", T)
    assert {a, b} - set(want["person_id"]), "the two are one"
    assert "contacts_not_domestic_365d" in want.columns
    assert_same(engine.histories(linked, "offender", T, spark=spark, partition_rows=120), want)


@needs_spark
@pytest.mark.slow
def test_one_person_with_5000_events_and_an_empty_table(spark: Any) -> None:
    day = datetime(2024, 5, 30)
    lines = [
        f"event H{n} {(day - timedelta(hours=3 * n)).isoformat(timespec='minutes')} HEAVY>V{n % 7} domestic=Y"
        for n in range(5000)
    ]
    lines += [f"event C{n} 2024-03-0{1 + n % 9} S{n}>W{n} domestic=Y" for n in range(400)]
    records = records_of(lines)
    assert any(frame.is_empty() for frame in records.tables.values())
    want = histories(records, "offender", T)
    assert want.filter(pl.col("person_id") == "HEAVY")["domestic_events_ever"].item() == 5000
    assert_same(engine.histories(records, "offender", T, spark=spark, partition_rows=1500), want)


@needs_spark
@pytest.mark.slow
def test_nobody_at_all(spark: Any) -> None:
    empty = Records.from_canonical(canonical(random_extract({}, 1, T)))
    for subject in KEYS:
        assert_same(engine.histories(empty, subject, T, spark=spark), histories(empty, subject, T))


@needs_spark
@pytest.mark.slow
def test_the_command_writes_the_same_file_and_notes_the_look(
    spark: Any, small_home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from api.cli import run_command

    looks = len(trail_of(small_home))
    for name in ("spark", "fast"):
        words = ["features", "--as-of", "2025-06-01", "--subject", "dyad", "--out", str(tmp_path / name)]
        assert run_command([*words, "--engine", name, "--purpose", "review", "--home", str(small_home)]) == 0
    capsys.readouterr()
    assert_same(pl.read_parquet(tmp_path / "spark"), pl.read_parquet(tmp_path / "fast"))
    assert [one["page"] for one in trail_of(small_home)[looks:]] == ["histories", "histories"]


@needs_spark
@pytest.mark.slow
def test_the_job_of_the_manual_runs_as_it_stands(
    spark: Any, small_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """docs/national.md's job.py, as spark-submit runs it: it takes the session that is there."""
    page = (Path(__file__).parents[1] / "docs" / "national.md").read_text(encoding="utf-8")
    (script,) = re.findall(r"```python\n(# job\.py\n.*?)```", page, flags=re.DOTALL)
    job = tmp_path / "job.py"
    job.write_text(script, encoding="utf-8")
    load = Home(small_home).require()
    words = [str(job), str(small_home), str(load.path / "records"), "2025-06-01", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", words)
    runpy.run_path(str(job), run_name="__main__")
    want = histories(load.records(), "offender", parse_as_of("2025-06-01"))
    assert_same(pl.read_parquet(tmp_path / "out" / "*.parquet").sort("person_id"), want)


# --- what is not there ----------------------------------------------------------------------------------------


def test_without_pyspark_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, world: Records) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.split(".")[0] == "pyspark":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InputError, match="PySpark") as refused:
        histories(world, "offender", T, engine="spark")
    assert "doorstep[spark]" in refused.value.cure


@pytest.mark.skipif(importlib.util.find_spec("pyspark") is None, reason="needs PySpark")
def test_without_java_it_says_so(monkeypatch: pytest.MonkeyPatch, world: Records) -> None:
    from pyspark.sql import SparkSession

    monkeypatch.setattr(SparkSession, "getActiveSession", staticmethod(lambda: None))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match="Java 17"):
        histories(world, "offender", T, engine="spark")


def test_what_is_wrong_is_refused_before_spark_is_started(
    monkeypatch: pytest.MonkeyPatch, world: Records
) -> None:
    def never(master: str = "") -> None:
        raise AssertionError("Spark was started for a question that has no answer")

    monkeypatch.setattr(engine, "session", never)
    for fault in ({"columns": ["no_such_column"]}, {"subjects": pl.DataFrame({"x": ["P"]})}):
        with pytest.raises(InputError):
            histories(world, "offender", T, engine="spark", **fault)
    with pytest.raises(InputError):
        histories(world, "officer", T, engine="spark")
