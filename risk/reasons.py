"""From contributions to sentences: what raises a score, what lowers it, and which records stand behind each word.

The scorer's exact contributions are summed by feature family. A family becomes one sentence made of the strongest
of its features, each told with the person's own numbers, and cites the events those numbers count. Nothing here
weighs anything: a sentence says what the model added up, never why a person did something.

What the catalogue marks as sensitive (age, health) is kept apart: its figure is in the sum, no sentence speaks of it.
The same holds for an analyst's own feature whose words name a protected characteristic.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, partial
from typing import Any

import polars as pl

from features.catalogue import Column, Feature, window_phrase
from features.evidence import evidence
from features.histories import FEW, histories
from features.lazily import lazily
from features.records import Records
from features.slices import around
from features.streams import STREAMS
from risk.score import Scored
from risk.settings import settings
from risk.view import View
from risk.words import ago, amount, count

GRADES = {1: "standard", 2: "medium", 3: "high"}
INTERCEPT = "(intercept)"
APART = "kept apart"


@dataclass(frozen=True)
class Cited:
    """A record behind a sentence: its identifier, the reference officers know it by, and when it happened."""

    event_id: str
    reference: str
    at: datetime | None


@dataclass(frozen=True)
class Reason:
    """One family's share of a score. ``contribution`` is in log-odds against the average of the training rows.

    ``on_lists`` is False for what is kept apart: it stands beside the reasons of a person page, never among the top
    reasons of a list.
    """

    group: str
    title: str
    sentence: str
    contribution: float
    columns: dict[str, float]
    cite: Callable[[], list[Cited]] = field(repr=False, compare=False)
    on_lists: bool = True

    @lazily
    def cited(self) -> list[Cited]:
        """The records behind it, newest first; looked up when asked for, since a list cites only its top reasons."""
        return self.cite()

    def row(self, most: int) -> dict[str, Any]:
        """The reason as it stands on a list row, with at most ``most`` of the records it cites."""
        kept = [cited.event_id for cited in self.cited[:most]]
        return {
            "group": self.title,
            "sentence": self.sentence,
            "contribution": self.contribution,
            "events": kept,
            "references": [cited.reference for cited in self.cited[:most]],
            "more": len(self.cited) - len(kept),
        }


@dataclass(frozen=True)
class Explanation:
    """All there is to say about one score. ``base`` is the intercept; base and reasons sum to logit(p_serious)."""

    person_id: str
    base: float
    reasons: list[Reason]
    missing: list[str]
    not_fed: list[str]

    def raises(self) -> list[Reason]:
        """What raises the score, the most first."""
        return [reason for reason in self.reasons if reason.contribution > _ignore()]

    def lowers(self) -> list[Reason]:
        """What lowers it, the most first."""
        return sorted((r for r in self.reasons if r.contribution < -_ignore()), key=lambda r: r.contribution)

    def top(self, number: int) -> list[Reason]:
        """The reasons a list shows: what is kept apart is never one of them."""
        return [reason for reason in self.raises() if reason.on_lists][:number]


def _ignore() -> float:
    return float(settings("reasons")["limits"]["ignore"])


class Explainer:
    """Explains scores of some persons of a scored cohort; the histories of all of them are read at once."""

    def __init__(self, view: View, scored: Scored, persons: Iterable[str]) -> None:
        wanted = sorted(set(persons))
        keys = pl.DataFrame({"person_id": wanted}, schema={"person_id": pl.String})
        few = len(wanted) <= FEW
        near = view.load.near(wanted, scored.as_of) if few else view.records
        if scored.whole_row and few:
            rows = scored.features.filter(pl.col("person_id").is_in(wanted))
        else:
            rows = histories(near, "offender", scored.as_of, subjects=keys, engine="auto")
        self._values = {row["person_id"]: row for row in rows.iter_rows(named=True)}
        self._shares: dict[str, dict[str, float]] = {person: {} for person in wanted}
        for person, column, share in (
            scored.contributions(wanted).select("person_id", "column", "contribution").iter_rows()
        ):
            self._shares[person][column] = share
        catalogue = view.records.declared
        self._columns = {column.name: column for column in catalogue.columns("offender")}
        self._lost = catalogue.left_out("offender", view.records.missing)
        self._apart = {f.name for f in catalogue.features("offender") if group_of(f) == APART}
        self._references = dict(view.identity("event_place").select("event_id", "reference").iter_rows())
        self._records = near if few else narrowed(view.records, wanted)
        self._t = scored.as_of

    def of(self, person_id: str) -> Explanation:
        """The explanation of one person's score."""
        shares = dict(self._shares[person_id])
        base = shares.pop(INTERCEPT, 0.0)
        groups: dict[str, dict[str, float]] = {}
        for name, share in shares.items():
            groups.setdefault(group_of(self._columns[name].feature), {})[name] = share
        reasons = [self._reason(person_id, group, columns) for group, columns in groups.items()]
        reasons.sort(key=lambda reason: (-reason.contribution, reason.group))
        return Explanation(person_id, base, reasons, self._missing(person_id), self._not_fed())

    def _reason(self, person: str, group: str, columns: dict[str, float]) -> Reason:
        said = settings("reasons")
        total = sum(columns.values())
        if group == APART:
            return Reason(
                group,
                said["apart"]["title"],
                _sentence([said["apart"]["sentence"]]),
                total,
                columns,
                list,
                False,
            )
        words = said["family"].get(group, {"title": group.capitalize()})
        values = self._values[person]
        chosen = self._strongest(columns, up=total > 0)
        if total > 0:
            # "No crime outside domestic abuse" may push a score up a little; beside a fact it only puzzles.
            chosen = [pair for pair in chosen if values.get(pair[1].name)] or chosen
        chosen = chosen[: said["limits"]["features"]]
        facts = [tell(feature, values, strongest, up=total > 0) for feature, strongest in chosen]
        cited = partial(self._cited, person, chosen) if total > _ignore() else list
        return Reason(group, words["title"], _sentence(facts), total, columns, cited)

    def _strongest(self, columns: Mapping[str, float], *, up: bool) -> list[tuple[Feature, Column]]:
        """Features that push the family's way, the strongest of each topic first, each with its strongest column."""
        sums: dict[str, float] = {}
        best: dict[str, str] = {}
        sign = 1.0 if up else -1.0
        for name, share in columns.items():
            feature = self._columns[name].feature.name
            sums[feature] = sums.get(feature, 0.0) + sign * share
            if feature not in best or sign * share > sign * columns[best[feature]]:
                best[feature] = name
        order = sorted(sums, key=lambda name: (-sums[name], name))
        told, topics = [], set()
        for name in [name for name in order if sums[name] > 0] or order[:1]:
            topic = settings("reasons")["feature"].get(name, {}).get("topic", name)
            if topic not in topics:
                topics.add(topic)
                told.append((self._columns[best[name]].feature, self._columns[best[name]]))
        return told

    def _cited(self, person: str, chosen: list[tuple[Feature, Column]]) -> list[Cited]:
        """The records the told numbers count, newest first, each once."""
        found: dict[str, datetime | None] = {}
        for _, strongest in chosen:
            if self._citable(strongest):
                for reference, at in evidence(self._records, {"person_id": person}, self._t, strongest.name):
                    found.setdefault(reference, at)
        order = sorted(found.items())
        order.sort(key=lambda item: item[1].timestamp() if item[1] else 0.0, reverse=True)
        kept = order[: settings("reasons")["limits"]["events"]]
        return [Cited(event, self._references.get(event) or event, at) for event, at in kept]

    def _citable(self, column: Column) -> bool:
        """Whether what a column counts has a number of its own: not a marker's code, not another person."""
        features = [self._columns[name].feature for name in column.inputs] or [column.feature]
        return all(
            STREAMS[feature.source].evidence.endswith("_id") and feature.source != "person"
            for feature in features
        )

    def _missing(self, person: str) -> list[str]:
        """What of this person the score had to do without."""
        values, templates = self._values[person], settings("reasons")["feature"]
        unknown = []
        for name, column in self._columns.items():
            template = templates.get(column.feature.name, {})
            if template.get("missing") and name in self._shares[person] and values.get(name) is None:
                unknown.append(template["none"])
        return list(dict.fromkeys(unknown))

    def _not_fed(self) -> list[str]:
        """Features the load cannot feed, by the table or column it lacks; what is kept apart is not named."""
        lacks: dict[str, list[str]] = {}
        for name, what in self._lost.items():
            if name not in self._apart:
                lacks.setdefault(what, []).append(name.replace("_", " "))
        return [f"{what.replace('.', ': ')} ({', '.join(names)})" for what, names in sorted(lacks.items())]


