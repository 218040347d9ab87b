"""Wall time and peak memory of each stage, at three sizes of force, each stage a fresh process.

    python -m benchmarks.pipeline [--sizes 10000 40000 160000] [--years 6] [--seed 1] [--keep DIR]

Two peers run in the same turn, so that a figure means something on another machine: *copy* reads every table of the
extract with Polars and writes it again (the floor of ingest), *duckdb* counts domestic events and days since the last
for every suspect in six windows, one SQL statement from Parquet to Parquet (a small part of what ``features`` does).
The last columns are the stage's time and memory over its peer's.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

COPY = """
import sys, pathlib, polars as pl
out = pathlib.Path(sys.argv[2]); out.mkdir(parents=True, exist_ok=True)
for f in sorted(pathlib.Path(sys.argv[1]).glob("*.parquet")):
    pl.read_parquet(f).write_parquet(out / f.name)
"""

DUCKDB = """
import sys, duckdb
src, as_of, out = sys.argv[1:]
t = f"TIMESTAMPTZ '{as_of} 06:00:00'"
known = "coalesce(recorded_at, occurred_at)"
cells = ", ".join(
    f"count(DISTINCT event_id) FILTER (occurred_at > {t} - INTERVAL {w} DAY) AS domestic_events_{w}"
    for w in (30, 90, 180, 365, 730, 36500)
)
duckdb.sql("SET threads = 2; SET TimeZone = 'UTC'")
duckdb.sql(f'''COPY (
  WITH e AS (
    SELECT event_id, occurred_at, domestic FROM read_parquet('{src}/event.parquet') WHERE {known} <= {t}
    QUALIFY row_number() OVER (PARTITION BY event_id ORDER BY {known} DESC) = 1)
  SELECT i.person_id, {cells}, date_diff('second', max(occurred_at), {t}) // 86400 AS days_since_domestic
  FROM read_parquet('{src}/involvement.parquet') i JOIN e USING (event_id)
  WHERE i.role = 'suspect' AND domestic = 'Y' AND occurred_at <= {t}
  GROUP BY i.person_id ORDER BY i.person_id) TO '{out}' (FORMAT parquet)''')
"""


@dataclass(frozen=True)
class Cost:
    """What one stage took: seconds of wall clock, and the peak resident memory of its process in MB."""

    seconds: float
    megabytes: float


def run(command: list[str]) -> Cost:
    """Run a command to its end in a fresh process and return its cost; a failing command stops the benchmark."""
    started = time.perf_counter()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            output.seek(0)
            sys.stderr.write(output.read().decode(errors="replace")[-3000:])
            raise SystemExit(f"stage failed with exit code {process.returncode}: {' '.join(command)}")
    return Cost(time.perf_counter() - started, usage.ru_maxrss / 1024)


def stages(events: int, years: int, seed: int, root: Path) -> list[tuple[str, Cost, str]]:
    """Run the whole job for one size; return (stage, cost, peer stage or '')."""
    doorstep = [str(Path(sys.executable).parent / "doorstep"), "--home", str(root / "home")]
    extract, as_of = root / "force" / "extract", "2025-12-01"
    features = [
        "features",
        "--as-of",
        as_of,
        "--subject",
        "offender",
        "--out",
        str(root / "features.parquet"),
    ]
    why = ["--purpose", "review"]
    scores = ["score", "--as-of", as_of, "--out", str(root / "score.parquet")]
    size = ["--events-per-year", str(events), "--years", str(years), "--seed", str(seed)]
    plan: list[tuple[str, list[str], str]] = [
        ("simulate", [*doorstep, "simulate", str(root / "force"), *size], ""),
        ("copy (peer)", [sys.executable, "-c", COPY, str(extract), str(root / "copy")], ""),
        ("check", [*doorstep, "check", str(extract)], "copy (peer)"),
        ("ingest", [*doorstep, "ingest", str(extract)], "copy (peer)"),
        (
            "duckdb (peer)",
            [sys.executable, "-c", DUCKDB, str(extract), as_of, str(root / "peer.parquet")],
            "",
        ),
        ("features", [*doorstep, *features, *why], "duckdb (peer)"),
        ("train", [*doorstep, "train", "--until", as_of], ""),
        ("score", [*doorstep, *scores, *why], ""),
        ("publish", [*doorstep, "publish", "--as-of", as_of], ""),
        ("list", [*doorstep, "list", "--top", "25", *why], ""),
    ]
    done = []
    for name, command, peer in plan:
        done.append((name, run(command), peer))
        print(f"  {events:>7} events a year: {name} {done[-1][1].seconds:.1f} s", file=sys.stderr, flush=True)
    return done


def main() -> None:
    """Print one table of every stage at every size."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=[10_000, 40_000, 160_000], metavar="EVENTS_PER_YEAR"
    )
    parser.add_argument("--years", type=int, default=6)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--keep", type=Path, help="work in this folder and leave it (default: a temporary one)"
    )
    args = parser.parse_args()
    print(
        f"{'events a year':>13} {'stage':<14} {'seconds':>8} {'peak MB':>8} {'time / peer':>12} {'memory / peer':>14}"
    )
    for events in args.sizes:
        root = (args.keep or Path(tempfile.mkdtemp(prefix="doorstep-bench-"))) / str(events)
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir(parents=True)
        costs: dict[str, Cost] = {}
        for name, cost, peer in stages(events, args.years, args.seed, root):
            costs[name] = cost
            ratios = (
                f"{cost.seconds / costs[peer].seconds:>12.1f} {cost.megabytes / costs[peer].megabytes:>14.1f}"
                if peer
                else ""
            )
            print(f"{events:>13} {name:<14} {cost.seconds:>8.1f} {cost.megabytes:>8.0f} {ratios}", flush=True)
        if args.keep is None:
            shutil.rmtree(root.parent)


if __name__ == "__main__":
    main()
