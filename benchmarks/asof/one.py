"""One engine, one shape, one fresh process: read Parquet, compute, write Parquet; what each took as a line of JSON.

python -m benchmarks.asof.one ENGINE FOLDER OUT
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl

FILES = ("duckdb", "pandas")
"""Engines that read and write by themselves; the rest are given two frames and give one."""
OURS = {"doorstep": "run", "doorstep, sorted": "run_sorted", "doorstep, join": "run_join"}
Frames = Callable[[pl.DataFrame, pl.DataFrame], pl.DataFrame]


def main() -> None:
    """Run it. The clocks start when the libraries are loaded, except those an engine only loads when it needs them."""
    name, folder, out = sys.argv[1:]
    engine = None if name in FILES else frames_engine(name)
    whole = file_engine(name) if engine is None else None
    began, cpu = time.perf_counter(), time.process_time()
    note: dict[str, float] = {}
    if whole is not None:
        whole(folder, out)
    elif engine is not None:
        events, rows = pl.read_parquet(f"{folder}/events.parquet"), pl.read_parquet(f"{folder}/rows.parquet")
        read, read_cpu = time.perf_counter(), time.process_time()
        answer = engine(events, rows)
        note = {"compute": time.perf_counter() - read, "compute_cpu": time.process_time() - read_cpu}
        answer.write_parquet(out)
    note |= {"total": time.perf_counter() - began, "cpu": time.process_time() - cpu, "megabytes": peak()}
    print(json.dumps(note))


def peak() -> float:
    """The most memory this process has held, in MB. (What ``wait4`` tells a parent counts the parent's own as well.)"""
    held = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith("VmHWM"))
    return int(held.split()[1]) / 1024


def frames_engine(name: str) -> Frames:
    """An engine from frames to a frame, its library loaded."""
    if name in OURS:
        from benchmarks.asof import ours

        made: Frames = getattr(ours, OURS[name])
        return made
    if name == "numpy":
        import numpy  # noqa: F401

        from benchmarks.asof import others

        return others.numpy
    from benchmarks.asof.polars_forms import FORMS

    return FORMS[name]


def file_engine(name: str) -> Callable[[str, str], None]:
    """An engine from files to a file, its library loaded."""
    from benchmarks.asof import others

    __import__(name)
    return {"duckdb": others.duckdb, "pandas": others.pandas}[name]


if __name__ == "__main__":
    main()
