"""Streams of facts for the fast engine: as-of slices of the tables, joined once for all subjects.

Same meaning as ``features/streams.py`` says, by joins instead of loops. Only rows that touch the subjects asked
for are carried, and only the fields some feature asks for are made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from zoneinfo import ZoneInfo

import polars as pl

from features.asof import as_of
from features.engines import facts_network
from features.graph.settings import load_settings
from features.harm import load_scheme, price
from features.lazily import lazily
from features.records import Records
from features.streams import (
    CHARGED,
    DASH_QUESTIONS,
    GRADE_LEVEL,
    INJURY_LEVEL,
    NOT_SUPPORTED,
    OFFENCE_FIELDS,
    PARTNER_KINDS,
    STREAMS,
    TAG_FIELDS,
    WEAPONS,
)

LONDON = ZoneInfo("Europe/London")
_PRICE_COLUMNS = ("athena_urn", "cjs_code", "description")
_TAGS_OF_WEIGHT = {name: f"tag_{name}" for name in TAG_FIELDS}
_priced: list[
    tuple[pl.DataFrame, pl.DataFrame]
] = []  # the last few tables priced: weights do not depend on T


def priced(table: pl.DataFrame) -> pl.DataFrame:
    """A table of offences or convictions (all versions) with its harm, ``serious`` and one flag a tag field.

    Weights depend on the row alone, never on T, so the last few tables are remembered (by identity).
    """
    for known, result in _priced:
        if known is table:
            return result
    absent = [pl.lit(None, dtype=pl.String).alias(c) for c in _PRICE_COLUMNS if c not in table.columns]
    weighed = price(table.with_columns(absent), load_scheme())
    flags = [
        pl.any_horizontal([pl.col("tags").list.contains(tag) for tag in tags]).fill_null(False).alias(column)
        for (tags, column) in ((TAG_FIELDS[name], column) for name, column in _TAGS_OF_WEIGHT.items())
    ]
    result = weighed.with_columns(
        pl.col("harm_cd").fill_null(0), pl.col("serious").fill_null(False), *flags
    ).drop("tags", "harm_basis", "harm_assumed", "harm_shared", *(c.meta.output_name() for c in absent))
    _priced.insert(0, (table, result))
    del _priced[4:]
    return result


class Events:
    """Events as of T with their suspects, victims, pairs and offences; ``e`` numbers the events.

    ``people`` (a Series of person ids) keeps only events in which one of them is a suspect or a victim; None keeps
    all. What is kept is whole: every suspect, victim and offence of such an event.
    """

    def __init__(self, records: Records, t: datetime, people: pl.Series | None = None) -> None:
        events = as_of(records, "event", t).with_row_index("e")
        number = events.select("event_id", "e")
        self.involvement = as_of(records, "involvement", t).join(number, on="event_id")
        self.offence = as_of(records, "offence", t, priced(records.table("offence"))).join(
            number, on="event_id"
        )
        self.events = events
        if people is not None:
            in_it = pl.concat([self.suspects, self.victims]).filter(pl.col("person").is_in(people.implode()))
            relevant = in_it.select("e").unique()
            del self.suspects, self.victims
            self.events = events.join(relevant, on="e", how="semi")
            self.involvement = self.involvement.join(relevant, on="e", how="semi")
            self.offence = self.offence.join(relevant, on="e", how="semi")

    @lazily
    def suspects(self) -> pl.DataFrame:
        """(e, person), each once: everyone suspected in the event."""
        return _each_once(
            self.involvement.filter(pl.col("role") == "suspect").select("e", person="person_id"),
            self.offence.select("e", person="suspect_id"),
        )

    @lazily
    def victims(self) -> pl.DataFrame:
        """(e, person), each once: every victim of the event."""
        return _each_once(
            self.involvement.filter(pl.col("role") == "victim").select("e", person="person_id"),
            self.involvement.filter(pl.col("role") == "suspect").select("e", person="victim_id"),
            self.offence.select("e", person="victim_id"),
        )

    @lazily
    def pairs(self) -> pl.DataFrame:
        """(e, suspect, victim, inferred), each once: suspect by suspect, from the first source naming anyone; a crowd
        names nobody."""
        two = ["e", "suspect"]
        others = pl.col("suspect") != pl.col("victim")  # false where either is not named
        by_offence = self.offence.select("e", suspect="suspect_id", victim="victim_id").filter(others)
        told = self.involvement.filter(pl.col("role") == "suspect")
        by_role = told.select("e", suspect="person_id", victim="victim_id").filter(others)
        named = pl.concat([by_offence, by_role.join(by_offence, on=two, how="anti")]).unique()
        rest = self.suspects.rename({"person": "suspect"}).join(named, on=two, how="anti")
        rest = rest.join(self._crowds(rest.select("e").unique()), on="e", how="anti")
        everyone = rest.join(self.victims.rename({"person": "victim"}), on="e").filter(others)
        return pl.concat(
            [
                named.with_columns(inferred=pl.lit(False)),
                everyone.select("e", "suspect", "victim", inferred=pl.lit(True)),
            ]
        )

    def _crowds(self, events: pl.DataFrame) -> pl.DataFrame:
        """Those of ``events`` (e) with more parties than can be said to have met."""
        parties = pl.concat([self.suspects, self.victims]).join(events, on="e", how="semi").unique()
        return parties.group_by("e").len().filter(pl.col("len") > load_settings().most_persons).select("e")

    def facts(self, keys: pl.DataFrame, fields: Iterable[str]) -> pl.DataFrame:
        """Event facts: one row a row of ``keys`` (subject, e, and suspect and/or victim), with the fields asked."""
        wanted = set(fields)
        facts = keys.join(self.events.select("e", "event_id", "at", *self._own_fields(wanted)), on="e")
        if "primary" in wanted:
            by = (
                pl.col("primary_aggressor_id") == pl.col("suspect")
                if "suspect" in keys.columns
                else pl.lit(False)
            )
            facts = facts.with_columns(by.fill_null(False).alias("primary"))
        for side in ("suspect", "victim"):
            if f"told_by_{side}" in wanted:
                first = pl.col("first_reporter_id") == pl.col(side) if side in keys.columns else pl.lit(False)
                facts = facts.with_columns(first.fill_null(False).alias(f"told_by_{side}"))
        if wanted & OFFENCE_FIELDS:
            facts = facts.with_row_index("f")
            rolled = self._roll_up(facts, wanted)
            facts = facts.join(rolled, on="f", how="left").with_columns(
                pl.col(c).fill_null(False if rolled.schema[c] == pl.Boolean else 0)
                for c in rolled.columns
                if c != "f"
            )
            facts = facts.with_columns(
                (pl.col(name) | extra.fill_null(False)).alias(name)
                for name, extra in _FROM_EVENT.items()
                if name in wanted
            )
        return facts.rename({"event_id": "ref"})

    def _own_fields(self, wanted: set[str]) -> list[pl.Expr]:
        have: list[str] = [
            c for c in ("kind", "domestic", "abuse", "source", "alcohol", "drugs") if c in wanted
        ]
        have += [c for c in ("counter_allegation", "children_present") if c in wanted]
        have += ["primary_aggressor_id"] if "primary" in wanted else []
        have += ["first_reporter_id"] if wanted & {"told_by_suspect", "told_by_victim"} else []
        have += [f"{name}_recorded" for name in _FROM_EVENT if name in wanted]
        level = pl.col("injury").replace_strict(INJURY_LEVEL, default=None, return_dtype=pl.Int64)
        made = {
            "strangulation_recorded": pl.col("strangulation"),
            "weapon_recorded": pl.col("weapon").is_in(WEAPONS),
            "injury_level": level,
        }
        have += ["injury_level"] if "injury_level" in wanted else []
        return [made[name].alias(name) if name in made else pl.col(name) for name in have]

    def _roll_up(self, facts: pl.DataFrame, wanted: set[str]) -> pl.DataFrame:
        """Per fact (f): sum, maximum and flags over the offences whose names do not contradict the fact's. Only a
        crime has harm: an offence left on an event since recorded as no crime weighs nothing, as in the labels."""
        sides = [side for side in ("suspect", "victim") if side in facts.columns]
        crimes = self.events.filter(pl.col("kind") == "crime").select("e")
        offences = self.offence.join(crimes, on="e", how="semi").select(
            "e",
            "harm_cd",
            "serious",
            *_TAGS_OF_WEIGHT.values(),
            o_suspect="suspect_id",
            o_victim="victim_id",
            charged=pl.col("outcome_code").is_in(CHARGED).fill_null(False),
            not_supported=pl.col("outcome_code").is_in(NOT_SUPPORTED).fill_null(False),
        )
        matched = facts.select("f", "e", *sides).join(offences, on="e")
        for side in sides:
            matched = matched.filter(pl.col(f"o_{side}").is_null() | (pl.col(f"o_{side}") == pl.col(side)))
        made = {
            "harm_cd": pl.col("harm_cd").sum(),
            "max_harm_cd": pl.col("harm_cd").max(),
            "offences": pl.len().cast(pl.Int64),
            "serious": pl.col("serious").any(),
            "charged": pl.col("charged").any(),
            "not_supported": pl.col("not_supported").any(),
            **{name: pl.col(column).any() for name, column in _TAGS_OF_WEIGHT.items()},
        }
        return matched.group_by("f").agg(e.alias(name) for name, e in made.items() if name in wanted)


#: Offence flags that the event's own columns can raise too.
_FROM_EVENT = {"strangulation": pl.col("strangulation_recorded"), "weapon": pl.col("weapon_recorded")}


MANY = (
    2_000  # so many persons are in so many events that leaving the others out costs more than carrying them
)
_whole: list[tuple[Records, datetime, Events]] = []  # the last T's events, whole


def events_at(records: Records, t: datetime, people: pl.Series | None = None) -> Events:
    """Events as of T in which one of ``people`` is; for many people, or None, all events. The whole is kept for as long
    as the same records are asked about the same T: who there is, their relationships and each subject read it alike.
    """
    if people is not None and people.len() < MANY:
        return Events(records, t, people)
    for held, when, events in _whole:
        if held is records and when == t:
            return events
    events = Events(records, t)
    _whole[:] = [(records, t, events)]
    return events


def _each_once(*frames: pl.DataFrame) -> pl.DataFrame:
    return pl.concat(frames).drop_nulls("person").unique()


class FactStore:
    """The facts of given subjects as of T, stream by stream, made when first asked for.

    ``keys``: the subjects, key columns plus ``subject`` (Int64, 0 .. n-1). ``fields``: per stream, the fields
    that will be read. Facts come sorted by (subject, at), with ``subject``, ``at`` (Datetime), ``ref`` and the fields.
    """

    def __init__(
        self, records: Records, t: datetime, keys: pl.DataFrame, fields: dict[str, set[str]]
    ) -> None:
        self.records, self.t, self.keys, self.fields = records, t, keys, fields
        self._made: dict[str, pl.DataFrame] = {}
        names = [c for c in keys.columns if c != "subject"]
        self._dyad = len(names) == 2
        self._people = pl.concat([keys[c].rename("person") for c in names]).unique()

    def facts(self, stream: str) -> pl.DataFrame:
        """All facts of one stream for the subjects."""
        if stream not in self._made:
            made = _BUILDERS[stream](self)
            missing = [f for f in self.fields.get(stream, ()) if f not in made.columns]
            assert not missing, (stream, missing)
            in_order = stream in facts_network.IN_ORDER
            self._made[stream] = made if in_order else made.sort("subject", "at")
        return self._made[stream]

    @lazily
    def events(self) -> Events:
        return events_at(self.records, self.t, self._people)

    def _table(self, name: str, *person_columns: str) -> pl.DataFrame:
        """A table as of T, only rows in which one of the person columns names a subject."""
        rows = as_of(self.records, name, self.t)
        people = self._people.implode()
        return rows.filter(pl.any_horizontal([pl.col(c).is_in(people) for c in person_columns]))

    @lazily
    def graph(self) -> facts_network.Graph:
        """The relationships around the subjects as of T."""
        return facts_network.graph_at(self.records, self.t, self._people)

    def owned(self, rows: pl.DataFrame, *columns: str) -> pl.DataFrame:
        """Give each row its subject number; rows of nobody asked for fall away."""
        names = [c for c in self.keys.columns if c != "subject"]
        keys = self.keys.rename(dict(zip(names, columns, strict=True)))
        return rows.join(keys, on=list(columns))

    def event_facts(self, stream: str) -> pl.DataFrame:
        events = self.events
        if stream == "suspect_event":
            own = self.owned(events.suspects.rename({"person": "suspect"}), "suspect")
        elif stream == "victim_event":
            own = self.owned(events.victims.rename({"person": "victim"}), "victim")
        elif stream == "pair_event":
            own = self.owned(events.pairs, "suspect", "victim")
        elif stream == "reverse_event":
            own = self.owned(events.pairs, "victim", "suspect")
        elif stream == "pair_as_suspect":
            own = self.owned(events.pairs, "suspect")
        else:
            own = self.owned(events.pairs, "victim")
        facts = events.facts(own, self.fields[stream])
        if "suspect" in own.columns and "victim" in own.columns:
            other = "suspect" if stream in ("pair_as_victim", "reverse_event") else "victim"
            facts = facts.with_columns(pl.col(other).alias("other"))
        return facts

    def assessments(self, stream: str) -> pl.DataFrame:
        rows = as_of(self.records, "risk_assessment", self.t)
        if stream != "assessment_as_victim":
            named = self.events.suspects.join(self.events.events.select("e", "event_id"), on="e")
            unnamed = rows.filter(pl.col("suspect_id").is_null()).drop("suspect_id")
            inferred = unnamed.join(named.select("event_id", suspect_id="person"), on="event_id")
            rows = pl.concat([rows.drop_nulls("suspect_id"), inferred.select(rows.columns)])
        columns = {
            "assessment_as_suspect": ("suspect_id",),
            "assessment_as_victim": ("victim_id",),
            "pair_assessment": ("suspect_id", "victim_id"),
        }[stream]
        grade = pl.coalesce("grade_reviewed", "grade")
        answers = [pl.col(q) for q in DASH_QUESTIONS]
        return self.owned(rows, *columns).select(
            "subject",
            "at",
            "tool",
            ref="event_id",
            grade=grade.replace_strict(GRADE_LEVEL, default=None, return_dtype=pl.Int64),
            yes=pl.when(pl.any_horizontal([a.is_not_null() for a in answers])).then(
                pl.sum_horizontal([(a == "Y").fill_null(False).cast(pl.Int64) for a in answers])
            ),
        )

    def custody(self, _: str) -> pl.DataFrame:
        return self.owned(self._table("custody", "person_id"), "person_id").select(
            "subject", "at", "release", ref="custody_id", released=pl.col("released_at").is_not_null()
        )

    def bail(self, _: str) -> pl.DataFrame:
        return self.owned(self._table("bail", "person_id"), "person_id").select(
            "subject",
            "at",
            ref="bail_id",
            in_force=pl.col("cancelled_at").is_null() & self._not_past("until_at"),
            no_contact=pl.col("conditions").list.contains("no_contact").fill_null(False),
        )

    def orders(self, stream: str) -> pl.DataFrame:
        columns = {
            "order_as_respondent": ("respondent_id",),
            "order_as_protected": ("protected_id",),
            "pair_order": ("respondent_id", "protected_id"),
        }[stream]
        return self.owned(self._table("order", *columns), *columns).select(
            "subject",
            "at",
            "kind",
            "order_id",
            ref="order_id",
            in_force=pl.col("discharged_on").is_null() & self._not_past("expires_on"),
        )

    def breaches(self, stream: str) -> pl.DataFrame:
        rows = self._table("breach", "person_id")
        if stream == "breach":
            own = self.owned(rows, "person_id")
        else:
            protected = as_of(self.records, "order", self.t).select("order_id", "protected_id").unique()
            own = self.owned(rows.join(protected, on="order_id"), "person_id", "protected_id")
        return own.select(
            "subject",
            "at",
            ref="breach_id",
            of_order=pl.col("order_id").is_not_null(),
            of_bail=pl.col("bail_id").is_not_null(),
        )

    def markers(self, _: str) -> pl.DataFrame:
        return self.owned(self._table("marker", "person_id"), "person_id").select(
            "subject", "at", "code", ref="code", in_force=self._not_past("expires_on")
        )

    def convictions(self, _: str) -> pl.DataFrame:
        rows = as_of(self.records, "conviction", self.t, priced(self.records.table("conviction")))
        flags = {name: pl.col(column) for name, column in _TAGS_OF_WEIGHT.items()}
        return self.owned(rows, "person_id").select(
            "subject", "at", "disposal", "custody_days", "serious", ref="conviction_id", **flags
        )

    def wanted(self, _: str) -> pl.DataFrame:
        return self.owned(self._table("wanted", "person_id"), "person_id").select(
            "subject",
            "at",
            ref=pl.col("circulated_at").cast(pl.String),
            current=pl.col("cleared_at").is_null(),
        )

    def spells(self, stream: str) -> pl.DataFrame:
        own = self.owned(self._table("spell", "person_id"), "person_id")
        if stream == "release":
            own = own.filter(pl.col("state").is_in(["prison", "remand"]) & pl.col("ended_on").is_not_null())
            return own.select("subject", "state", at="ended_on", ref="state")
        return own.select("subject", "at", "state", ref="state", current=pl.col("ended_on").is_null())

    def calls(self, stream: str) -> pl.DataFrame:
        column = "suspect_id" if stream == "call_as_suspect" else "victim_id"
        return self.owned(self._table("call", column), column).select(
            "subject", "at", "grade", "caller_role", ref="call_id"
        )

    def relationships(self, stream: str) -> pl.DataFrame:
        rows = self._table("relationship", "person_id_a", "person_id_b")
        rows = rows.filter(pl.col("person_id_a") != pl.col("person_id_b"))
        flipped = rows.rename({"person_id_a": "person_id_b", "person_id_b": "person_id_a"}).select(
            rows.columns
        )
        sides = pl.concat([rows, flipped]).with_columns(
            other=pl.col("person_id_b"), partner=pl.col("kind").is_in(PARTNER_KINDS)
        )
        pair = stream.startswith("pair_")
        own = self.owned(sides, "person_id_a", "person_id_b") if pair else self.owned(sides, "person_id_a")
        if stream.endswith("separation"):
            own = own.filter(pl.col("partner") & pl.col("ended_on").is_not_null())
            return own.select("subject", "other", at="ended_on", ref="other")
        return own.select(
            "subject",
            "at",
            "kind",
            "other",
            "partner",
            ref="kind" if pair else "other",
            current=pl.col("ended_on").is_null(),
            shared_child=pl.col("shared_child"),
        )

    def person(self, _: str) -> pl.DataFrame:
        today = self.t.astimezone(LONDON).date()
        born = pl.col("date_of_birth")
        before_birthday = (born.dt.month() > today.month) | (
            (born.dt.month() == today.month) & (born.dt.day() > today.day)
        )
        age = pl.lit(today.year, dtype=pl.Int64) - born.dt.year() - before_birthday.cast(pl.Int64)
        return self.owned(self._table("person", "person_id"), "person_id").select(
            "subject",
            at=pl.lit(self.t).cast(pl.Datetime("us", "UTC")),
            ref="person_id",
            age=pl.when(born <= today).then(age),
        )

    def _not_past(self, column: str) -> pl.Expr:
        return pl.col(column).is_null() | (pl.col(column) > pl.lit(self.t).cast(pl.Datetime("us", "UTC")))


_Builder = Callable[[FactStore], pl.DataFrame]


def _builder(method: Callable[[FactStore, str], pl.DataFrame], stream: str) -> _Builder:
    return lambda store: method(store, stream)


_METHODS: dict[Callable[..., pl.DataFrame], tuple[str, ...]] = {
    FactStore.event_facts: (
        "suspect_event", "victim_event", "pair_as_suspect", "pair_as_victim", "pair_event", "reverse_event",
    ),
    FactStore.assessments: ("assessment_as_suspect", "assessment_as_victim", "pair_assessment"),
    FactStore.custody: ("custody",),
    FactStore.bail: ("bail",),
    FactStore.orders: ("order_as_respondent", "order_as_protected", "pair_order"),
    FactStore.breaches: ("breach", "pair_breach"),
    FactStore.markers: ("marker",),
    FactStore.convictions: ("conviction",),
    FactStore.wanted: ("wanted",),
    FactStore.spells: ("spell", "release"),
    FactStore.calls: ("call_as_suspect", "call_as_victim"),
    FactStore.relationships: ("relationship", "pair_relationship", "separation", "pair_separation"),
    FactStore.person: ("person",),
    facts_network.facts: facts_network.STREAMS_HERE,
}  # fmt: skip
_BUILDERS: dict[str, _Builder] = {
    stream: _builder(method, stream) for method, streams in _METHODS.items() for stream in streams
}
assert set(_BUILDERS) == set(STREAMS)
