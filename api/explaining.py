"""What a feature is, as plain facts and as words for the terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from features.catalogue import SUBJECTS, Catalogue, Column, Feature
from features.declarations import meant
from features.dictionary import example_of, facts_of, source_tables, title_of
from features.errors import InputError, NotFoundError
from features.home import Home
from features.own_check import Checked

WIDTH = 110


def explained(catalogue: Catalogue, name: str) -> list[dict[str, Any]]:
    """Everything there is to say of the features (or columns) of that name, one a subject.

    NotFoundError with the nearest names when there is none.
    """
    wanted = name.strip().lower().replace("-", "_").replace(" ", "_")
    found = [_entry(catalogue, f, None) for f in catalogue.all if f.name == wanted]
    found = found or [
        _entry(catalogue, column.feature, column)
        for subject in SUBJECTS
        for column in catalogue.columns(subject)
        if column.name == wanted
    ]
    if not found:
        columns = [c.name for s in SUBJECTS for c in catalogue.columns(s)]
        names = list(dict.fromkeys([f.name for f in catalogue.all] + columns))
        near = meant(wanted, names) or _holding(wanted, [f.name for f in catalogue.all])
        raise NotFoundError(
            f"There is no feature {name!r}{near}", where="NAME", cure="doorstep features list names them all."
        )
    return found


def _holding(word: str, names: list[str]) -> str:
    """Names that hold the word, when none is near it."""
    some = [name for name in names if word and word in name][:5]
    return f"; there is {', '.join(some)}." if some else "."


def _entry(catalogue: Catalogue, feature: Feature, column: Column | None) -> dict[str, Any]:
    family = catalogue.family(feature)
    about, _ = example_of(feature)
    text = column.text if column else ""
    refused = catalogue.refused(feature)
    return {
        "name": feature.name,
        "subject": feature.subject,
        "column": column.name if column else None,
        "meaning": f"{text[0].upper()}{text[1:]}." if text else title_of(feature),
        "unit": feature.unit,
        "windows": [c.window if c.window is not None else "ever" for c in feature.columns]
        if feature.windows
        else [],
        "columns": [c.name for c in feature.columns],
        "source_tables": list(source_tables(catalogue, feature)),
        "needs": list(feature.needs),
        "family": family.name,
        "flags": list(family.flags),
        "sensitive": feature.sensitive or None,
        "direction": feature.direction,
        "computed": facts_of(catalogue, feature)["Is"],
        "model": refused or _taken(feature),
        "own": feature.origin or None,
        "example": {
            "about": about,
            "as_of": feature.example.as_of,
            "given": list(feature.example.given),
            "expect": dict(feature.example.expect),
        },
    }


def _taken(feature: Feature) -> str:
    if feature.subject != "offender":
        return f"models score offenders: a {feature.subject} feature serves pages and sheets"
    if feature.model is False:
        return "kept out (model = false)"
    if feature.sensitive == "health":
        return "only when a named person authorises health data"
    return "may be taken"


_DIRECTION = {
    1: "more of it is expected with more harm",
    -1: "less of it is expected with more harm",
    0: "none expected",
}


def in_words(entry: dict[str, Any]) -> str:
    """One explained feature for the terminal."""
    example = entry["example"]
    flags = f" (flags: {', '.join(entry['flags'])})" if entry["flags"] else ""
    facts = {
        "unit": entry["unit"],
        "windows": ", ".join(f"{w} days" if w != "ever" else "ever" for w in entry["windows"]) or "none",
        "columns": ", ".join(entry["columns"]),
        "source tables": ", ".join(entry["source_tables"]),
        "needs": ", ".join(need.replace("|", " or ") for need in entry["needs"])
        or "the required tables alone",
        "family": entry["family"] + flags,
        "sensitive": entry["sensitive"],
        "direction": _DIRECTION[entry["direction"]],
        "computed": entry["computed"].replace("`", ""),
        "in models": entry["model"],
        "own file": entry["own"],
    }
    lines = [f"{entry['column'] or entry['name']} ({entry['subject']})", f"  {entry['meaning']}", ""]
    for heading, words in facts.items():
        if words:
            lines += textwrap.wrap(
                f"  {heading + ':':<15}{words}", WIDTH, subsequent_indent=" " * 17, break_on_hyphens=False
            )
    expected = ", ".join(f"{k} = {'null' if v is None else v}" for k, v in example["expect"].items())
    lines += [
        "",
        f"  worked example, T = {example['as_of']}" + ("" if "T" in example["as_of"] else " 06:00") + ":",
    ]
    lines += [f"    {line}" for line in example["given"]]
    return "\n".join([*lines, f"  for {example['about'].split(' (')[0]}: {expected}"])


def listed(catalogue: Catalogue, family: str | None, subject: str | None) -> list[dict[str, Any]]:
    """Families with their flags and features, in catalogue order; InputError for a family there is not."""
    names = [f.name for f in catalogue.families]
    if family is not None and family not in names:
        raise InputError(
            f"There is no family {family!r}{meant(family, names)}",
            where="--family",
            cure=f"Families: {', '.join(names)}.",
        )
    return [
        {
            "family": f.name,
            "text": f.text,
            "flags": list(f.flags),
            "features": [
                {
                    "name": x.name,
                    "subject": x.subject,
                    "text": title_of(x),
                    "columns": len(x.columns),
                    "own": x.origin,
                }
                for x in catalogue.features(subject)
                if x.family == f.name
            ],
        }
        for f in catalogue.families
        if family in (None, f.name)
    ]


def listed_in_words(rows: list[dict[str, Any]]) -> str:
    """Families and features for the terminal."""
    lines = []
    for row in rows:
        flags = f" [{', '.join(row['flags'])}: no model may take it]" if row["flags"] else ""
        lines += [f"{row['family']}{flags}", f"  {row['text']}"]
        for f in row["features"]:
            own = f" ({f['own']})" if f["own"] else ""
            lines.append(f"    {f['subject']:<9}{f['name']:<32}{f['text']}{own}")
        lines += [] if row["features"] else ["    none"]
        lines.append("")
    return "\n".join(lines).rstrip()


def passed(checked: Checked, home: Home) -> dict[str, Any]:
    """What a file that passed its checks brings: its features, what feeds them here, what the next model takes."""
    from models.dataset import model_columns

    load = home.current()
    missing = load.records().missing if load else frozenset()
    columns = model_columns(missing, catalogue=checked.catalogue)
    entries = []
    for feature in checked.features:
        lacks = checked.catalogue.left_out(feature.subject, missing).get(feature.name)
        taken = (
            [c.name for c in feature.columns if c.name in columns.shapes]
            if feature.subject == "offender"
            else []
        )
        entries.append(
            {
                "name": feature.name,
                "subject": feature.subject,
                "text": title_of(feature),
                "columns": [c.name for c in feature.columns],
                "lacks": lacks,
                "model": ", ".join(taken) or columns.left_out.get(feature.name) or _taken(feature),
                "taken": bool(taken),
            }
        )
    return {"file": checked.name, "sha256": checked.sha256, "features": entries}


def passed_in_words(facts: dict[str, Any]) -> str:
    """The same for the terminal."""
    lines = []
    for entry in facts["features"]:
        lines += [
            f"  {entry['name']} ({entry['subject']}): {entry['text']}",
            f"    its example comes out as written on every engine; columns: {', '.join(entry['columns'])}",
        ]
        if entry["lacks"]:
            lines.append(f"    this load cannot feed it: it lacks {entry['lacks']}")
        lines.append(
            f"    next training run: {'takes ' if entry['taken'] else 'not taken: '}{entry['model']}"
        )
    return "\n".join(lines)


def models_with(files: Iterable[str], home: Path) -> list[str]:
    """Versions of models here that were trained with features of these files."""
    from models import store

    wanted = set(files)
    return [
        version
        for version in store.versions(home)
        if wanted & {entry["file"] for entry in store.load_model(home, version).get("own_features", ())}
    ]
