"""What a search looks in: every way each person is known, where they live or lived, and references of events and calls.

Arrays by number, made from the records as of T: for a whole force once, and again in small for the persons whom rows
that were added have changed (``risk.search``).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from risk.search_places import Places
from risk.search_references import References
from risk.search_shut import beside_shut
from risk.search_words import Lists, Names, Numbers
from risk.teams import UNASSIGNED, districts
from risk.view import View

NO_DAY = np.iinfo(np.int32).min
FIRST_YEAR = 1850
"""Years of birth are kept as one byte: 1 for this one or before, 0 for none."""
EPOCH = date(1970, 1, 1)


class Index:
    """Persons by number (their records), with ways of being known by number; a person's ways stand together.

    ``ids``: references, sorted. ``cluster``: of each record the number of the one that stands for the person.
    ``closed``: open to named users only. ``suspect``: ever recorded as one. ``last``: day of the newest event they are
    in. ``district``: number of the district they belong to, -1 for none; ``lived``: of each district the ways of being
    known of those who live or lived there.
    """

    def __init__(self, view: View, persons: Sequence[str] | None = None) -> None:
        """Of everyone the view holds, or of some records (whole persons: every record of a cluster, or none)."""
        own = view.identity("person").sort("person_id")
        if persons is not None:
            own = own.filter(pl.col("person_id").is_in(list(persons)))
        self.ids = own["person_id"]
        self.count = self.ids.len()
        numbers = pl.DataFrame({"person_id": self.ids}).with_row_index("person")
        self.closed = (own["access"] == "named_users").fill_null(False).to_numpy()
        self.cluster = _clusters(view, numbers)
        self.members = Lists.of(self.count, self.cluster, np.arange(self.count, dtype=np.int32))
        self._name(own, view, numbers)
        self.references = References(view, numbers, everyone=persons is None)
        self.suspect, self.last = self.references.suspect, self.references.last
        everyone = view.identity("person").filter(pl.col("access") == "named_users")["person_id"].to_list()
        self.beside = {  # record -> the closed records that alone it is found beside
            int(number): whom
            for person, whom in beside_shut(view, everyone).items()
            if (number := self.ids.search_sorted(person)) < self.count and self.ids[int(number)] == person
        }
        homes = self._live(view, numbers)
        self.places = Places(view, numbers, homes, self.references)

    def _name(self, own: pl.DataFrame, view: View, numbers: pl.DataFrame) -> None:
        fields = ("given_names", "family_name", "date_of_birth")
        mine = own.join(numbers, on="person_id").select("person", *fields, alias=pl.lit(False))
        other = (
            view.identity("alias")
            .join(numbers, on="person_id")
            .join(own.select("person_id", born="date_of_birth"), on="person_id")
            .with_columns(date_of_birth=pl.coalesce("date_of_birth", "born"))
            .select("person", *fields, alias=pl.lit(True))
        )
        ways = pl.concat([mine, other]).unique().sort("person", "alias", *fields)
        self.given, self.family = ways["given_names"], ways["family_name"]
        self.alias = ways["alias"].to_numpy()
        self.person: Numbers = ways["person"].cast(pl.Int32).to_numpy()
        self.ways = Lists.of(self.count, self.person, np.arange(self.person.size, dtype=np.int32))
        born = ways["date_of_birth"]
        self.born: Numbers = born.cast(pl.Int32).fill_null(NO_DAY).to_numpy()
        years = (born.dt.year() - FIRST_YEAR + 1).clip(1, 255).fill_null(0)
        self.year: NDArray[np.uint8] = years.cast(pl.UInt8).to_numpy()
        self.shut: NDArray[np.bool_] = self.closed[self.person]
        self.names = Names(self.given, self.family)

    def _live(self, view: View, numbers: pl.DataFrame) -> pl.DataFrame:
        """Districts; returns person, address_id, current: where each lives or lived."""
        here = view.identity("person").select("person_id", "address_id", current=pl.lit(True))
        lived = view.identity("residence").select(
            "person_id",
            "address_id",
            current=pl.col("ended_on").is_null() | (pl.col("ended_on") > pl.lit(view.t)),
        )
        homes = pl.concat([here, lived]).drop_nulls("address_id").join(numbers, on="person_id")
        homes = homes.group_by("person", "address_id").agg(pl.col("current").any())
        heads = pl.DataFrame({"person_id": self.ids.gather(np.unique(self.cluster))})
        found = districts(view, heads).join(numbers, on="person_id")
        known = view.identity("address").select("address_id", "district").drop_nulls()
        self.districts: list[str] = sorted(
            {*known["district"].unique(), *found["district"].unique()} - {UNASSIGNED}
        )
        number = {name: n for n, name in enumerate(self.districts)}
        codes = np.full(self.count, -1, dtype=np.int16)
        codes[found["person"].to_numpy()] = [number.get(name, -1) for name in found["district"]]
        self.district: NDArray[np.int16] = codes[self.cluster]
        past = homes.join(known, on="address_id").select("person", "district").unique().sort("person")
        codes = np.array([number[name] for name in past["district"]], dtype=np.int32)
        many = self.ways.many(past["person"].to_numpy())
        self.lived = Lists.of(
            len(self.districts), np.repeat(codes, many), self.ways_of(past["person"].to_numpy())
        )
        self.way_district = self.district[self.person]
        return homes

    def ways_of(self, persons: Numbers) -> Numbers:
        """Numbers of all the ways some persons are known in."""
        return self.ways.all(persons)

    @staticmethod
    def year_code(year: int) -> int:
        """A year as :attr:`year` keeps it."""
        return min(max(year - FIRST_YEAR + 1, 1), 255)

    def day_of(self, way: int) -> date | None:
        """Birth date of a way of being known."""
        born = int(self.born[way])
        return None if born == NO_DAY else EPOCH + timedelta(days=born)

    def bytes(self) -> int:
        """Memory of the arrays and texts, about."""
        arrays = (self.closed, self.cluster, self.person, self.alias, self.born, self.year, self.way_district)
        texts = (self.ids, self.given, self.family)
        parts = (self.ways, self.lived, self.members)
        return (
            sum(a.nbytes for a in arrays)
            + sum(int(t.estimated_size()) for t in texts)
            + sum(p.nbytes for p in parts)
            + self.names.nbytes()
            + self.references.nbytes()
            + self.places.nbytes()
        )


def _clusters(view: View, numbers: pl.DataFrame) -> Numbers:
    """Of each record the number of the record that stands for the person."""
    heads = np.arange(numbers.height, dtype=np.int32)
    moved = (
        view.clusters.join(numbers, on="person_id")
        .join(numbers.rename({"person_id": "cluster_id", "person": "head"}), on="cluster_id")
        .select("person", "head")
    )
    heads[moved["person"].to_numpy()] = moved["head"].to_numpy()
    return heads
