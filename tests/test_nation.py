"""The national driver: killed and run again it goes on, redoes nothing that is done, and ends with the same numbers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from benchmarks.nation import MEASURED, STAGES, SUBJECTS, Run, Settings, growth, output_of, table

SMALL = Settings(events_per_year=60, years=1, as_of="2025-12-01")


def line(force: int, stage: str, **more: Any) -> dict[str, Any]:
    facts = {
        "force": force,
        "stage": stage,
        "seconds": 10.0,
        "cpu": 8.0,
        "peak_mb": 500.0,
        "disk_mb": 20.0,
        "load": 1.0,
    }
    counts = {"ingest": {"events": 1000, "involvements": 2600}}.get(stage, {})
    if stage in ("histories", "graph"):
        counts = {"offender": 3, "victim": 4, "dyad": 5, "columns": 60}
    return facts | counts | more


def begun(root: Path, lines: str) -> Run:
    for text in lines.splitlines():
        try:
            done = json.loads(text)
        except ValueError:
            continue
        place = output_of(root / f"force-{done['force']:02d}", done["stage"])
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()
    (root / "state.jsonl").write_text(lines, encoding="utf-8")
    return Run(root, 2, SMALL)


def test_a_stage_counts_only_when_noted_whole_and_still_there(tmp_path: Path) -> None:
    said = "\n".join(json.dumps(line(1, stage)) for stage in STAGES) + '\n{"force": 2, "stage": "ing'
    run = begun(tmp_path, said)
    assert all(run.done(1, stage) for stage in STAGES)
    assert not any(run.done(2, stage) for stage in STAGES)
    run.guard.close()
    output_of(tmp_path / "force-01", "graph").unlink()
    again = Run(tmp_path, 2, SMALL)
    assert [stage for stage in STAGES if not again.done(1, stage)] == ["graph"]
    again._note(line(2, "ingest"))  # after a line that a kill cut off
    again.guard.close()
    output_of(tmp_path / "force-02", "ingest").parent.mkdir(parents=True)
    output_of(tmp_path / "force-02", "ingest").touch()
    assert Run(tmp_path, 2, SMALL).done(2, "ingest")


def test_fresh_keeps_the_simulation_only(tmp_path: Path) -> None:
    run = begun(tmp_path, "\n".join(json.dumps(line(1, stage)) for stage in STAGES) + "\n")
    run.guard.close()
    fresh = Run(tmp_path, 1, SMALL, fresh=True)
    assert [stage for stage in STAGES if fresh.done(1, stage)] == ["simulate"]


def test_one_folder_holds_one_nation(tmp_path: Path) -> None:
    Run(tmp_path, 2, SMALL).guard.close()
    with pytest.raises(SystemExit, match="other settings"):
        Run(tmp_path, 2, Settings(events_per_year=61, years=1, as_of="2025-12-01"))


def test_the_table_adds_up_and_says_when_there_is_nothing(tmp_path: Path) -> None:
    lines = [line(force, stage) for force in (1, 2, 3) for stage in MEASURED] + [line(4, "ingest")]
    said = table(lines, 2, None)
    assert "3 forces through all stages: 3,000 events, 7,800 involvements" in said
    assert "1.5 min of stages, 0.8 min with 2" in said, (
        "nine stages of ten seconds; the fourth force is not through"
    )
    assert "at most 1.0 GB" in said
    assert "43 forces at this rate: 11 min" in said
    assert growth({f: {s: line(f, s) for s in MEASURED} for f in (1, 2, 3)})[-1].endswith("1.00")
    assert "No force is through" in table([line(1, "ingest")], 2, None)


def nation(root: Path, **kwargs: Any) -> subprocess.Popen[bytes]:
    words = ["--forces", "2", "--events-per-year", "60", "--years", "1", "--jobs", "1"]
    command = [sys.executable, "-m", "benchmarks.nation", str(root), *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **kwargs)


def noted(root: Path) -> list[tuple[int, str]]:
    state = root / "state.jsonl"
    lines = state.read_text(encoding="utf-8").splitlines() if state.exists() else []
    return [(done["force"], done["stage"]) for done in map(json.loads, lines)]


@pytest.mark.slow
def test_killed_in_the_middle_it_goes_on_and_ends_as_if_never_stopped(tmp_path: Path) -> None:
    killed = tmp_path / "killed"
    run = nation(killed)
    while len(noted(killed)) < 3 and run.poll() is None:
        time.sleep(0.05)
    os.kill(run.pid, signal.SIGKILL)  # a stage of force 1 or 2 is under way and outlives it
    run.communicate()
    before = noted(killed)
    assert 3 <= len(before) < 8
    for root in (killed, tmp_path / "whole"):
        again = nation(root)
        out, err = again.communicate(timeout=170)
        assert again.returncode == 0, err.decode()
        assert "2 forces through all stages" in out.decode()
    assert noted(killed)[: len(before)] == before
    assert sorted(noted(killed)) == sorted((f, s) for f in (1, 2) for s in STAGES), (
        "nothing done twice, nothing left out"
    )
    for force in ("force-01", "force-02"):
        for stage in ("histories", "graph"):
            for subject in SUBJECTS:
                path = Path(force) / stage / f"{subject}.parquet"
                assert pl.read_parquet(killed / path).equals(pl.read_parquet(tmp_path / "whole" / path))
