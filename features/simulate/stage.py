"""What the writers of rows share: the clock, random streams, the cut of time, ids, and frames with typed times."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.simulate.parameters import Floats, Ints, OffenceKind, Parameters, offence_kinds, read_data
from features.simulate.people import Register
from features.simulate.state import Log

NAT = np.iinfo(np.int64).min
DAY, HOUR = 86_400, 3_600
LONDON = ZoneInfo("Europe/London")
Bools = NDArray[np.bool_]
UTC_TIME = pl.Datetime("us", "UTC")


def morning(d: date) -> int:
    """06:00 London time of a date, in UTC seconds."""
    return int(datetime(d.year, d.month, d.day, 6, tzinfo=LONDON).timestamp())


@dataclass
class Stage:
    """The finished run, before it is written: log, register, calendar."""

    p: Parameters
    register: Register
    log: Log
    seed: int
    first_day: date
    start: date
    last: date
    doc: dict[str, Any] = field(default_factory=lambda: read_data("simulate/records.toml"))
    kinds: dict[str, OffenceKind] = field(default_factory=offence_kinds)
    tables: dict[str, pl.DataFrame] = field(default_factory=dict)

    def __post_init__(self) -> None:
        days = (self.last - self.first_day).days + 2
        self.base: Ints = np.array([morning(self.first_day + timedelta(days=i)) for i in range(days)])
        self.start_at = int(
            datetime(self.start.year, self.start.month, self.start.day, tzinfo=LONDON).timestamp()
        )
        after = self.last + timedelta(days=1)
        self.steps = {
            k: int(self.rng(k).integers(10_000_000, PRIME - 1)) for k in ("person ids", "address ids")
        }
        self.end_at = int(datetime(after.year, after.month, after.day, tzinfo=LONDON).timestamp()) - 1

    def rng(self, name: str) -> np.random.Generator:
        """A stream of its own for each purpose, so that one table's draws never move another's."""
        return np.random.default_rng([self.seed, 1000, zlib.crc32(name.encode())])

    def person_ids(self, records: Ints) -> Ints:
        """Printed numbers of nominal records."""
        return scrambled(records, self.steps["person ids"])

    def address_ids(self, places: Ints) -> pl.Series:
        """Identifiers of addresses."""
        return ids("A", scrambled(places, self.steps["address ids"]))

    def clock(self, day: Ints, rng: np.random.Generator) -> Ints:
        """A moment of each day (06:00 to 06:00 London), busiest in the evening, in UTC seconds."""
        w = np.array(self.doc["hours"]["weights"])
        hour = rng.choice(24, len(day), p=w / w.sum())
        return self.base[day] + hour * HOUR + rng.integers(0, HOUR, len(day))

    def at_day(self, day: Ints, rng: np.random.Generator, low: int = 9, high: int = 17) -> Ints:
        """An office-hours moment of each day; days beyond the calendar run on at 24 hours each."""
        d = np.asarray(day)
        inside = np.clip(d, 0, len(self.base) - 1)
        start = self.base[inside] + (d - inside) * DAY
        return start + (low - 6) * HOUR + rng.integers(0, (high - low) * HOUR, len(d))

    def put(self, name: str, frame: pl.DataFrame) -> None:
        """Keep a finished table."""
        self.tables[name] = frame


def exponential(rng: np.random.Generator, mean_seconds: float, n: int) -> Ints:
    """Whole seconds with an exponential law."""
    return np.asarray(rng.exponential(mean_seconds, n)).astype(np.int64)


def times(values: Ints) -> pl.Series:
    """UTC seconds to a time column; NAT becomes null."""
    v = np.asarray(values, dtype=np.int64)
    s = pl.Series(v)
    return pl.select(pl.when(s != NAT).then(s * 1_000_000).cast(UTC_TIME)).to_series()


def midnights(values: Ints) -> Ints:
    """The last second of each time's London date, as a date without a time is read; winter clock throughout."""
    v = np.asarray(values, dtype=np.int64)
    return np.where(v == NAT, NAT, v // DAY * DAY + DAY - 1)


def ids(prefix: str, numbers: Ints) -> pl.Series:
    """Identifiers such as E00000012; a negative number becomes null."""
    s = pl.Series(np.asarray(numbers, dtype=np.int64))
    text = pl.concat_str([pl.lit(prefix), s.cast(pl.Utf8).str.zfill(8)])
    return pl.select(pl.when(s >= 0).then(text)).to_series()


PRIME = 99_999_989


def scrambled(numbers: Ints, step: int) -> Ints:
    """A one-to-one scramble of numbers below PRIME; -1 stays. What belongs together is not neighbouring any more."""
    return np.where(numbers >= 0, (np.asarray(numbers) + 1) * step % PRIME, -1)


def words(choices: list[str] | tuple[str, ...], index: Ints) -> pl.Series:
    """Text by index; a negative index becomes null."""
    table = pl.Series([*choices, None], dtype=pl.Utf8)
    i = np.asarray(index, dtype=np.int64)
    return table.gather(np.where(i < 0, len(choices), i))


def flags(values: Bools, known: Bools | None = None) -> pl.Series:
    """True or false; null where not known."""
    s = pl.Series(np.asarray(values, dtype=bool))
    return s if known is None else pl.select(pl.when(pl.Series(known)).then(s)).to_series()


def pick(rng: np.random.Generator, shares: Floats | list[float], n: int) -> Ints:
    """Indices drawn with the given weights."""
    w = np.asarray(shares, dtype=np.float64)
    return np.searchsorted(np.cumsum(w / w.sum())[:-1], rng.random(n), "right").astype(np.int64)
