"""What a link run leaves in the home, and the one way feature code gets at it: references, probabilities and clocks.

``HOME/links/<load_id>/`` holds ``pairs.parquet`` (the staircase of every pair), ``apart.parquet``, ``persons.parquet``,
``shown.parquet`` (which variants of a pair agreed, for the drawing) and ``run.json``; ``HOME/links/decisions.jsonl``
what reviewers decided, one line each, never changed. No name is in any of them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import polars as pl

from features import disk
from features.errors import InputError
from features.linkage.pairs import two_people
from features.nominals import APART, DECISIONS, PAIRS, PERSONS, Links
from features.records import Records
from features.schema import UTC_TIME

RUN, LOG = "run.json", "decisions.jsonl"
TABLES = {"pairs": PAIRS, "apart": APART, "persons": PERSONS}


def folder(home: Path, load_id: str = "") -> Path:
    """Where the links of a load are; without a load, where all are."""
    return home / "links" / load_id if load_id else home / "links"


def run_of(home: Path, load_id: str) -> dict[str, Any] | None:
    """What the last link run on a load wrote of itself; None before the first."""
    path = folder(home, load_id) / RUN
    if not path.exists():
        return None
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as problem:
        raise _damaged(path) from problem


def write_run(home: Path, load_id: str, frames: Mapping[str, pl.DataFrame], run: Mapping[str, Any]) -> None:
    """Put a finished run in place, whole or not at all; an earlier run of the load is replaced.

    Its tables are named by the run, and ``run.json``, written last in one step, says which run holds.
    """
    place = folder(home, load_id)
    with disk.locked(folder(home) / ".lock"):
        place.mkdir(parents=True, exist_ok=True)
        for name, frame in frames.items():
            path = place / f"{name}-{run['run_id']}.parquet"
            frame.write_parquet(path)
            disk.sync(path)
        disk.replace_text(place / RUN, json.dumps(run, indent=1, sort_keys=True, default=str) + "\n")
        for old in place.glob("*.parquet"):
            if not old.stem.endswith(str(run["run_id"])):
                old.unlink()


def set_threshold(home: Path, load_id: str, threshold: float) -> None:
    """Use another threshold from now on; the pairs are scored already."""
    run = run_of(home, load_id)
    assert run is not None
    with disk.locked(folder(home) / ".lock"):
        text = json.dumps(run | {"threshold": threshold}, indent=1, sort_keys=True, default=str)
        disk.replace_text(folder(home, load_id) / RUN, text + "\n")


def table(home: Path, load_id: str, name: str) -> pl.DataFrame:
    """A table of the last run: pairs, apart, persons or shown."""
    run = run_of(home, load_id)
    return _read(folder(home, load_id) / f"{name}-{(run or {}).get('run_id')}.parquet")


def _read(path: Path) -> pl.DataFrame:
    try:
        return pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as problem:
        raise _damaged(path) from problem


@lru_cache(maxsize=4)
def _at_least(path: Path, threshold: float) -> pl.DataFrame:
    """The pairs of a run that can join anyone. A run's files never change, and are asked for at every append."""
    return _read(path).filter(pl.col("probability") >= threshold)


def decide(home: Path, pair: tuple[str, str], same: bool, by: str, reason: str) -> dict[str, Any]:
    """Append one decision and return it; it holds from this moment on, for every load that has both records."""
    a, b = sorted(pair)
    entry = {
        "person_id_a": a,
        "person_id_b": b,
        "same": same,
        "by": by,
        "at": datetime.now(UTC).isoformat(timespec="microseconds"),
        "reason": reason,
    }
    line = json.dumps(entry, ensure_ascii=False, separators=(",", ":")) + "\n"
    with disk.locked(folder(home) / ".lock"):
        path = folder(home) / LOG
        mend = path.exists() and path.stat().st_size > 0 and not path.read_bytes().endswith(b"\n")
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:  # a line torn by a kill is closed first, so that it cannot swallow this one
            os.write(handle, (("\n" if mend else "") + line).encode())
            os.fsync(handle)
        finally:
            os.close(handle)
    return entry


