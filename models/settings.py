"""The numbers behind a fit and the weights of the rules, read from versioned data files."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any


@cache
def load(name: str) -> dict[str, Any]:
    """Settings of ``models/data/<name>.toml`` (``logistic``, ``rules``); treat as read-only."""
    return tomllib.loads(files("models").joinpath("data", f"{name}.toml").read_text(encoding="utf-8"))
