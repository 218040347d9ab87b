"""The settings of lists and reasons, read once from their versioned data files."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

DATA = Path(__file__).parent / "data"


@cache
def settings(name: str) -> dict[str, Any]:
    """The values of ``risk/data/<name>.toml``."""
    with (DATA / f"{name}.toml").open("rb") as file:
        return tomllib.load(file)
