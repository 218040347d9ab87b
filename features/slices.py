"""A small record store cut from a large one: all that can matter for some persons, at any T, and little else.

A feature of a person reads that person's own rows, the whole of each event they are in (who else was there, what was
charged to whom) and, since relationships are features too, the same of the people they are tied to. :func:`around`
takes exactly those rows, every version of them, so that a history computed on the slice has the same bits as one
computed on the whole store. It is how a partition of a nation is made, and how one person can be asked for alone.

The cut knows no T: it follows every tie that was ever recorded, so it can only hold more than a history needs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace

import polars as pl

from features.records import Records

POINTERS: dict[str, tuple[str, ...]] = {
    "person": ("person_id",),
    "event": ("primary_aggressor_id", "first_reporter_id"),
    "offence": ("suspect_id", "victim_id"),
    "involvement": ("person_id", "victim_id"),
    "relationship": ("person_id_a", "person_id_b"),
    "risk_assessment": ("victim_id", "suspect_id"),
    "custody": ("person_id",),
    "bail": ("person_id",),
    "conviction": ("person_id",),
    "spell": ("person_id",),
    "order": ("respondent_id", "protected_id"),
    "breach": ("person_id",),
    "marker": ("person_id",),
    "wanted": ("person_id",),
    "call": ("victim_id", "suspect_id"),
    "household": ("person_id_a", "person_id_b"),
}
"""Table of the record store -> the columns by which a row belongs to a person."""
OF_EVENT = ("event", "offence", "involvement", "risk_assessment")
"""Tables whose rows go with their event, whoever they name."""
IN_EVENT = ("offence", "involvement", "event")
"""Tables that say who is in an event."""
PAIRS = ("relationship", "order", "household")
"""Tables that tie the two persons their row names."""


def around(records: Records, persons: pl.Series, steps: int = 2) -> Records:
    """The records that can influence any history of ``persons``, at any T.

    Parameters
    ----------
    records: the record store.
    persons: person ids (String); repeats and unknown ids do no harm.
    steps: how many ties away from them a feature may look (the network features look two steps far). A tie is a
        common event, a child who is in an event of each, a row of ``relationship``, ``order`` or ``household``, or
        a link between two nominals, at any time.

    Returns a record store with the same tables, rows in the same order: every row of these persons and of everyone
    within ``steps`` ties of them, and whole every event that any of them is in. Its ``load_id`` names the slice.
    """
    near = within(records, persons, steps)
    events = _events_of(records, near)
    tables = {
        name: frame.filter(_belongs(name, frame, near, events)) for name, frame in records.tables.items()
    }
    digest = hashlib.sha256("\n".join(sorted(set(persons.drop_nulls().to_list()))).encode()).hexdigest()[:12]
    return replace(records, load_id=f"{records.load_id}/around-{digest}-{steps}", tables=tables)


def within(records: Records, persons: pl.Series, steps: int) -> pl.Series:
    """``persons`` and everyone who is at most ``steps`` ties away from one of them, at any time; sorted."""
    near = _with_linked(records, persons.drop_nulls().cast(pl.String).unique())
    for _ in range(steps):
        reached = _step(records, near)
        if reached.len() == near.len():
            break
        near = reached
    return near.sort()


def _step(records: Records, near: pl.Series) -> pl.Series:
    """One tie further, those already near among them."""
    events = _events_of(records, near)
    company = _people_of(records, events)
    # A child in an event of each ties two parents who never were in one event together.
    part, there = records.table("involvement"), _with_linked(records, company)
    children = part.filter((pl.col("role") == "child") & pl.col("person_id").is_in(there.implode()))
    theirs = _events_of(records, _with_linked(records, children["person_id"].unique()))
    found = [near, company, _people_of(records, theirs)]
    for name in PAIRS:
        if name in records.tables:
            frame = records.table(name)
            found += _columns(name, frame.filter(_named(name, frame, near)))
    return _with_linked(records, pl.concat(found).drop_nulls().unique())


def _with_linked(records: Records, persons: pl.Series) -> pl.Series:
    """Persons and every nominal that a chain of links could ever put into one cluster with one of them."""
    pairs = linked_pairs(records)
    while pairs is not None:
        near = persons.implode()
        hit = pairs.filter(pl.col("person_id_a").is_in(near) | pl.col("person_id_b").is_in(near))
        more = pl.concat([persons, hit["person_id_a"], hit["person_id_b"]]).unique()
        if more.len() == persons.len():
            break
        persons = more
    return persons


def linked_pairs(records: Records) -> pl.DataFrame | None:
    """person_id_a, person_id_b of every pair of nominals with any evidence, or a decision, that they are one person;
    None when the nominals of this load were never linked."""
    links = getattr(records, "links", None)
    if links is None:
        return None
    columns = ("person_id_a", "person_id_b")
    frames = [links.pairs.select(columns)]
    decisions = links.decisions
    if isinstance(decisions, pl.DataFrame) and decisions.height:
        frames.append(decisions.select(columns))
    return pl.concat(frames).unique()


def _events_of(records: Records, persons: pl.Series) -> pl.Series:
    """Ids of the events that any of the persons is in, in any version of any row."""
    found = [
        records.table(name).filter(_named(name, records.table(name), persons))["event_id"]
        for name in IN_EVENT
    ]
    return pl.concat(found).drop_nulls().unique()


def _people_of(records: Records, events: pl.Series) -> pl.Series:
    """Everyone in any of the events."""
    among = events.implode()
    found = [pl.Series("person", [], dtype=pl.String)]
    for name in ("offence", "involvement"):
        found += _columns(name, records.table(name).filter(pl.col("event_id").is_in(among)))
    return pl.concat(found).drop_nulls().unique()


def _belongs(name: str, frame: pl.DataFrame, near: pl.Series, events: pl.Series) -> pl.Expr:
    """Is a row of this table in the slice? A table nobody told us about is kept whole."""
    if name not in POINTERS:
        return pl.lit(True)
    mine = _named(name, frame, near)
    return mine | pl.col("event_id").is_in(events.implode()).fill_null(False) if name in OF_EVENT else mine


def _named(name: str, frame: pl.DataFrame, persons: pl.Series) -> pl.Expr:
    among = persons.implode()
    return pl.any_horizontal(
        [pl.col(c).is_in(among).fill_null(False) for c in POINTERS[name] if c in frame.columns]
    )


def _columns(name: str, frame: pl.DataFrame) -> Iterator[pl.Series]:
    return (frame[column].rename("person") for column in POINTERS[name])
