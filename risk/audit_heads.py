"""The head of the trail, carried to a second place that is only ever appended to.

A head says: so many rows, the last one with this code, at this time. Whoever cuts the tail off the trail, or writes
all of it anew, key in hand, cannot also take back what stands in the second place.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from features.errors import DoorstepError
from risk.audit_key import Key
from risk.settings import settings

SETTING = "DOORSTEP_AUDIT_HEADS"


def heads_path(home: Path) -> Path:
    """The second place: the file DOORSTEP_AUDIT_HEADS names, else audit-heads.jsonl in the home."""
    named = os.environ.get(SETTING)
    return Path(named) if named else home / "audit-heads.jsonl"


def beside_the_rows(home: Path) -> str | None:
    """What to say loudly when the heads stand in the home: whoever can write there can cut the trail and its heads
    together. None where they stand elsewhere."""
    path = heads_path(home)
    if not path.resolve().is_relative_to(home.resolve()):
        return None
    return (
        f"The heads of the audit trail stand in the home folder ({path}), beside the rows they are to vouch for: "
        f"whoever can write there can cut both unseen. Before operational use set {SETTING} to a file on another "
        "machine that can only be appended to."
    )


def head_code(key: Key, head: dict[str, Any]) -> str:
    """The code of a head, so that one made without the key shows."""
    said = {name: head[name] for name in ("count", "hash", "at")}
    return key.code(
        b"doorstep audit head\n", json.dumps(said, sort_keys=True, separators=(",", ":")).encode()
    )


def read_heads(home: Path) -> Iterator[tuple[int, dict[str, Any] | None]]:
    """Line number and head of every line of the second place; None for a line that is no head. Empty when there is
    none. DoorstepError when the file cannot be read."""
    path = heads_path(home)
    if not path.exists():
        return
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as fault:
        raise _cannot("read", path, fault) from fault
    for number, line in enumerate(lines, 1):
        try:
            head = json.loads(line)
            whole = isinstance(head["count"], int) and all(
                isinstance(head[n], str) for n in ("hash", "at", "mac")
            )
        except (ValueError, KeyError, TypeError):
            whole = False
        yield number, head if whole else None


class HeadBook:
    """Appends heads as they fall due: so often in time, so often in rows, and when asked."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._last = (0, 0.0)  # rows and monotonic time of the last head this process wrote
        self._lock = threading.Lock()

    @property
    def carried(self) -> int:
        """How many rows the last head counted that this process wrote; 0 before the first."""
        return self._last[0]

    def late(self) -> bool:
        """Whether the last head this process wrote is so old that another is due, rows or none."""
        return time.monotonic() - self._last[1] >= 60 * settings("audit")["heads"]["every_minutes"]

    def due(self, key: Key, end: tuple[int, str]) -> None:
        """Write the head if one is due after this end of the trail."""
        known = settings("audit")["heads"]
        rows = self._last[0]
        if rows == 0 or self.late() or end[0] - rows >= known["every_rows"]:
            self.write(key, end)

    def write(self, key: Key, end: tuple[int, str]) -> dict[str, Any]:
        """Append the head and return it; the line is on the disk on return. DoorstepError when it cannot be."""
        head: dict[str, Any] = {
            "count": end[0],
            "hash": end[1],
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        head["mac"] = head_code(key, head)
        path = heads_path(self.home)
        with self._lock:
            try:
                handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
                try:
                    os.write(handle, (json.dumps(head, separators=(",", ":")) + "\n").encode())
                    os.fsync(handle)
                finally:
                    os.close(handle)
            except OSError as fault:
                raise _cannot("written", path, fault) from fault
            self._last = (end[0], time.monotonic())
        return head


def _cannot(what: str, path: Path, fault: OSError) -> DoorstepError:
    return DoorstepError(
        f"The heads of the audit trail cannot be {what}: {fault.strerror}.",
        where=str(path),
        cure=f"Make that file writable for this user (appending is enough), or set {SETTING} to another place.",
    )
