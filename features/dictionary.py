"""The data dictionary: the catalogue as a page people can read, every entry with its worked example."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from features.catalogue import SUBJECTS, Catalogue, Condition, Feature, window_name, window_phrase
from features.examples import EXAMPLE_KEYS
from features.streams import STREAMS

PAGE = Path(__file__).parent.parent / "docs" / "data-dictionary.md"
_EXPECTED = {
    1: "more of it is expected with more harm",
    -1: "less of it is expected with more harm",
    0: "none",
}
_AGGREGATE = {
    "count": "how many",
    "sum": "sum of `{value}` over",
    "max": "largest `{value}` among",
    "last": "`{value}` of the latest of (of several at one second, the largest)",
    "distinct": "how many different `{value}` among",
    "any": "1 if there is any, else 0, among",
    "days_since": "whole days of 86,400 s from the latest to T, of",
    "days_first": "whole days of 86,400 s from the earliest to T, of",
}
_FORMULA = {
    "rate": "({0} / {p0}) / ({1} / {p1})",
    "share": "{0} / {1}",
    "balance": "({0} - {1}) / ({0} + {1})",
    "at_least": "1 if {0} >= {p0}, else 0",
}
_INTRODUCTION = """# Data dictionary

Every feature there is, written by `python -m features.catalogue` from `features/data/catalogue.toml` (edition
{edition}); change that file, never this page. {declared} declarations become {columns} columns once windows are
multiplied out.

**As of T.** A feature at T sees what had happened and was on record at T, as it stood then. A window of w days is
(T - w x 86,400 s, T]: an event at T is in, one exactly w days old is out. Column names end in the window
(`domestic_events_90d`, `harm_days_ever`); features without a window have their bare name.

**Empty cells.** A count or a sum of nothing is 0; a recency, a latest value or a ratio of nothing is null. When the
extract lacks a table or column that a feature *needs*, its columns are absent and its name is reported.

**Domestic** means recorded as Y; an event recorded as U counts in no domestic feature. **Harm** is in days of the
Cambridge Crime Harm Index as `features/data/harm/` holds it. Sex, ethnicity, anything of place, interventions and
records that the force's own proactive activity produced are in no feature: the store that features read lacks them.

**Examples** run on both engines as tests. T is 2024-06-01 at 06:00 in London unless stated; a date without a time is
23:59:59 of that day; `event E1 2024-05-20 P>V` is a domestic crime on that day with suspect P and victim V;
`P+Q>V` has two suspects. The example is about person P (offender), person V (victim) or the pair P > V (dyad).

## What is counted

A feature counts *facts*. {rules}

| stream | one fact is | read from |
|---|---|---|
{streams}
"""
_RULES = """The suspects of an event are the persons in that role and those its offences name; its victims
likewise. The pairs of an event are taken suspect by suspect from the first of these that names anyone: its offences,
its involvements, every victim of the event. An offence that names no suspect counts in full for each suspect, one
that names a suspect for that suspect alone; several victims do not multiply a suspect's harm."""


def render(catalogue: Catalogue) -> str:
    """The whole page as Markdown."""
    used = {feature.source for feature in catalogue.all if feature.source}
    streams = "\n".join(
        f"| `{stream.name}` | {stream.says} | {_tables(stream.table)} |"
        for stream in STREAMS.values()
        if stream.name in used
    )
    columns = sum(len(catalogue.columns(subject)) for subject in SUBJECTS)
    page = [
        _INTRODUCTION.format(
            edition=catalogue.edition,
            declared=len(catalogue.all),
            columns=columns,
            rules=_RULES,
            streams=streams,
        )
    ]
    for subject in SUBJECTS:
        features = catalogue.features(subject)
        page.append(
            f"## {subject.capitalize()}: {len(features)} features, {len(catalogue.columns(subject))} columns\n"
        )
        for family in [f.name for f in catalogue.families]:
            here = [feature for feature in features if feature.family == family]
            if here:
                page.append(f"### {subject.capitalize()}: {family}\n")
                page.extend(_entry(feature) for feature in here)
    return "\n".join(page).rstrip() + "\n"


def _tables(table: str) -> str:
    return "`event`, `involvement`, `offence`" if table == "event" else f"`{table}`"


def _entry(feature: Feature) -> str:
    windows = ", ".join(window_name(w) for w in feature.windows)
    facts = [
        f"- Unit: {feature.unit}" + (f"; windows: {windows}" if windows else "; no window"),
        f"- Is: {_meaning(feature)}",
        f"- Expected direction: {_EXPECTED[feature.direction]}",
    ]
    if feature.needs:
        facts.append("- Needs: " + ", ".join(f"`{need.replace('|', '` or `')}`" for need in feature.needs))
    if feature.sensitive:
        facts.append(f"- Sensitive: {feature.sensitive}")
    when = "" if feature.example.as_of == "2024-06-01" else f" (T = {feature.example.as_of})"
    expected = ", ".join(f"`{name}` = {'null' if v is None else v}" for name, v in feature.example.expect)
    about = " > ".join(EXAMPLE_KEYS[feature.subject])
    text = feature.text.replace(
        "{window}",
        window_phrase(90).replace("90", "w")
        if None not in feature.windows or len(feature.windows) > 1
        else window_phrase(None),
    )
    return "\n".join(
        [
            f"#### `{feature.name}`\n",
            f"{text[0].upper()}{text[1:]}.\n",
            *facts,
            "",
            "```text",
            *feature.example.given,
            "```",
            "",
            f"For {about}{when}: {expected}.\n",
        ]
    )


def _meaning(feature: Feature) -> str:
    if feature.formula:
        names = [f"`{name.replace('{w}', 'w')}`" for name in feature.of]
        numbers = {f"p{i}": n for i, n in enumerate(feature.parameters)}
        return _FORMULA[feature.formula].format(*names, **numbers)
    what = _AGGREGATE[feature.aggregate].format(value=feature.value)
    scaled = f", divided by {feature.scale}" if feature.scale != 1 else ""
    empty = (
        f", {feature.empty} when there is none"
        if feature.aggregate == "max" and feature.empty is not None
        else ""
    )
    return f"{what} `{feature.source}` facts{_where(feature.where)}{scaled}{empty}"


def _where(conditions: Iterable[Condition]) -> str:
    parts = []
    for condition in conditions:
        if condition.minimum is not None:
            test = f">= {condition.minimum}"
        elif len(condition.values) > 1:
            test = "in " + ", ".join(str(v) for v in condition.values)
        else:
            test = f"= {_plain(condition.values[0])}"
        parts.append(f"`{' or '.join(condition.fields)}` {test}")
    return " with " + " and ".join(parts) if parts else ""


def _plain(value: str | bool | int) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
