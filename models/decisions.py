"""Decisions about models read again: a line each, refused ones among them (``models.decision_log`` writes them).

``models/decisions.jsonl`` only grows; the last verdicts about a model stand beside it too, and both go to the record of
runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from models import gates, store

DECISIONS = "decisions.jsonl"
GATES = "gates.json"
_DECIDED = ("kind", "version", "at", "by", "reason", "verdicts")
_STAYS = "Restore it from a backup; the model in use and the published lists stay as they are."


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
