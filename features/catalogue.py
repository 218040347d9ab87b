"""The catalogue: every feature as data, checked when it is read, compiled by two engines.

``features/data/catalogue.toml`` declares each feature once (subject, stream of facts, filter, aggregate, windows,
unit, plain-English name, expected direction, family, worked example). Here the file becomes frozen dataclasses;
nothing in this module computes a feature. ``python -m features.catalogue`` counts the declarations and writes
``docs/data-dictionary.md``.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from features.errors import InputError
from features.streams import BOOL, INT, STREAMS, TEXT

CATALOGUE_FILE = Path(__file__).parent / "data" / "catalogue.toml"
SUBJECTS = ("offender", "victim", "dyad")
KEYS = {"offender": ("person_id",), "victim": ("person_id",), "dyad": ("suspect_id", "victim_id")}
AGGREGATES = ("count", "sum", "max", "last", "distinct", "any", "days_since", "days_first", "formula")
FORMULAS = ("rate", "share", "balance", "at_least")
FAMILIES = (
    "history",
    "harm",
    "behaviour",
    "victims",
    "relationship",
    "order and custody",
    "marker",
    "assessment",
    "other offending",
    "person",
)
EVER = "ever"


@dataclass(frozen=True)
class Condition:
    """One condition on a fact: any of ``fields`` (one, or alternatives) is one of ``values``, or is at least
    ``minimum``. An empty field meets no condition."""

    fields: tuple[str, ...]
    values: tuple[str | bool | int, ...] = ()
    minimum: int | None = None


@dataclass(frozen=True)
class Example:
    """A worked example: compact rows (features/examples.py), the moment, and what each column must be."""

    given: tuple[str, ...]
    as_of: str
    expect: tuple[tuple[str, float | int | None], ...]


@dataclass(frozen=True)
class Feature:
    """What one declared feature means. ``windows`` holds days, or None for "ever"; empty: no window at all.

    ``aggregate`` over the facts of ``source`` that meet every condition of ``where``: count, sum / max / last /
    distinct of ``value``, any (1 or 0), days_since the latest and days_first since the earliest; ``formula``
    combines the columns named in ``of`` element by element. ``empty`` is the value when no fact qualifies (None:
    the cell is null). ``scale`` divides the integers computed into the unit shown (harm is held in hundredths).
    ``needs`` are "table" or "table.column" names without which the feature is left out; "a|b" is satisfied by either.
    """

    name: str
    subject: str
    family: str
    source: str
    where: tuple[Condition, ...]
    aggregate: str
    value: str
    windows: tuple[int | None, ...]
    unit: str
    text: str
    direction: int
    sensitive: str
    needs: tuple[str, ...]
    empty: int | None
    scale: int
    formula: str
    of: tuple[str, ...]
    parameters: tuple[int, ...]
    example: Example

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns this feature becomes: one a window, or one with the bare name."""
        return tuple(Column(self.column_name(w), self, w) for w in self.windows) or (
            Column(self.name, self, None),
        )

    def column_name(self, window: int | None) -> str:
        """``<feature>_<window>``, or the bare name when the feature has no window."""
        return f"{self.name}_{window_name(window)}" if self.windows else self.name

    @property
    def is_float(self) -> bool:
        """Whether its columns are Float64 (scaled harm, ratios); all else is Int64."""
        return self.scale != 1 or self.formula in ("rate", "share", "balance")


