"""Are breaks in recording practice found in time, and how often is there an alarm about nothing?

    python -m benchmarks.drift FOLDER [--seeds 20] [--first 101] [--events-per-year 3000]

The thresholds in models/data/drift.toml were chosen on seeds 1 to 20; the result to quote is that of seeds 101 to 120,
on which nothing was chosen. Seeds 1 to 20 are run with ``--first 1``.

For each seed a force of three years is simulated (36 months) and monitored without a break; then three breaks are put
into its extract, in the rows recorded from month 30 on:

- **recoded**: every offence of one class is recorded under another class's code; which, goes round by seed among the
  classes with at least 2.5 % of the domestic offences of the months before;
- **non-crimes**: incidents that are no crime are no longer recorded, nor anything that hangs on them;
- **suspect**: half of the offences have no suspect_id; who was involved in the event is still recorded.

Of a broken extract only the rows recorded by the end of month 32 are handed to the monitor. A break counts as found
only by an alarm on a signal that the break changes, told in months 30 to 32. Every alarm of months 1 to 29, and every
alarm of the 36 months without a break, is false; alarms are counted one a signal. Bars: found in 18 of 20 of each,
no seed with more than one false alarm in either.

Results are kept in FOLDER, one file a seed, under a name that holds the code's digest: an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import json
import resource
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from features.clocks import parse_as_of
from features.front import examine
from features.records import Records
from features.simulate.run import LAST, simulate
from models import store
from models.drift_practice import Break, breaks

YEARS, BREAK, BY = 3, 30, 32
LEAST_SHARE = 0.025
BAR_FOUND, BAR_FALSE = 0.9, 1
Tables = dict[str, pl.DataFrame]


def month_start(number: int) -> datetime:
    """06:00 in London on the first of month ``number`` of the force, counted from 1."""
    year, month = divmod((LAST.year - YEARS + 1) * 12 + number - 1, 12)
    return parse_as_of(f"{year:04d}-{month + 1:02d}-01")


def _late(frame: pl.DataFrame) -> pl.Expr:
    return (pl.col("recorded_at") > month_start(BREAK)) if "recorded_at" in frame.columns else pl.lit(False)


def recoded(tables: Tables, seed: int) -> tuple[Tables, Callable[[Break], bool]]:
    """One class's offences go under another's code; the codes and descriptions are those of the force itself."""
    offence = tables["offence"]
    domestic = tables["event"].filter(pl.col("domestic") == "Y").select("event_id").unique()
    known = offence.filter(~_late(offence)).join(domestic, on="event_id", how="semi")
    common = (
        known.group_by("ho_code")
        .agg(pl.len(), pl.col("description").mode().sort().first())
        .filter(pl.col("len") >= LEAST_SHARE * known.height)
        .sort("len", "ho_code", descending=True)
    )
    here, there = common.row(seed % common.height), common.row((seed + 1) % common.height)
    moved = _late(offence) & (pl.col("ho_code") == here[0])
    changed = offence.with_columns(
        pl.when(moved).then(pl.lit(there[i])).otherwise(pl.col(c)).alias(c)
        for i, c in ((0, "ho_code"), (2, "description"))
    )
    return {
        **tables,
        "offence": changed,
    }, lambda alarm: alarm.column == "ho_code" and alarm.value in (here[0], there[0])


def no_non_crimes(tables: Tables, seed: int) -> tuple[Tables, Callable[[Break], bool]]:
    """Non-crime incidents first recorded after the break never were, nor what hangs on them."""
    del seed  # all of them
    event = tables["event"]
    first = event.group_by("event_id").agg(pl.col("recorded_at").min(), pl.col("kind").first())
    gone = first.filter(_late(first), pl.col("kind") == "non_crime")["event_id"].implode()
    out = dict(tables)
    for name, frame in tables.items():
        if name in ("event", "offence", "involvement", "risk_assessment"):
            out[name] = frame.filter(~pl.col("event_id").is_in(gone))
        elif "event_id" in frame.columns:
            out[name] = frame.with_columns(
                pl.when(~pl.col("event_id").is_in(gone)).then(pl.col("event_id")).alias("event_id")
            )
    return (
        out,
        lambda alarm: (
            (alarm.population, alarm.column)
            in {("domestic_event", "kind"), ("domestic_event", ""), ("domestic_non_crime", "")}
        ),
    )


def half_of_suspects(tables: Tables, seed: int) -> tuple[Tables, Callable[[Break], bool]]:
    """A coin thrown for each offence decides whether it still names its suspect."""
    offence = tables["offence"]
    ids = offence["offence_id"].unique().sort()
    coin = pl.DataFrame(
        {"offence_id": ids, "_blank": np.random.default_rng([seed, 8]).random(len(ids)) < 0.5}
    )
    changed = offence.join(coin, on="offence_id", maintain_order="left")
    blank = _late(offence) & pl.col("_blank")
    changed = changed.with_columns(pl.when(~blank).then(pl.col("suspect_id")).alias("suspect_id")).drop(
        "_blank"
    )
    return {
        **tables,
        "offence": changed,
    }, lambda alarm: alarm.population == "domestic_offence" and alarm.column == "suspect_id"


BREAKS = {"recoded": recoded, "non-crimes": no_non_crimes, "suspect": half_of_suspects}


def read(extract: Path) -> Tables:
    """The extract's tables, as the force would hand them over."""
    return {path.stem: pl.read_parquet(path) for path in sorted(extract.glob("*.parquet"))}


