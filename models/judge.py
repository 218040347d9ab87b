"""What every judgement of a model puts beside it: the rules that histories cannot give, further models, strangers.

The temporal test inside ``train`` and ``evaluate`` judge alike because both ask here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property, partial
from typing import Any

import polars as pl

from features.apart import open_audit
from features.home import Load
from features.records import Records
from models import baselines, compare, dual, fairness, groups, moves, ogrs3, settings
from models.compare import Occasion
from models.dataset import Source
from models.unseen import Seen


@dataclass(frozen=True)
class Judge:
    """A model and what it is judged beside.

    ``load``: gives the audit store for OGRS3, which reads sex; None: that rule is left out. ``others``: further
    models, name -> document.
    """

    records: Records
    doc: Mapping[str, Any]
    load: Load | None = None
    others: Mapping[str, Mapping[str, Any]] | None = None

    @cached_property
    def _rule(self) -> ogrs3.RuleAt | None:
        return None if self.load is None else ogrs3.rule_of(self.load, self.records)

    @cached_property
    def _seen(self) -> Seen:
        return Seen(self.records, self.doc)

    def occasion(
        self, frame: pl.DataFrame, t: datetime, oracle: pl.DataFrame | None = None
    ) -> compare.Occasion:
        """``models.compare.occasion`` with everything beside it."""
        apart = None if self._rule is None else self._rule(t, frame)
        out = compare.occasion(
            self.doc,
            frame,
            t,
            oracle,
            others=self.others,
            rules=None if apart is None else apart.select("person_id", ogrs3.NAME),
            seen=self._seen.at(t),
        )
        if apart is not None:
            out.notes += [f"{t:%Y-%m-%d}: {note}" for note in ogrs3.not_applicable(apart)]
        return out

    def weekly(self, source: Source, last: datetime) -> list[compare.Occasion]:
        """Lists a week apart before ``last``, scored alone, to see how steady they are; weeks with nobody in the cohort
        are left out."""
        out = []
        for back in range(int(settings.load("judging")["stability"]["weeks"]), 0, -1):
            t = last - timedelta(days=7 * back)
            frame = source.features_at(t).filter("in_scope")
            if frame.height:
                out.append(self.occasion(frame, t))
        return out

    def texts(self) -> dict[str, str]:
        """Column -> what it is in words, from the model's dictionary."""
        return {entry["column"]: entry["text"] for entry in self.doc["dictionary"]}

    def rules(self, features: pl.DataFrame) -> list[dict[str, Any]]:
        """Every rule there is: rule, title, and why it does not apply here (None: it does)."""
        notes = baselines.not_applicable(features)
        if self._rule is None:
            notes[ogrs3.NAME] = (
                "not applicable: no convictions, or no sex, in what is judged (the formula needs both)"
            )
        return [
            {"rule": name, "title": rule["title"], "note": notes.get(name)}
            for name, rule in baselines.rules().items()
        ]

    def tables(
        self,
        occasions: Sequence[Occasion],
        base_rate: float,
        draws: int,
        seed: int,
        *,
        source: Source | None = None,
    ) -> dict[str, Any]:
        """``models.compare.tables`` and, where the audit store is at hand, ``models.fairness.tables``.

        ``source``: also lists a week apart before the last T, for stability.
        """
        weekly = self.weekly(source, occasions[-1].t) if source is not None else []
        out = compare.tables(occasions, base_rate, draws, seed, weekly=weekly, texts=self.texts())
        if self.load is not None:
            cache = None if source is None else source.cache
            scene = moves.scene_of(self.doc, self.records, open_audit(self.load), seed, cache)
            roles = partial(dual.dual_roles, self.records)
            out |= fairness.tables(
                occasions, groups.groups_of(self.load), None, draws, seed, roles_of=roles, scene=scene
            )
        return out


def unreachable(source: Source, t: datetime) -> dict[str, float]:
    """Share of the recorded harm, and of the serious cases, of the horizon that no list at T could have reached: by
    persons who were not in the cohort, or stood apart from it."""
    main = int(settings.load("logistic")["grid"]["horizons"][0])
    everyone = source.outcomes_at(t, main, everyone=True)
    members = source.features_at(t).filter(pl.col("in_scope")).select("person_id")
    inside = everyone.join(members, on="person_id", how="semi")
    harm, serious = int(everyone["harm_cd"].sum()), int(everyone["serious"].sum())
    return {
        "harm_days": harm / 100,
        "harm_unreachable": round(1 - int(inside["harm_cd"].sum()) / harm, 6) if harm else 0.0,
        "serious_persons": float(serious),
        "serious_unreachable": round(1 - int(inside["serious"].sum()) / serious, 6) if serious else 0.0,
    }
