"""Cells, read leniently: every cell becomes its declared type, or null with a reason.

The forms accepted are few and fixed; anything else is a fault of that one cell. Values and ranges are then
judged by the dataframely schema of the table, so each fault has a line, a column, a value and a reason.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from features.clocks import LONDON, from_london, in_autumn_hour, in_spring_gap
from features.files import LINE
from features.schema import FIRST_YEAR, LAST_YEAR, UTC_TIME, TableSpec

FAULTS = {"line": pl.Int64, "column": pl.String, "value": pl.String, "reason": pl.String}
MISSING = "missing"

_TIME = (
    r"^\d{4}-\d{2}-\d{2}([Tt ]([01]\d|2[0-3]):[0-5]\d(:[0-5]\d([.,]\d+)?)? ?([Zz]|[+-]\d{2}(:?\d{2})?)?)?$"
)
_BOOLEANS = {
    **dict.fromkeys(("true", "t", "yes", "y", "1"), True),
    **dict.fromkeys(("false", "f", "no", "n", "0"), False),
}


@dataclass(frozen=True)
class Cells:
    """A table with its types. ``frame``: every column of its schema; ``faults``: see :data:`FAULTS`; the two
    counts are of London times in the repeated autumn hour and in the spring gap."""

    frame: pl.DataFrame
    faults: pl.DataFrame
    autumn_hour: int
    spring_gap: int


def read_cells(spec: TableSpec, raw: pl.DataFrame) -> Cells:
    """Give every cell its declared type and judge it. ``raw``: ``source_line`` and any contract columns."""
    schema = spec.schema
    typed: dict[str, pl.Series] = {LINE: raw[LINE]}
    faults = [pl.DataFrame(schema=FAULTS)]
    autumn = spring = 0
    for column, declared in schema.columns().items():
        if column == LINE:
            continue
        if column not in raw.columns:
            typed[column] = pl.Series(column, [None], dtype=declared.dtype).new_from_index(0, raw.height)
            continue
        cells = raw[column]
        values, naive, reason = _typed(cells, declared.dtype, bool((declared.metadata or {}).get("values")))
        typed[column] = values
        unread = cells.is_not_null() & values.is_null()
        if unread.any():
            faults.append(_faults(raw, unread, column, reason))
        if naive is not None:
            expr = pl.col("naive")
            n_autumn, n_spring = (
                pl.DataFrame({"naive": naive})
                .select(in_autumn_hour(expr).sum().alias("a"), in_spring_gap(expr).sum().alias("s"))
                .row(0)
            )
            autumn, spring = autumn + n_autumn, spring + n_spring
    frame = pl.DataFrame(typed).select(schema.column_names())
    unread_cells = pl.concat(faults)
    judged = _judge(spec, raw, frame)
    judged = judged.join(unread_cells, on=["line", "column"], how="anti")
    return Cells(frame, pl.concat([unread_cells, judged]).sort("line", "column", "reason"), autumn, spring)


def _faults(raw: pl.DataFrame, where: pl.Series, column: str, reason: str) -> pl.DataFrame:
    rows = raw.filter(where)
    value = (
        _shown(rows[column]) if column in raw.columns else pl.Series([None] * rows.height, dtype=pl.String)
    )
    return pl.DataFrame({"line": rows[LINE], "value": value}).select(
        "line", pl.lit(column).alias("column"), "value", pl.lit(reason).alias("reason")
    )


def _shown(cells: pl.Series) -> pl.Series:
    if cells.dtype == pl.String:
        return cells
    return pl.Series([None if v is None else str(v) for v in cells.to_list()], dtype=pl.String)


# --- rules -------------------------------------------------------------------------------------------------


def _judge(spec: TableSpec, raw: pl.DataFrame, frame: pl.DataFrame) -> pl.DataFrame:
    """Faults the dataframely schema finds: a required cell missing, a value not in the list, out of range."""
    _, failure = spec.schema.filter(frame)
    found = [pl.DataFrame(schema=FAULTS)]
    if failure.counts():
        details = failure.details()
        for rule in failure.counts():
            column, _, kind = rule.partition("|")
            lines = details.filter(pl.col(rule) == "invalid")[LINE]
            where = raw[LINE].is_in(lines.implode())
            found.append(_faults(raw, where, column, _reason(spec, column, kind)))
    # One fault a cell, though it may break two rules.
    return pl.concat(found).unique(["line", "column"], keep="first", maintain_order=True)


def _reason(spec: TableSpec, column: str, kind: str) -> str:
    declared = spec.schema.columns()[column]
    facts = declared.metadata or {}
    if kind == "nullability":
        return MISSING
    if "values" in facts:
        return f"not one of {', '.join(facts['values'])}"
    if "says" in facts:
        return f"not {facts['says']}"
    if declared.dtype in (pl.Datetime, pl.Date):
        return f"before {FIRST_YEAR}" if kind.startswith("min") else f"after {LAST_YEAR}"
    low, high = getattr(declared, "min", None), getattr(declared, "max", None)
    return f"not between {low:g} and {high:g}" if low is not None and high is not None else kind


# --- types -------------------------------------------------------------------------------------------------

Typed = tuple[pl.Series, pl.Series | None, str]
"""(values with the declared type, the London wall-clock times among them, what an unreadable cell is)."""


def _typed(cells: pl.Series, dtype: pl.DataType, listed: bool) -> Typed:
    if isinstance(cells.dtype, (pl.Categorical, pl.Enum)):
        cells = cells.cast(pl.String)
    if cells.dtype == pl.Null:
        return cells.cast(dtype), None, ""
    if dtype == UTC_TIME:
        return _times(cells)
    readers: dict[type[pl.DataType], tuple[Callable[[pl.Series], pl.Series], str]] = {
        pl.Date: (_dates, "not a date like 1980-01-31"),
        pl.Boolean: (_booleans, "not true or false"),
        pl.Int64: (_integers, "not a whole number"),
        pl.Float64: (_floats, "not a number"),
        pl.List: (_lists, "not a JSON array of codes"),
    }
    if type(dtype) in readers:
        read, reason = readers[type(dtype)]
        return read(cells), None, reason
    return _strings(cells, listed), None, "not text"


def _one(cells: pl.Series, expr: pl.Expr) -> pl.Series:
    return pl.DataFrame({"c": cells}).select(expr.alias(cells.name)).to_series()


def _strings(cells: pl.Series, listed: bool) -> pl.Series:
    if cells.dtype == pl.String:
        # Codes are compared without the spaces around them; identifiers and text are kept as they are.
        return cells.str.strip_chars() if listed else cells
    if cells.dtype == pl.Boolean and listed:
        return cells.replace_strict({True: "Y", False: "N"}, return_dtype=pl.String)
    if cells.dtype.is_float() and (cells.drop_nulls() % 1 == 0).all():
        # A whole-number column with gaps often comes as floats; 12.0 means 12.
        return cells.cast(pl.Int64, strict=False).cast(pl.String)
    if cells.dtype.is_nested():
        return pl.Series(cells.name, [None] * len(cells), dtype=pl.String)
    return cells.cast(pl.String, strict=False)


def _times(cells: pl.Series) -> Typed:
    reason = "not an ISO 8601 date or time"
    none = pl.Series(cells.name, [None] * len(cells), dtype=UTC_TIME)
    if cells.dtype == pl.String:
        return (*_text_times(cells), reason)
    if cells.dtype == pl.Date:
        naive = cells.cast(pl.Datetime("us")).dt.offset_by("86399s")
    elif isinstance(cells.dtype, pl.Datetime):
        zoned = cells.dtype.time_zone is not None
        whole = cells.cast(pl.Datetime("us", cells.dtype.time_zone)).dt.truncate("1s")
        if zoned:
            return whole.dt.convert_time_zone("UTC"), None, reason
        naive = whole
    else:
        return none, None, reason
    return _one(naive, from_london(pl.col("c"))), naive, reason


def _text_times(cells: pl.Series) -> tuple[pl.Series, pl.Series]:
    text = cells.str.strip_chars()
    if text.str.contains(r"^\d{8}").any():
        text = text.str.replace(r"^(\d{4})(\d{2})(\d{2})", "${1}-${2}-${3}")
        text = text.str.replace(r"^(.{10}[Tt ])(\d{2})(\d{2})(\d{2})?", "${1}${2}:${3}:${4}")
        text = text.str.replace(r"^(.{16}):($|[Zz+-])", "${1}${2}")
    tail = pl.col("t").str.slice(16)  # what follows the minutes: seconds, zone
    frame = pl.DataFrame({"t": text}).with_columns(
        day=pl.col("t").str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False),
        timed=pl.col("t").str.len_chars() > 10,
        good=pl.col("t").str.contains(_TIME),
        zone=tail.str.extract(r"([Zz]|[+-]\d{2}:?(?:\d{2})?)$"),
        hours=pl.col("t").str.slice(11, 2).cast(pl.Int64, strict=False),
        minutes=pl.col("t").str.slice(14, 2).cast(pl.Int64, strict=False),
        seconds=pl.when(tail.str.starts_with(":"))
        .then(tail.str.slice(1, 2).cast(pl.Int64, strict=False))
        .otherwise(0),
    )
    end_of_day = pl.col("day").cast(pl.Datetime("us")) + pl.duration(seconds=86_399)
    timed = pl.col("day").cast(pl.Datetime("us")) + pl.duration(
        hours="hours", minutes="minutes", seconds="seconds"
    )
    frame = frame.with_columns(
        wall=pl.when("good").then(pl.when("timed").then(timed).otherwise(end_of_day)),
        shift=_shift(pl.col("zone")),
    )
    zoned = pl.col("zone").is_not_null()
    out = frame.select(
        pl.when(zoned)
        .then((pl.col("wall") - pl.duration(seconds="shift")).dt.replace_time_zone("UTC"))
        .otherwise(from_london(pl.col("wall")))
        .alias(cells.name),
        naive=pl.when(~zoned).then("wall"),
    )
    return out[cells.name], out["naive"]


def _shift(zone: pl.Expr) -> pl.Expr:
    """Seconds east of UTC of Z, +hh, +hhmm or +hh:mm."""
    sign = pl.when(zone.str.starts_with("-")).then(-1).otherwise(1)
    hours = zone.str.slice(1, 2).cast(pl.Int64, strict=False).fill_null(0)
    minutes = zone.str.extract(r"^.{3}:?(\d{2})$").cast(pl.Int64, strict=False).fill_null(0)
    return sign * (hours * 3600 + minutes * 60)


def _dates(cells: pl.Series) -> pl.Series:
    if cells.dtype == pl.String:
        text = cells.str.strip_chars().str.replace(r"^(\d{4})(\d{2})(\d{2})$", "${1}-${2}-${3}")
        # A birth date exported as a midnight is still a day.
        day = text.str.extract(r"^(\d{4}-\d{2}-\d{2})(?:[T ]00:00(?::00(?:\.0+)?)?)?$")
        return day.str.to_date("%Y-%m-%d", strict=False)
    if isinstance(cells.dtype, pl.Datetime) and cells.dtype.time_zone is not None:
        return cells.dt.convert_time_zone(LONDON).dt.date()
    if cells.dtype == pl.Date or isinstance(cells.dtype, pl.Datetime):
        return cells.cast(pl.Date)
    return pl.Series(cells.name, [None] * len(cells), dtype=pl.Date)


def _booleans(cells: pl.Series) -> pl.Series:
    if cells.dtype == pl.Boolean:
        return cells
    if cells.dtype.is_numeric():
        return _one(cells, pl.when(pl.col("c").is_in([0, 1])).then(pl.col("c") == 1))
    if cells.dtype != pl.String:
        return pl.Series(cells.name, [None] * len(cells), dtype=pl.Boolean)
    text = cells.str.strip_chars().str.to_lowercase()
    return text.replace_strict(_BOOLEANS, default=None, return_dtype=pl.Boolean)


def _integers(cells: pl.Series) -> pl.Series:
    if cells.dtype.is_integer():
        return cells.cast(pl.Int64, strict=False)
    if cells.dtype == pl.String:
        digits = cells.str.strip_chars().str.extract(r"^([+-]?\d{1,18})(?:\.0*)?$")
        return digits.str.strip_prefix("+").cast(pl.Int64, strict=False)
    if cells.dtype.is_float():
        return _one(cells, pl.when(pl.col("c") % 1 == 0).then(pl.col("c")).cast(pl.Int64, strict=False))
    return pl.Series(cells.name, [None] * len(cells), dtype=pl.Int64)


def _floats(cells: pl.Series) -> pl.Series:
    if cells.dtype == pl.String:
        number = cells.str.strip_chars().cast(pl.Float64, strict=False)
    elif cells.dtype.is_numeric():
        number = cells.cast(pl.Float64, strict=False)
    else:
        return pl.Series(cells.name, [None] * len(cells), dtype=pl.Float64)
    return _one(number, pl.when(pl.col("c").is_finite()).then(pl.col("c")))


def _lists(cells: pl.Series) -> pl.Series:
    if isinstance(cells.dtype, pl.List):
        return cells.cast(pl.List(pl.String), strict=False)
    if cells.dtype != pl.String:
        return pl.Series(cells.name, [None] * len(cells), dtype=pl.List(pl.String))
    return pl.Series(cells.name, [_json_list(cell) for cell in cells], dtype=pl.List(pl.String))


def _json_list(cell: str | None) -> list[str] | None:
    try:
        value = json.loads(cell) if cell is not None else None
    except ValueError:
        return None
    good = isinstance(value, list) and all(isinstance(item, str) for item in value)
    return value if good else None