def write(tables: Tables, extract: Path, out: Path, until: datetime) -> None:
    """An extract taken at ``until``: rows recorded later are not in it."""
    out.mkdir(parents=True, exist_ok=True)
    for name, frame in tables.items():
        rows = frame.filter(pl.col("recorded_at") <= until) if "recorded_at" in frame.columns else frame
        rows.write_parquet(out / f"{name}.parquet")
    for path in extract.glob("*.json"):
        (out / path.name).write_bytes(path.read_bytes())


def alarms(extract: Path, until: datetime) -> list[Break]:
    """What the monitor has told by ``until``, through the front door as a load goes."""
    return breaks(Records.from_canonical(examine(extract).tables), until)[0]


def one_seed(seed: int, folder: Path, events_per_year: int) -> dict[str, Any]:
    """Simulate, break, monitor: what was found when, and every false alarm."""
    extract = folder / f"force-{events_per_year}-{seed}" / "extract"
    if not (extract.parent / "truth").exists():
        simulate(extract.parent, events_per_year, YEARS, seed)
    quiet = alarms(extract, month_start(YEARS * 12 + 1) + timedelta(days=1))
    out: dict[str, Any] = {"seed": seed, "false": [_told(a) for a in quiet], "breaks": {}}
    tables = read(extract)
    for name, make in BREAKS.items():
        changed, is_it = make(tables, seed)
        until = month_start(BY + 1)
        place = folder / "broken"
        write(changed, extract, place, until)
        told = alarms(place, until)
        hits = [a for a in told if a.number >= BREAK and is_it(a)]
        out["breaks"][name] = {
            "month": min((a.number for a in hits), default=None),
            "told": [_told(a) for a in hits],
            "before": [_told(a) for a in told if a.number < BREAK],
        }
    return out


def _told(alarm: Break) -> dict[str, Any]:
    return {"month": alarm.number, "signal": alarm.signal, "p": alarm.p, "call": alarm.call}


def report(results: list[dict[str, Any]]) -> tuple[list[str], bool]:
    """Lines of the results and whether every bar is met."""
    lines, fine = [], True
    seeds = len(results)
    for name in BREAKS:
        found = [r["breaks"][name]["month"] for r in results]
        by = {m: sum(f == m for f in found) for m in range(BREAK, BY + 1)}
        total = sum(by.values())
        met = total >= BAR_FOUND * seeds
        fine &= met
        lines.append(
            f"{name:<12} found by month {BY}: {total} of {seeds}  ("
            + ", ".join(f"month {m}: {n}" for m, n in by.items())
            + f")  bar {BAR_FOUND:.0%}: {'met' if met else 'MISSED'}"
        )
    early = [max(_early(r)) for r in results]
    quiet = [len(r["false"]) for r in results]
    for words, counts in ((f"months 1 to {BREAK - 1}", early), ("36 months without a break", quiet)):
        met = max(counts, default=0) <= BAR_FALSE
        fine &= met
        lines.append(
            f"false alarms, {words}: {sum(counts)} in {seeds} seeds, at most {max(counts, default=0)} in one"
            f"  bar {BAR_FALSE}: {'met' if met else 'MISSED'}"
        )
    for r in results:
        false = {(a["month"], a["signal"]): a["p"] for a in _false(r)}
        lines += [f"  seed {r['seed']}: month {m} {signal} (p {p:.1e})" for (m, signal), p in false.items()]
    return lines, fine


def _false(result: dict[str, Any]) -> list[dict[str, Any]]:
    """Every false alarm of a seed: of the run without a break, and of the broken runs before the break."""
    return [*result["false"], *(a for b in result["breaks"].values() for a in b["before"])]


def _early(result: dict[str, Any]) -> list[int]:
    """False alarms before the break, in the run without one and in each broken run (months 1 to 29 are the same)."""
    quiet = sum(a["month"] < BREAK for a in result["false"])
    return [quiet, *(len(b["before"]) for b in result["breaks"].values())]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="where forces and results are kept")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=101)
    parser.add_argument("--events-per-year", type=int, default=3000)
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    results, code = [], _code()
    for seed in range(args.first, args.first + args.seeds):
        kept = args.folder / f"result-{args.events_per_year}-{seed}-{code}.json"
        if not kept.exists():
            found = one_seed(seed, args.folder, args.events_per_year)
            store.write_atomic(kept, json.dumps(found, indent=1).encode())
        results.append(json.loads(kept.read_text(encoding="utf-8")))
        months = {name: b["month"] for name, b in results[-1]["breaks"].items()}
        false = {(a["month"], a["signal"]) for a in _false(results[-1])}
        print(f"seed {seed}: found in month {months}, false alarms {len(false)}", flush=True)
    lines, fine = report(results)
    print("\n".join(lines))
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(f"{used.ru_utime + used.ru_stime:.0f} CPU-seconds in this run")
    raise SystemExit(0 if fine else 1)


def _code() -> str:
    """A digest of what the results depend on: the monitor, its settings and this file."""
    root = Path(__file__).resolve().parents[1]
    parts = (
        "models/drift_signals.py",
        "models/drift_practice.py",
        "models/data/drift.toml",
        "benchmarks/drift.py",
    )
    return store.sha256(b"".join((root / part).read_bytes() for part in parts))[:12]


if __name__ == "__main__":
    main()
