"""Run the mechanism for a force, keep whole households to the volume asked for, and write extract and truth."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from features.errors import InputError
from features.simulate.care_rows import write_care, write_relationships
from features.simulate.engine import Engine
from features.simulate.event_rows import Written, write_assessments, write_calls, write_events
from features.simulate.freeze import VERSION, code_hash
from features.simulate.happenings import NO, Happenings, cut_to_volume, domestic, other_offending
from features.simulate.justice_rows import write_courts, write_custody, write_markers, write_orders
from features.simulate.nominals import Nominals
from features.simulate.parameters import SEVERITIES, WORLDS, Ints, Parameters
from features.simulate.people import Register, new_state
from features.simulate.people_rows import Places, responses, write_people
from features.simulate.stage import Bools, Stage, ids
from features.simulate.state import Log, State

LAST = date(2025, 12, 31)
MOST_YEARS, MOST_EVENTS = 20, 400_000
Progress = Callable[[str], None]


@dataclass
class Run:
    """A finished run of the mechanism with the states kept for the oracle."""

    stage: Stage
    state: State
    snapshots: dict[str, tuple[int, State]]
    events: Happenings
    kept: Bools


def simulate(
    out: Path,
    events_per_year: int,
    years: int,
    seed: int,
    world: str = "base",
    oracle: Sequence[str] = (),
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Write a force that never was: OUT/extract (every table of the contract) and OUT/truth.

    ``events_per_year`` is the number of recorded domestic events (crimes and non-crime incidents) a year; others come
    on top. The extract ends on 2025-12-31 and spans ``years`` calendar years. ``oracle`` holds dates T (YYYY-MM-DD,
    06:00 London) for which truth/oracle_T.parquet is written. The same arguments give the same bytes.

    Returns a summary with counts and seconds; raises InputError for arguments that make no force.
    """
    say = progress or (lambda _message: None)
    _validate(events_per_year, years, seed, world)
    first = date(LAST.year - years + 1, 1, 1)
    wanted = {t: oracle_date(t, first, LAST) for t in oracle}
    began = time.perf_counter()
    run = _run(events_per_year, years, seed, world, first, wanted, say)
    simulated = time.perf_counter()
    say("writing rows")
    stage, nominals, written = _write(run)
    folder = Path(out)
    summary = _save(folder, run, nominals, written, events_per_year, years, world)
    saved = time.perf_counter()
    summary["seconds"] = {"mechanism": round(simulated - began, 2), "rows": round(saved - simulated, 2)}
    if wanted:
        from features.simulate.oracle import write_oracle

        for text in oracle:
            say(f"oracle at {text}")
            day, state = run.snapshots[text]
            summary.setdefault("oracle", {})[text] = write_oracle(
                folder / "truth", text, day, state, stage, nominals, written, run.kept
            )
        summary["seconds"]["oracle"] = round(time.perf_counter() - saved, 2)
    return summary


def oracle_date(text: str, first: date, last: date) -> date:
    """Read one oracle date; it must be a whole date within the extract."""
    try:
        day = date.fromisoformat(text.strip())
    except ValueError:
        raise InputError(
            f"'{text}' is not a date",
            where="--oracle",
            cure="write YYYY-MM-DD; the oracle looks from 06:00 London time of that day",
        ) from None
    if not first < day <= last:
        raise InputError(
            f"oracle date {text} lies outside the extract",
            where="--oracle",
            cure=f"choose a date after {first} and not after {last}",
        )
    return day


def _validate(events_per_year: int, years: int, seed: int, world: str) -> None:
    if not 50 <= events_per_year <= MOST_EVENTS:
        raise InputError(
            f"{events_per_year} events a year", where="--events-per-year", cure=f"from 50 to {MOST_EVENTS:,}"
        )
    if not 1 <= years <= MOST_YEARS:
        raise InputError(f"{years} years", where="--years", cure=f"from 1 to {MOST_YEARS}")
    if seed < 0:
        raise InputError(f"seed {seed}", where="--seed", cure="a whole number from 0")
    if world not in WORLDS:
        raise InputError(f"unknown world '{world}'", where="--world", cure=f"one of {', '.join(WORLDS)}")


