"""What happened after T, as it was recorded: the outcomes that models learn and evaluation counts.

An offence is a label when its domestic event occurred in (T, T + h] and stood recorded, not withdrawn, at T
+ h + delay, where the delay is the force's own reporting lag. It counts for the suspect the offence names,
or, when it names none, for every suspect of the event. The record store holds no police-generated events,
so none can be a label. The cut at T + h + delay is made by the same code that cuts features at T.
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta

import polars as pl

from features.asof import as_of
from features.cohort import INSTANT, settings, suspects
from features.errors import InputError
from features.harm import HarmScheme, load_scheme, price
from features.nominals import clusters_at, members_at, onto
from features.records import Records

DAY = timedelta(days=1)
_MICROS_A_DAY = 86_400_000_000


def outcomes(
    records: Records,
    persons: pl.DataFrame,
    t: datetime,
    horizon_days: int,
    delay_days: int | None = None,
    scheme: HarmScheme | None = None,
) -> pl.DataFrame:
    """Outcomes of each person in (T, T + horizon], as recorded by T + horizon + delay.

    ``persons`` has ``person_id``; one row each comes back, sorted (where nominals were linked: clusters as of T, and
    who is who in the outcome is as of T + horizon + delay). ``delay_days`` defaults to
    :func:`reporting_delay` at T. Columns: ``serious`` (an offence of serious.v1); ``other`` (a domestic
    event but nothing serious); ``any_event``; ``harm_cd`` and ``max_harm_cd`` (Int64, hundredths of a harm
    day: sum, and the gravest single offence); ``learnt_cd`` (harm of older domestic offences first recorded
    within the horizon: never a label); ``serious_182`` and ``serious_10`` (one offence of at least so many
    harm days); ``serious_day`` (Int64: the day after T on which serious harm was first done, 1 for the first 24
    hours, null where there was none). ``horizon_days`` and ``delay_days`` must be positive and not negative.
    """
    until, seen = _cuts(records, t, horizon_days, delay_days)
    whose = _whose(records, persons, t, seen)
    offences = _theirs(_attributed(records, seen, scheme or load_scheme()), whose, "offence_id")
    events = _domestic(records, seen)
    when = _between(t, until)
    within = (
        _theirs(suspects(records, seen), whose, "event_id")
        .join(events.filter(when), on="event_id")
        .group_by("person_id")
        .agg(pl.len().alias("events"))
    )
    crimes = offences.filter(when)
    threshold = settings()["sensitivity"]["harm_days"]
    harm = crimes.group_by("person_id").agg(
        pl.col("serious").any(),
        pl.col("occurred_at").filter(pl.col("serious")).min().alias("serious_at"),
        pl.col("harm_cd").sum(),
        pl.col("harm_cd").max().alias("max_harm_cd"),
        *((pl.col("harm_cd") >= round(days * 100)).any().alias(name) for name, days in threshold.items()),
    )
    learnt = (
        offences.filter((pl.col("occurred_at") <= _at(t)) & _between(t, until, "first_recorded"))
        .group_by("person_id")
        .agg(pl.col("harm_cd").sum().alias("learnt_cd"))
    )
    frame = persons.select("person_id").unique().sort("person_id")
    for part in (within, harm, learnt):
        frame = frame.join(part, on="person_id", how="left", maintain_order="left")
    happened = pl.col("events").fill_null(0) > 0
    serious = pl.col("serious").fill_null(False)
    return frame.select(
        "person_id",
        serious,
        (happened & ~serious).alias("other"),
        happened.alias("any_event"),
        *(pl.col(c).fill_null(0).cast(pl.Int64) for c in ("harm_cd", "max_harm_cd", "learnt_cd")),
        *(pl.col(name).fill_null(False) for name in threshold),
        _days_after(t).alias("serious_day"),
    )


def _days_after(t: datetime) -> pl.Expr:
    """The day after T on which serious harm was first done: 1 for the first 24 hours, null where none was."""
    return ((pl.col("serious_at") - _at(t)).dt.total_microseconds() + _MICROS_A_DAY - 1) // _MICROS_A_DAY


def reporting_delay(records: Records, t: datetime) -> int:
    """Whole days within which 95 % of the domestic events known at T had been recorded, at least 90.

    The lag of an event is from occurred_at to the first moment any version of it was known. Nothing after T
    is used, so a very recent rise in late reports is not seen yet.
    """
    rule = settings()["outcome"]
    known = _domestic(records, t)
    first = _first_recorded(records, "event", "event_id")
    lags = known.join(first, on="event_id").select(
        (pl.col("first_recorded") - pl.col("occurred_at")).dt.total_microseconds().alias("lag")
    )["lag"]
    if lags.is_empty():
        return int(rule["delay_floor_days"])
    rank = math.ceil(rule["delay_share"] * len(lags) - 1e-9)
    lag = int(lags.sort()[rank - 1])
    return max(int(rule["delay_floor_days"]), -(-lag // _MICROS_A_DAY))


def exposure_days(
    records: Records, persons: pl.DataFrame, t: datetime, horizon_days: int, delay_days: int | None = None
) -> pl.DataFrame:
    """Days each person was at large after T, for the rate per street-day (a sensitivity, never the headline).

    ``persons`` has ``person_id``. Returns, sorted: ``person_id``, ``exposure_days`` (Float64, 0 for someone
    already in prison or on remand at T, or dead by then) and ``ended_by``: "serious harm", "custody",
    "death" or "horizon", the first of them (in that order when two fall on one moment).
    """
    until, seen = _cuts(records, t, horizon_days, delay_days)
    whose = _whose(records, persons, t, seen)
    offences = _theirs(_attributed(records, seen, load_scheme()), whose, "offence_id").filter(
        pl.col("serious"), _between(t, until)
    )
    spell = _theirs(as_of(records, "spell", seen), whose).filter(
        pl.col("state").is_in(settings()["cohort"]["custody_states"]),
        pl.col("started_on") <= _at(until),
        pl.col("ended_on").is_null() | (pl.col("ended_on") > _at(t)),
    )
    ends = [
        offences.group_by("person_id").agg(pl.col("occurred_at").min().alias("serious harm")),
        spell.group_by("person_id").agg(pl.col("started_on").min().alias("custody")),
        _theirs(as_of(records, "person", seen), whose)
        .filter(pl.col("deceased_on") <= _at(until))
        .group_by("person_id")
        .agg(pl.col("deceased_on").min().alias("death")),
    ]
    frame = persons.select("person_id").unique().sort("person_id").with_columns(_at(until).alias("horizon"))
    for part in ends:
        frame = frame.join(part, on="person_id", how="left", maintain_order="left")
    kinds = ("serious harm", "custody", "death", "horizon")
    # someone held or dead before T was at large for no time at all, not for a negative one
    ended = frame.with_columns(
        pl.when(pl.col(kind).is_not_null()).then(pl.max_horizontal(kind, _at(t))).alias(kind)
        for kind in kinds
    ).with_columns(pl.min_horizontal(*kinds).alias("end"))
    return ended.select(
        "person_id",
        ((pl.col("end") - _at(t)).dt.total_microseconds() / _MICROS_A_DAY).alias("exposure_days"),
        pl.coalesce(pl.when(pl.col(kind) == pl.col("end")).then(pl.lit(kind)) for kind in kinds).alias(
            "ended_by"
        ),
    )


def _whose(records: Records, persons: pl.DataFrame, t: datetime, seen: datetime) -> pl.DataFrame | None:
    """Who of ``persons`` (clusters as of T) answers for whom as of ``seen``: person_id, owner, each pair once; None
    where no nominal was ever linked.

    An outcome belongs to every person of T any of whose records lies in the cluster that it is recorded of: two who
    have since turned out to be one share it, and one who has turned out to be two answers for both.
    """
    if records.links is None:
        return None
    of_t = members_at(records.links, persons["person_id"], t)
    return (
        onto(of_t.select("person_id", owner="cluster_id"), clusters_at(records.links, seen))
        .unique()
        .sort("person_id", "owner")
    )


def _theirs(rows: pl.DataFrame, whose: pl.DataFrame | None, once: str = "") -> pl.DataFrame:
    """Rows about persons as of ``seen`` as rows about the persons of T who answer for them; ``once``: a key that
    counts only once for each of them."""
    if whose is None:
        return rows
    columns = rows.columns
    rows = rows.join(whose, on="person_id").drop("person_id").rename({"owner": "person_id"}).select(columns)
    return rows.unique(["person_id", once], keep="first", maintain_order=True) if once else rows


def _cuts(records: Records, t: datetime, horizon: int, delay: int | None) -> tuple[datetime, datetime]:
    """End of the horizon, and the moment by which a label must have been recorded."""
    if horizon <= 0:
        raise InputError(
            f"a horizon of {horizon} days", where="horizon", cure="give a whole number of at least 1"
        )
    if delay is not None and delay < 0:
        raise InputError(f"a delay of {delay} days", where="delay", cure="give 0 or more")
    until = t + horizon * DAY
    return until, until + (reporting_delay(records, t) if delay is None else delay) * DAY


def _attributed(records: Records, seen: datetime, scheme: HarmScheme) -> pl.DataFrame:
    """Priced offences of domestic crimes known at ``seen``, one row an offence and suspect.

    Columns: offence_id, person_id, occurred_at, first_recorded (of the offence), harm_cd, serious.
    """
    offence = price(as_of(records, "offence", seen), scheme).join(
        _domestic(records, seen).filter(pl.col("kind") == "crime"), on="event_id"
    )
    offence = offence.join(_first_recorded(records, "offence", "offence_id"), on="offence_id")
    named = offence.filter(pl.col("suspect_id").is_not_null()).with_columns(person_id="suspect_id")
    unnamed = offence.filter(pl.col("suspect_id").is_null()).join(suspects(records, seen), on="event_id")
    columns = ("offence_id", "person_id", "occurred_at", "first_recorded", "harm_cd", "serious")
    return pl.concat([named.select(columns), unnamed.select(columns)])


def _domestic(records: Records, seen: datetime) -> pl.DataFrame:
    return (
        as_of(records, "event", seen)
        .filter(pl.col("domestic") == "Y")
        .select("event_id", "occurred_at", "kind")
    )


def _first_recorded(records: Records, table: str, key: str) -> pl.DataFrame:
    """When any version of each row was first known: the key and first_recorded."""
    return records.table(table).group_by(key).agg(pl.col("known_from").min().alias("first_recorded"))


def _between(after: datetime, until: datetime, column: str = "occurred_at") -> pl.Expr:
    return (pl.col(column) > _at(after)) & (pl.col(column) <= _at(until))


def _at(moment: datetime) -> pl.Expr:
    return pl.lit(moment).cast(INSTANT)
