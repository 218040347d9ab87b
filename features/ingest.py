"""``ingest``: an extract becomes a load, whole or not at all.

A load is a folder that never changes. Its id comes from the content of the extract, so the same extract twice is
the same load. It is written under a temporary name, flushed, renamed, and only then named as current: killed at
any moment, the home holds the old load or the new one. Earlier loads stay, since published lists name theirs.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import polars as pl

from features import disk
from features.errors import InputError
from features.extract import CheckReport, facts_of, table_lines
from features.files import RawExtract
from features.front import Examined, examine
from features.harm import load_scheme
from features.home import Home, Load
from features.schema import SCHEMA_VERSION
from features.stores import Stores, restricted_persons, split
from features.waiting import PREFIX

NEEDED = {"front/withdrawn.parquet", "front/restricted.parquet", "records/household.parquet"}
"""Files that loads of earlier versions lack; ingested again, such a load is written anew."""
MAKING = ".making-"
"""Prefix of a load that is being written; one left behind by a kill is removed by the next ingest."""


@dataclass(frozen=True)
class IngestReport:
    """``changed`` is False when this extract already was the current load. ``check`` is what check would say."""

    load: Load
    changed: bool
    check: CheckReport

    def to_dict(self) -> dict[str, Any]:
        """Plain data for --json."""
        return {"load_id": self.load.load_id, "changed": self.changed, **self.check.to_dict()}

    def render(self) -> str:
        """The report as text for a terminal."""
        facts = self.check.facts
        done = "is loaded" if self.changed else "was loaded already; nothing changed"
        lines = [f"Load {self.load.load_id} ({self.load.nature}) {done}.", "", *table_lines(facts["tables"])]
        if held := sum(counts["quarantined"] for counts in facts["tables"].values()):
            lines += ["", f"{held:,} rows wait in quarantine; doorstep check lists the reasons."]
        lines += [f"Warning: {warning}" for warning in facts["warnings"]]
        lines += [f"Warning: {stop}" for stop in facts["stops"]]
        return "\n".join(lines)


def ingest(extract: Path, home: Home) -> IngestReport:
    """Load the extract in a folder into the home and make it current.

    Raises InputError when the extract cannot be read or the home cannot be written; the load that was current
    then still is. Rows in quarantine do not stop a load; ``check`` says when they should stop you.
    """
    found = examine(extract)
    report = CheckReport(facts_of(found))
    load_id = load_id_of(found.raw)
    try:
        with disk.locked(home.path / ".lock"):
            _sweep(home)
            if _stands(home, load_id):
                load = home.load(load_id)
                if _is_current(home, load_id):
                    return IngestReport(load, False, report)
            else:
                _write_load(home, load_id, found, report)
            disk.replace_text(home.pointer, json.dumps({"load_id": load_id}) + "\n")
    except OSError as problem:
        raise InputError(
            f"The home folder cannot be written: {problem.strerror or problem}.",
            where=str(problem.filename or home.path),
            cure="Check its rights and the space left; the load before still stands.",
        ) from problem
    return IngestReport(home.load(load_id), True, report)


def load_id_of(raw: RawExtract) -> str:
    """The same content, contract and nature give the same id, wherever the folder lies and whenever it is read."""
    content = {name: [Path(table.file).suffix, table.sha256] for name, table in sorted(raw.tables.items())}
    text = json.dumps([SCHEMA_VERSION, raw.nature, content])
    return "load-" + hashlib.sha256(text.encode()).hexdigest()[:16]


def _is_current(home: Home, load_id: str) -> bool:
    try:
        current = home.current()
    except InputError:
        return False
    return current is not None and current.load_id == load_id


def _stands(home: Home, load_id: str) -> bool:
    """Is the load there with every file it lists? One that was tampered with is moved out of the way."""
    folder = home.loads / load_id
    if not folder.exists():
        return False
    try:
        files = home.load(load_id).manifest["files"]
        if set(files) >= NEEDED and all(
            (folder / name).stat().st_size == size for name, size in files.items()
        ):
            return True
    except (InputError, OSError, KeyError):
        pass
    aside = home.loads / f"{MAKING}damaged-{load_id}"
    disk.move_into_place(folder, aside)
    shutil.rmtree(aside)
    return False


def _sweep(home: Home) -> None:
    """Remove what a killed ingest left. Called under the lock, so nobody is writing there."""
    home.loads.mkdir(parents=True, exist_ok=True)
    for left in home.loads.glob(f"{MAKING}*"):
        shutil.rmtree(left)


def _write_load(home: Home, load_id: str, found: Examined, report: CheckReport) -> None:
    stores = split(found.tables)
    making = home.loads / f"{MAKING}{load_id}"
    making.mkdir()
    files: dict[str, int] = {}
    quarantine = {"faults": found.faults, "rows": found.quarantine}
    restricted = pl.DataFrame({"person_id": restricted_persons(found.tables["person"])})
    front = {"withdrawn": found.withdrawn, "restricted": restricted}  # what rows added later must know of
    front |= {PREFIX + name: rows for name, rows in found.waiting.items()}
    for store, tables in (
        ("records", stores.records),
        ("identity", stores.identity),
        ("audit", stores.audit),
        ("quarantine", quarantine),
        ("front", front),
    ):
        files |= write_store(making, store, tables)
    manifest = _manifest(load_id, found, report, stores, files)
    disk.write_text(making / "load.json", json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")
    disk.move_into_place(making, home.loads / load_id)


def write_store(making: Path, store: str, tables: Mapping[str, pl.DataFrame]) -> dict[str, int]:
    """Write one store's tables; file name within the load -> bytes."""
    folder = making / store
    folder.mkdir()
    sizes = {}
    for name, frame in tables.items():
        path = folder / f"{name}.parquet"
        frame.write_parquet(path)
        disk.sync(path)
        sizes[f"{store}/{name}.parquet"] = path.stat().st_size
    disk.sync(folder)
    return sizes


def _manifest(
    load_id: str, found: Examined, report: CheckReport, stores: Stores, files: dict[str, int]
) -> dict[str, Any]:
    facts = report.facts
    harm = load_scheme()
    times = found.tables["event"]["occurred_at"]
    first, last = times.min(), times.max()
    return {
        "load_id": load_id,
        "nature": found.raw.nature,
        "made_by": found.raw.made_by,
        "schema": SCHEMA_VERSION,
        "code": _code_version(),
        "loaded_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "first_event_at": first.isoformat() if isinstance(first, datetime) else None,
        "last_event_at": last.isoformat() if isinstance(last, datetime) else None,
        "sources": {
            table.file: {"sha256": table.sha256, "rows": found.counts[name].read}
            for name, table in found.raw.tables.items()
        },
        "tables": facts["tables"],
        "missing": sorted(found.raw.missing()),
        "restricted": {"persons": stores.restricted_persons, "rows": stores.restricted_rows},
        "check": {k: facts[k] for k in ("faults", "clocks", "warnings", "stops", "features_lost")},
        "domestic_unknown": facts["domestic_unknown"],
        "unmatched_codes": facts["unmatched_codes"],
        "harm": {"scheme": harm.scheme, "edition": harm.edition},
        "unknown": {"files": facts["unknown_files"], "columns": facts["unknown_columns"]},
        "files": files,
    }


def _code_version() -> str:
    try:
        return version("doorstep")
    except PackageNotFoundError:
        return "not installed"