def narrowed(records: Records, persons: Sequence[str]) -> Records:
    """The records that can stand behind a sentence about these persons; citing from a small store is what keeps
    publishing quick."""
    return around(records, pl.Series("person_id", persons, dtype=pl.String))


# --- what may be told --------------------------------------------------------------------------------------


def group_of(feature: Feature) -> str:
    """The group a feature's share is told under: its family, or ``APART`` where no sentence may speak of it."""
    untold = feature.name not in settings("reasons")["feature"]
    if feature.sensitive or (untold and names_protected(f"{feature.name} {feature.text}")):
        return APART
    return feature.family


def names_protected(text: str) -> bool:
    """Whether a text names a characteristic protected by law (``[never]`` of ``reasons.toml``)."""
    return _never().search(text.replace("_", " ")) is not None


@cache
def _never() -> re.Pattern[str]:
    words = "|".join(re.escape(word).replace(r"\*", r"\w*") for word in settings("reasons")["never"]["words"])
    return re.compile(rf"\b(?:{words})\b", re.IGNORECASE)


def _sentence(facts: Iterable[str]) -> str:
    said = "; ".join(dict.fromkeys(fact for fact in facts if fact))
    return said[:1].upper() + said[1:]


# --- telling one feature -----------------------------------------------------------------------------------


