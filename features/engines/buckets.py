"""Who goes into which partition, and which rows a partition needs: a plan made of ids alone.

A *tie* says that a person takes part in something others take part in: an event, a child's events together, a
relationship, an order, a shared home. Persons and what they take part in are 64-bit hashes here; two that met in one
hash would only send a partition rows it does not need.

1. *Home.* Each person has one bucket. People of one neighbourhood share it, so that few rows are needed twice. Which
   bucket somebody is in never changes an answer, only how many rows travel.
2. *Near.* A bucket needs everyone within reach of its own persons, and every event any of those was in.

A neighbourhood too large for a bucket (a hostel, an event with thousands of people) is broken into smaller ones, or
into single persons. A person with thousands of events is kept with the few people in them: one bucket's work.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

Hashes = npt.NDArray[np.int64]
TIE = {"h": pl.Int64(), "p": pl.Int64()}
ROUNDS = 3
"""How many times persons ask those they are tied to for the name of their neighbourhood."""
ONE_PERSONS = 3
"""A neighbourhood with no more than so many times the ties of its busiest person is that person's, and kept whole."""
_ODD = 0x9E3779B97F4A7C15 - (1 << 64)  # a multiplier that spreads neighbouring names over all buckets


@dataclass(frozen=True)
class Lookup:
    """Which buckets a hash belongs to: ``keys`` ascending, with repeats, and as many ``buckets``."""

    keys: Hashes
    buckets: npt.NDArray[np.int32]

    @classmethod
    def of(cls, frame: pl.DataFrame) -> Lookup:
        """From two columns: a hash and a bucket."""
        key, bucket = frame.columns
        frame = frame.sort(key, bucket)
        return cls(frame[key].to_numpy(), frame[bucket].cast(pl.Int32).to_numpy())

    def find(self, hashes: Hashes) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
        """(position in ``hashes``, bucket) of every bucket of every hash."""
        first = np.searchsorted(self.keys, hashes, side="left")
        number = np.searchsorted(self.keys, hashes, side="right") - first
        rows = np.repeat(np.arange(hashes.size), number)
        within = np.arange(rows.size) - np.repeat(np.cumsum(number) - number, number)
        return rows, np.asarray(self.buckets[np.repeat(first, number) + within])


@dataclass(frozen=True)
class Routes:
    """The plan: ``home`` (person -> the bucket that answers for them), ``near`` (person -> every bucket that needs
    their rows), ``events`` (event -> every bucket that needs it whole), and how many buckets there are."""

    home: Lookup
    near: Lookup
    events: Lookup
    buckets: int

    @property
    def copies(self) -> float:
        """How many buckets need a person, on average: 1 when nobody is needed twice."""
        return self.near.keys.size / max(1, self.home.keys.size)


def plan(
    in_events: pl.DataFrame,
    pairs: pl.DataFrame,
    *,
    rows: int,
    steps: int,
    units: pl.DataFrame | None = None,
    loose: pl.DataFrame | None = None,
) -> Routes:
    """Where everything goes.

    Parameters
    ----------
    in_events: h (event), p (person), child (Boolean: as a child); repeats count once.
    pairs: h, p of rows that name two persons.
    rows: ties that one bucket should hold, about.
    steps: how many ties away a feature may look.
    units: p, u: nominals that may be one person -> the one that stands for all of them; they go together.
    loose: p of persons asked for who may have no tie at all.
    """
    events = _as_units(in_events.select("h", "p").unique(), units)
    children = _as_units(in_events.filter("child").select("h", "p"), units)["p"].unique()
    of_child = events.filter(pl.col("p").is_in(children.implode())).select("h", c=_named("p", 1))
    company = events.join(of_child, on="h").select(h="c", p="p")
    ties = pl.concat([events, company, _as_units(pairs.select("h", "p"), units)]).unique()
    everyone = (
        [ties["p"]] if loose is None else [ties["p"], _as_units(loose.with_columns(h=pl.lit(0)), units)["p"]]
    )
    buckets = max(1, -(-ties.height // rows))
    home = _homes(ties, pl.concat(everyone).unique(), rows, buckets)
    near = home
    for _ in range(steps):
        reached = ties.join(near, on="p").select("h", "bucket").unique()
        near = pl.concat([near, ties.join(reached, on="h").select("p", "bucket")]).unique()
    whole = events.join(near, on="p").select("h", "bucket").unique()
    return Routes(
        Lookup.of(_persons(home, units)), Lookup.of(_persons(near, units)), Lookup.of(whole), buckets
    )


def _homes(ties: pl.DataFrame, everyone: pl.Series, rows: int, buckets: int) -> pl.DataFrame:
    """p, bucket: by the name of the largest neighbourhood that still fits into a bucket."""
    weight = pl.DataFrame({"p": everyone}).join(ties.group_by("p").len("w"), on="p", how="left")
    names, name = weight.with_columns(pl.col("w").fill_null(0), n=pl.col("p"), chosen=pl.col("p")), "n"
    for _ in range(ROUNDS):
        lowest = ties.join(names.select("p", name), on="p").group_by("h").agg(pl.col(name).min())
        asked = ties.join(lowest, on="h").group_by("p").agg(pl.col(name).min().alias("asked"))
        names = (
            names.join(asked, on="p", how="left")
            .with_columns(pl.coalesce("asked", name).alias(name))
            .drop("asked")
        )
        # Where most ties are one person's, everybody else there needs that person's rows anyway: kept together.
        fits = pl.col("w").sum().over(name) <= pl.max_horizontal(
            pl.lit(rows), ONE_PERSONS * pl.col("w").max().over(name)
        )
        names = names.with_columns(chosen=pl.when(fits).then(name).otherwise("chosen"))
    return names.select("p", bucket=(_named("chosen", 2) % buckets).cast(pl.Int32))


def _named(column: str, turn: int) -> pl.Expr:
    """A hash made of a hash, never negative: the same on every machine and in every version."""
    return (pl.col(column) * _ODD + turn) & 0x7FFFFFFFFFFFFFFF  # Int64 products wrap around


def _as_units(ties: pl.DataFrame, units: pl.DataFrame | None) -> pl.DataFrame:
    if units is None:
        return ties
    return ties.join(units, on="p", how="left").select("h", p=pl.coalesce("u", "p")).unique()


def _persons(held: pl.DataFrame, units: pl.DataFrame | None) -> pl.DataFrame:
    """p, bucket of units -> of every nominal in them."""
    if units is None:
        return held
    members = units.join(held.rename({"p": "u"}), on="u").select("p", "bucket")
    return pl.concat([held, members]).unique()
