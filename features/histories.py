"""Histories as of T: one row a subject, one column a feature and window, by either engine.

The one function training, the nightly list and a single live answer all call. What a history may see is decided in
``features.asof``; what a column means, in the catalogue; this module only puts the two together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Protocol

import polars as pl

from features.asof import micros
from features.catalogue import KEYS, Catalogue, Column, check_subject
from features.engines import fast, reference, single
from features.engines.formulas import Cells, combine, in_unit, show, worked_out
from features.errors import InputError
from features.records import Records


class Engine(Protocol):
    """What an engine offers: who there is at T, and integer cells of columns for given subjects."""

    def subjects(self, records: Records, subject: str, t: datetime) -> pl.DataFrame:
        """Key columns of every subject at T, sorted."""

    def compute(
        self, records: Records, subject: str, t: datetime, keys: pl.DataFrame, columns: Sequence[Column]
    ) -> dict[str, Cells]:
        """Cells by column name, in the order of ``keys``."""


FEW = 16
"""Up to so many subjects an answer is put together row by row, and "auto" takes the engine for single persons."""
ENGINES: dict[str, Engine] = {"fast": fast, "reference": reference, "single": single}
SPARK = "spark"
"""The fast engine on partitions inside Apache Spark (``features.engines.spark``, docs/national.md)."""


def subjects_at(records: Records, subject: str, t: datetime, engine: str = "fast") -> pl.DataFrame:
    """Everyone who has a history at T: persons suspected (offender) or victims (victim) in a domestic event known
    at T, or pairs of one (dyad). Key columns, sorted; ``domestic`` U makes nobody a subject."""
    micros(t)
    _keys_of(subject)
    return _engine("fast" if engine == SPARK else engine).subjects(records, subject, t)


def left_out(records: Records, subject: str) -> dict[str, str]:
    """Features this extract cannot feed: name -> the table or column it lacks. Their columns are absent."""
    return records.declared.left_out(subject, records.missing)


def histories(
    records: Records,
    subject: str,
    as_of: datetime,
    subjects: pl.DataFrame | None = None,
    engine: str = "fast",
    columns: Sequence[str] | None = None,
) -> pl.DataFrame:
    """Feature rows as known at ``as_of``.

    Parameters
    ----------
    records: the record store of a load.
    subject: "offender" or "victim" (key person_id), or "dyad" (keys suspect_id, victim_id).
    as_of: timezone-aware moment T; nothing recorded, or happening, after it is seen.
    subjects: the subjects wanted (their key columns; others are ignored, repeats count once); None = subjects_at.
    engine: "fast"; "reference" (plain Python, slow); "single" (for a few persons); "auto" takes "single" for a short
        list of subjects and "fast" for the rest; "spark" (the fast one on partitions inside Apache Spark, an extra).
        All give the same bits.
    columns: names of the columns wanted, in the order wanted; None = all of the catalogue. A column the extract
        cannot feed is absent (see :func:`left_out`).

    Returns the key columns, sorted, then one Int64 or Float64 column each. Null = not applicable or never happened.
    Raises InputError for an unknown subject, engine or column, missing or empty keys, or a T without time zone.
    """
    micros(as_of)
    _keys_of(subject)
    if engine == SPARK:
        from features.engines import spark  # an extra: PySpark and Java are asked for only here

        asked = None if subjects is None else _given(subjects, subject)
        return spark.histories(records, subject, as_of, asked, columns)
    if engine == "auto":
        engine = "single" if subjects is not None and subjects.height <= FEW else "fast"
    runner = _engine(engine)
    plan = _plan(records.declared, subject, records.missing, None if columns is None else tuple(columns))
    keys = runner.subjects(records, subject, as_of) if subjects is None else _given(subjects, subject)
    cells = runner.compute(records, subject, as_of, keys, plan.computed)
    if keys.height <= FEW:
        return _few(keys, plan, cells)
    made = [
        combine(column, [cells[name] for name in column.inputs])
        if column.feature.formula
        else show(column, cells[column.name])
        for column in plan.shown
    ]
    return keys.hstack(made)


def _few(keys: pl.DataFrame, plan: _Plan, cells: dict[str, Cells]) -> pl.DataFrame:
    """The same table as for many subjects, put together row by row: a column at a time costs more than one person."""
    table: dict[str, list[object]] = {}
    for column in plan.shown:
        values, valid = (
            worked_out(column, [cells[name] for name in column.inputs])
            if column.feature.formula
            else in_unit(column, cells[column.name])
        )
        there = zip(values.tolist(), valid.tolist(), strict=True)
        table[column.name] = [value if known else None for value, known in there]
    rows = [
        dict(zip(plan.schema, row, strict=True))
        for row in zip(*(keys[name].to_list() for name in keys.columns), *table.values(), strict=True)
    ]
    return pl.from_dicts(rows, schema=plan.schema) if rows else pl.DataFrame(schema=plan.schema)


@dataclass(frozen=True)
class _Plan:
    """What a question asks for: columns shown, columns an engine computes, and the schema of the answer."""

    shown: list[Column]
    computed: list[Column]
    schema: dict[str, pl.DataType]


@lru_cache(maxsize=32)
def _plan(
    catalogue: Catalogue, subject: str, missing: frozenset[str], columns: tuple[str, ...] | None
) -> _Plan:
    """The plan of a question; asked again (a page asks for one person after another) it is at hand."""
    shown = _shown(catalogue, subject, missing, columns)
    by_name = {column.name: column for column in catalogue.columns(subject)}
    inputs = [by_name[name] for column in shown for name in column.inputs]
    computed = list(dict.fromkeys([c for c in shown if not c.feature.formula] + inputs))
    schema: dict[str, pl.DataType] = {name: pl.String() for name in KEYS[subject]}
    schema |= {c.name: pl.Float64() if c.feature.is_float else pl.Int64() for c in shown}
    return _Plan(shown, computed, schema)


def _shown(
    catalogue: Catalogue, subject: str, missing: frozenset[str], columns: tuple[str, ...] | None
) -> list[Column]:
    lost = catalogue.left_out(subject, missing)
    wanted = catalogue.columns(subject)
    if columns is not None:
        by_name = {column.name: column for column in wanted}
        unknown = [name for name in columns if name not in by_name]
        if unknown:
            raise InputError(
                f"the catalogue has no {subject} columns {unknown[:5]}",
                where="columns",
                cure="docs/data-dictionary.md lists them all.",
            )
        wanted = [by_name[name] for name in dict.fromkeys(columns)]
    return [column for column in wanted if column.feature.name not in lost]


def _given(subjects: pl.DataFrame, subject: str) -> pl.DataFrame:
    names = _keys_of(subject)
    absent = [name for name in names if name not in subjects.columns]
    if absent:
        raise InputError(
            f"subjects lack the key column {absent[0]}", where="subjects", cure=f"Give {', '.join(names)}."
        )
    keys = pl.DataFrame([subjects[name].cast(pl.String) for name in names])
    if any(keys[name].null_count() for name in names):
        raise InputError("a subject has an empty key", where="subjects", cure="Take out rows without a key.")
    return keys.unique().sort(names) if keys.height > 1 else keys


def _keys_of(subject: str) -> tuple[str, ...]:
    check_subject(subject)
    return KEYS[subject]


def _engine(name: str) -> Engine:
    if name not in ENGINES:
        raise InputError(
            f"there is no engine {name!r}",
            where="engine",
            cure=f"Choose one of {', '.join([*ENGINES, SPARK])}.",
        )
    return ENGINES[name]
