"""The data dictionary: the catalogue as a page people can read, every entry with its worked example."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path

from features.catalogue import SUBJECTS, Catalogue, Condition, Family, Feature, window_name, window_phrase
from features.examples import EXAMPLE_KEYS
from features.streams import STREAMS

PAGE = Path(__file__).parent.parent / "docs" / "data-dictionary.md"
#: Tables a stream reads beside its own and the event tables; what a field needs is added.
_READS = {
    "near": ("relationship", "order"),
    "partner": ("involvement", "relationship"),
    "pair_partner": ("involvement", "relationship"),
    "household_person": ("event", "involvement", "offence"),
}
_EVENT_TABLES = ("event", "involvement", "offence")
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

Every feature there is, written by `python -m features.catalogue` from `features/data/catalogue*.toml` (edition
{edition}); change those files, never this page. {declared} declarations become {columns} columns once windows are
multiplied out. `doorstep features list` and `doorstep features explain NAME` say the same in a terminal, an analyst's
own features included ([your-own-features.md](your-own-features.md)).

**As of T.** A feature at T sees what had happened and was on record at T, as it stood then. A window of w days is
(T - w x 86,400 s, T]: an event at T is in, one exactly w days old is out. Column names end in the window
(`domestic_events_90d`, `harm_days_ever`); features without a window have their bare name.

**Empty cells.** A count or a sum of nothing is 0; a recency, a latest value or a ratio of nothing is null. When the
extract lacks a table or column that a feature *needs*, its columns are absent and its name is reported.

**Domestic** means recorded as Y; an event recorded as U counts in no domestic feature. **Harm** is in days of the
Cambridge Crime Harm Index as `features/data/harm/` holds it. Sex, ethnicity, addresses and districts,
interventions and records that the force's own proactive activity produced are in no feature: the store that features
read lacks them. Of who shared an address it knows who and when, not where; those features are of a flagged family.

**Examples** run on every engine as tests. T is 2024-06-01 at 06:00 in London unless stated; a date without a time is
23:59:59 of that day; `event E1 2024-05-20 P>V` is a domestic crime on that day with suspect P and victim V;
`P+Q>V` has two suspects. The example is about person P (offender), person V (victim) or the pair P > V (dyad).

## Families, and what no model may take

A feature belongs to one family. A flag says why no model may take the family's features; lists, sheets and people still
may. *proactive*: it moves with what the force itself chooses to do. *protected*: it is, or stands for, a characteristic
protected by the Equality Act 2010. *proxy_risk*: it may carry such a characteristic, or where somebody lives, in by the
back door. `models.dataset` leaves flagged features out with the reason, and refuses them when asked for by name.

| family | what belongs there | flags | features |
|---|---|---|---|
{families}

## What is counted

A feature counts *facts*. {rules}

| stream | one fact is | read from |
|---|---|---|
{streams}
"""
_RULES = """The suspects of an event are the persons in that role and those its offences name; its victims
likewise. The pairs of an event are taken suspect by suspect from the first of these that names anyone: its offences,
its involvements, every victim of the event (unless the event is a crowd, docs/network.md: it names nobody). An
offence that names no suspect counts in full for each suspect, one that names a suspect for that suspect alone;
several victims do not multiply a suspect's harm."""


def render(catalogue: Catalogue) -> str:
    """The whole page as Markdown."""
    used = {feature.source for feature in catalogue.all if feature.source}
    streams = "\n".join(
        f"| `{stream.name}` | {stream.says} | {', '.join(f'`{t}`' for t in _read_by(stream.name))} |"
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
            families="\n".join(_family_row(catalogue, family) for family in catalogue.families),
        )
    ]
    for subject in SUBJECTS:
        features = catalogue.features(subject)
        page.append(
            f"## {subject.capitalize()}: {len(features)} features, {len(catalogue.columns(subject))} columns\n"
        )
        for family in catalogue.families:
            here = [feature for feature in features if feature.family == family.name]
            if here:
                page.append(f"### {subject.capitalize()}: {family.name}\n")
                page.extend(_entry(catalogue, feature) for feature in here)
    return "\n".join(page).rstrip() + "\n"