def _run(
    events_per_year: int,
    years: int,
    seed: int,
    world: str,
    first: date,
    wanted: dict[str, date],
    say: Progress,
) -> Run:
    """Simulate a few more households than needed and keep enough; larger again if chance fell short."""
    p = Parameters(world)
    margin = float(p.doc["volume"]["margin"]) * (1.0 + 6.0 / np.sqrt(events_per_year * years))
    for _ in range(6):
        stage, state, snapshots = _mechanism(p, events_per_year * margin, seed, first, wanted, say)
        events = domestic(stage)
        kept_events, kept = cut_to_volume(stage, events, events_per_year, years, len(state.cls))
        if not kept.all():
            return Run(stage, state, snapshots, kept_events, kept)
        margin *= 1.25
    raise RuntimeError("the mechanism does not yield the volume asked for")


def _mechanism(
    p: Parameters, volume: float, seed: int, first: date, wanted: dict[str, date], say: Progress
) -> tuple[Stage, State, dict[str, tuple[int, State]]]:
    zero = first - timedelta(days=int(p.doc["clock"]["burn_in_days"]))
    register = Register(p, np.random.default_rng([seed, 1]))
    rng = np.random.default_rng([seed, 2])
    state = new_state(p, register, volume / 1000.0, rng)
    log = Log()
    engine = Engine(p, state, register, rng, log, zero)
    engine.fill(np.arange(len(state.cls)), 0)
    engine.age_couples()
    snapshots: dict[str, tuple[int, State]] = {}
    at = {(d - zero).days: t for t, d in wanted.items()}
    days = (LAST - zero).days + 1
    for day in range(days):
        if day in at:
            snapshots[at[day]] = (day, state.copy())
        engine.step(day)
        if day % 365 == 0:
            say(f"simulated to {zero + timedelta(days=day)}")
    return Stage(p, register, log, seed, zero, first, LAST), state, snapshots


def _write(run: Run) -> tuple[Stage, Nominals, Written]:
    stage = run.stage
    offender = _offenders(run)
    nominals = Nominals(stage)
    # Rows of the log beyond the kept households are never looked at again.
    suspects = np.unique(np.concatenate([run.events.a, run.events.b[run.events.counter]]))
    suspects = suspects[suspects >= 0]
    cls_of = np.zeros(stage.register.person["sex"].n, dtype=np.int64)
    frailty_of = np.ones(len(cls_of))
    cls_of[offender["person"]], frailty_of[offender["person"]] = offender["cls"], offender["frailty"]
    other = other_offending(stage, suspects, cls_of[suspects], suspects)
    events = Happenings.join([run.events, other])
    shown = (events.recorded >= stage.start_at) & (events.recorded <= stage.end_at)
    events = events.take(shown)
    events = events.take(np.lexsort((events.row, events.a, events.occurred, events.recorded)))
    places = Places(stage)
    place, district = places.of_events(events)
    written = write_events(stage, events, nominals, place, district, responses(stage, len(events)))
    latent = np.log(np.maximum(frailty_of, 0.05)) + 0.8 * (stage.p.rate[cls_of] > 1)
    grade = write_assessments(stage, written, latent)
    write_calls(stage, written)
    bail_event, bail = write_custody(stage, written)
    on_record, first = np.unique(events.a[(events.a >= 0) & (events.domestic != NO)], return_index=True)
    kept_person = np.zeros(stage.register.person["sex"].n, dtype=bool)
    kept_person[on_record] = True
    write_courts(stage, written, nominals, on_record, cls_of[on_record], kept_person)
    write_orders(stage, written, nominals, kept_person, bail_event, bail)
    seen = events.recorded[(events.a >= 0) & (events.domestic != NO)][first]
    write_markers(stage, nominals, on_record, frailty_of[on_record], seen)
    write_relationships(stage, written)
    write_care(stage, written, grade)
    clusters = write_people(stage, nominals, places, place, _deaths(stage))
    stage.tables["_clusters"] = clusters
    stage.tables["_offenders"] = _truth_offenders(run, offender, cls_of)
    return stage, nominals, written


def _offenders(run: Run) -> dict[str, Ints]:
    """Everyone who ever held a slot, with what he started from."""
    return run.stage.log.table("offender")


def _deaths(stage: Stage) -> tuple[Ints, Ints]:
    """True persons who died within the run, and when."""
    rng = stage.rng("deaths")
    person, day = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
    killed, gone = stage.log.table("killed"), stage.log.table("gone")
    if killed:
        person.append(killed["person"])
        day.append(killed["day"])
    if gone:
        person.append(gone["person"][gone["dead"]])
        day.append(gone["day"][gone["dead"]])
    who, when = np.concatenate(person), np.concatenate(day)
    ok = who >= 0
    return who[ok], stage.at_day(when[ok] + 1, rng)


