"""One partition of a nation: packed tables in, the histories of its own subjects out, by the embedded engine.

What travels between machines is plain: a *chunk* is some rows of one table as an Arrow IPC stream, a *bucket* is all
chunks of one partition. Nothing here knows Spark; ``features.engines.spark`` decides who is in which bucket.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import polars as pl

from features.catalogue import KEYS
from features.engines.buckets import Lookup
from features.nominals import Links
from features.records import Records

OWN = "_own"
"""Name of the table of a bucket that says whose histories it answers: key columns, or person_id alone."""
HASH = "_h_"
EVENT = "_h_event"
CHUNK_ROWS = 250_000
"""Rows that a task gathers before it packs them; bounds its memory (about 100 bytes a row)."""


@dataclass(frozen=True)
class Job:
    """What every partition is asked.

    ``records`` is the record store without a row: table names and types, what the extract lacks, and whatever else
    a store carries (links between nominals, a catalogue of one's own). ``given``: the subjects were named by the
    caller; otherwise they are found as of T among the bucket's own persons.
    """

    records: Records
    subject: str
    as_of: datetime
    columns: tuple[str, ...] | None
    given: bool

    def schema(self) -> dict[str, pl.DataType]:
        """Columns of the answer and their types, from a run on no rows."""
        nobody = pl.DataFrame(schema=dict.fromkeys(KEYS[self.subject], pl.String()))
        return dict(_histories(self, self.records, nobody).schema)


def shell(records: Records) -> Records:
    """The record store without its rows: small enough to send to every machine."""
    return replace(records, tables={name: frame.clear() for name, frame in records.tables.items()})


def pack(frame: pl.DataFrame) -> bytes:
    """Rows as an Arrow IPC stream, compressed."""
    buffer = io.BytesIO()
    frame.write_ipc_stream(buffer, compression="lz4")
    return buffer.getvalue()


def packed(
    name: str, frames: Iterable[pl.DataFrame], event: Lookup | None, person: Lookup | None
) -> Iterator[pl.DataFrame]:
    """Rows of one table -> (bucket, name, chunk), a chunk a bucket and ``CHUNK_ROWS`` rows read.

    A column ``_h_event`` or ``_h_...`` holds the hash of the event or of a person the row points to (null: of nobody);
    the row goes to every bucket that any of them leads to, once.
    """
    held: list[pl.DataFrame] = []
    for frame in frames:
        held.append(_routed(frame, event, person))
        if sum(f.height for f in held) >= CHUNK_ROWS:
            yield _flush(name, held)
            held = []
    if held:
        yield _flush(name, held)


def _routed(frame: pl.DataFrame, event: Lookup | None, person: Lookup | None) -> pl.DataFrame:
    """The rows without their hashes, once for each bucket they go to, with ``bucket``."""
    found = []
    hashes = [c for c in frame.columns if c.startswith(HASH)]
    for column in hashes:
        lookup = event if column == EVENT else person
        if lookup is not None:
            there = np.flatnonzero(frame[column].is_not_null().to_numpy())
            at, bucket = lookup.find(frame[column].drop_nulls().to_numpy())
            found.append(pl.DataFrame({"row": there[at], "bucket": bucket}))
    where = pl.concat(found).unique().sort("row", "bucket")
    return frame.drop(hashes)[where["row"]].with_columns(where["bucket"])


def answer(job: Job, bucket: pl.DataFrame) -> pl.DataFrame:
    """Histories of one bucket's own subjects; ``bucket`` holds its chunks (name, chunk), in any order.

    A bucket without a row of some table, or of every table, is answered like any other.
    """
    chunks: dict[str, list[pl.DataFrame]] = {}
    for name, chunk in bucket.select("name", "chunk").iter_rows():
        chunks.setdefault(name, []).append(pl.read_ipc_stream(io.BytesIO(chunk)))
    tables = {
        name: pl.concat([empty, *(_as(frame, empty) for frame in chunks.get(name, ()))])
        for name, empty in job.records.tables.items()
    }
    records = replace(
        job.records, tables=tables, links=_links_of(job.records.links, tables["person"]["person_id"])
    )
    return _histories(job, records, _subjects(job, records, chunks))


def _links_of(links: Links | None, persons: pl.Series) -> Links | None:
    """The links among a bucket's persons; whoever can ever be one person shares a bucket."""
    if links is None:
        return None
    named = pl.col("person_id_a").is_in(persons.implode()) | pl.col("person_id_b").is_in(persons.implode())
    return replace(
        links,
        pairs=links.pairs.filter(named),
        apart=links.apart.filter(named),
        decisions=links.decisions.filter(named),
        persons=links.persons.filter(pl.col("person_id").is_in(persons.implode())),
    )


def _flush(name: str, held: list[pl.DataFrame]) -> pl.DataFrame:
    parts = pl.concat(held).partition_by("bucket", as_dict=True, include_key=False)
    return pl.DataFrame(
        {"bucket": [key[0] for key in parts], "name": name, "chunk": [pack(rows) for rows in parts.values()]},
        schema={"bucket": pl.Int32, "name": pl.String, "chunk": pl.Binary},
    )


def _as(frame: pl.DataFrame, like: pl.DataFrame) -> pl.DataFrame:
    """The columns and types of the record store, however the rows were kept in between."""
    return frame.select(pl.col(name).cast(kind) for name, kind in like.schema.items())


def _subjects(job: Job, records: Records, chunks: Mapping[str, list[pl.DataFrame]]) -> pl.DataFrame:
    from features.histories import subjects_at

    keys = KEYS[job.subject]
    if OWN not in chunks:
        return pl.DataFrame(schema=dict.fromkeys(keys, pl.String()))
    own = pl.concat(chunks[OWN]).select(keys if job.given else pl.col("person_id").alias(keys[0])).unique()
    if job.given:
        return own
    return subjects_at(records, job.subject, job.as_of, "fast").join(own, on=keys[0], how="semi")


def _histories(job: Job, records: Records, subjects: pl.DataFrame) -> pl.DataFrame:
    from features.histories import histories  # which in its turn may hand a job to Spark

    return histories(records, job.subject, job.as_of, subjects=subjects, engine="fast", columns=job.columns)
