"""How a model is made, apart from the data, and what a search may have added to it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from features.errors import InputError

SETTINGS_LATER = (
    "the temporal test is of the settings as they stand: those of tune were found with knowledge later than its first "
    "date (tune --until an earlier date to have them judged)"
)


@dataclass(frozen=True)
class Recipe:
    """How a model is made, apart from the data: the same recipe on the same records gives the same bits."""

    family: str = "elastic_net"
    seed: int = 1
    changes: Mapping[str, Any] | None = None
    authorisation: Mapping[str, Any] | None = None
    tuned_until: str | None = None
    """What was known when a search found ``changes`` (ISO time); None: a person chose them, or there are none."""

    @classmethod
    def of(cls, doc: Mapping[str, Any]) -> Recipe:
        """The recipe a model document was made by."""
        health = doc["authorisations"]["health"]
        return cls(doc["family"], int(doc["seed"]), doc["changes"], health, doc["tuned_until"])

    def at(self, origin: datetime) -> Recipe:
        """The recipe as it could have been at ``origin``: settings found with later knowledge are left out, so that no
        outcome that is judged has chosen them."""
        if self.tuned_until is None or datetime.fromisoformat(self.tuned_until) <= origin:
            return self
        return replace(self, changes=None, tuned_until=None)


def tuned(home: Path, family: str) -> tuple[dict[str, Any] | None, str | None]:
    """Changes to a family's settings that ``doorstep tune`` found for this home, and what was known when it did (ISO
    time); both None where there was no search. InputError when the file is damaged."""
    path = home / "tuning" / f"{family}.json"
    if not path.is_file():
        return None, None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return dict(found["changes"]) or None, str(datetime.fromisoformat(found["until"]).isoformat())
    except (OSError, ValueError, KeyError, TypeError) as fault:
        raise InputError(
            "What tune found cannot be read: the file is damaged.",
            where=f"tuning/{family}.json",
            cure="Delete it to train with the settings as they stand, or run doorstep tune again.",
        ) from fault
