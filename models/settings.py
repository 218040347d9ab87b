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


def texts() -> dict[str, str]:
    """Every settings file as it stands, name -> text: what a run keeps of the numbers behind it."""
    folder = files("models").joinpath("data")
    found = sorted(f.name for f in folder.iterdir() if f.name.endswith(".toml"))
    return {name.removesuffix(".toml"): folder.joinpath(name).read_text(encoding="utf-8") for name in found}