def render_own(catalogue: Catalogue) -> str:
    """The page of a home's own features as Markdown: the same entries, file by file."""
    page = [
        "# Data dictionary: own features\n",
        "Written by `doorstep features add`; change the files, not this.\n",
    ]
    for origin in dict.fromkeys(feature.origin for feature in catalogue.own):
        page.append(f"## {origin}\n")
        page.extend(_entry(catalogue, feature) for feature in catalogue.own if feature.origin == origin)
    return "\n".join(page).rstrip() + "\n"


def _family_row(catalogue: Catalogue, family: Family) -> str:
    held = sum(feature.family == family.name for feature in catalogue.all)
    return f"| {family.name} | {family.text} | {', '.join(family.flags) or 'none'} | {held} |"


def _read_by(stream: str) -> tuple[str, ...]:
    table = STREAMS[stream].table
    own = _EVENT_TABLES if table == "event" else (table,)
    return tuple(dict.fromkeys((*own, *_READS.get(stream, ()))))


def source_tables(catalogue: Catalogue, feature: Feature) -> tuple[str, ...]:
    """The tables of the extract a feature is computed from; a formula's are those of its columns."""
    if feature.formula:
        read = [catalogue.column(feature.subject, name).feature for c in feature.columns for name in c.inputs]
        return tuple(dict.fromkeys(table for other in read for table in source_tables(catalogue, other)))
    named = [need.split(".")[0] for needs in feature.needs for need in needs.split("|")]
    return tuple(dict.fromkeys((*_read_by(feature.source), *named)))


def facts_of(catalogue: Catalogue, feature: Feature) -> dict[str, str]:
    """What there is to say of a feature, heading -> words (Markdown marks around names)."""
    family = catalogue.family(feature)
    windows = ", ".join(window_name(w) for w in feature.windows)
    facts = {
        "Unit": feature.unit + (f"; windows: {windows}" if windows else "; no window"),
        "Family": f"{family.name}"
        + (f" (flags: {', '.join(family.flags)}: no model may take it)" if family.flags else ""),
        "Source tables": ", ".join(f"`{table}`" for table in source_tables(catalogue, feature)),
        "Is": _meaning(feature),
        "Expected direction": _EXPECTED[feature.direction],
    }
    if feature.needs:
        facts["Needs"] = ", ".join(f"`{need.replace('|', '` or `')}`" for need in feature.needs)
    if feature.sensitive:
        facts["Sensitive"] = feature.sensitive
    if feature.model is False:
        facts["Model"] = "kept out (model = false)"
    return facts


def title_of(feature: Feature) -> str:
    """The plain-English name as a sentence, with its window as "w days"."""
    phrase = window_phrase(90).replace("90", "w")
    text = feature.text.replace("{window}", window_phrase(None) if feature.windows == (None,) else phrase)
    return f"{text[0].upper()}{text[1:]}."


def example_of(feature: Feature) -> tuple[str, str]:
    """Whom the worked example is about, and when; and what comes out."""
    when = "" if feature.example.as_of == "2024-06-01" else f" (T = {feature.example.as_of})"
    expected = ", ".join(f"`{name}` = {'null' if v is None else v}" for name, v in feature.example.expect)
    return f"{' > '.join(EXAMPLE_KEYS[feature.subject])}{when}", expected


def _entry(catalogue: Catalogue, feature: Feature) -> str:
    about, expected = example_of(feature)
    return "\n".join(
        [
            f"#### `{feature.name}`\n",
            f"{title_of(feature)}\n",
            *(f"- {heading}: {words}" for heading, words in facts_of(catalogue, feature).items()),
            "",
            "```text",
            *feature.example.given,
            "```",
            "",
            f"For {about}: {expected}.\n",
        ]
    )


def _meaning(feature: Feature) -> str:
    if feature.formula:
        names = [f"`{name.replace('{w}', 'w')}`" for name in feature.of]
        if feature.formula == "decay":
            *weights, divisor = feature.parameters
            rings = [names[0], *(f"({b} - {a})" for a, b in itertools.pairwise(names))]
            added = " + ".join(f"{weight} x {ring}" for weight, ring in zip(weights, rings, strict=True))
            return f"({added}) / {divisor}, of the whole numbers held"
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
