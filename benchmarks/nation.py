"""A nation on one machine: force by force through ingest, histories at one T and the graph, resumable at any point.

    python -m benchmarks.nation DIR [--forces 43] [--events-per-year 35000] [--years 10] [--as-of 2025-12-01]
                                    [--jobs 2] [--fresh]

43 forces of 35,000 domestic events a year for ten years are about 15 million domestic events and 50 million
involvements. DIR/force-NN holds what one force leaves: ``extract`` and ``truth`` (made unless there; a file ``done``
marks a whole one), ``home`` (its load), ``histories`` and ``graph`` (a Parquet file a kind of subject: all columns but
those from relationships, and those). Every stage of every force is a process of its own, so memory is what one force
needs, times ``--jobs``. A finished stage is one line in DIR/state.jsonl; killed at any moment, the same command goes on
where it was. ``--ready`` takes only forces that are simulated already; ``--fresh`` does all but the simulation again.
Ends with a table of time, memory, disk and growth.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

STAGES = ("simulate", "ingest", "histories", "graph")
MEASURED = STAGES[1:]
SUBJECTS = ("offender", "victim", "dyad")
BAR_MINUTES, BAR_GIGABYTES = 60, 20


@dataclass(frozen=True)
class Settings:
    """What every force is made and asked with; a folder holds one nation only."""

    events_per_year: int
    years: int
    as_of: str


# --- the stages: each leaves its output whole or not at all ------------------------------------------------


def folder_of(root: Path, force: int) -> Path:
    """Where one force's things are."""
    return root / f"force-{force:02d}"


def output_of(folder: Path, stage: str) -> Path:
    """What is there once a stage is done."""
    names = {
        "simulate": "done",
        "ingest": "home/current.json",
        "histories": "histories",
        "graph": "graph.json",
    }
    return folder / names[stage]


def command_of(stage: str, folder: Path, force: int, settings: Settings) -> list[str]:
    """The process that does one stage of one force."""
    doorstep = [sys.executable, "-m", "api.cli", "--home", str(folder / "home")]
    if stage == "simulate":
        size = ["--events-per-year", str(settings.events_per_year), "--years", str(settings.years)]
        return [*doorstep, "simulate", str(folder), *size, "--seed", str(force)]
    if stage == "ingest":
        return [*doorstep, "ingest", str(folder / "extract")]
    return [sys.executable, "-m", "benchmarks.nation", "--do", stage, str(folder), "--as-of", settings.as_of]


def do(stage: str, folder: Path, as_of: str) -> None:
    """Histories of every subject of a force at T, a Parquet file a kind of subject: the columns that come from
    relationships (graph), or all the others (histories)."""
    from features.catalogue import Column
    from features.clocks import parse_as_of
    from features.engines.facts_network import STREAMS_HERE
    from features.histories import histories, left_out
    from features.home import Home

    records = Home(folder / "home").require().records()
    half = folder / f".{stage}"
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir()
    for subject in SUBJECTS:
        lost = left_out(records, subject)
        columns = [c for c in records.declared.columns(subject) if c.feature.name not in lost]
        by_name = {c.name: c for c in columns}

        def related(column: Column, named: dict[str, Column] = by_name) -> bool:
            return any(c.feature.source in STREAMS_HERE for c in (column, *(named[i] for i in column.inputs)))

        wanted = [c.name for c in columns if related(c) == (stage == "graph")]
        frame = histories(records, subject, parse_as_of(as_of), columns=wanted)
        frame.write_parquet(half / f"{subject}.parquet")
    shutil.rmtree(folder / stage, ignore_errors=True)
    half.rename(folder / stage)


# --- the run ----------------------------------------------------------------------------------------------------


