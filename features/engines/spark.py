"""Histories on Apache Spark: the embedded engine run on partitions, with everything that a partition needs.

Spark reads the tables, brings the rows that belong together to one place and runs one Python process a core; the
numbers are made by the same kernels as on one machine, so they are the same bits. In four moves:

1. *Ties*: ids of who ever was in an event with whom, related to, ordered from or living with whom, as 64-bit hashes.
2. *Plan* (``features.engines.buckets``): which bucket each person is in and which others need them, on the driver.
3. *Rows*: each table's rows go, packed as Arrow chunks, to every bucket that needs them. The only shuffle there is.
4. *Answer* (``features.engines.partition``): a bucket's chunks become a record store, and ``histories`` runs on it.

PySpark is an extra; nothing here is imported until somebody asks for this engine.
"""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
import uuid
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from features.catalogue import KEYS
from features.engines import partition
from features.engines.buckets import TIE, Lookup, Routes, plan
from features.engines.partition import EVENT, HASH, OWN, Job
from features.errors import InputError
from features.records import Records
from features.slices import IN_EVENT, OF_EVENT, PAIRS, POINTERS, linked_pairs

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import Column, DataFrame, SparkSession

STEPS = 2
"""How many ties away a feature may look; one more for a pair, whose two persons are a tie apart."""
PARTITION_ROWS = 200_000
"""Rows of ties (a person in an event, a relationship, an order) that a bucket should hold; docs/national.md."""
KEYS_FILE = "subjects"  # Spark overlooks a file whose name begins with an underscore
PACKED = "bucket int, name string, chunk binary"
_TYPES: dict[Any, str] = {pl.String: "string", pl.Int64: "long", pl.Float64: "double"}


def session(master: str = "local[2]") -> SparkSession:
    """The running Spark session (a cluster's notebook or submitted job has one), or a new local one.

    Raises InputError when PySpark or Java is not there.
    """
    warnings.filterwarnings(
        "ignore", message="PySpark does not yet fully support pandas", category=FutureWarning
    )
    try:
        from pyspark.sql import SparkSession
    except ImportError as lacking:
        raise InputError(
            "The spark engine needs PySpark, which is not installed.",
            where="engine",
            cure='Install the extra: pip install "doorstep[spark]" (and a Java 17 runtime), or use --engine fast.',
        ) from lacking
    running = SparkSession.getActiveSession()
    if running is not None:
        return running
    if not (os.environ.get("JAVA_HOME") or shutil.which("java")):
        raise InputError(
            "The spark engine needs a Java 17 runtime, and there is no java on this machine.",
            where="engine",
            cure="Install one (Debian: openjdk-17-jre-headless) or set JAVA_HOME, or use --engine fast.",
        )
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.master(master).appName("doorstep")
    for key, value in LOCAL.items():
        builder = builder.config(key, value)
    return builder.getOrCreate()


LOCAL = {
    "spark.ui.enabled": "false",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.shuffle.partitions": "4",
    "spark.log.level": "ERROR",
    "spark.ui.showConsoleProgress": "false",
}
"""Settings of a local session; on a cluster only the time zone matters, and it is set for the job."""


def histories(
    records: Records,
    subject: str,
    as_of: datetime,
    subjects: pl.DataFrame | None = None,
    columns: Sequence[str] | None = None,
    *,
    spark: SparkSession | None = None,
    partition_rows: int = PARTITION_ROWS,
    route: str = "auto",
) -> pl.DataFrame:
    """``features.histories.histories`` by Spark, for records in memory: same arguments, same bits.

    The tables go to Spark through a temporary folder, which a local session can read; on a cluster use
    :func:`build` with the tables that are there.
    """
    asked = None if columns is None else tuple(columns)
    job = Job(partition.shell(records), subject, as_of, asked, subjects is not None)
    schema = job.schema()  # refuses what cannot be asked before Spark is started
    spark = spark or session()
    with tempfile.TemporaryDirectory(prefix="doorstep-spark-") as name:
        folder = Path(name)
        given = {} if subjects is None else {KEYS_FILE: subjects}
        frames = {
            table: _through_file(spark, frame, folder / f"{table}.parquet")
            for table, frame in (dict(records.tables) | given).items()
        }
        keys = frames.pop(KEYS_FILE, None)
        done = build(spark, frames, job, keys, partition_rows=partition_rows, route=route)
        done.write.parquet(str(folder / "out"))
        found = pl.read_parquet(folder / "out" / "*.parquet", schema=schema)
    return found.sort(KEYS[subject])


def _through_file(spark: SparkSession, frame: pl.DataFrame, path: Path) -> DataFrame:
    """A Polars frame as a Spark frame, with the types it has."""
    frame.write_parquet(path)
    return spark.read.schema(_ddl(dict(frame.schema))).parquet(str(path))


