"""Every look at a person is written down, before the person is shown.

HOME/looks.jsonl holds one JSON object a line: who (operating-system user until there is sign-in), when, what was
opened, by which face (page, api, command line), and which persons it showed. The file is only ever appended to; if
the line cannot be written the look is refused.
"""

from __future__ import annotations

import getpass
import json
import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from features.errors import DoorstepError


def log_path(home: Path) -> Path:
    """Where the looks of a home are kept."""
    return home / "looks.jsonl"


def record_look(
    home: Path,
    what: str,
    *,
    by: str,
    persons: Sequence[str] = (),
    list_id: str | None = None,
    detail: str = "",
) -> dict[str, Any]:
    """Append one look and return what was written.

    ``what`` is "list", "lists", "person", "sheet", "scores" or "histories"; ``by`` is "page", "api" or "command line";
    ``persons`` are the references of the persons shown. One ``write`` of one line with O_APPEND: lines of two
    processes do not mix. Raises DoorstepError when the line cannot be written, so that nothing is shown unseen.
    """
    entry = {
        "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "who": _user(),
        "what": what,
        "by": by,
        "list_id": list_id,
        "count": len(persons),
        "persons": list(persons),
        "detail": detail,
    }
    line = json.dumps(entry, ensure_ascii=False, separators=(",", ":")) + "\n"
    try:
        handle = os.open(log_path(home), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(handle, line.encode())
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as fault:
        raise DoorstepError(
            f"The look could not be written down, so nothing is shown: {fault.strerror}.",
            where="looks.jsonl",
            cure="Make the home folder writable for this user, or free disk space.",
        ) from fault
    return entry


def looks(home: Path) -> Iterator[dict[str, Any]]:
    """The looks of a home, oldest first; none when nobody has looked yet."""
    path = log_path(home)
    if not path.exists():
        return
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            if line.strip():
                yield json.loads(line)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container user without an entry in the password file
        return f"uid {os.getuid()}"
