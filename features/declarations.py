"""What one declaration says: a feature, its columns, its family; read from a mapping of the file and checked.

Nothing here computes a feature. A declaration that cannot be right (a field its stream does not have, a comparison
with the wrong kind of value, a text that hides its window, health data not marked as such) is refused by name.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from features.errors import InputError
from features.schema import spec_of
from features.streams import BOOL, INT, STREAMS, TEXT

SUBJECTS = ("offender", "victim", "dyad")
KEYS = {"offender": ("person_id",), "victim": ("person_id",), "dyad": ("suspect_id", "victim_id")}
AGGREGATES = ("count", "sum", "max", "last", "distinct", "any", "days_since", "days_first", "formula")
#: Formula -> how many columns and how many parameters it takes (None: any number).
FORMULAS: dict[str, tuple[int | None, int | None]] = {
    "rate": (2, 2),
    "share": (2, 0),
    "balance": (2, 0),
    "at_least": (1, 1),
    "decay": (None, None),
}
FLAGS = ("proactive", "protected", "proxy_risk")
SENSITIVE = ("", "age", "health")
EVER = "ever"
MOST_DAYS = 36_525
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_ZERO_WHEN_EMPTY = ("count", "sum", "distinct", "any")


@dataclass(frozen=True)
class Family:
    """A family of features: what belongs there, and why a model may not take it (``flags``; none: it may).

    Every feature that reads one of ``streams`` belongs to a family with these flags, whatever it calls itself.
    """

    name: str
    text: str
    proactive: bool = False
    protected: bool = False
    proxy_risk: bool = False
    streams: tuple[str, ...] = ()

    @property
    def flags(self) -> tuple[str, ...]:
        """Which of the three flags it carries."""
        return tuple(flag for flag in FLAGS if getattr(self, flag))


@dataclass(frozen=True)
class Sensitive:
    """Facts of ``source`` (those whose ``field`` is one of ``values``; no values: all) that make a feature ``kind``."""

    kind: str
    source: str
    field: str
    values: tuple[str, ...]

    def touches(self, feature: Feature) -> bool:
        """Whether the feature counts such facts: it reads the stream, and no condition keeps them out."""
        if feature.source != self.source:
            return False
        if not self.values:
            return self.field in (feature.value, *(f for c in feature.where for f in c.fields))
        kept_out = (
            c.fields == (self.field,) and c.values and not set(c.values) & set(self.values)
            for c in feature.where
        )
        return not any(kept_out)


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
    ``model`` is whether a model may take it (None: if its family and its windows allow); ``origin`` names the file of
    an analyst's own feature, "" for the package's.
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
    model: bool | None = None
    origin: str = ""

    def __hash__(self) -> int:
        return hash((self.subject, self.name))

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
        return self.scale != 1 or (self.aggregate == "formula" and self.formula != "at_least")


@dataclass(frozen=True)
class Column:
    """One column of a histories table: a feature at one window (days; None: ever, or no window)."""

    name: str
    feature: Feature
    window: int | None

    def __hash__(self) -> int:
        return hash((self.feature.subject, self.name))

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
    if window == 1:
        return "in the last day"
    return "in the last 3 years" if window == 1095 else f"in the last {window} days"


def fault(name: str, what: str, cure: str = "Mend the declaration.") -> InputError:
    """One declaration is at fault; whoever reads the file adds which file."""
    return InputError(f"feature {name}: {what}", cure=cure)


def meant(word: str, known: Iterable[str]) -> str:
    """ "; did you mean ...?" for a word that is near one of ``known``, else ""."""
    near = difflib.get_close_matches(word, list(known), n=3, cutoff=0.6)
    return f"; did you mean {' or '.join(near)}?" if near else ""


# ---------------------------------------------------------------------------------------------------------------
# Reading one declaration


_KEYS: dict[str, type | tuple[type, ...]] = {
    "name": str, "family": str, "source": str, "where": dict, "aggregate": str, "value": str, "windows": list,
    "unit": str, "text": str, "direction": int, "sensitive": str, "empty": int, "scale": int, "formula": str,
    "of": list, "parameters": list, "given": list, "as_of": str, "expect": dict, "model": bool,
}  # fmt: skip
_REQUIRED = ("name", "family", "aggregate", "unit", "text", "direction", "given", "expect")
_SAYS = {str: "text", int: "a whole number", list: "a list", dict: "a table", bool: "true or false"}


def read_family(entry: Mapping[str, Any]) -> Family:
    """A ``[[family]]`` of a file."""
    name = str(entry.get("name", "?"))
    unknown = sorted(set(entry) - {"name", "text", "streams", *FLAGS})
    if unknown or not name.strip("?") or not isinstance(entry.get("text"), str) or not entry["text"].strip():
        raise InputError(
            f"family {name}: " + (f"unknown keys {unknown}" if unknown else "lacks a name or a text"),
            cure=f"A family has a name, a text and any of {', '.join(FLAGS)} = true.",
        )
    if any(type(entry.get(flag, False)) is not bool for flag in FLAGS):
        raise InputError(f"family {name}: a flag is true or false", cure="Mend the declaration.")
    streams = entry.get("streams", [])
    strange = [s for s in streams if s not in STREAMS] if isinstance(streams, list) else [streams]
    if strange:
        raise InputError(f"family {name}: there is no stream {strange[0]!r}", cure="Mend the declaration.")
    flags = {flag: bool(entry.get(flag, False)) for flag in FLAGS}
    return Family(name, entry["text"], streams=tuple(streams), **flags)


def read_sensitive(entry: Mapping[str, Any]) -> Sensitive:
    """A ``[[sensitive]]`` of the package's file."""
    return Sensitive(entry["kind"], entry["source"], entry.get("field", ""), tuple(entry.get("values", ())))


