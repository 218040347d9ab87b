"""The as-of benchmark: one table of every engine on every shape, and which bars are met.

    python -m benchmarks.asof [--shapes A B C D] [--rounds 5] [--only ENGINE ...] [--featuretools ENV] [--events N]
                              [--folder DIR] [--out results.json]

Each run is a fresh process. *total* is Parquet to Parquet in it, libraries loaded; *compute* is memory to memory;
*process* is all of it, from start to exit. All are medians over the rounds, in which engines take turns. *cpu* is what
each took of both cores, which a busy machine distorts less than seconds on the clock; *others* is how many cores other
programs held meanwhile. An engine twelve times slower than the fastest of the first round is not repeated. Answers are
compared with a plain loop on a sample of rows and, whole, with each other; an engine that is wrong is struck through.

``--featuretools ENV`` names the folder of its own environment; it is made there when it does not exist (from
``requirements-featuretools.txt``), does one row in twenty, and is scaled: its figures are marked ``*``.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.asof import task
from benchmarks.asof.polars_forms import FORMS

HERE = Path(__file__).parent
ENGINES = ("doorstep", "doorstep, sorted", *FORMS, "numpy", "pandas", "duckdb")
TOO_SLOW = 12.0
SHARE = 0.05


@dataclass
class Runs:
    """What the runs of one engine on one shape took, run by run: seconds, MB, cores."""

    process: list[float] = field(default_factory=list)
    total: list[float] = field(default_factory=list)
    compute: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    compute_cpu: list[float] = field(default_factory=list)
    megabytes: list[float] = field(default_factory=list)
    others: list[float] = field(default_factory=list)
    wrong: str = ""
    scaled: bool = False

    def median(self, what: str) -> float | None:
        """The middle of one list; None when it is empty."""
        values = getattr(self, what)
        return statistics.median(values) if values else None


def busy() -> float:
    """Seconds of work all cores together have done since the machine started."""
    ticks = [int(n) for n in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")


def run(command: list[str], runs: Runs) -> dict[str, Any]:
    """Run one engine once and note what it took; what it printed is returned."""
    before, began = busy(), time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=HERE.parents[1])
    assert process.stdout is not None
    assert process.stderr is not None
    said, faults = process.stdout.read(), process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    took, used = time.perf_counter() - began, usage.ru_utime + usage.ru_stime
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{faults.decode(errors='replace')[-2000:]}")
    note: dict[str, Any] = json.loads(said.splitlines()[-1])
    runs.process.append(took)
    runs.others.append(max(0.0, (busy() - before - used) / took))
    for what in ("total", "cpu", "compute", "compute_cpu", "megabytes"):
        if what in note:
            getattr(runs, what).append(note[what])
    return note


def measure(shape: str, folder: Path, engines: list[str], rounds: int) -> dict[str, Runs]:
    """Every engine on one shape, taking turns."""
    results = {name: Runs() for name in engines}
    answers: dict[str, str] = {}
    for turn in range(rounds):
        best = min((min(r.total) for r in results.values() if r.total), default=0.0)
        for name, runs in results.items():
            if turn and runs.total[0] > TOO_SLOW * best:
                continue
            out = folder / "answer.parquet"
            run([sys.executable, "-m", "benchmarks.asof.one", name, str(folder), str(out)], runs)
            print(f"  {shape} {turn + 1} {name}: {runs.total[-1]:.2f} s", file=sys.stderr, flush=True)
            if turn == 0:
                answer = pl.read_parquet(out)
                answers[name] = task.digest(answer)
                cells = task.wrong_cells(answer, folder)
                runs.wrong = f"{cells} cells of the sample differ from the loop" if cells else ""
            out.unlink()
    right = statistics.mode([answers[n] for n, r in results.items() if not r.wrong] or ["none"])
    for name, runs in results.items():
        if not runs.wrong and answers[name] != right:
            runs.wrong = "the whole file differs from the other engines'"
    return results


def featuretools(shape: str, folder: Path, environment: Path) -> Runs:
    """featuretools on a twentieth of the rows, its computing scaled up to all of them."""
    python = environment / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
        wanted = HERE / "requirements-featuretools.txt"
        subprocess.run([str(python), "-m", "pip", "install", "-q", "-r", str(wanted)], check=True)
    runs, out = Runs(scaled=True), folder / "answer.parquet"
    script = str(HERE / "featuretools_peer.py")
    note = run([str(python), script, str(folder), str(out), str(SHARE)], runs)
    rows = pl.read_parquet(folder / "rows.parquet")
    part = pl.read_parquet(out).with_columns(pl.col("t").cast(pl.Date))
    more = rows.height / note["rows"] - 1
    for what, part_of in (("total", "compute"), ("cpu", "compute_cpu"), ("process", "compute")):
        getattr(runs, what)[0] += more * note[part_of]
    runs.compute, runs.compute_cpu = [note["compute"] * (1 + more)], [note["compute_cpu"] * (1 + more)]
    plain = FORMS["polars wide, longest first"](
        pl.read_parquet(folder / "events.parquet"), part.select("person", "t")
    )
    runs.wrong = "" if task.digest(plain) == task.digest(part) else "cells differ from the other engines'"
    print(f"  {shape} featuretools: {note['rows']} rows, {note['version']}", file=sys.stderr, flush=True)
    return runs


def table(shape: str, results: dict[str, Runs]) -> str:
    """One shape as Markdown; ratios are to the fastest right form of plain Polars in each column."""
    timed = ("total", "cpu", "compute", "compute_cpu")
    base = {what: _best_polars(results, what) for what in timed}
    lines = [
        f"| {shape} | total s | ratio | total cpu s | ratio | compute s | ratio | compute cpu s | ratio | process s "
        "| peak MB | others | runs |",
        "|---|" + "--:|" * 12,
    ]
    for name, r in results.items():
        star = "*" if r.scaled else ""
        cells = [text for w in timed for text in (_cell(r.median(w), star), _ratio(r.median(w), base[w]))]
        cells += [
            _cell(r.median("process"), star),
            f"{r.median('megabytes'):.0f}",
            f"{r.median('others'):.1f}",
            str(len(r.total)),
        ]
        if r.wrong:
            name, cells = f"{name} (wrong: {r.wrong})", [f"~~{c}~~" if c else "" for c in cells]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(value: float | None, star: str) -> str:
    return "" if value is None else f"{value:.2f}{star}" if value < 100 else f"{value:.0f}{star}"


def _ratio(value: float | None, base: float | None) -> str:
    return "" if value is None or not base else f"{value / base:.2f}"


def _best_polars(results: dict[str, Runs], what: str) -> float | None:
    """The least median among the plain Polars forms that are right."""
    found = [r.median(what) for n, r in results.items() if n in FORMS and not r.wrong]
    return min((v for v in found if v is not None), default=None)


LIMITS = {
    "compute": {"C": 1.0, "D": 0.25},
    "total": {"A": 1.3, "B": 1.3, "C": 1.1},
    "megabytes": dict.fromkeys(task.SHAPES, 1.2),
}
CPU = {"compute": "compute_cpu", "total": "cpu"}


def bars(done: dict[str, dict[str, Runs]]) -> list[str]:
    """Each bar of the task as a line: on the clock, in cpu seconds, what was asked, and whether the clock meets it."""
    out = []
    for what, by_shape in LIMITS.items():
        for shape, limit in by_shape.items():
            pair = [_against_polars(done.get(shape, {}), w) for w in (what, CPU.get(what, ""))]
            name = "memory" if what == "megabytes" else what
            out += _bar(f"{name} {shape}, of the fastest plain Polars", pair, limit, at_most=True)
    for peer, shapes, least in (("duckdb", "C", 2.0), ("featuretools", "ABC", 50.0)):
        for shape in shapes:
            pair = [_times_faster(done.get(shape, {}), peer, w) for w in ("total", "cpu")]
            out += _bar(f"total {shape}, times faster than {peer}", pair, least, at_most=False)
    return out


def _against_polars(results: dict[str, Runs], what: str) -> float | None:
    own = results["doorstep"].median(what) if what and "doorstep" in results else None
    base = _best_polars(results, what) if what else None
    return own / base if own is not None and base else None


def _times_faster(results: dict[str, Runs], peer: str, what: str) -> float | None:
    if peer not in results or "doorstep" not in results:
        return None
    other, own = results[peer].median(what), results["doorstep"].median(what)
    return other / own if other and own else None


def _bar(what: str, pair: list[float | None], limit: float, at_most: bool) -> list[str]:
    value, cpu = pair
    if value is None:
        return []
    met = value <= limit if at_most else value >= limit
    shown = "" if cpu is None else f"{cpu:.2f}"
    asked = f"{'at most' if at_most else 'at least'} {limit:g}"
    return [f"| {what} | {value:.2f} | {shown} | {asked} | {'met' if met else '**not met**'} |"]


def main() -> None:
    """Run it and print the tables."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.asof",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--shapes", nargs="+", choices=task.SHAPES, default=list(task.SHAPES))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=ENGINES, default=list(ENGINES), metavar="ENGINE")
    parser.add_argument("--featuretools", type=Path, metavar="ENV", help="folder of its own environment")
    parser.add_argument("--events", type=int, default=task.EVENTS, help="fewer make a smaller task")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="where the data lies or goes (default: a temporary one)")
    parser.add_argument("--out", type=Path, help="write every run's figures here as JSON")
    args = parser.parse_args()
    print(
        f"Python {sys.version.split()[0]}, {os.cpu_count()} cores, {args.events:,} events, "
        + ", ".join(f"{name} {version(name)}" for name in ("polars", "duckdb", "pandas", "numpy", "pyarrow"))
    )
    root = args.folder or Path(tempfile.mkdtemp(prefix="doorstep-asof-"))
    done: dict[str, dict[str, Runs]] = {}
    for shape in args.shapes:
        folder = root / shape
        if not (folder / "rows.parquet").is_file():
            folder.mkdir(parents=True, exist_ok=True)
            task.make(shape, folder, args.seed, args.events)
        done[shape] = measure(shape, folder, list(args.only), args.rounds)
        if args.featuretools and shape != "D":
            done[shape]["featuretools"] = featuretools(shape, folder, args.featuretools)
        print(f"\n{table(shape, done[shape])}", flush=True)
        if args.out:
            kept = {s: {n: asdict(r) for n, r in rs.items()} for s, rs in done.items()}
            args.out.write_text(json.dumps(kept, indent=1), encoding="utf-8")
    print("\n| bar | on the clock | cpu | asked | |\n|---|--:|--:|--:|---|")
    print("\n".join(bars(done)))


if __name__ == "__main__":
    main()
