"""Which records stand behind a number: the facts that one column of one subject counts, newest first.

The same facts, the same cut at T and the same conditions as the column itself (the fast engine's own), so a reason
can never cite a record that the number does not rest on.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from threading import local

import polars as pl

from features.asof import micros
from features.catalogue import KEYS, Catalogue, Column, Feature
from features.engines.facts import FactStore
from features.engines.fast import fields_read, meets
from features.engines.kernels import DAY
from features.errors import InputError
from features.records import Records
from features.streams import STREAMS

_SHAPE = {
    "reference": pl.String(),
    "at": pl.Datetime("us", "UTC"),
    "says": pl.String(),
    "kind": pl.String(),
    "harm_days": pl.Float64(),
}
_LAST = local()
"""The subject a thread asked about last, with its facts."""


def evidence(
    records: Records, subject_row: Mapping[str, str], t: datetime, column: str
) -> list[tuple[str, datetime]]:
    """(reference, time) of each record that a column of one subject counts at T, newest first, each once.

    ``subject_row`` holds the key: person_id (an offender's column, else a victim's), or suspect_id and victim_id.
    The reference is an event_id where the fact is an event or an assessment; otherwise what names the record in its
    own table (order_id, custody_id, a marker's code ...). Empty when nothing qualifies, and for a person's age.
    """
    rows = evidence_frame(records, subject_row, t, column)
    return list(dict.fromkeys(zip(rows["reference"].to_list(), rows["at"].to_list(), strict=True)))


def evidence_frame(
    records: Records, subject_row: Mapping[str, str], t: datetime, column: str
) -> pl.DataFrame:
    """As :func:`evidence`, as a frame: reference, at, says (what the record is), kind and harm_days of an event.

    A sum cites what adds to it; a maximum, a latest value and a recency cite the records that decide them; a
    formula cites what its inputs cite. Raises InputError for an unknown column or a row without a key.
    """
    wanted, key = _resolve(records.declared, subject_row, column)
    catalogue = records.declared
    columns = [catalogue.column(wanted.feature.subject, name) for name in wanted.inputs] or [wanted]
    store = _store(records, wanted.feature.subject, t, key)
    parts = [_cited(store, each, t) for each in columns if each.feature.source != "person"]
    if not parts:
        return pl.DataFrame(schema=_SHAPE)
    return pl.concat(parts).unique().sort("at", "reference", "says", descending=[True, False, False])


def _cited(store: FactStore, column: Column, t: datetime) -> pl.DataFrame:
    feature = column.feature
    facts = store.facts(feature.source).filter(*[meets(condition) for condition in feature.where])
    if feature.value:
        facts = facts.filter(pl.col(feature.value).is_not_null())
    if column.window is not None:
        facts = facts.filter(pl.col("at").to_physical() > micros(t) - column.window * DAY)
    has_harm = "harm_cd" in facts.columns
    kind = pl.col("kind") if "kind" in facts.columns else pl.lit(None, dtype=pl.String)
    return _deciding(facts, feature).select(
        reference="ref",
        at="at",
        says=pl.lit(STREAMS[feature.source].says),
        kind=kind,
        harm_days=pl.col("harm_cd") / 100 if has_harm else pl.lit(None, dtype=pl.Float64),
    )


def _deciding(facts: pl.DataFrame, feature: Feature) -> pl.DataFrame:
    """Of the facts that qualify, those the aggregate rests on."""
    if feature.aggregate == "sum":
        return facts.filter(pl.col(feature.value) != 0)
    if feature.aggregate == "max":
        return facts.filter(pl.col(feature.value) == pl.col(feature.value).max(), pl.col(feature.value) != 0)
    if feature.aggregate in ("last", "days_since"):
        facts = facts.filter(pl.col("at") == pl.col("at").max())
        return (
            facts if not feature.value else facts.filter(pl.col(feature.value) == pl.col(feature.value).max())
        )
    if feature.aggregate == "days_first":
        return facts.filter(pl.col("at") == pl.col("at").min())
    return facts


def _resolve(
    catalogue: Catalogue, subject_row: Mapping[str, str], name: str
) -> tuple[Column, dict[str, str]]:
    """The column meant and the key given."""
    for subject in ("dyad",) if "suspect_id" in subject_row else ("offender", "victim"):
        for column in catalogue.columns(subject):
            if column.name == name:
                absent = [k for k in KEYS[subject] if not subject_row.get(k)]
                if absent:
                    raise InputError(
                        f"the subject lacks {absent[0]}", where="evidence", cure="Give its whole key."
                    )
                return column, {k: subject_row[k] for k in KEYS[subject]}
    raise InputError(
        f"the catalogue has no column {name!r} for such a subject",
        where="evidence",
        cure="docs/data-dictionary.md lists them all.",
    )


def _store(records: Records, subject: str, t: datetime, key: Mapping[str, str]) -> FactStore:
    """The subject's facts as of T; asked for again (a reason cites several columns), they are at hand."""
    asked = (subject, t, tuple(key.values()))
    last: tuple[Records, tuple[object, ...], FactStore] | None = getattr(_LAST, "held", None)
    if last is not None and last[0] is records and last[1] == asked:
        return last[2]
    keys = pl.DataFrame({**{name: [value] for name, value in key.items()}, "subject": [0]})
    fields = fields_read(records.declared.columns(subject))
    for read in fields.values():
        read.update(f for f in ("kind", "harm_cd") if "domestic" in read)
    store = FactStore(records, t, keys, fields)
    _LAST.held = (records, asked, store)
    return store
