"""References of persons, events and calls, however they are written, and who is in which event."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl
from numpy.typing import NDArray

from risk.search_words import Lists, Numbers
from risk.view import View

PERSON, EVENT, CALL = "person", "event", "call"
NEVER = -(2**31)
_SUSPECT = 1
"""Part of the number that says in which role somebody is in an event: number x 2, and one more for a suspect."""


@dataclass(frozen=True)
class Met:
    """Something found by its reference. ``persons``: numbers; of an event its suspects (``acting``) and all others."""

    kind: str
    key: str
    reference: str
    at: datetime | None
    event_id: str | None
    acting: tuple[int, ...]
    others: tuple[int, ...]


def spelt(reference: str) -> pl.Expr:
    """A column of references in one spelling: case, signs, leading zeros and the century of a last part of four digits
    do not count ("42/0015186/2016" and "42/15186/16" are one)."""
    return (
        pl.col(reference)
        .str.to_lowercase()
        .str.extract_all(r"\d+|[a-z]+")
        .list.join(" ")
        .str.replace(r" 20(\d\d)$", " $1")
        .str.replace_all(r"\b0+(\d)", "$1")
    )


def keys(references: pl.Series) -> NDArray[np.uint64]:
    """A number for each reference, the same for all spellings of it; 0 for none."""
    made = pl.DataFrame({"reference": references}).select(spelt("reference"))["reference"]
    filled = made.fill_null("")
    return np.where((filled == "").to_numpy(), np.uint64(0), filled.hash().to_numpy())


class References:
    """``person_events``: of each person the events, newest first; ``suspect`` and ``last`` by person (under the
    reference that stands for them)."""

    def __init__(self, view: View, numbers: pl.DataFrame, everyone: bool = True) -> None:
        parts = pl.concat(
            [
                view.whole("involvement").select(
                    "event_id", "person_id", acting=(pl.col("role") == "suspect").fill_null(False)
                ),
                view.whole("involvement").select("event_id", person_id="victim_id", acting=pl.lit(False)),
                view.whole("offence").select("event_id", person_id="suspect_id", acting=pl.lit(True)),
                view.whole("offence").select("event_id", person_id="victim_id", acting=pl.lit(False)),
            ]
        ).drop_nulls("person_id")
        mine = parts.join(numbers, on="person_id").group_by("event_id", "person").agg(pl.col("acting").any())
        event = view.whole("event").select("event_id", "reference", "occurred_at")
        if not everyone:
            event = event.filter(pl.col("event_id").is_in(mine["event_id"].unique().implode()))
        event = event.unique("event_id").sort("occurred_at", "event_id")
        self.events, self.event_references, self.at = (
            event["event_id"],
            event["reference"],
            event["occurred_at"],
        )
        places = event.select("event_id").with_row_index("event")
        met = mine.join(places, on="event_id").sort("event", descending=True)
        who, which = met["person"].to_numpy(), met["event"].to_numpy()
        acting = met["acting"].to_numpy()
        self.parts = Lists.of(self.events.len(), which, who.astype(np.int64) * 2 + acting * _SUSPECT)
        self.person_events = Lists.of(numbers.height, who, which)
        self.suspect = np.zeros(numbers.height, dtype=np.bool_)
        self.suspect[who[acting]] = True
        self.last: Numbers = np.full(numbers.height, NEVER, dtype=np.int32)
        days = self.at.dt.date().cast(pl.Int32).fill_null(NEVER).to_numpy()
        np.maximum.at(self.last, who, days[which])
        self._call(view, numbers, places, everyone)
        self._sort(numbers)

    def _call(self, view: View, numbers: pl.DataFrame, places: pl.DataFrame, everyone: bool) -> None:
        call = view.identity("call").select(
            "call_id", "reference", "received_at", "event_id", "suspect_id", "victim_id"
        )
        call = call.join(places, on="event_id", how="left")
        for column in ("suspect", "victim"):
            numbered = numbers.rename({"person_id": f"{column}_id", "person": column})
            call = call.join(numbered, on=f"{column}_id", how="left")
        if not everyone:
            call = call.filter(
                pl.any_horizontal(pl.col(c).is_not_null() for c in ("event", "suspect", "victim"))
            )
        self.calls, self.call_references, self.call_at = (
            call["call_id"],
            call["reference"],
            call["received_at"],
        )
        self._of_call = {
            name: call[name].cast(pl.Int64).fill_null(-1).cast(pl.Int32).to_numpy()
            for name in ("event", "suspect", "victim")
        }

    def _sort(self, numbers: pl.DataFrame) -> None:
        columns = [
            (PERSON, numbers["person_id"]),
            (EVENT, self.event_references),
            (EVENT, self.events),
            (CALL, self.call_references),
            (CALL, self.calls),
        ]
        made = [keys(column) for _, column in columns]
        targets = [np.arange(some.size, dtype=np.int32) for some in made]
        kinds = [
            np.full(some.size, (PERSON, EVENT, CALL).index(k), np.uint8)
            for some, (k, _) in zip(made, columns, strict=True)
        ]
        every = np.concatenate(made)
        order = np.argsort(every, kind="stable")
        self._keys, self._targets = every[order], np.concatenate(targets)[order]
        self._kinds = np.concatenate(kinds)[order]

    def met(self, reference: str) -> list[Met]:
        """Everything that goes by a reference."""
        if not reference:
            return []
        key = keys(pl.Series([reference]))[0]
        return self._met(key) if key else []

    def events_by_id(self, events: Sequence[str]) -> dict[str, Met]:
        """Some events by their event_id, of those that are known."""
        if not events:
            return {}
        met = [one for key in keys(pl.Series(events, dtype=pl.String)) for one in self._met(key)]
        return {str(one.event_id): one for one in met if one.kind == EVENT and one.event_id in events}

    def _met(self, key: np.uint64) -> list[Met]:
        low, high = np.searchsorted(self._keys, key), np.searchsorted(self._keys, key, side="right")
        found: dict[tuple[int, int], Met] = {}
        for at in range(int(low), int(high)):
            kind, target = int(self._kinds[at]), int(self._targets[at])
            found.setdefault((kind, target), self._describe((PERSON, EVENT, CALL)[kind], target))
        return list(found.values())

    def numbers(self, events: Collection[str]) -> NDArray[np.int64]:
        """Numbers of some events, of those that are known."""
        return np.flatnonzero(self.events.is_in(list(events)).to_numpy())

    def event(self, number: int) -> Met:
        """An event with who is in it."""
        return self._describe(EVENT, number)

    def _describe(self, kind: str, target: int) -> Met:
        if kind == PERSON:
            return Met(PERSON, "", "", None, None, (target,), ())
        if kind == EVENT:
            parts = self.parts[target].tolist()
            return Met(
                EVENT,
                str(self.events[target]),
                str(self.event_references[target] or self.events[target]),
                self.at[target],
                str(self.events[target]),
                tuple(part // 2 for part in parts if part % 2),
                tuple(part // 2 for part in parts if not part % 2),
            )
        event, suspect, victim = (int(self._of_call[name][target]) for name in ("event", "suspect", "victim"))
        of_event = self._describe(EVENT, event) if event >= 0 else None
        acting = {suspect} if suspect >= 0 else set()
        others = {victim} if victim >= 0 else set()
        return Met(
            CALL,
            str(self.calls[target]),
            str(self.call_references[target] or self.calls[target]),
            self.call_at[target],
            of_event.event_id if of_event else None,
            tuple(acting.union(of_event.acting if of_event else ())),
            tuple(others.union(of_event.others if of_event else ())),
        )

    def nbytes(self) -> int:
        """Memory."""
        texts = (self.events, self.event_references, self.at, self.calls, self.call_references, self.call_at)
        arrays = (self.suspect, self.last, self._keys, self._targets, self._kinds, *self._of_call.values())
        return (
            sum(int(text.estimated_size()) for text in texts)
            + sum(array.nbytes for array in arrays)
            + self.parts.nbytes
            + self.person_events.nbytes
        )
