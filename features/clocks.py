"""The two clocks: when something happened and when the force knew.

A *version* is one row of a key as the force's screen showed it: it holds for ``known_from <= T < known_to``.
:func:`canonical` turns typed rows (with ``recorded_at`` and ``withdrawn``) into versions; everything later reads
only those. Three cautions are built in, because each is a known leak: a value filled in later never counts before
its own clock, a row without any clock is never known, and two different rows with one clock are nobody's truth.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

import polars as pl

from features.errors import InputError
from features.schema import FIRST_YEAR, LAST_YEAR, SPECS, UTC_TIME, TableSpec, parents_first

LONDON = "Europe/London"
ALWAYS = dt.datetime(1900, 1, 1, tzinfo=dt.UTC)
"""``known_from`` of a row that was always known (a person, an alias, an address, a team without a clock)."""
NEVER = dt.datetime(2200, 1, 1, tzinfo=dt.UTC)
"""``known_from`` of a row with neither an own time nor a recorded_at: kept, counted, never known."""

NEW, CORRECTION, WITHDRAWAL, REPEAT, AMBIGUOUS = "new", "correction", "withdrawal", "repeat", "ambiguous"
_ALWAYS_KNOWN = ("person", "alias", "address", "team")
NOT_BEFORE_EVENT = ("offence", "involvement", "risk_assessment")
_MORNING = dt.time(6, 0)


# --- wall clock to UTC -------------------------------------------------------------------------------------


def parse_as_of(text: str) -> dt.datetime:
    """Read an "as of": a date is 06:00 in London that day, a time without a zone is London time; UTC is returned.

    Raises InputError when the text is neither, or the year lies outside the contract's 1900 to 2100.
    """
    cleaned = text.strip()
    try:
        try:
            moment = dt.datetime.combine(dt.date.fromisoformat(cleaned), _MORNING)
        except ValueError:
            moment = dt.datetime.fromisoformat(cleaned)
    except ValueError:
        raise InputError(
            f"{text!r} is not a date or time.",
            where="as of",
            cure="Write 2025-06-01 (06:00 in London), 2025-06-01T14:30 (London) or 2025-06-01T14:30Z.",
        ) from None
    outside = not FIRST_YEAR <= moment.year <= LAST_YEAR
    if not outside and moment.tzinfo is not None:
        outside = not FIRST_YEAR <= moment.astimezone(dt.UTC).year <= LAST_YEAR
    if outside:
        raise InputError(
            f"The year of {text!r} is outside {FIRST_YEAR} to {LAST_YEAR}.",
            where="as of",
            cure="Use a date on which the force kept records.",
        )
    if moment.tzinfo is None:
        # fold=0 takes the first of the repeated autumn hour and moves a time in the spring gap forward.
        moment = moment.replace(tzinfo=ZoneInfo(LONDON))
    return moment.astimezone(dt.UTC).replace(microsecond=0)


def from_london(naive: pl.Expr) -> pl.Expr:
    """London wall-clock times as UTC: the first of the repeated autumn hour; the spring gap moves forward."""
    plain = naive.dt.replace_time_zone(LONDON, ambiguous="earliest", non_existent="null")
    # An hour back is before the gap, where the old offset rules; an elapsed hour on is the time moved forward.
    hour_back = naive.dt.offset_by("-1h").dt.replace_time_zone(
        LONDON, ambiguous="earliest", non_existent="null"
    )
    moved = hour_back.dt.convert_time_zone("UTC").dt.offset_by("1h")
    return pl.coalesce(plain.dt.convert_time_zone("UTC"), moved)


def in_autumn_hour(naive: pl.Expr) -> pl.Expr:
    """True where the London wall clock shows this time twice."""
    first = naive.dt.replace_time_zone(LONDON, ambiguous="earliest", non_existent="null")
    last = naive.dt.replace_time_zone(LONDON, ambiguous="latest", non_existent="null")
    return (first != last).fill_null(False)


def in_spring_gap(naive: pl.Expr) -> pl.Expr:
    """True where the London wall clock never shows this time."""
    there = naive.dt.replace_time_zone(LONDON, ambiguous="earliest", non_existent="null")
    return naive.is_not_null() & there.is_null()


# --- when a row was known ----------------------------------------------------------------------------------


def known_from(spec: TableSpec, rows: pl.DataFrame, event_known: pl.DataFrame) -> pl.DataFrame:
    """Add ``known_from`` and ``no_clock`` (neither recorded_at nor an own time).

    ``event_known``: event_id, event_known = when the event was first known. Where recorded_at is missing an event
    is known from the later of occurred_at and reported_at; offence, involvement and risk assessment never
    before their event; person, alias, address (and team, which has no time at all) always; the rest from their
    own time.
    """
    own: pl.Expr
    if spec.name in _ALWAYS_KNOWN:
        own = pl.lit(ALWAYS, dtype=UTC_TIME)
    elif spec.name == "event":
        own = pl.max_horizontal("occurred_at", "reported_at")
    elif spec.name in NOT_BEFORE_EVENT:
        rows = rows.join(event_known, on="event_id", how="left", maintain_order="left")
        # Without its event a row is never known: a default that moved once the event came in would be a leak.
        later = pl.max_horizontal("event_known", spec.own_time) if spec.own_time else pl.col("event_known")
        own = pl.when(pl.col("event_known").is_not_null()).then(later)
    else:
        own = pl.col(str(spec.own_time))
    clocked = pl.coalesce("recorded_at", own)
    return rows.with_columns(
        known_from=clocked.fill_null(pl.lit(NEVER, dtype=UTC_TIME)), no_clock=clocked.is_null()
    ).drop("event_known", strict=False)


def first_known(event_rows: pl.DataFrame) -> pl.DataFrame:
    """event_id -> ``event_known``: the earliest known_from of its rows that are not withdrawals."""
    return (
        event_rows.filter(~pl.col("withdrawn"))
        .group_by("event_id")
        .agg(event_known=pl.col("known_from").min())
        .sort("event_id")
    )


def fates(spec: TableSpec, rows: pl.DataFrame) -> pl.DataFrame:
    """Add ``fate`` to rows that carry ``known_from``: new, correction, withdrawal, repeat or ambiguous.

    Identical rows (every contract column, the clock and withdrawn alike) count once, the rest are repeats. Rows
    of one key and one clock that differ are all ambiguous; "one clock" holds for the recorded_at as given and
    for the clock it came to, since either leaves no order between them. Null is a value in a key.
    """
    key = list(spec.key)
    rows = rows.with_row_index("_order")
    shared = rows.select(["_order", *key]).filter(pl.struct(key).is_duplicated())["_order"]
    alone = ~pl.col("_order").is_in(shared.implode())
    fate = pl.when("withdrawn").then(pl.lit(WITHDRAWAL)).otherwise(pl.lit(NEW))
    singles = rows.filter(alone).with_columns(fate=fate)
    if len(shared) == 0:
        return singles.drop("_order")
    several = rows.filter(~alone)
    content = [
        pl.col(c).list.join("\x1f").alias(c) if isinstance(dtype, pl.List) else pl.col(c)
        for c, dtype in spec.dtypes.items()
    ]
    seen = pl.struct([*content, pl.col("known_from"), pl.col("withdrawn")])
    several = several.with_columns(_first=seen.is_first_distinct())
    kept = several.filter("_first")
    clash = pl.struct([*key, "known_from"]).is_duplicated() | pl.struct([*key, "recorded_at"]).is_duplicated()
    kept = kept.with_columns(_clash=clash)
    ordered = kept.filter(~pl.col("_clash")).sort([*key, "known_from", "_order"], nulls_last=True)
    # The first row of a key that is not a withdrawal is new; whatever follows corrects it.
    live = (~pl.col("withdrawn")).cum_sum().over(key)
    ordered = ordered.with_columns(
        fate=pl.when("withdrawn")
        .then(pl.lit(WITHDRAWAL))
        .when(live == 1)
        .then(pl.lit(NEW))
        .otherwise(pl.lit(CORRECTION))
    )
    parts = [
        singles,
        ordered.drop("_first", "_clash"),
        kept.filter("_clash").drop("_first", "_clash").with_columns(fate=pl.lit(AMBIGUOUS)),
        several.filter(~pl.col("_first")).drop("_first").with_columns(fate=pl.lit(REPEAT)),
    ]
    return pl.concat(parts).sort("_order").drop("_order")


def versions(spec: TableSpec, rows: pl.DataFrame) -> tuple[pl.DataFrame, dict[str, int]]:
    """Rows with known_from and fate -> the canonical table, and how many later-filled values had no clock.

    A withdrawal only ends the version before it. A value filled in later without its clock feeds nothing: it is
    blanked here and counted by column. Sorted as :func:`in_order` says.
    """
    key = list(spec.key)
    standing = rows.filter(pl.col("fate").is_in([NEW, CORRECTION, WITHDRAWAL]))
    # Most keys have one row; only the others need putting in order to find what ended what.
    alone = pl.struct(key).is_unique()
    several = standing.filter(~alone).sort([*key, "known_from"], nulls_last=True)
    several = several.with_columns(known_to=pl.col("known_from").shift(-1).over(key))
    single = standing.filter(alone).with_columns(known_to=pl.lit(None, dtype=UTC_TIME))
    standing = pl.concat([single, several]).filter(~pl.col("withdrawn"))
    clockless = {c: clock for c, clock in spec.later.items() if clock != c}
    counts = {
        c: standing.filter(pl.col(c).is_not_null() & pl.col(clock).is_null()).height
        for c, clock in clockless.items()
    }
    standing = standing.with_columns(
        pl.when(pl.col(clock).is_not_null()).then(pl.col(c)).alias(c) for c, clock in clockless.items()
    )
    table = standing.select([*spec.dtypes, "known_from", "known_to"])
    return in_order(spec, table), {c: n for c, n in counts.items() if n}


def in_order(spec: TableSpec, table: pl.DataFrame) -> pl.DataFrame:
    """Events and calls by time, tables of a person by person and time, the rest by key; ties by key and clock."""
    own = [spec.own_time] if spec.own_time else []
    person = ["person_id"] if "person_id" in spec.dtypes else []
    first = own if spec.name in ("event", "call") else person + own
    return table.sort(list(dict.fromkeys([*first, *spec.key, "known_from"])), nulls_last=True)


def typed(spec: TableSpec, frame: pl.DataFrame | None) -> pl.DataFrame:
    """Give a frame every column of its table (null where absent), recorded_at and withdrawn (False where null)."""
    frame = spec.empty() if frame is None else frame
    wanted = {**spec.dtypes, "recorded_at": UTC_TIME, "withdrawn": pl.Boolean}
    return frame.select(
        (pl.col(c) if c in frame.columns else pl.lit(None)).cast(dtype).alias(c)  # type: ignore[arg-type]
        for c, dtype in wanted.items()
    ).with_columns(pl.col("withdrawn").fill_null(False))


@dataclass(frozen=True)
class Counted:
    """Canonical tables and what was blanked or left without a clock on the way."""

    tables: dict[str, pl.DataFrame]
    later_without_clock: dict[str, int] = field(default_factory=dict)
    without_clock: dict[str, int] = field(default_factory=dict)


def canonical_counted(raw: Mapping[str, pl.DataFrame]) -> Counted:
    """As :func:`canonical`, with the counts: "table.column" -> later values without a clock, table -> rows
    without any clock."""
    unknown = sorted(set(raw) - set(SPECS))
    if unknown:
        raise InputError(f"No such table: {', '.join(unknown)}.", cure=f"Tables are {', '.join(SPECS)}.")
    tables: dict[str, pl.DataFrame] = {}
    later: dict[str, int] = {}
    without: dict[str, int] = {}
    event_known = pl.DataFrame(schema={"event_id": pl.String, "event_known": UTC_TIME})
    for name in parents_first():
        spec = SPECS[name]
        rows = fates(spec, known_from(spec, typed(spec, raw.get(name)), event_known))
        if (clash := rows.filter(pl.col("fate") == AMBIGUOUS)).height:
            raise InputError(
                f"{clash.height} rows of {name} share key and recorded_at but differ.",
                where=f"{name}, {', '.join(f'{k}={clash[k][0]}' for k in spec.key)}",
                cure="Give the later row a later recorded_at.",
            )
        if name == "event":
            event_known = first_known(rows)
        tables[name], counts = versions(spec, rows)
        later |= {f"{name}.{c}": n for c, n in counts.items()}
        if lost := rows["no_clock"].sum():
            without[name] = int(lost)
    return Counted({name: tables[name] for name in SPECS}, later, without)


def canonical(raw: Mapping[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """Typed rows (optionally with ``recorded_at`` and ``withdrawn``) -> one row per version of a key.

    Every table of the contract is in the answer, with every contract column (null where the input lacks it) plus
    ``known_from`` (never null) and ``known_to`` (null = still valid). Raises InputError for an unknown table and
    for ambiguous rows (a load quarantines those first).
    """
    return canonical_counted(raw).tables
