"""Which store a fact lives in: what a feature may see, what names and finds people, what only an audit may see.

* ``records``: all that a feature, a label or a score may see. No name, place, sex, ethnicity or programme, and
  nothing that police set going themselves: an event whose source is police_proactive measures deployment.
* ``identity``: names, places, contacts and plans, for pages and sheets.
* ``audit``: protected characteristics, programmes and police-initiated records, for tests of fairness and effect.

A person under restriction (``no_processing``) is in none of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from features.clocks import ALWAYS, in_order
from features.households import households
from features.schema import DERIVED, SPECS, UTC_TIME

Tables = dict[str, pl.DataFrame]

PROACTIVE = "police_proactive"
SPAN = ("known_from", "known_to")
NOT_IN_RECORDS = {
    "event": ("address_id", "district", "officer_in_charge"),
    "order": ("conditions_text",),
}
ONLY_IN_RECORDS = {
    "person": ("person_id", "date_of_birth", "deceased_on", "access"),
    "call": ("call_id", "received_at", "grade", "caller_role", "victim_id", "suspect_id", "event_id"),
}
RECORD_TABLES = (
    "person", "event", "offence", "involvement", "relationship", "risk_assessment", "custody", "bail",
    "conviction", "spell", "order", "breach", "marker", "wanted", "call",
)  # fmt: skip
DERIVED_TABLES = ("household",)
"""Tables of the record store that are made here from others: who shared an address, without the address."""
CHAIN = {"custody": "custody_id", "bail": "bail_id"}
"""Tables, in the order of ``RECORD_TABLES``, whose rows others hang on besides the event."""
IDENTITY_TABLES = (
    "alias", "address", "residence", "team", "call", "order", "disclosure", "victim_plan", "promise", "contact",
)  # fmt: skip
EVENT_PLACE = ("event_id", "address_id", "district", "reference", "officer_in_charge", "response")
PROTECTED = ("sex", "ethnicity_self", "ethnicity_observed")


@dataclass(frozen=True)
class Stores:
    """The three stores and what the split took out: ``restricted_persons``, ``restricted_rows`` by table."""

    records: Tables
    identity: Tables
    audit: Tables
    restricted_persons: int
    restricted_rows: dict[str, int]


def split(tables: Mapping[str, pl.DataFrame]) -> Stores:
    """Canonical tables -> the three stores (shape of each: module text and docs/records.md)."""
    restricted = restricted_persons(tables["person"])
    taken: dict[str, int] = {}
    free: Tables = {}
    for name, frame in tables.items():
        free[name] = without_restricted(name, frame, restricted)
        if lost := frame.height - free[name].height:
            taken[name] = lost

    records, identity, audit = apart(free, proactive_spans(free["event"]), {})
    records["household"] = households(free)
    return Stores(records, identity, audit, restricted.len(), taken)


def apart(
    free: Mapping[str, pl.DataFrame], event_spans: pl.DataFrame, set_apart: Mapping[str, pl.DataFrame]
) -> tuple[Tables, Tables, Tables]:
    """Canonical tables without restricted persons -> tables of the records, identity and audit stores.

    ``event_spans``: :func:`proactive_spans` of the events that rows may hang on. ``set_apart``: rows of ``custody`` and
    ``bail`` that were set apart before, when these tables are only what is being added to a load.
    """
    records: Tables = {}
    audit: Tables = {
        "person_protected": free["person"].select("person_id", *PROTECTED, *SPAN),
        "intervention": free["intervention"],
    }
    spans = {"event_id": event_spans}
    for name in RECORD_TABLES:
        seen, audit_part = _apart(name, free[name], spans)
        if name in ("event", "breach") or "event_id" in SPECS[name].dtypes:
            audit[f"proactive_{name}"] = audit_part
        if (
            name in CHAIN
        ):  # bail hangs on an arrest and a breach on bail: what police set going runs down the chain
            before = [set_apart[name].select(audit_part.columns)] if name in set_apart else []
            spans[CHAIN[name]] = hidden_spans(pl.concat([*before, audit_part]), CHAIN[name])
        if name == "event":
            place = seen.select(*EVENT_PLACE, *SPAN)
        keep = ONLY_IN_RECORDS.get(name, tuple(SPECS[name].dtypes))
        hidden = NOT_IN_RECORDS.get(name, ())
        records[name] = seen.select(*(c for c in keep if c not in hidden), *SPAN)

    identity: Tables = {"person": free["person"].drop("ethnicity_self", "ethnicity_observed")}
    identity |= {name: free[name] for name in IDENTITY_TABLES}
    identity["event_place"] = place
    return records, identity, audit


def empty_rows(name: str) -> pl.DataFrame:
    """A contract table without rows, as canonical tables are."""
    return SPECS[name].empty().with_columns(pl.lit(None, dtype=UTC_TIME).alias(c) for c in SPAN)


def empty_table(name: str) -> pl.DataFrame:
    """A derived table without rows."""
    return DERIVED[name].empty().with_columns(pl.lit(None, dtype=UTC_TIME).alias(c) for c in SPAN)


def restricted_persons(person: pl.DataFrame) -> pl.Series:
    """person_id whose newest version carries no_processing. Restriction is lawful at every T, so no clock."""
    newest = person.sort("person_id", "known_from").unique("person_id", keep="last", maintain_order=True)
    return newest.filter(pl.col("no_processing").fill_null(False))["person_id"]


def without_restricted(name: str, frame: pl.DataFrame, restricted: pl.Series) -> pl.DataFrame:
    """Take out the rows that are about a restricted person and blank the other pointers to one."""
    spec = SPECS[name]
    if restricted.is_empty():
        return frame
    gone = restricted.implode()
    about = ["person_id"] if name == "person" else list(spec.subjects)
    for column in about:
        frame = frame.filter(~pl.col(column).is_in(gone).fill_null(False))
    pointers = [c for c, (table, _) in spec.parents.items() if table == "person" and c not in about]
    if not pointers:
        return frame
    blanked = frame.with_columns(pl.when(~pl.col(c).is_in(gone)).then(pl.col(c)).alias(c) for c in pointers)
    # Two rows told apart only by whom they named are now one.
    return blanked.unique([*spec.key, "known_from"], keep="first", maintain_order=True)


def proactive_spans(event: pl.DataFrame) -> pl.DataFrame:
    """event_id, span_from, span_to, proactive: the stretches of an event's knowledge, for events that were ever
    police-initiated. A source corrected later moves the event only from then on, so that no later edit changes
    what was seen at T."""
    ever = event.filter(pl.col("source") == PROACTIVE)["event_id"].unique()
    stretch = (
        event.filter(pl.col("event_id").is_in(ever.implode()))
        .select("event_id", "known_from", proactive=(pl.col("source") == PROACTIVE).fill_null(False))
        .sort("event_id", "known_from")
        .with_columns(before=pl.col("proactive").shift(1).over("event_id"))
        .filter(pl.col("before").is_null() | (pl.col("before") != pl.col("proactive")))
    )
    # Until the event itself is known nobody can know that police set it going: rows entered before it stay.
    unknown = stretch.filter(pl.col("before").is_null() & pl.col("proactive")).select(
        "event_id",
        proactive=pl.lit(False),
        span_from=pl.lit(ALWAYS, dtype=UTC_TIME),
        span_to=pl.col("known_from"),
    )
    known = stretch.select(
        "event_id",
        "proactive",
        span_from=pl.when(pl.col("before").is_null() & ~pl.col("proactive"))
        .then(pl.lit(ALWAYS, dtype=UTC_TIME))
        .otherwise(pl.col("known_from")),
        span_to=pl.col("known_from").shift(-1).over("event_id"),
    )
    return pl.concat([unknown, known]).sort("event_id", "span_from")


def hidden_spans(hidden: pl.DataFrame, key: str) -> pl.DataFrame:
    """As :func:`proactive_spans` for rows that were themselves set apart: ``key``, span_from, span_to, proactive.

    ``hidden`` is the part of a table set apart; a row that hangs on one of them is set apart while it is.
    """
    rows = hidden.select(key, "known_from", "known_to").sort(key, "known_from")
    apart = rows.select(key, proactive=pl.lit(True), span_from="known_from", span_to="known_to")
    before = rows.select(
        key,
        proactive=pl.lit(False),
        span_from=pl.col("known_to").shift(1).over(key).fill_null(pl.lit(ALWAYS, dtype=UTC_TIME)),
        span_to="known_from",
    )
    after = (
        rows.group_by(key, maintain_order=True)
        .last()
        .filter(pl.col("known_to").is_not_null())
        .select(key, proactive=pl.lit(False), span_from="known_to", span_to=pl.lit(None, dtype=UTC_TIME))
    )
    return pl.concat([before, apart, after]).sort(key, "span_from", "proactive")


def _apart(
    name: str, frame: pl.DataFrame, spans: Mapping[str, pl.DataFrame]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(what a feature may see, what police set going) of one table; ``spans``: pointing column -> stretches."""
    seen, own = frame, frame.clear()
    if name == "breach":
        proactive = (pl.col("source") == PROACTIVE).fill_null(False)
        seen, own = frame.filter(~proactive), frame.filter(proactive)
    for column, stretches in spans.items():
        points = column == "event_id" or column in SPECS[name].parents
        if points and column in frame.columns and not stretches.is_empty():
            seen, more = _hang(seen, column, stretches)
            own = pl.concat([own, more])
    if own.is_empty():
        return frame, own
    spec = SPECS[name]
    return in_order(spec, seen), in_order(spec, own)


def _hang(frame: pl.DataFrame, column: str, spans: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows cut where what they point to was set apart: (what stays, what goes along)."""
    touched = pl.col(column).is_in(spans[column].unique().implode()).fill_null(False)
    cut = (
        frame.filter(touched)
        .join(spans, on=column, how="left", maintain_order="left_right")
        .with_columns(
            known_from=pl.max_horizontal("known_from", "span_from"),
            known_to=pl.min_horizontal("known_to", "span_to"),
        )
        .filter(pl.col("known_to").is_null() | (pl.col("known_from") < pl.col("known_to")))
    )
    stays = pl.concat([frame.filter(~touched), cut.filter(~pl.col("proactive")).select(frame.columns)])
    return stays, cut.filter("proactive").select(frame.columns)