class Run:
    """Which stages of which forces are done, in a file that survives any kill."""

    def __init__(self, root: Path, forces: int, settings: Settings, fresh: bool = False) -> None:
        self.root, self.forces, self.settings = root, forces, settings
        root.mkdir(parents=True, exist_ok=True)
        self._same_nation()
        self.guard = (root / ".lock").open(
            "w"
        )  # the stages hold it too: one that outlived a killed run is waited for
        fcntl.flock(self.guard, fcntl.LOCK_EX)
        self.state = root / "state.jsonl"
        self.lines = [] if fresh else self._read()
        if fresh:
            self.state.unlink(missing_ok=True)
        self.began, self.lock = time.perf_counter(), Lock()
        self.waited = [line for line in self.lines if line["stage"] in MEASURED]

    def _same_nation(self) -> None:
        path, said = self.root / "nation.json", json.dumps(vars(self.settings))
        if not path.exists():
            path.write_text(said + "\n", encoding="utf-8")
        elif json.loads(path.read_text(encoding="utf-8")) != vars(self.settings):
            raise SystemExit(
                f"{path} says this folder was begun with other settings; give those, or another folder."
            )

    def _read(self) -> list[dict[str, Any]]:
        """The stages done and still there; a line cut off by a kill is no line."""
        lines: dict[tuple[int, str], dict[str, Any]] = {}
        for text in self.state.read_text(encoding="utf-8").splitlines() if self.state.exists() else ():
            try:
                line = json.loads(text)
                lines[line["force"], line["stage"]] = line
            except (ValueError, KeyError):
                continue
        return [
            line
            for (force, stage), line in lines.items()
            if output_of(folder_of(self.root, force), stage).exists()
        ]

    def done(self, force: int, stage: str) -> bool:
        """Is this stage of this force behind us? A force somebody else simulated counts."""
        if stage == "simulate":
            return output_of(folder_of(self.root, force), stage).exists()
        return any(line["force"] == force and line["stage"] == stage for line in self.lines)

    def force(self, force: int) -> None:
        """All stages of one force, from where it stands."""
        folder, again = folder_of(self.root, force), False
        for stage in STAGES:
            if self.done(force, stage) and not again:
                continue
            again = True  # what comes after a stage done anew rests on something new
            self._clear(folder, stage)
            folder.mkdir(exist_ok=True)
            line = {"force": force, "stage": stage, **self._cost(stage, folder, force)}
            if stage == "simulate":
                output_of(folder, stage).touch()
            self._note({**line, **size_of(folder, stage), "load": round(os.getloadavg()[0], 1)})

    def _cost(self, stage: str, folder: Path, force: int) -> dict[str, float]:
        return cost(command_of(stage, folder, force, self.settings), self.guard.fileno())

    def _clear(self, folder: Path, stage: str) -> None:
        """Take away what a killed run left of a stage."""
        for left in {"simulate": (".",), "ingest": ("home",)}.get(stage, ()):
            shutil.rmtree(folder / left, ignore_errors=True)

    def _note(self, line: dict[str, Any]) -> None:
        with self.lock:
            self.lines.append(line)
            with self.state.open("a", encoding="utf-8") as state:
                state.write(("" if self._ends_whole() else "\n") + json.dumps(line) + "\n")
                state.flush()
                os.fsync(state.fileno())
            self._show(line)

    def _ends_whole(self) -> bool:
        text = self.state.read_bytes()[-1:] if self.state.exists() else b""
        return text in (b"", b"\n")

    def _show(self, line: dict[str, Any]) -> None:
        """One line: how far, what was last, how long still at this rate."""
        of = self.forces * len(STAGES)
        count = sum(self.done(force, stage) for force in range(1, self.forces + 1) for stage in STAGES)
        here = [each for each in self.lines if each not in self.waited]
        gone = time.perf_counter() - self.began
        left = gone / max(1, len(here)) * (of - count) / 60
        bar = "#" * (20 * count // of)
        words = f"[{bar:<20}] {count}/{of}  force-{line['force']:02d} {line['stage']} {line['seconds']:.0f} s"
        words += f", {gone / 60:.0f} min gone, about {left:.0f} left"
        on_screen = sys.stderr.isatty()
        print(
            ("\r" + words.ljust(100)) if on_screen else words, file=sys.stderr, end="" if on_screen else "\n"
        )


def cost(command: Sequence[str], held: int) -> dict[str, float]:
    """Run a process to its end: wall and CPU seconds and its peak resident memory in MB. One that fails stops the
    run, with the end of what it said. ``held`` is a file that stays open, and locked, as long as the process lives."""
    began = time.perf_counter()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, pass_fds=(held,))
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            output.seek(0)
            said = output.read().decode(errors="replace")[-3000:]
            raise SystemExit(f"{said}\nstopped with exit code {process.returncode}: {' '.join(command)}")
    return {
        "seconds": round(time.perf_counter() - began, 2),
        "cpu": round(usage.ru_utime + usage.ru_stime, 2),
        "peak_mb": round(usage.ru_maxrss / 1024, 1),
    }


def size_of(folder: Path, stage: str) -> dict[str, Any]:
    """What a stage left on disk, in MB, and how many rows it made."""
    paths = {"simulate": ("extract", "truth"), "ingest": ("home",)}.get(stage, (stage,))
    total = sum(f.stat().st_size for path in paths for f in (folder / path).rglob("*") if f.is_file())
    size: dict[str, Any] = {"disk_mb": round(total / 1e6, 1)}
    if stage == "ingest":
        manifest = next((folder / "home" / "loads").glob("*/load.json"))
        tables = json.loads(manifest.read_text(encoding="utf-8"))["tables"]
        size |= {f"{name}s": tables[name]["read"] for name in ("event", "involvement")}
    elif stage in ("histories", "graph"):
        import polars as pl

        frames = {s: pl.scan_parquet(folder / stage / f"{s}.parquet") for s in SUBJECTS}
        size |= {s: frame.select(pl.len()).collect().item() for s, frame in frames.items()}
        size["columns"] = sum(len(frame.collect_schema()) for frame in frames.values())
    return size


# --- the table --------------------------------------------------------------------------------------------------


