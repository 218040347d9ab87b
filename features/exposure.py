"""Who was on a published list, what people decided about them and what was done: for those who audit and evaluate.

Being listed brings attention, and attention brings records. Whoever compares outcomes must know whom the force had in
its sights; what computes a feature, a label or a score must not, and may not import this module (the import check
holds it). ``risk.exposure`` writes the file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from features.errors import InputError

UTC_TIME = pl.Datetime("us", "UTC")
EXPOSURE: dict[str, Any] = {
    "list_id": pl.String,
    "as_of": UTC_TIME,
    "load_id": pl.String,
    "model_version": pl.String,
    "person_id": pl.String,
    "district": pl.String,
    "rank": pl.Int64,
    "place": pl.String,  # rank, reserve or stay
    "choice": pl.String,  # null: nobody decided
    "agrees": pl.String,  # yes, no or unsaid: whether the decision agrees with the place
    "decided_at": UTC_TIME,
    "decided_as": pl.String,  # the role of who decided
    "actions": pl.Int64,  # planned while this list was the newest about the person
    "results": pl.Int64,  # of these, how many were finished
    "on_hold": pl.Boolean,  # at the writing of the file
}


def exposure_path(home: Path) -> Path:
    """Where the exposure of a home is kept."""
    return home / "exposure.parquet"


def open_exposure(home: Path) -> pl.DataFrame:
    """One row for each person on each list (columns ``EXPOSURE``); none before the first list."""
    path = exposure_path(home)
    if not path.exists():
        return pl.DataFrame(schema=EXPOSURE)
    try:
        return pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as problem:
        raise InputError(
            "The exposure to lists cannot be read.", where=str(path), cure="Run: doorstep exposure"
        ) from problem