def decisions(home: Path) -> list[dict[str, Any]]:
    """Every decision, oldest first; half a line left by a kill is passed over."""
    path = folder(home) / LOG
    out = []
    # a line feed alone ends a line: a reason that somebody pasted may hold other signs that do (U+2028)
    for line in path.read_text(encoding="utf-8").split("\n") if path.exists() else ():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        out.append(entry)
    return out


def stamp(home: Path, load_id: str) -> tuple[Any, ...]:
    """Changes whenever the links of a load do: cheap enough to ask for at every question."""

    def mark(path: Path) -> tuple[int, int] | None:
        try:
            stat = path.stat()
        except FileNotFoundError:
            return None
        return stat.st_mtime_ns, stat.st_size

    return mark(folder(home, load_id) / RUN), mark(folder(home) / LOG)


def linked(records: Records, home: Path, load_id: str, threshold: float | None = None) -> Records:
    """The records with the links of their load, when there are any; who is no longer in the records is in no link.
    ``threshold``: as if this one were in use (to see what hangs on it), instead of the run's own.

    Whom the force has as two people is read off these very records, so what was added since the run counts as well
    (``apart`` of the run's files says what the run itself saw). Where nothing came of it that decides a cluster, the
    records keep the links they have, with the clusters already worked out.
    """
    run, said = run_of(home, load_id), decisions(home)
    if run is None and not said:
        return replace(records, links=None) if records.links is not None else records
    here = records.table("person").group_by("person_id").agg(pl.col("known_from").min())
    known = here["person_id"].implode()
    if threshold is None:
        threshold = float(run["threshold"]) if run else 1.0
    both = pl.col("person_id_a").is_in(known) & pl.col("person_id_b").is_in(known)
    pairs, persons = pl.DataFrame(schema=PAIRS), pl.DataFrame(schema=PERSONS)
    if run is not None:
        place = folder(home, load_id) / f"pairs-{run['run_id']}.parquet"
        pairs = _at_least(place, threshold).filter(both)
        persons = table(home, load_id, "persons").filter(pl.col("person_id").is_in(known))
    rows = [
        {
            **{k: one[k] for k in ("person_id_a", "person_id_b", "same")},
            "at": datetime.fromisoformat(one["at"]),
        }
        for one in said
    ]
    decided = pl.DataFrame(rows, schema=DECISIONS).with_columns(pl.col("at").cast(UTC_TIME)).filter(both)
    ends = ("person_id_a", "person_id_b")
    links = Links(
        pairs=pairs,
        threshold=threshold,
        decisions=decided,
        run_id=str(run["run_id"]) if run else "no run",
        apart=two_people(records, pl.concat([pairs.select(ends), decided.select(ends)])),
        persons=persons,
    )
    old = records.links
    if old is not None and old.digest == links.digest and old.persons.equals(links.persons):
        return records
    return replace(records, links=links)


def relinked(records: Records, home: Path, load_id: str) -> Records:
    """Records that changed, with their links as they now must be: :func:`linked`, or where nothing of the home says
    who is who, the links they carry without those who are gone."""
    if stamp(home, load_id) != (None, None) or records.links is None:
        return linked(records, home, load_id)
    known = records.table("person")["person_id"].unique().implode()
    both = pl.col("person_id_a").is_in(known) & pl.col("person_id_b").is_in(known)
    old = records.links
    links = replace(
        old,
        pairs=old.pairs.filter(both),
        decisions=old.decisions.filter(both),
        apart=old.apart.filter(both),
        persons=old.persons.filter(pl.col("person_id").is_in(known)),
    )
    return replace(records, links=links)


def _damaged(path: Path) -> InputError:
    return InputError(
        f"The links in {path.name} cannot be read.",
        where=str(path),
        cure="Run doorstep link again; decisions are kept apart and stay.",
    )
