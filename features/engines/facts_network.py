"""The streams of relationships for the fast engine: the whole graph as of T once, then lookups.

What a tie is, and what each fact says, stands in ``features/streams.py``. Ties are found by joins (each pair of persons
once, with the moment it first came about); steps along them are expansions of a compressed adjacency in NumPy, in
chunks, so that memory is bounded by the chunk and not by the force.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.asof import as_of
from features.engines.formulas import Ints
from features.graph.settings import load_settings
from features.lazily import lazily
from features.records import Records
from features.slices import around
from features.streams import PARTNER_KINDS, PARTNERS_EVER

FEW = 300  # up to so many persons are worth a slice of the records
_CHUNK = 4_000_000  # rows of an expansion held at once
_WHEN = pl.Datetime("us", "UTC")
_last: list[tuple[Records, datetime, Graph]] = []


def graph_at(records: Records, t: datetime, people: pl.Series) -> Graph:
    """The graph around ``people`` as of T; a whole one is kept, since offenders, victims and dyads ask alike."""
    if people.len() <= FEW:
        return Graph(around(records, people), t)
    for held, when, graph in _last:
        if held is records and when == t:
            return graph
    graph = Graph(records, t)
    _last[:] = [(records, t, graph)]
    return graph


class Graph:
    """Everything about relationships that does not depend on whom is asked about. Persons are strings in the tables
    and numbers (positions in ``persons``) in the adjacency."""

    def __init__(self, records: Records, t: datetime) -> None:
        from features.engines.facts import events_at  # facts builds its streams from this module

        self.records, self.t = records, t
        self.events = events_at(records, t)

    # -- who did what to whom ----------------------------------------------------------------------------------

    @lazily
    def times(self) -> pl.DataFrame:
        """e, at, domestic of every event."""
        return self.events.events.select("e", "at", domestic=(pl.col("domestic") == "Y").fill_null(False))

    @lazily
    def dyads(self) -> pl.DataFrame:
        """suspect, victim, first, last, events: every pair of a domestic event."""
        domestic = self.times.filter("domestic").select("e", "at")
        return (
            self.events.pairs.join(domestic, on="e")
            .group_by("suspect", "victim")
            .agg(first=pl.col("at").min(), last=pl.col("at").max(), events=pl.len().cast(pl.Int64))
        )

    @lazily
    def both_ways(self) -> pl.DataFrame:
        """As ``dyads``, with ``back``: the first event of the same two the other way round (null: none), and who of
        the two was suspected first (``began``: suspect, victim or together)."""
        back = self.dyads.select(suspect="victim", victim="suspect", back="first")
        first = pl.col("first")
        return self.dyads.join(back, on=["suspect", "victim"], how="left").with_columns(
            began=pl.when(pl.col("back").is_null() | (first < pl.col("back")))
            .then(pl.lit("suspect"))
            .when(first == pl.col("back"))
            .then(pl.lit("together"))
            .otherwise(pl.lit("victim"))
        )

    @lazily
    def acted(self) -> pl.DataFrame:
        """person, recent_harm, recent_events, serious: what a person was lately suspected of in domestic events."""
        decay = load_settings()
        age = pl.lit(self.t).cast(_WHEN) - pl.col("at")
        longest = pl.lit(timedelta(days=decay.rings[-1]))
        recent = self.events.events.filter(pl.col("domestic") == "Y", age < longest).select("e")
        keys = self.events.suspects.join(recent, on="e", how="semi").rename({"person": "suspect"})
        facts = self.events.facts(keys, {"harm_cd", "serious"})
        weight = pl.lit(0, dtype=pl.Int64)
        for ring, value in zip(reversed(decay.rings), reversed(decay.weights), strict=True):
            weight = pl.when(age < timedelta(days=ring)).then(pl.lit(value, dtype=pl.Int64)).otherwise(weight)
        year = age < timedelta(days=365)
        return facts.group_by(person="suspect").agg(
            recent_harm=(pl.col("harm_cd") * weight).sum(),
            recent_events=year.sum().cast(pl.Int64),
            serious=(pl.col("serious") & year).any(),
        )

    # -- partners ----------------------------------------------------------------------------------------------

    @lazily
    def partners(self) -> pl.DataFrame:
        """person, other, at, current, new, harmed, children: everyone ever named spouse or partner of a person."""
        named = (
            self._named_partners()
            .group_by("person", "other")
            .agg(
                at=pl.col("at").min(),
                partner=pl.col("at").filter("partner").max(),
                over=pl.max_horizontal(pl.col("at").filter(~pl.col("partner")).max(), pl.col("ended").max()),
            )
        )
        named = named.drop_nulls("partner").with_columns(
            current=pl.col("over").is_null() | (pl.col("partner") > pl.col("over"))
        )
        dyads = self.dyads.select(person="suspect", other="victim", last="last")
        # The latest event with somebody else: the latest with anyone, or with anyone but the one it was with.
        ranked = dyads.sort("person", "last", "other", descending=[False, True, False])
        top = ranked.group_by("person", maintain_order=True).agg(
            who=pl.col("other").first(),
            latest=pl.col("last").first(),
            second=pl.col("last").slice(1, 1).first(),
        )
        harmed = dyads.select("person", "other", harmed=pl.lit(True))
        elsewhere = pl.when(pl.col("who") == pl.col("other")).then("second").otherwise("latest")
        return (
            named.join(top, on="person", how="left")
            .join(harmed, on=["person", "other"], how="left")
            .with_columns(
                new=(pl.col("at") > elsewhere).fill_null(False),
                harmed=pl.col("harmed").fill_null(False),
                children=pl.col("other").is_in(self._with_children().implode()),
            )
            .select("person", "other", "at", "current", "new", "harmed", "children")
        )

    def _named_partners(self) -> pl.DataFrame:
        """person, other, at, partner, ended: each naming of two people as (ex-)partners, from either side."""
        kin = as_of(self.records, "relationship", self.t).select(
            a="person_id_a", b="person_id_b", kind="kind", at="at", ended="ended_on"
        )
        told = (
            self.events.involvement.filter(pl.col("role") == "suspect")
            .join(self.times, on="e")
            .select(
                a="person_id",
                b="victim_id",
                kind="relationship_to_victim",
                at="at",
                ended=pl.lit(None, dtype=_WHEN),
            )
        )
        rows = pl.concat([kin, told]).filter(pl.col("kind").is_in(PARTNERS_EVER), pl.col("a") != pl.col("b"))
        rows = rows.with_columns(
            partner=pl.col("kind").is_in(PARTNER_KINDS),
            ended=pl.when(pl.col("kind").is_in(PARTNER_KINDS)).then("ended"),
        )
        columns = ("person", "other", "at", "partner", "ended")
        return pl.concat(
            [
                rows.rename({"a": "person", "b": "other"}).select(columns),
                rows.rename({"b": "person", "a": "other"}).select(columns),
            ]
        )

    def _with_children(self) -> pl.Series:
        """Persons around whom children are recorded: a parent, a shared child, or a child at an event of theirs."""
        kin = as_of(self.records, "relationship", self.t).filter(
            pl.col("person_id_a") != pl.col("person_id_b")
        )
        child = self.events.involvement.filter(pl.col("role") == "child").select("e")
        present = self.events.events.filter(pl.col("children_present") >= 1).select("e")
        with_child = pl.concat([child, present]).unique()
        return pl.concat(
            [
                kin.filter(pl.col("kind") == "parent")["person_id_a"],
                kin.filter(pl.col("kind") == "child")["person_id_b"].rename("person_id_a"),
                kin.filter("shared_child")["person_id_a"],
                kin.filter("shared_child")["person_id_b"].rename("person_id_a"),
                self.parties.join(with_child, on="e", how="semi")["person"].rename("person_id_a"),
            ]
        ).unique()

    # -- ties --------------------------------------------------------------------------------------------------

    @lazily
    def parties(self) -> pl.DataFrame:
        """(e, person), each once: suspects and victims of every event."""
        return pl.concat([self.events.suspects, self.events.victims]).unique()

    @lazily
    def ties(self) -> pl.DataFrame:
        """a < b, at: every two persons that a tie joins (households apart), and when the first tie came about."""
        most = load_settings().most_persons
        parties = self.parties.filter(pl.len().over("e") <= most)
        small = parties.select("e").unique().join(self.times.select("e", "at"), on="e")
        suspects = self.events.suspects.join(small, on="e")
        child = (
            self.events.involvement.filter(pl.col("role") == "child").select("e", child="person_id").unique()
        )
        around_child = (
            child.join(parties.join(small, on="e"), on="e")
            .filter(pl.col("child") != pl.col("person"))
            .group_by("child", "person")
            .agg(pl.col("at").min())
            .filter(pl.len().over("child") <= most)
        )
        kin = as_of(self.records, "relationship", self.t)
        order = as_of(self.records, "order", self.t)
        found = [
            self.events.pairs.join(small, on="e").select(a="suspect", b="victim", at="at"),
            suspects.join(suspects.select("e", b="person"), on="e").select(a="person", b="b", at="at"),
            around_child.join(around_child, on="child", suffix="_b").select(
                a="person", b="person_b", at=pl.max_horizontal("at", "at_b")
            ),
            kin.select(a="person_id_a", b="person_id_b", at="at"),
            order.select(a="respondent_id", b="protected_id", at="at"),
        ]
        return (
            pl.concat(found)
            .filter(pl.col("a") != pl.col("b"))
            .with_columns(a=pl.min_horizontal("a", "b"), b=pl.max_horizontal("a", "b"))
            .group_by("a", "b")
            .agg(pl.col("at").min())
        )

    @lazily
    def household(self) -> pl.DataFrame:
        """person, other, at, current: everyone who shared an address with a person, from either side."""
        rows = as_of(self.records, "household", self.t).filter(pl.col("person_id_a") != pl.col("person_id_b"))
        sides = [("person_id_a", "person_id_b"), ("person_id_b", "person_id_a")]
        return (
            pl.concat(rows.select("at", "ended_on", person=a, other=b) for a, b in sides)
            .group_by("person", "other")
            .agg(pl.col("at").min(), current=pl.col("ended_on").is_null().any())
        )

    @lazily
    def persons(self) -> pl.Series:
        """Everyone with a tie, sorted; the position is the person's number."""
        return pl.concat([self.ties["a"], self.ties["b"].rename("a")]).unique().sort().rename("person")

    @lazily
    def adjacency(self) -> tuple[Ints, NDArray[np.uint32], Ints]:
        """start (n + 1), neighbour, at: the ties of person k stand at start[k] .. start[k + 1]."""
        number = pl.DataFrame(self.persons).with_row_index("k")
        coded = (
            self.ties.join(number.rename({"person": "a", "k": "x"}), on="a")
            .join(number.rename({"person": "b", "k": "y"}), on="b")
            .select("x", "y", at=pl.col("at").to_physical())
        )
        x, y, at = (coded[c].to_numpy() for c in ("x", "y", "at"))
        source, target, when = np.concatenate((x, y)), np.concatenate((y, x)), np.concatenate((at, at))
        order = np.argsort(source, kind="stable")
        start = np.concatenate(([0], np.cumsum(np.bincount(source, minlength=self.persons.len()))))
        return start.astype(np.int64), target[order], when[order]

    def near(self, keys: pl.DataFrame) -> Iterator[pl.DataFrame]:
        """Everyone within two steps of the persons in ``keys`` (person, subject), in chunks: subject, step, at (when
        the way there was complete), other, what the other lately did; in order of subject and time."""
        number = pl.DataFrame(self.persons).with_row_index("k").with_columns(pl.col("k").cast(pl.Int64))
        mine = keys.join(number, on="person").sort("subject")
        who, subject = mine["k"].to_numpy(), mine["subject"].to_numpy()
        start, neighbour, _ = self.adjacency
        degree = np.diff(start)
        # Rows of the second step of each person: the degrees of the neighbours, summed.
        running = np.concatenate(([0], np.cumsum(degree[neighbour], dtype=np.int64)))
        load = running[start[who + 1]] - running[start[who]] + degree[who]
        chunk = np.cumsum(load) // _CHUNK
        for each in np.unique(np.append(chunk, 0)):  # a chunk of nobody has the right columns too
            part = chunk == each
            yield self._two_steps(who[part], subject[part])

    def _two_steps(self, who: Ints, subject: Ints) -> pl.DataFrame:
        start, neighbour, at = self.adjacency
        row, place = expand(start, who)
        first, came = neighbour[place].astype(np.int64), at[place]
        row2, place2 = expand(start, first)
        back = row[row2]
        second, came2 = neighbour[place2].astype(np.int64), np.maximum(came[row2], at[place2])
        away = second != who[back]
        width = np.int64(max(self.persons.len(), 1))
        one = pl.DataFrame({"key": row * width + first, "at": came})
        two = pl.DataFrame({"key": (back * width + second)[away], "at": came2[away]})
        further = two.join(one, on="key", how="anti").group_by("key").agg(pl.col("at").min())
        key = np.concatenate((one["key"].to_numpy(), further["key"].to_numpy()))
        when = np.concatenate((came, further["at"].to_numpy()))
        step = np.repeat(np.array([1, 2], dtype=np.int64), (one.height, further.height))
        whose = subject[key // width]
        order = by_subject_and_time(whose, when)
        other = (key % width)[order]
        return pl.DataFrame(
            {
                "subject": whose[order],
                "step": step[order],
                "at": pl.Series(when[order]).cast(_WHEN),
                "other": self.persons.gather(pl.Series(other)),
                **{name: values[other] for name, values in self._acts_by_number.items()},
            }
        )

    @lazily
    def _acts_by_number(self) -> dict[str, NDArray[Any]]:
        acts = pl.DataFrame(self.persons).join(self.acted, on="person", how="left", maintain_order="left")
        filled = acts.drop("person").with_columns(
            pl.col("recent_harm", "recent_events").fill_null(0), pl.col("serious").fill_null(False)
        )
        return {column.name: column.to_numpy() for column in filled}


def by_subject_and_time(subject: Ints, at: Ints) -> Ints:
    """The order of facts by (subject, at); one sort of packed numbers where times are whole seconds, as they are."""
    seconds, rest = np.divmod(at, 1_000_000)
    if rest.any() or (subject.size and (subject.max() >= 2**30 or np.abs(seconds).max() >= 2**32)):
        return np.lexsort((at, subject))
    return np.argsort((subject << 33) + (seconds + 2**32))


def expand(start: Ints, who: Ints) -> tuple[Ints, Ints]:
    """Rows of a compressed table for the entries ``who``: (position in ``who``, place in the table) of each."""
    number = start[who + 1] - start[who]
    row = np.repeat(np.arange(who.size), number)
    ends = np.cumsum(number)
    place = np.arange(row.size) - np.repeat(ends - number, number) + start[who][row]
    return row, place


# -- streams ---------------------------------------------------------------------------------------------------


class Asked(Protocol):
    """What a builder needs to know of who asks: ``facts.FactStore`` offers it."""

    keys: pl.DataFrame
    graph: Graph

    def owned(self, rows: pl.DataFrame, *columns: str) -> pl.DataFrame:
        """Rows with the number of the subject whose key the columns hold; rows of nobody asked for fall away."""


def facts(store: Asked, stream: str) -> pl.DataFrame:
    """Facts of one stream of relationships: subject, at, ref and every field of the stream."""
    return _BUILDERS[stream](store, stream)


def _dyads(store: Asked, stream: str) -> pl.DataFrame:
    own, other = ("suspect", "victim") if stream == "dyad_as_suspect" else ("victim", "suspect")
    dyads = store.graph.both_ways
    began = (
        pl.when(pl.col("began") == own)
        .then(pl.lit("self"))
        .when(pl.col("began") == other)
        .then(pl.lit("other"))
    )
    return store.owned(dyads.with_columns(shared=pl.len().over(other) > 1), own).select(
        "subject",
        "events",
        "shared",
        at="first",
        other=other,
        ref=other,
        both=pl.col("back").is_not_null(),
        began=began.otherwise("began"),
    )


def _dyad(store: Asked, _: str) -> pl.DataFrame:
    dyads = store.graph.both_ways
    forward = dyads.select(
        "suspect", "victim", "began", at=pl.min_horizontal("first", "back"), both=pl.col("back").is_not_null()
    )
    alone = dyads.filter(pl.col("back").is_null())  # the pair as seen from the side never suspected
    other_way = alone.select(
        suspect="victim", victim="suspect", began=pl.lit("victim"), at="first", both=pl.lit(False)
    )
    return store.owned(pl.concat([forward, other_way]), "suspect", "victim").select(
        "subject", "at", "both", "began", ref="began"
    )


def _others(store: Asked, stream: str) -> pl.DataFrame:
    """The victim's other suspects, or the suspect's other victims."""
    shared, other = ("victim", "suspect") if stream == "rival" else ("suspect", "victim")
    names = [c for c in store.keys.columns if c != "subject"]
    keys = store.keys.rename(dict(zip(names, ("suspect", "victim"), strict=True)))
    dyads = store.graph.dyads.select(pl.col(shared), "events", at="first", other=other)
    rows = keys.join(dyads, on=shared).filter(pl.col("other") != pl.col(other))
    return _with_acts(store, rows.select("subject", "at", "other", "events", ref="other"))


def _partners(store: Asked, stream: str) -> pl.DataFrame:
    columns = ("person", "other") if stream == "pair_partner" else ("person",)
    rows = store.owned(store.graph.partners.with_columns(ref="other"), *columns)
    names = ("subject", "at", "ref", "current", "new", "harmed", "children")
    return rows.select(*names) if stream == "pair_partner" else rows.select(*names, "other")


def _near(store: Asked, _: str) -> pl.DataFrame:
    keys = store.keys.rename({"person_id": "person"})
    return pl.concat(list(store.graph.near(keys))).with_columns(ref="other")


def _household(store: Asked, stream: str) -> pl.DataFrame:
    two = ("person", "other")
    shared = store.graph.household
    if stream == "pair_household":
        return store.owned(shared, *two).select("subject", "at", "current", ref="other")
    rows = store.owned(shared, "person").select("subject", "at", "other", "current", ref="other")
    return _with_acts(store, rows)


def _with_acts(store: Asked, rows: pl.DataFrame) -> pl.DataFrame:
    """Add what the other person was lately suspected of."""
    return rows.join(store.graph.acted.rename({"person": "other"}), on="other", how="left").with_columns(
        pl.col("recent_harm", "recent_events").fill_null(0), pl.col("serious").fill_null(False)
    )


_BUILDERS: dict[str, Callable[[Asked, str], pl.DataFrame]] = {
    "dyad_as_suspect": _dyads,
    "dyad_as_victim": _dyads,
    "dyad": _dyad,
    "rival": _others,
    "other_victim": _others,
    "partner": _partners,
    "pair_partner": _partners,
    "near": _near,
    "household_person": _household,
    "pair_household": _household,
}
STREAMS_HERE = tuple(_BUILDERS)
IN_ORDER = ("near",)
"""Streams whose facts come in order of subject and time already."""
