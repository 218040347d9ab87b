"""Whom a model has never met: the persons at a date who were in no cohort that it learnt from.

The temporal test keeps the persons of training, as in use: a list is mostly of people the force knows. What the model
makes of strangers is shown beside, as the cohort ``unseen``.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import polars as pl

from features.cohort import cohort
from features.nominals import clusters_at, onto
from features.records import Records


class Seen:
    """The persons of a model's training dates, found once and asked for at any T."""

    def __init__(self, records: Records, doc: Mapping[str, Any]) -> None:
        self.records = records
        members = [
            cohort(records, datetime.fromisoformat(date)).filter("in_scope").select("person_id")
            for date in doc["training"]["dates"]
        ]
        self.persons = pl.concat(members).unique() if members else pl.DataFrame({"person_id": []})

    def at(self, t: datetime) -> pl.Series:
        """Ids, as of ``t``, of every person who was in the cohort at one of the training dates: those whom the model
        may have learnt from (where rows were sampled, not all of them were)."""
        return onto(self.persons, clusters_at(self.records.links, t))["person_id"].unique().sort()
