"""The settings of the relationship graph, read from ``features/data/network.toml``."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

SETTINGS_FILE = Path(__file__).parents[1] / "data" / "network.toml"


@dataclass(frozen=True)
class Settings:
    """``most_persons``: a group with more makes no ties. ``rings``: days before T, ascending; ``weights``: of each
    ring, in thousandths."""

    edition: str
    most_persons: int
    rings: tuple[int, ...]
    weights: tuple[int, ...]


@cache
def load_settings(path: Path = SETTINGS_FILE) -> Settings:
    """Read the settings."""
    with path.open("rb") as handle:
        document = tomllib.load(handle)
    decay = document["decay"]
    return Settings(
        str(document["edition"]),
        int(document["groups"]["most_persons"]),
        tuple(decay["rings"]),
        tuple(decay["weights"]),
    )