def read_feature(entry: Mapping[str, Any], subject: str, origin: str = "") -> Feature:
    """One declaration of ``subject``; ``origin`` names the file of an own feature. Raises InputError by name."""
    name = str(entry.get("name", "?"))
    _check_keys(name, entry)
    source, value, aggregate = entry.get("source", ""), entry.get("value", ""), entry["aggregate"]
    where = tuple(_condition(name, key, wanted) for key, wanted in entry.get("where", {}).items())
    read = [*(field for condition in where for field in condition.fields), value]
    feature = Feature(
        name=name,
        subject=subject,
        family=entry["family"],
        source=source,
        where=where,
        aggregate=aggregate,
        value=value,
        windows=tuple(_window(name, w) for w in entry.get("windows", ())),
        unit=entry["unit"],
        text=entry["text"],
        direction=entry["direction"],
        sensitive=entry.get("sensitive", ""),
        needs=STREAMS[source].needs(read) if source in STREAMS else (),
        empty=entry.get("empty", 0 if aggregate in _ZERO_WHEN_EMPTY else None),
        scale=entry.get("scale", 1),
        formula=entry.get("formula", ""),
        of=tuple(entry.get("of", ())),
        parameters=tuple(entry.get("parameters", ())),
        example=_example(name, entry),
        model=entry.get("model"),
        origin=origin,
    )
    _check(feature)
    return feature


def _check_keys(name: str, entry: Mapping[str, Any]) -> None:
    """Every key is known, of its kind, and none that is required is missing."""
    unknown = sorted(set(entry) - set(_KEYS))
    if unknown:
        raise fault(name, f"unknown keys {unknown}{meant(unknown[0], _KEYS)}")
    absent = sorted(set(_REQUIRED) - set(entry))
    if absent:
        raise fault(name, f"lacks {absent}")
    for key, value in entry.items():
        kind = _KEYS[key]
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise fault(name, f"{key} is {_SAYS[kind]}, not {value!r}")  # type: ignore[index]
    if not _NAME.fullmatch(name):
        raise fault(name, "a name is small letters, digits and _, and starts with a letter")
    for key in ("unit", "text"):
        if not entry[key].strip() or "\n" in entry[key]:
            raise fault(name, f"{key} is one line of text")


def _window(name: str, window: Any) -> int | None:
    if window == EVER:
        return None
    if type(window) is not int or not 1 <= window <= MOST_DAYS:
        raise fault(name, f'a window is "ever" or whole days from 1 to {MOST_DAYS}, not {window!r}')
    return window


def _condition(name: str, key: str, value: Any) -> Condition:
    fields = tuple(key.split("|"))
    if isinstance(value, dict):
        if set(value) != {"at_least"} or type(value["at_least"]) is not int:
            raise fault(name, f"condition on {key}: write a value, a list of values, or {{ at_least = n }}")
        return Condition(fields, minimum=value["at_least"])
    values = tuple(value) if isinstance(value, list) else (value,)
    if not values or any(not isinstance(v, str | bool | int) for v in values):
        raise fault(name, f"condition on {key}: write a value, a list of values, or {{ at_least = n }}")
    return Condition(fields, values=values)


def _example(name: str, entry: Mapping[str, Any]) -> Example:
    given, expect = entry["given"], entry["expect"]
    if not expect or not all(isinstance(line, str) and line.strip() for line in given):
        raise fault(name, "the example needs lines of text in given, and what each column is in expect")
    for column, value in expect.items():
        if value != "null" and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise fault(name, f'expect {column} is a number or "null", not {value!r}')
    return Example(
        given=tuple(given),
        as_of=entry.get("as_of", "2024-06-01"),
        expect=tuple((column, None if value == "null" else value) for column, value in expect.items()),
    )


# ---------------------------------------------------------------------------------------------------------------
# Checking one declaration