def build(
    spark: SparkSession,
    tables: Mapping[str, DataFrame],
    job: Job,
    keys: DataFrame | None = None,
    *,
    partition_rows: int = PARTITION_ROWS,
    route: str = "auto",
) -> DataFrame:
    """Histories as a Spark frame, in no order.

    Parameters
    ----------
    tables: the record store's tables as Spark frames (columns of the contract, known_from, known_to).
    job: what is asked; ``job.records`` a record store without rows (``partition.shell``).
    keys: the subjects wanted (key columns) when ``job.given``.
    partition_rows: about how many rows of ties a bucket holds.
    route: "apply" (groupBy.applyInArrow, Spark 4 and later), "map" (mapInArrow, Spark 3.5 too) or "auto".
    """
    spark.conf.set("spark.sql.session.timeZone", "UTC")
    schema = job.schema()
    routes = _plan(spark, tables, job, keys, partition_rows)
    shipped = _Shipped.of(spark, routes)
    parts = [
        _hashed(name, tables[name]).mapInArrow(_packer(name, shipped), PACKED)
        for name in job.records.tables
        if name in tables
    ]
    parts += [own.mapInArrow(_packer(OWN, shipped), PACKED) for own in _own(tables, job, keys)]
    chunks = reduce(lambda a, b: a.unionByName(b), parts)
    return _answers(chunks, job, schema, routes.buckets, route)


def _plan(
    spark: SparkSession, tables: Mapping[str, DataFrame], job: Job, keys: DataFrame | None, rows: int
) -> Routes:
    """The plan, made on the driver from ids alone (16 bytes a tie)."""
    from pyspark.sql import functions as sf

    found = []
    for name in IN_EVENT:
        for column in POINTERS[name]:
            child = (
                sf.col("role") == "child" if (name, column) == ("involvement", "person_id") else sf.lit(False)
            )
            row = tables[name].where(sf.col(column).isNotNull())
            found.append(
                row.select(_event().alias("h"), sf.xxhash64(column).alias("p"), child.alias("child"))
            )
    named = [(tables[name], POINTERS[name]) for name in PAIRS if name in tables]
    loose = None
    if keys is not None:
        loose = _collect(keys.select(sf.xxhash64(KEYS[job.subject][0]).alias("p")))
        if job.subject == "dyad":
            named.append((keys, KEYS["dyad"]))
    pairs = [
        rows.where(sf.col(a).isNotNull() & sf.col(b).isNotNull()).select(
            sf.xxhash64(sf.lit("pair"), a, b).alias("h"), sf.xxhash64(side).alias("p")
        )
        for rows, (a, b) in named
        for side in (a, b)
    ]
    return plan(
        _collect(reduce(lambda x, y: x.unionByName(y), found)),
        _collect(reduce(lambda x, y: x.unionByName(y), pairs)) if pairs else pl.DataFrame(schema=TIE),
        rows=rows,
        steps=STEPS + (job.subject == "dyad"),
        units=_units(spark, job.records),
        loose=loose,
    )


def _units(spark: SparkSession, records: Records) -> pl.DataFrame | None:
    """p, u: nominal -> the one that stands for all whom a chain of links could ever join; None without links."""
    linked = linked_pairs(records)
    if linked is None or linked.is_empty():
        return None
    import networkx as nx
    from pyspark.sql import functions as sf

    groups = nx.connected_components(nx.Graph(list(linked.iter_rows())))
    rows = [(member, unit) for group in groups for unit in [min(group)] for member in group]
    frame = spark.createDataFrame(rows, "person string, unit string")
    return _collect(frame.select(sf.xxhash64("person").alias("p"), sf.xxhash64("unit").alias("u")))


def _event() -> Column:
    from pyspark.sql import functions as sf

    return sf.xxhash64(sf.lit("event"), "event_id")


def _hashed(name: str, table: DataFrame) -> DataFrame:
    """A table with the hashes that decide where its rows go."""
    from pyspark.sql import functions as sf

    hashes = {EVENT: _event()} if name in OF_EVENT else {}
    if name not in IN_EVENT:  # there the event leads to every bucket that any of its persons leads to
        hashes |= {f"{HASH}{c}": sf.when(sf.col(c).isNotNull(), sf.xxhash64(c)) for c in POINTERS[name]}
    return table.select("*", *(column.alias(hashed) for hashed, column in hashes.items()))


