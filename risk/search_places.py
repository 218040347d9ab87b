"""Addresses as searched: who lives or lived at one, and who was in an event there."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import polars as pl

from risk.search_references import References, keys
from risk.search_text import words_of
from risk.search_words import Lists, Numbers, Role, Vocabulary, points
from risk.view import View

HERE, BEFORE, EVENT_THERE = "lives at the address", "lived at the address", "in an event at the address"
KINDS = (HERE, BEFORE, EVENT_THERE)
MOST_PLACES = 200
"""Addresses that one query may mean; more would be a whole street or town."""


class Places:
    """Addresses by number, findable by words of their line and by postcode, with the persons tied to each."""

    def __init__(
        self, view: View, numbers: pl.DataFrame, homes: pl.DataFrame, references: References
    ) -> None:
        address = view.identity("address").select("address_id", "line", "postcode", "kind")
        dwelling = address.filter(pl.col("kind").is_null() | (pl.col("kind") == "dwelling"))
        events = pl.DataFrame({"event_id": references.events}).with_row_index("event")
        there = (
            view.identity("event_place").select("event_id", "address_id").drop_nulls()
            .join(dwelling.select("address_id"), on="address_id")
            .join(events, on="event_id")
        )  # fmt: skip
        events_at, addresses_of = there["event"].to_numpy(), there["address_id"]
        many = references.parts.many(events_at)
        met = pl.DataFrame(
            {
                "address_id": addresses_of.gather(np.repeat(np.arange(many.size), many)),
                "person": references.parts.all(events_at) // 2,
            },
            schema_overrides={"person": pl.UInt32},
        )
        tied = pl.concat(
            [
                homes.select("address_id", "person", kind=pl.when("current").then(0).otherwise(1)),
                met.select("address_id", "person", kind=pl.lit(2, dtype=pl.Int32)),
            ]
        )
        tied = tied.group_by("address_id", "person").agg(pl.col("kind").min())
        address = address.join(tied.select("address_id").unique(), on="address_id").sort("address_id")
        self.ids, self.lines = address["address_id"], address["line"]
        self.postcodes = keys(address["postcode"])
        tied = tied.join(address.select("address_id").with_row_index("place"), on="address_id").sort(
            "place", "kind"
        )
        self.tied = Lists.of(
            self.ids.len(),
            tied["place"].to_numpy(),
            tied["person"].to_numpy().astype(np.int64) * 3 + tied["kind"].to_numpy(),
        )
        all_words = {word for line in self.lines.drop_nulls().unique() for word in words_of(line)}
        self.vocabulary = Vocabulary(all_words)
        self.lined = Role.of(self.lines, words_of, self.vocabulary)

    def meant(self, words: tuple[str, ...], postcode: str | None) -> list[tuple[int, int]]:
        """Addresses that may be meant, with what each costs; none when it would be a crowd of them."""
        costs = np.zeros(self.ids.len(), dtype=np.uint16)
        for word in words:
            costs += self.lined.costs(self.vocabulary.near(word))
        if postcode is not None:
            costs[self.postcodes != keys(pl.Series([postcode]))[0]] += points("absent")
        found = np.flatnonzero(costs < points("absent"))
        if found.size > MOST_PLACES:
            found = found[costs[found] == costs[found].min()]
        if found.size > MOST_PLACES:
            return []
        return [(int(place), int(costs[place])) for place in found]

    def costs(self, words: tuple[str, ...], postcode: str | None) -> dict[int, tuple[int, str]]:
        """Persons tied to the addresses that may be meant: what each costs, and how they are tied to it."""
        extra = (0, points("before", "address"), 2 * points("before", "address"))
        out: dict[int, tuple[int, str]] = {}
        for place, cost in self.meant(words, postcode):
            for number in self.tied[place].tolist():
                person, kind = divmod(number, 3)
                if cost + extra[kind] < out.get(person, (1 << 16, ""))[0]:
                    out[person] = (cost + extra[kind], KINDS[kind])
        return out

    def residents(self, addresses: Collection[str]) -> Numbers:
        """Numbers of everyone tied to some addresses."""
        return np.unique(self.tied.all(np.flatnonzero(self.ids.is_in(list(addresses)).to_numpy())) // 3)

    def nbytes(self) -> int:
        """Memory."""
        texts = int(self.ids.estimated_size()) + int(self.lines.estimated_size())
        return texts + self.postcodes.nbytes + self.tied.nbytes + self.lined.nbytes + self.vocabulary.nbytes()
