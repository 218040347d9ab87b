"""The real job: every declared feature of every offender on month starts, of forces that grow.

    python -m benchmarks.history_job [--sizes 2500 10000 40000] [--years 6] [--dates 60] [--every 1] [--seed 1]
                                     [--folder DIR] [--subject offender]

Each size is simulated and ingested (once, when ``--folder`` keeps it), then a fresh process reads the load, asks
``histories`` on each of the last month starts and counts the cells. ``--every 5`` asks on one date in five and scales
(marked ``*``). *floor* is what reading the load and, on each date, cutting every table as of T and sorting it by
person and time takes: nobody who computes from these records can do less. *exponent* is log(time ratio) / log(size
ratio) against the size before, in CPU seconds: 1 is growth in proportion.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import polars as pl

END = "2025-12-01"
OWNERS = ("person_id", "suspect_id", "victim_id", "respondent_id", "person_id_a", "event_id")


@dataclass(frozen=True)
class Cost:
    """One size's figures: seconds of clock and processor, megabytes, and how much was made."""

    read: float
    read_cpu: float
    sort: float
    sort_cpu: float
    histories: float
    histories_cpu: float
    megabytes: float
    rows: int
    cells: int
    columns: int
    events: int
    scaled: bool
    others: float = 0.0


def job(home: Path, subject: str, dates: int, every: int) -> Cost:
    """The job itself, in this process."""
    import resource

    from features.asof import as_of
    from features.histories import histories
    from features.home import Home
    from models.dataset import monthly

    def clocks() -> tuple[float, float]:
        return time.perf_counter(), time.process_time()

    start = clocks()
    records = Home(home).require().records()
    read = clocks()
    from features.clocks import parse_as_of

    last = parse_as_of(END)
    grid = monthly(last.replace(year=last.year - dates // 12 - 1), last)[-dates:]
    asked = grid[::-every][::-1]
    rows = cells = columns = 0
    begun = clocks()
    for t in asked:
        for name, table in records.tables.items():
            owner = next((c for c in OWNERS if c in table.columns), None)
            if owner:
                cut = as_of(records, name, t)
                cut.sort(owner, *(["at"] if "at" in cut.columns else []))
    sorted_ = clocks()
    for t in asked:
        frame = histories(records, subject, t)
        rows, cells, columns = rows + frame.height, cells + frame.height * frame.width, frame.width
        print(f"    {t:%Y-%m-%d} {frame.height} x {frame.width}", file=sys.stderr, flush=True)
    ended = clocks()
    times = len(grid) / len(asked)
    return Cost(
        read=read[0] - start[0],
        read_cpu=read[1] - start[1],
        sort=(sorted_[0] - begun[0]) * times,
        sort_cpu=(sorted_[1] - begun[1]) * times,
        histories=(ended[0] - sorted_[0]) * times,
        histories_cpu=(ended[1] - sorted_[1]) * times,
        megabytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        rows=round(rows * times),
        cells=round(cells * times),
        columns=columns,
        events=records.table("event").height,
        scaled=every > 1,
    )


def ready(folder: Path, events: int, years: int, seed: int) -> Path:
    """The home folder of a force of this size, made when it is not there."""
    home = folder / str(events) / "home"
    if not (home / "current.json").is_file():
        doorstep = [str(Path(sys.executable).parent / "doorstep")]
        force = folder / str(events) / "force"
        shutil.rmtree(force, ignore_errors=True)
        size = ["--events-per-year", str(events), "--years", str(years), "--seed", str(seed)]
        for command in (
            [*doorstep, "simulate", str(force), *size],
            [*doorstep, "--home", str(home), "ingest", str(force / "extract")],
        ):
            print(f"  {events}: {' '.join(command[1:4])} ...", file=sys.stderr, flush=True)
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return home


def fresh(home: Path, subject: str, dates: int, every: int) -> Cost:
    """The job in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.history_job", "--one", str(home), "--subject", subject]
    command += ["--dates", str(dates), "--every", str(every)]
    before, began = _busy(), time.perf_counter()
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    cost = Cost(**json.loads(said.splitlines()[-1]))
    asked = (cost.histories_cpu + cost.sort_cpu) * len(range(0, dates, every)) / dates
    own = cost.read_cpu + asked
    others = max(0.0, (_busy() - before - own) / (time.perf_counter() - began))
    return Cost(**{**cost.__dict__, "others": others})


def _busy() -> float:
    ticks = [int(n) for n in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")


def line(size: int, cost: Cost, before: tuple[int, Cost] | None) -> str:
    """One row of the table."""
    star = "*" if cost.scaled else ""
    floor, floor_cpu = cost.read + cost.sort, cost.read_cpu + cost.sort_cpu
    total, total_cpu = cost.histories + cost.read, cost.histories_cpu + cost.read_cpu
    exponent = ""
    if before is not None:
        smaller = before[1].histories_cpu + before[1].read_cpu
        exponent = f"{math.log(total_cpu / smaller) / math.log(size / before[0]):.2f}"
    cells = [
        f"{size:,}",
        f"{cost.events:,}",
        f"{cost.rows:,}{star}",
        str(cost.columns),
        f"{total:.1f}{star}",
        f"{total_cpu:.1f}{star}",
        f"{floor:.1f}{star}",
        f"{100 * floor_cpu / total_cpu:.1f} %",
        f"{1e9 * cost.histories_cpu / cost.cells:.0f}",
        f"{cost.megabytes:.0f}",
        f"{cost.others:.1f}",
        exponent,
    ]
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.history_job",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[2_500, 10_000, 40_000], metavar="A_YEAR")
    parser.add_argument("--years", type=int, default=6)
    parser.add_argument("--dates", type=int, default=60, help="month starts, ending on " + END)
    parser.add_argument("--every", type=int, default=1, help="ask on one date in so many, and scale")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--subject", choices=("offender", "victim", "dyad"), default="offender")
    parser.add_argument("--folder", type=Path, help="keep forces here (default: a temporary folder)")
    parser.add_argument("--one", type=Path, metavar="HOME", help="only the job, on this home folder, as JSON")
    args = parser.parse_args()
    if args.one:
        print(json.dumps(job(args.one, args.subject, args.dates, args.every).__dict__))
        return
    folder = args.folder or Path(tempfile.mkdtemp(prefix="doorstep-job-"))
    print(f"polars {pl.__version__}, {os.cpu_count()} cores, {args.dates} month starts, {args.subject}s")
    print(
        "| events a year | events | rows | columns | seconds | cpu s | floor s | floor, of cpu | ns cpu a cell "
        "| peak MB | others | exponent |\n|" + "--:|" * 12
    )
    before: tuple[int, Cost] | None = None
    for size in args.sizes:
        cost = fresh(ready(folder, size, args.years, args.seed), args.subject, args.dates, args.every)
        print(line(size, cost, before), flush=True)
        before = (size, cost)
    if args.folder is None:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