def _truth_offenders(run: Run, offender: dict[str, Ints], cls_of: Ints) -> pl.DataFrame:
    """Latent state of each offender, with how much he did and how much of it was recorded, within the extract."""
    stage, p = run.stage, run.stage.p
    log = stage.log.table("event")
    begin = (stage.start - stage.first_day).days
    inside = (log["day"] >= begin) & ~log["back"]
    n = stage.register.person["sex"].n
    true = np.bincount(log["person"][inside], minlength=n)
    seen = np.bincount(log["person"][inside & log["reported"]], minlength=n)
    grave = np.bincount(
        log["person"][inside], weights=p.serious[log["kind"][inside]].astype(float), minlength=n
    )
    keep = run.kept[offender["slot"]] & (true[offender["person"]] > 0)
    who = offender["person"][keep]
    severity = np.array([*SEVERITIES, *["escalator"] * p.levels], dtype=object)
    return pl.DataFrame(
        {
            "true_person": ids("T", who),
            "class": pl.Series(np.array(p.class_names, dtype=object)[offender["cls"][keep]], dtype=pl.Utf8),
            "frailty": offender["frailty"][keep],
            "rate_per_year": p.rate[offender["cls"][keep]] * offender["frailty"][keep],
            "severity": pl.Series(severity[offender["sev"][keep]], dtype=pl.Utf8),
            "entered_day": offender["day"][keep],
            "true_events": true[who],
            "reported_events": seen[who],
            "true_serious_events": grave[who].astype(np.int64),
        }
    ).sort("true_person")


def _save(
    folder: Path, run: Run, nominals: Nominals, written: Written, events_per_year: int, years: int, world: str
) -> dict[str, Any]:
    stage = run.stage
    extract, truth = folder / "extract", folder / "truth"
    for path in (extract, truth):
        path.mkdir(parents=True, exist_ok=True)
        for old in path.glob("*.parquet"):
            old.unlink()
    tables = {k: v for k, v in stage.tables.items() if not k.startswith("_")}
    for name, frame in tables.items():
        if "recorded_at" in frame.columns and "withdrawn" not in frame.columns:
            frame = frame.sort(["recorded_at", *frame.columns[:2]], maintain_order=True)
        frame.write_parquet(extract / f"{name}.parquet", compression="zstd", statistics=False)
    stage.tables["_clusters"].write_parquet(truth / "clusters.parquet")
    stage.tables["_offenders"].write_parquet(truth / "offenders.parquet")
    _unreported(stage, run).write_parquet(truth / "unreported.parquet")
    e = written.events
    da = int(((e.domestic == 0) & (e.recorded >= stage.start_at)).sum())
    about = {
        "nature": "simulated",
        "made_by": VERSION,
        "seed": stage.seed,
        "world": world,
        "years": years,
        "events_per_year": events_per_year,
        "from": str(stage.start),
        "to": str(stage.last),
        "hash": code_hash(),
    }
    (extract / "extract.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    return {
        **about,
        "extract": str(extract),
        "truth": str(truth),
        "rows": {k: len(v) for k, v in sorted(tables.items())},
        "domestic_events": da,
        "domestic_events_per_year": round(da / years, 1),
        "true_persons": int(nominals.used.sum()),
        "households_kept": round(float(run.kept.mean()), 4),
    }


def _unreported(stage: Stage, run: Run) -> pl.DataFrame:
    """Per year and offence: how many events there were in the households kept, and how many were recorded."""
    log = stage.log.table("event")
    mine = run.kept[log["slot"]] & (log["day"] >= (stage.start - stage.first_day).days)
    year = np.array(
        [(stage.first_day + timedelta(days=int(d))).year for d in range(int(log["day"].max()) + 1)]
    )
    frame = pl.DataFrame(
        {
            "year": year[log["day"][mine]],
            "offence": pl.Series(np.array(stage.p.keys, dtype=object)[log["kind"][mine]], dtype=pl.Utf8),
            "reported": log["reported"][mine],
        }
    )
    return (
        frame.group_by("year", "offence")
        .agg(true=pl.len(), recorded=pl.col("reported").sum())
        .sort("year", "offence")
    )


__all__ = ["Run", "simulate"]