def _own(tables: Mapping[str, DataFrame], job: Job, keys: DataFrame | None) -> list[DataFrame]:
    """Whom the buckets answer for: the keys given, or everybody who was ever in an event (with their hash)."""
    from pyspark.sql import functions as sf

    if keys is not None:
        first = KEYS[job.subject][0]
        return [keys.select(*KEYS[job.subject], sf.xxhash64(first).alias(f"{HASH}own"))]
    named = [
        tables[name]
        .where(sf.col(c).isNotNull())
        .select(sf.col(c).alias("person_id"), sf.xxhash64(c).alias(f"{HASH}own"))
        for name in IN_EVENT
        for c in POINTERS[name]
    ]  # fmt: skip
    return [reduce(lambda a, b: a.unionByName(b), named)]


@dataclass(frozen=True)
class _Shipped:
    """The plan as files on every machine, mapped into memory there and so held once a machine, not once a worker."""

    names: tuple[str, ...]

    @classmethod
    def of(cls, spark: SparkSession, routes: Routes) -> _Shipped:
        folder, mark = Path(tempfile.mkdtemp(prefix="doorstep-plan-")), uuid.uuid4().hex[:12]
        atexit.register(
            shutil.rmtree, folder, ignore_errors=True
        )  # workers fetch the files as long as jobs run
        names = []
        for role in ("home", "near", "events"):
            lookup: Lookup = getattr(routes, role)
            for part in ("keys", "buckets"):
                names.append(f"plan-{mark}-{role}-{part}.npy")
                np.save(folder / names[-1], getattr(lookup, part))
                spark.sparkContext.addFile(str(folder / names[-1]))
        return cls(tuple(names))

    def lookups(self) -> tuple[Lookup, Lookup, Lookup]:
        """home, near, events."""
        from pyspark import SparkFiles

        arrays = [np.load(SparkFiles.get(name), mmap_mode="r") for name in self.names]
        return Lookup(*arrays[0:2]), Lookup(*arrays[2:4]), Lookup(*arrays[4:6])


def _answers(chunks: DataFrame, job: Job, schema: dict[str, Any], buckets: int, route: str) -> DataFrame:
    together = chunks.repartition(buckets, "bucket")
    if route == "apply" or (route == "auto" and hasattr(together.groupBy("bucket"), "applyInArrow")):

        def on_bucket(table: pa.Table) -> pa.Table:
            return _arrow(partition.answer(job, _frame(table)))

        return together.groupBy("bucket").applyInArrow(on_bucket, _ddl(schema))

    def on_batches(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for bucket in _by_bucket(_frame(batch) for batch in batches):
            yield from _arrow(partition.answer(job, bucket)).to_batches()

    return together.sortWithinPartitions("bucket").mapInArrow(on_batches, _ddl(schema))


def _by_bucket(frames: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """Frames sorted by bucket, cut anywhere -> one frame a bucket."""
    held = pl.DataFrame()
    for frame in frames:
        held = pl.concat([held, frame]) if held.height else frame
        done = held.filter(pl.col("bucket") != held["bucket"][-1]) if held.height else held
        yield from done.partition_by("bucket", maintain_order=True)
        held = held[done.height :]
    if held.height:
        yield held


def _packer(name: str, shipped: _Shipped) -> Any:
    def pack(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        home, near, events = shipped.lookups()
        frames = (_frame(batch) for batch in batches)
        for chunk in partition.packed(name, frames, events, home if name == OWN else near):
            yield from _arrow(chunk).to_batches()

    return pack


def _collect(frame: DataFrame) -> pl.DataFrame:
    """A Spark frame of numbers on the driver."""
    if hasattr(frame, "toArrow"):
        return _frame(frame.toArrow())
    return pl.from_pandas(frame.toPandas())  # before Spark 4


def _frame(table: pa.Table | pa.RecordBatch) -> pl.DataFrame:
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    return frame


def _arrow(frame: pl.DataFrame) -> pa.Table:
    """The frame as Spark wants it: plain strings and binaries, which Polars keeps in newer forms."""
    import pyarrow as pa

    plain = {pl.String: pa.string(), pl.Binary: pa.binary()}
    table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
    fields = [
        pa.field(field.name, plain.get(frame.schema[field.name].base_type(), field.type))
        for field in table.schema
    ]
    return table.cast(pa.schema(fields))


def _ddl(schema: Mapping[str, Any]) -> str:
    """A schema as Spark writes it."""
    return ", ".join(f"`{name}` {_spark_type(kind)}" for name, kind in schema.items())


def _spark_type(kind: Any) -> str:
    if isinstance(kind, pl.List):
        return f"array<{_spark_type(kind.inner)}>"
    base = kind.base_type()
    more = {pl.Datetime: "timestamp", pl.Date: "date", pl.Boolean: "boolean", pl.Int32: "int"}
    return (_TYPES | more)[base]