def tell(feature: Feature, values: Mapping[str, Any], strongest: Column, *, up: bool) -> str:
    """One feature in words with a person's own numbers; ``strongest`` is the column that pushed most.

    A feature without a template in ``reasons.toml`` is told in the catalogue's words: "what it counts: 3".
    """
    template = settings("reasons")["feature"].get(feature.name)
    value = values.get(strongest.name)
    window = window_phrase(strongest.window) if feature.windows else ""
    if template is None:
        return f"{strongest.text}: {'not recorded' if value is None else amount(float(value))}"
    if value is None:
        what = f"{template['many']} {window}".rstrip() if "many" in template else strongest.text
        return str(template.get("none", f"{what}: not recorded")).format(window=window)
    if "style" in template:
        return _counted(feature, values, strongest, template, up=up)
    if not value and "zero" in template:
        return str(template["zero"]).format(window=window)
    return str(template["say"]).format(
        ago=ago(value),
        amount=amount(float(value)),
        grade=GRADES.get(int(value), str(value)),
        number=f"{int(value):,}",
        percent=f"{round(100 * float(value))} %",
        times=f"{amount(float(value))} times",
        window=window,
    )


def _counted(
    feature: Feature, values: Mapping[str, Any], strongest: Column, template: Mapping[str, Any], *, up: bool
) -> str:
    """A windowed count or sum: "4 reports in the last 90 days, 1 in the 90 before"."""
    one, many = template["one"], template["many"]

    def number(value: float) -> str:
        if template["style"] == "count":
            return count(value, one, many)
        return f"{amount(float(value))} {one if value == 1 else many}" if value else f"no {many}"

    here = values[strongest.name]
    if not feature.windows:
        return number(here)
    said = f"{number(here)} {window_phrase(strongest.window)}"
    if strongest.window is None or not here or not up:
        return said
    longer = (
        values.get(feature.column_name(strongest.window * 2))
        if strongest.window * 2 in feature.windows
        else None
    )
    if longer is None:
        return said
    before = longer - here
    figure = amount(float(before)) if before else "none"
    return f"{said}, {figure} in the {strongest.window} before"