def table(lines: Iterable[dict[str, Any]], jobs: int, wall: float | None) -> str:
    """Time, memory, disk and growth of what is done."""
    lines = list(lines)
    said = [
        f"{'stage':<10} {'forces':>6} {'minutes':>8} {'cpu min':>8} {'s a force':>10} {'peak MB':>8} {'disk GB':>8}"
    ]
    for stage in STAGES:
        mine = [line for line in lines if line["stage"] == stage]
        if mine:
            said.append(
                f"{stage:<10} {len(mine):>6} {_sum(mine, 'seconds') / 60:>8.1f} {_sum(mine, 'cpu') / 60:>8.1f} "
                f"{statistics.median(line['seconds'] for line in mine):>10.1f} "
                f"{max(line['peak_mb'] for line in mine):>8.0f} {_sum(mine, 'disk_mb') / 1e3:>8.2f}"
            )
    measured = [line for line in lines if line["stage"] in MEASURED]
    whole = _whole(measured)
    if not whole:
        return "\n".join([*said, "No force is through all stages yet."])
    events, parts = (sum(whole[f]["ingest"][key] for f in whole) for key in ("events", "involvements"))
    seconds = sum(line["seconds"] for stages in whole.values() for line in stages.values())
    peak = sum(sorted((line["peak_mb"] for line in measured), reverse=True)[:jobs]) / 1e3
    said += [
        "",
        f"{len(whole)} forces through all stages: {events:,} events, {parts:,} involvements, "
        + ", ".join(f"{sum(whole[f]['histories'][s] for f in whole):,} {s} rows" for s in SUBJECTS)
        + f"; {sum(whole[min(whole)][stage]['columns'] for stage in ('histories', 'graph'))} columns",
        f"time without simulation: {seconds / 60:.1f} min of stages, {seconds / 60 / jobs:.1f} min with {jobs} at a "
        f"time when both are busy" + (f"; this run {wall / 60:.1f} min" if wall is not None else ""),
        f"memory: at most {peak:.1f} GB (the {jobs} largest processes together; the bar is {BAR_GIGABYTES})",
        f"43 forces at this rate: {43 * seconds / len(whole) / 60 / jobs:.0f} min (the bar is {BAR_MINUTES})",
        f"machine: load while stages ended {statistics.median(line['load'] for line in measured):.1f} (median); "
        f"{100 * _sum(measured, 'cpu') / _sum(measured, 'seconds'):.0f} % of a core a process",
        *growth(whole),
    ]
    return "\n".join(said)


def growth(whole: dict[int, dict[str, dict[str, Any]]]) -> list[str]:
    """CPU seconds so far against events so far: how cost grows as forces are added (exponent 1: in proportion)."""
    points, events, cpu = [], 0, 0.0
    for force in sorted(whole):
        events += whole[force]["ingest"]["events"]
        cpu += sum(line["cpu"] for line in whole[force].values())
        points.append((events, cpu))
    shown = {1, len(points)} | {n for n in (4, 11, 22) if n < len(points)}
    said = [
        f"growth: {n:>2} forces {points[n - 1][0]:>11,} events {points[n - 1][1]:>8.0f} cpu s"
        for n in sorted(shown)
    ]
    if len(points) > 1:
        (e0, c0), (e1, c1) = points[0], points[-1]
        said.append(f"exponent of CPU time in events: {math.log(c1 / c0) / math.log(e1 / e0):.2f}")
    return said


def _whole(lines: Iterable[dict[str, Any]]) -> dict[int, dict[str, dict[str, Any]]]:
    """Forces through every measured stage: force -> stage -> line."""
    by: dict[int, dict[str, dict[str, Any]]] = {}
    for line in lines:
        by.setdefault(line["force"], {})[line["stage"]] = line
    return {force: stages for force, stages in by.items() if set(stages) == set(MEASURED)}


def _sum(lines: Iterable[dict[str, Any]], key: str) -> float:
    return sum(line[key] for line in lines)


def main(argv: Sequence[str] | None = None) -> None:
    """Run, or go on with, a nation; print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--forces", type=int, default=43)
    parser.add_argument("--events-per-year", type=int, default=35_000)
    parser.add_argument("--years", type=int, default=10)
    parser.add_argument("--as-of", default="2025-12-01")
    parser.add_argument("--jobs", type=int, default=2, help="forces worked on at the same time")
    parser.add_argument("--ready", action="store_true", help="only forces that are simulated already")
    parser.add_argument("--fresh", action="store_true", help="all stages but the simulation again")
    parser.add_argument("--do", choices=("histories", "graph"), help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.do:
        do(args.do, args.folder, args.as_of)
        return
    run = Run(args.folder, args.forces, Settings(args.events_per_year, args.years, args.as_of), args.fresh)
    forces = [f for f in range(1, args.forces + 1) if not args.ready or run.done(f, "simulate")]
    with ThreadPoolExecutor(max_workers=args.jobs) as pool:
        for _ in pool.map(run.force, forces):
            pass
    wall = time.perf_counter() - run.began
    print(table(run.lines, args.jobs, wall if args.fresh or not run.waited else None))


if __name__ == "__main__":
    main()