def _check(feature: Feature) -> None:
    """One declaration on its own: names it uses exist, and it says all it must."""
    name = feature.name
    if feature.aggregate not in AGGREGATES:
        raise fault(name, f"aggregate {feature.aggregate!r} is none of {', '.join(AGGREGATES)}")
    if feature.direction not in (-1, 0, 1):
        raise fault(name, "direction is +1, 0 or -1")
    if feature.sensitive not in SENSITIVE:
        raise fault(name, f"sensitive is {' or '.join(s for s in SENSITIVE if s)}, or not there")
    if ("{window}" in feature.text) != bool(feature.windows):
        raise fault(name, "the text holds {window} exactly when the feature has windows")
    if len(set(feature.windows)) < len(feature.windows):
        raise fault(name, "a window is named twice")
    if feature.aggregate == "formula":
        _check_formula(feature)
    else:
        _check_counted(feature)


def check_example(feature: Feature) -> None:
    """An example speaks of its own feature's columns."""
    own = [column.name for column in feature.columns]
    strange = [column for column, _ in feature.example.expect if column not in own]
    if strange:
        raise fault(feature.name, f"its example expects {strange[0]!r}, but its columns are {', '.join(own)}")


def _check_formula(feature: Feature) -> None:
    name = feature.name
    if feature.formula not in FORMULAS or not feature.of:
        raise fault(name, f"a formula is one of {', '.join(FORMULAS)} of named columns")
    takes, numbers = FORMULAS[feature.formula]
    if takes not in (None, len(feature.of)) or numbers not in (None, len(feature.parameters)):
        raise fault(name, f"formula {feature.formula} takes {takes} columns and {numbers} parameters")
    if feature.formula == "decay" and len(feature.parameters) != len(feature.of) + 1:
        raise fault(name, "formula decay takes a weight for each column, and what the sum is divided by")
    if not all(isinstance(column, str) for column in feature.of):
        raise fault(name, "of lists names of columns")
    if any(type(p) is not int for p in feature.parameters):
        raise fault(name, "parameters are whole numbers")
    if feature.source or feature.where or feature.value or feature.scale != 1:
        raise fault(name, "a formula reads columns: it has no source, where, value or scale of its own")
    if any("{w}" in column for column in feature.of) != bool(feature.windows):
        raise fault(name, "a formula's columns hold {w} exactly when the feature has windows")


def _check_counted(feature: Feature) -> None:
    name = feature.name
    if feature.formula or feature.of or feature.parameters:
        raise fault(name, 'formula, of and parameters are for aggregate = "formula"')
    stream = STREAMS.get(feature.source)
    if stream is None or feature.subject not in stream.subjects:
        mine = [s.name for s in STREAMS.values() if feature.subject in s.subjects]
        raise fault(
            name,
            f"there is no stream {feature.source!r} of {feature.subject} facts{meant(feature.source, mine)}",
            f"Streams of {feature.subject} facts: {', '.join(mine)}.",
        )
    for condition in feature.where:
        for field in condition.fields:
            kind = stream.fields.get(field)
            if kind is None:
                raise fault(
                    name,
                    f"stream {stream.name} has no field {field!r}{meant(field, stream.fields)}",
                    f"Its fields: {', '.join(stream.fields)}.",
                )
            right = {BOOL: bool, INT: int, TEXT: str}[kind]
            if any(type(value) is not right for value in condition.values):
                raise fault(name, f"the condition on {field} compares it with something that is not {kind}")
            if condition.minimum is not None and kind != INT:
                raise fault(name, f"{field} is {kind}: at_least is for numbers")
            if kind == TEXT:
                _check_codes(feature, stream.table, field, condition)
    wanted = {"sum": INT, "max": INT, "last": INT, "distinct": TEXT}.get(feature.aggregate)
    if (wanted or feature.value) and stream.fields.get(feature.value) != wanted:
        says = f"{'a' if wanted else 'no'} value {wanted or ''}".rstrip()
        raise fault(name, f"aggregate {feature.aggregate} needs {says}")
    if feature.scale < 1 or (feature.scale != 1 and feature.aggregate not in ("sum", "max", "last")):
        raise fault(name, "scale is a whole number from 1, for a sum, a maximum or a latest value")


def _check_codes(feature: Feature, table: str, field: str, condition: Condition) -> None:
    """A value that the field can never hold would make a feature that is silently nothing for ever."""
    if "police_proactive" in condition.values:
        raise fault(
            feature.name,
            "what police set going themselves is not among the records features read",
            "Take the condition out.",
        )
    declared = spec_of(table).schema.columns().get(field)
    codes = ((declared.metadata or {}).get("values") if declared is not None else None) or ()
    strange = [value for value in condition.values if codes and value not in codes]
    if strange:
        raise fault(
            feature.name,
            f"{field} is never {strange[0]!r}{meant(str(strange[0]), codes)}",
            f"It is one of {', '.join(codes)}.",
        )
