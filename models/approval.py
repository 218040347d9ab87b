"""May the model in use be used today, and for these records? Read by whoever makes a list; needs no training library.

A named person approves a model for a limited time (``models.promote``). Without an approval, or after its end, no new
list is made; lists already published stay as they are. One exception, so that a newcomer can try the whole way: the
first model of a *simulated* force is used without an approval, and says so. It is refused as soon as the records are
of real people.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from features.errors import InputError
from models import settings, store

SIMULATED = "simulated"
NOBODY = "nobody"
NAMELESS = frozenset(
    f"{NOBODY} noone none anybody anyone somebody someone anonymous anon unknown na null tbc tbd me us name user admin "
    "root system test".split()
)
"""Words given for a name that name nobody: without spaces and signs, in small letters."""
TRYING = "the first model of a simulated force: nobody real is in it, and nobody has approved it"


def is_named(by: str) -> bool:
    """Whether ``by`` can be a person's name: two letters at least, and no word for nobody in particular."""
    letters = "".join(c for c in by.casefold() if c.isalpha())
    return len(letters) >= 2 and letters not in NAMELESS


@dataclass(frozen=True)
class Standing:
    """What is known of the model in use: who put it there (``by``; after a rollback another than the one who
    ``approved_by``), until when, against which gates."""

    version: str | None
    kind: str
    approved: bool
    approved_by: str
    approved_at: str
    by: str
    reason: str
    at: str
    expires_at: datetime | None
    override: str
    overruled: tuple[str, ...]

    def expired(self, now: datetime) -> bool:
        """Whether the approval has ended."""
        return self.expires_at is not None and now >= self.expires_at

    def notes(self, now: datetime) -> list[str]:
        """What must be said wherever the model is used."""
        out = []
        if self.version is not None and not self.approved:
            out.append(f"model {self.version} is used without an approval: {self.reason}")
        if self.override:
            gates = "; ".join(self.overruled)
            out.append(
                f"OVERRIDE: {self.approved_by} put model {self.version} in use against: {gates}. {self.override}"
            )
        if self.expires_at is not None:
            left = self.expires_at - now
            if left <= timedelta(0):
                out.append(f"the approval of model {self.version} ended on {self.expires_at:%Y-%m-%d}")
            elif left <= timedelta(days=int(settings.load("gates")["life"]["warn_days"])):
                out.append(f"the approval of model {self.version} ends on {self.expires_at:%Y-%m-%d}")
        return out

    def to_dict(self) -> dict[str, Any]:
        """Plain facts, as they travel with a list."""
        return {
            "version": self.version,
            "kind": self.kind,
            "approved": self.approved,
            "approved_by": self.approved_by,
            "approved_at": self.approved_at,
            "by": self.by,
            "reason": self.reason,
            "at": self.at,
            "expires_at": None if self.expires_at is None else self.expires_at.isoformat(),
            "override": self.override,
            "overruled": list(self.overruled),
        }


def standing(home: Path) -> Standing | None:
    """Of the model in use, or of its switching-off; None before the first."""
    entry = store.champion_entry(home)
    return None if entry is None else standing_of(entry)


def standing_of(entry: Mapping[str, Any]) -> Standing:
    """What one entry of the history says."""
    until = entry.get("expires_at")
    return Standing(
        version=entry["version"],
        kind=str(entry.get("kind", "promote")),
        approved=bool(entry.get("approved", False)),
        approved_by=str(entry.get("approved_by", entry["by"])),
        approved_at=str(entry.get("approved_at", entry["at"])),
        by=str(entry["by"]),
        reason=str(entry["reason"]),
        at=str(entry["at"]),
        expires_at=datetime.fromisoformat(until) if until else None,
        override=str(entry.get("override", "")),
        overruled=tuple(entry.get("overruled", ())),
    )


def usable(home: Path, nature: str, version: str | None = None, now: datetime | None = None) -> Standing:
    """How the model in use stands, if a new list may be made with it from records of this ``nature``.

    ``version``: the one the list is being made with; refused when another has taken its place. Raises NotFoundError
    when none is in use, InputError when its approval has ended, when it has none and the records are not simulated, or
    when its file is not the one that was saved.
    """
    in_use = store.champion(home)["version"]
    found = standing(home)
    if found is None or found.version != in_use or version not in (None, in_use):
        raise InputError(
            "The model in use was changed at this very moment.", where="models", cure="Do it again."
        )
    now = datetime.now(UTC) if now is None else now
    if found.expired(now):
        assert found.expires_at is not None
        raise InputError(
            f"The approval of model {found.version} ended on {found.expires_at:%Y-%m-%d}: no new list is made with it.",
            where="models/champion.json",
            cure="Train on newer records and promote that model, or approve this one anew: "
            f"doorstep promote {found.version} --by NAME --reason TEXT. Published lists stay as they are.",
        )
    if not found.approved and nature != SIMULATED:
        raise InputError(
            f"Model {found.version} has been approved by nobody, and these records are {nature}.",
            where="models/champion.json",
            cure="Train on these records, then: doorstep promote VERSION --by NAME --reason TEXT.",
        )
    return found


def begin(home: Path, version: str, nature: str, now: datetime | None = None) -> bool:
    """Use the first model of a simulated force without an approval; True when that was done.

    Nothing happens when the records are not simulated, or when any model was ever in use here.
    """
    if nature != SIMULATED or store.champion_entry(home) is not None:
        return False
    at = (datetime.now(UTC) if now is None else now).isoformat(timespec="seconds")
    with store.changing(home, "train"):
        if store.champion_entry(home) is not None:
            return False
        store.point_champion(home, version, NOBODY, TRYING, at, {"kind": "first", "approved": False})
    return True
