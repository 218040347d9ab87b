"""Decisions about models, written down and read again: a line each, refused ones among them.

``models/decisions.jsonl`` only grows; the last verdicts about a model stand beside it too, and both go to the record of
runs.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from features.errors import InputError
from models import gates, store
from models.gates import Verdict

DECISIONS = "decisions.jsonl"
GATES = "gates.json"
_DECIDED = ("kind", "version", "at", "by", "reason", "verdicts")
_STAYS = "Restore it from a backup; the model in use and the published lists stay as they are."


def write_down(
    home: Path, decision: Mapping[str, Any], verdicts: list[Verdict] | None, track: bool, done: str
) -> list[str]:
    """Keep a decision: a line beside the models, the verdicts beside the model, both in the record of runs. What the
    record of runs could not take is said, not raised, since the decision has been taken.

    Raises InputError when a file could not be written: it says first what is ``done`` and stays so.
    """
    unwritten = []
    try:
        _append(home / "models" / DECISIONS, json.dumps(decision, ensure_ascii=False, sort_keys=True) + "\n")
    except OSError as problem:
        unwritten.append(f"models/{DECISIONS} ({problem.strerror})")
    if verdicts is not None:
        path = home / "models" / str(decision["version"]) / GATES
        try:
            store.write_atomic(path, store.canonical_bytes(decision))
        except OSError as problem:
            unwritten.append(f"models/{decision['version']}/{GATES} ({problem.strerror})")
    notes = _into_record(home, decision) if track else []
    if unwritten:
        raise InputError(
            f"{done}, by {decision['by']}: {decision['reason']}. But this decision could not be written to "
            f"{' nor to '.join(unwritten)}.",
            where="models",
            cure="Keep this message with the records; make room or mend the folder's rights before the next decision.",
        )
    return notes


def _append(path: Path, line: str) -> None:
    """The whole line or nothing of it."""
    data = line.encode()
    handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        size = os.fstat(handle).st_size
        try:
            if os.write(handle, data) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(handle)
        except OSError:
            os.ftruncate(handle, size)
            raise
    finally:
        os.close(handle)


def _into_record(home: Path, decision: Mapping[str, Any]) -> list[str]:
    from models import tracking

    try:
        tracking.log_decision(home, str(decision["version"]), decision)
        tracking.follow(home)
    except InputError as problem:
        return [
            f"{problem.what} The decision is in models/{DECISIONS}; the registry follows at the next one."
        ]
    return []


def decisions(home: Path) -> list[dict[str, Any]]:
    """Every decision about a model, refused ones among them, oldest first."""
    return store.json_lines(home / "models" / DECISIONS, keys=_DECIDED, cure=_STAYS)


def judged(home: Path, version: str) -> dict[str, Any] | None:
    """The last decision about a model with its verdicts, or None; InputError when its file is damaged."""
    path = home / "models" / version / GATES
    cure = f"Restore it from a backup, or remove it: all of it is in models/{DECISIONS} too."
    return store.small_object(path, keys=_DECIDED, cure=cure) if path.is_file() else None


def overruled_by(decision: Mapping[str, Any]) -> list[str]:
    """The gates that a decision put a model in use against: none when it was refused, or when no override was needed
    whatever was typed."""
    if decision["kind"] != "promote":
        return []
    return [v["gate"] for v in decision["verdicts"] if v["outcome"] == gates.FAILED]


def on_override(decision: Mapping[str, Any]) -> str:
    """What must be said of the override of a decision, in words: that there was one, or what became of it."""
    typed = str(decision.get("override") or "")
    if not typed:
        return ""
    if against := overruled_by(decision):
        return f"OVERRIDE by {decision['by']}, against {'; '.join(against)}: {typed}"
    if decision["kind"] == "promote":
        return "an override was offered and was not needed"
    return f"an override was offered and did not cover what stood against it: {typed}"