@dataclass(frozen=True)
class Column:
    """One column of a histories table: a feature at one window (days; None: ever, or no window)."""

    name: str
    feature: Feature
    window: int | None

    @property
    def text(self) -> str:
        """The plain-English name with its window in words."""
        return self.feature.text.replace("{window}", window_phrase(self.window))

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the columns a formula combines, in order; none for other aggregates."""
        return tuple(name.replace("{w}", window_name(self.window)) for name in self.feature.of)


def window_name(window: int | None) -> str:
    """The suffix of a column name: 90 -> "90d", None -> "ever"."""
    return EVER if window is None else f"{window}d"


def window_phrase(window: int | None) -> str:
    """A window in words, as it stands in a sentence."""
    if window is None:
        return "ever recorded"
    return "in the last 3 years" if window == 1095 else f"in the last {window} days"


@dataclass(frozen=True)
class Catalogue:
    """All declared features in file order, with the edition of the file."""

    edition: str
    all: tuple[Feature, ...]

    def features(self, subject: str | None = None) -> list[Feature]:
        """The features of one subject (offender, victim, dyad), or all of them."""
        if subject is not None and subject not in SUBJECTS:
            raise InputError(
                f"there are no histories of {subject!r}",
                where="subject",
                cure=f"Choose one of {', '.join(SUBJECTS)}.",
            )
        return [f for f in self.all if subject in (None, f.subject)]

    def columns(self, subject: str) -> list[Column]:
        """Every column of one subject, windows multiplied out, in catalogue order."""
        return [column for feature in self.features(subject) for column in feature.columns]

    def column(self, subject: str, name: str) -> Column:
        """One column by name; InputError when the catalogue has none of that name for that subject."""
        for column in self.columns(subject):
            if column.name == name:
                return column
        raise InputError(
            f"the catalogue has no {subject} column {name!r}",
            where="columns",
            cure="docs/data-dictionary.md lists them all.",
        )

    def left_out(self, subject: str, missing: Iterable[str]) -> dict[str, str]:
        """Features that an extract cannot feed: name -> the table or column it lacks.

        ``missing`` holds "table" and "table.column" names absent from the extract. A formula is left out with
        any of its inputs.
        """
        absent = frozenset(missing)
        out: dict[str, str] = {}
        by_column = {column.name: column.feature.name for column in self.columns(subject)}
        for feature in self.features(subject):
            lacks = next((need for need in feature.needs if not _has(need, absent)), None)
            lost = [by_column[name] for column in feature.columns for name in column.inputs]
            lacks = lacks or next((out[name] for name in lost if name in out), None)
            if lacks:
                out[feature.name] = lacks
        return out


def _has(need: str, absent: frozenset[str]) -> bool:
    return any(name not in absent and name.split(".")[0] not in absent for name in need.split("|"))


# ---------------------------------------------------------------------------------------------------------------
# Reading the file


@cache
def load_catalogue(path: Path = CATALOGUE_FILE) -> Catalogue:
    """Read and check the catalogue; InputError names the declaration at fault."""
    with path.open("rb") as handle:
        document = tomllib.load(handle)
    features = tuple(_feature(entry, subject) for subject in SUBJECTS for entry in document.get(subject, ()))
    catalogue = Catalogue(edition=str(document["edition"]), all=features)
    _check_whole(catalogue)
    return catalogue


def _feature(entry: Mapping[str, Any], subject: str) -> Feature:
    name = str(entry.get("name", "?"))
    unknown = set(entry) - _KNOWN
    if unknown:
        raise _fault(name, f"unknown keys {sorted(unknown)}")
    windows = tuple(None if w == EVER else int(w) for w in entry.get("windows", ()))
    absent = _REQUIRED - set(entry)
    if absent:
        raise _fault(name, f"lacks {sorted(absent)}")
    source, value = str(entry.get("source", "")), str(entry.get("value", ""))
    aggregate = str(entry["aggregate"])
    where = tuple(_condition(name, key, wanted) for key, wanted in entry.get("where", {}).items())
    read = [*(field for condition in where for field in condition.fields), value]
    feature = Feature(
        name=name,
        subject=subject,
        family=str(entry["family"]),
        source=source,
        where=where,
        aggregate=aggregate,
        value=value,
        windows=windows,
        unit=str(entry["unit"]),
        text=str(entry["text"]),
        direction=int(entry["direction"]),
        sensitive=str(entry.get("sensitive", "")),
        needs=STREAMS[source].needs(read) if source in STREAMS else (),
        empty=int(entry["empty"]) if "empty" in entry else (0 if aggregate in _ZERO_WHEN_EMPTY else None),
        scale=int(entry.get("scale", 1)),
        formula=str(entry.get("formula", "")),
        of=tuple(entry.get("of", ())),
        parameters=tuple(int(p) for p in entry.get("parameters", ())),
        example=Example(
            given=tuple(entry["given"]),
            as_of=str(entry.get("as_of", "2024-06-01")),
            expect=tuple((k, None if v == "null" else v) for k, v in entry["expect"].items()),
        ),
    )
    _check(feature)
    return feature


_ZERO_WHEN_EMPTY = ("count", "sum", "distinct", "any")
_KNOWN = {
    "name", "family", "source", "where", "aggregate", "value", "windows", "unit", "text", "direction", "sensitive",
    "empty", "scale", "formula", "of", "parameters", "given", "as_of", "expect",
}  # fmt: skip
_REQUIRED = {"name", "family", "aggregate", "unit", "text", "direction", "given", "expect"}


def _condition(name: str, key: str, value: Any) -> Condition:
    fields = tuple(key.split("|"))
    if isinstance(value, dict):
        if set(value) != {"at_least"}:
            raise _fault(name, f"condition on {key}: write a value, a list of values, or {{ at_least = n }}")
        return Condition(fields, minimum=int(value["at_least"]))
    return Condition(fields, values=tuple(value) if isinstance(value, list) else (value,))


def _check(feature: Feature) -> None:
    """One declaration on its own: names it uses exist, and it says all it must."""
    name = feature.name
    if feature.aggregate not in AGGREGATES:
        raise _fault(name, f"aggregate {feature.aggregate!r} is none of {', '.join(AGGREGATES)}")
    if feature.family not in FAMILIES:
        raise _fault(name, f"family {feature.family!r} is none of {', '.join(FAMILIES)}")
    if feature.direction not in (-1, 0, 1):
        raise _fault(name, "direction is +1, 0 or -1")
    if ("{window}" in feature.text) != bool(feature.windows):
        raise _fault(name, "the text holds {window} exactly when the feature has windows")
    if feature.aggregate == "formula":
        if feature.formula not in FORMULAS or not feature.of:
            raise _fault(name, f"a formula is one of {', '.join(FORMULAS)} of named columns")
        return
    stream = STREAMS.get(feature.source)
    if stream is None or feature.subject not in stream.subjects:
        raise _fault(name, f"there is no stream {feature.source!r} of {feature.subject} facts")
    for condition in feature.where:
        for field in condition.fields:
            kind = stream.fields.get(field)
            if kind is None:
                raise _fault(name, f"stream {stream.name} has no field {field!r}")
            right = {BOOL: bool, INT: int, TEXT: str}[kind]
            if any(type(value) is not right for value in condition.values):
                raise _fault(name, f"the condition on {field} compares it with something that is not {kind}")
            if condition.minimum is not None and kind != INT:
                raise _fault(name, f"{field} is {kind}: at_least is for numbers")
    wanted = {"sum": INT, "max": INT, "last": INT, "distinct": TEXT}.get(feature.aggregate)
    if stream.fields.get(feature.value) != wanted:
        raise _fault(
            name, f"aggregate {feature.aggregate} needs {'a' if wanted else 'no'} value {wanted or ''}"
        )


def _check_whole(catalogue: Catalogue) -> None:
    """All declarations together: names once only, formulas built on columns declared before them."""
    for subject in SUBJECTS:
        seen: set[str] = set()
        for column in catalogue.columns(subject):
            if column.name in seen:
                raise _fault(column.name, "declared twice")
            absent = [name for name in column.inputs if name not in seen]
            if absent:
                raise _fault(column.name, f"uses {absent}, which no earlier {subject} declaration makes")
            seen.add(column.name)


def _fault(name: str, what: str) -> InputError:
    return InputError(
        f"feature {name}: {what}", where="features/data/catalogue.toml", cure="Mend the declaration."
    )


def main() -> None:
    """Count the declarations and write docs/data-dictionary.md."""
    from features.dictionary import PAGE, render  # the page reads this module

    catalogue = load_catalogue()
    PAGE.write_text(render(catalogue), encoding="utf-8")
    for subject in SUBJECTS:
        print(
            f"{subject}: {len(catalogue.features(subject))} declarations, {len(catalogue.columns(subject))} columns"
        )
    print(f"in all: {len(catalogue.all)} declarations; wrote docs/{PAGE.name}")


if __name__ == "__main__":
    main()
