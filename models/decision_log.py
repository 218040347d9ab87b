"""Writing a decision about a model down: beside the models, its verdicts with the model, and in the record of runs."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from features.errors import InputError
from models import decisions, store
from models.gates import Verdict


def write_down(
    home: Path, decision: Mapping[str, Any], verdicts: list[Verdict] | None, track: bool, done: str
) -> list[str]:
    """Keep a decision: a line beside the models, the verdicts beside the model, both in the record of runs. What the
    record of runs could not take is said, not raised, since the decision has been taken.

    Raises InputError when a file could not be written: it says first what is ``done`` and stays so.
    """
    unwritten = []
    try:
        _append(
            home / "models" / decisions.DECISIONS,
            json.dumps(decision, ensure_ascii=False, sort_keys=True) + "\n",
        )
    except OSError as problem:
        unwritten.append(f"models/{decisions.DECISIONS} ({problem.strerror})")
    if verdicts is not None:
        path = home / "models" / str(decision["version"]) / decisions.GATES
        try:
            store.write_atomic(path, store.canonical_bytes(decision))
        except OSError as problem:
            unwritten.append(f"models/{decision['version']}/{decisions.GATES} ({problem.strerror})")
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
            f"{problem.what} The decision is in models/{decisions.DECISIONS}; the registry follows at the next one."
        ]
    return []
