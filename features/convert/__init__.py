"""Converters: other systems' data into the extract that Doorstep reads. One module a system."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from features.convert import broward
from features.errors import InputError

CONVERTERS: dict[str, Callable[[Path, Path], dict[str, Any]]] = {"broward": broward.convert}


def convert(system: str, source: Path, out: Path) -> dict[str, Any]:
    """Convert ``source`` (a folder of the named system) into an extract in ``out``; returns the converter's summary."""
    if system not in CONVERTERS:
        raise InputError(
            f"no converter for {system!r}",
            where="convert",
            cure=f"known systems: {', '.join(sorted(CONVERTERS))}",
        )
    return CONVERTERS[system](source, out)
