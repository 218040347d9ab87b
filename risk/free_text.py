"""What somebody wrote freely about a person is read beside lists and person pages, where no victim is named.

Looked for: names, addresses and postcodes of those the person is tied to (suspected of harming them, an order or a
disclosure protects them, a relationship), what was agreed with them about safe contact, and any telephone number.
Accents, capitals and punctuation make no difference. The words and limits are ``risk/data/free_text.toml``.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import polars as pl

from risk.search_text import words_of
from risk.settings import settings
from risk.view import View
from risk.written import FieldError

_PARTS = re.compile(r"\d+|[^\W\d_]+")
_GENITIVE = re.compile(r"['’‘`´ʼ]s\b", re.IGNORECASE)
_CALLED = re.compile(r"(?:[A-Z][\w'’-]*\.?\s+)+[A-Z][\w'’-]*")
_POSTCODE = re.compile(r"(?<!\w)([a-z]{1,2}\d[a-z\d]?)[\W_]*(\d[a-z]{2})(?!\w)", re.IGNORECASE)
_DATE = re.compile(r"\b(?:0?[1-9]|[12]\d|3[01])[ .-](?:0?[1-9]|1[0-2])[ .-](?:19|20)\d\d\b")
_PHONE = re.compile(
    r"(?<![\w/])(?:(?:\+|00)?44[\s.()-]{0,3}(?:\(?0\)?[\s.-]{0,2})?|\(?0[\s.-]?)"
    r"[1235789](?:[\s.()–-]{0,3}\d){8,9}(?!\d|\s?/)"
)

Words = Sequence[str]


def refuse_named(
    view: View, persons: str | Sequence[str], texts: Mapping[str, str], *, family_alone: bool = True
) -> None:
    """FieldError when a text (by its field) holds a name, an address or safe contact that lists never show.

    ``persons``: whom the texts are about; ``view`` knows those tied to them. A given name with a family name counts in
    either order; with ``family_alone`` so does a family name that is not a person's own. It says what kind of thing it
    is, never whose: who writes need not know. Every field at fault is told at once.
    """
    about = [persons] if isinstance(persons, str) else list(persons)
    read = {field: Read.of(text) for field, text in texts.items() if text.strip()}
    if not read:
        return
    kept = _Kept(view, about, family_alone)
    faults = [_fault(field, found) for field, text in read.items() if (found := kept.found_in(text))]
    if faults:
        faults[0].others = tuple(faults[1:])
        raise faults[0]


def _fault(field: str, found: list[str]) -> FieldError:
    words = settings("free_text")["found"]
    what = ", ".join(words[kind] for kind in found)
    if field == "owner":
        cure = "Give a collar number instead."
    else:
        cure = (
            "Write the reference instead; what an officer at the door needs is on the sheet before attending."
        )
    return FieldError(
        field, f"The text holds what lists and person pages never show. It looks like: {what}.", cure
    )


def tied_to(view: View, persons: Sequence[str]) -> list[str]:
    """Everyone whom the texts about ``persons`` must not name, sorted: victims and children of the events in which one
    of them is a suspect (whoever harmed them there), those whom an order or a disclosure protects, and partners and
    kin; never the persons themselves."""
    asked = pl.Series(list(persons), dtype=pl.String).implode()
    part, offence = view.whole("involvement"), view.whole("offence")
    acted = part.filter(pl.col("person_id").is_in(asked) & (pl.col("role") == "suspect"))
    named = offence.filter(pl.col("suspect_id").is_in(asked))
    events = pl.concat([acted["event_id"], named["event_id"]]).implode()
    hurt = part.filter(pl.col("event_id").is_in(events) & pl.col("role").is_in(["victim", "child"]))
    told = offence.filter(pl.col("event_id").is_in(events))
    found = {*acted["victim_id"], *hurt["person_id"], *told["victim_id"]}
    for table, whose in (("order", "respondent_id"), ("disclosure", "subject_id")):
        rows = view.identity(table)
        found |= set(rows.filter(pl.col(whose).is_in(asked))["protected_id"])
    kin = view.table("relationship")
    for one, other in (("person_id_a", "person_id_b"), ("person_id_b", "person_id_a")):
        found |= set(kin.filter(pl.col(one).is_in(asked))[other])
    return sorted(person for person in found if person and person not in set(persons))


@dataclass(frozen=True)
class Read:
    """A text as it is compared: ``raw``, and its words and numbers in small plain letters (``words``)."""

    raw: str
    words: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> Read:
        """Without what cannot be seen and without accents; numbers in figures."""
        seen = unicodedata.normalize("NFKC", "".join(c for c in text if unicodedata.category(c) != "Cf"))
        return cls(seen, tuple(_plain(seen)))

    @cached_property
    def any(self) -> frozenset[str]:
        """Every word there is, also two short ones as one (O Neil, Mac Donald) and the one of a plural."""
        least = settings("free_text")["names"]["glued"]
        joined = {a + b for a, b in zip(self.words, self.words[1:], strict=False) if len(a) <= 3}
        ones = {word[:-1] for word in self.words if word.endswith("s") and len(word) > least}
        return frozenset({*self.words, *joined, *ones})

    @cached_property
    def places(self) -> tuple[str, ...]:
        """The words with kinds of street written out."""
        return tuple(_street_word(word) for word in self.words)

    def at(self, words: Words, within: Words | None = None) -> list[int]:
        """Where ``words`` stand one after the other."""
        text, wanted = self.words if within is None else within, tuple(words)
        if not wanted or wanted[0] not in text:
            return []
        return [i for i in range(len(text) - len(wanted) + 1) if tuple(text[i : i + len(wanted)]) == wanted]

    def near(self, start: int, end: int, wanted: Iterable[str], reach: int) -> bool:
        """Whether one of ``wanted`` stands within ``reach`` words of what stands from ``start`` to ``end``."""
        around = {*self.words[max(0, start - reach) : start], *self.words[end : end + reach]}
        return not around.isdisjoint(wanted)


def _plain(text: str | None) -> list[str]:
    numbers = settings("free_text")["numbers"]
    words = " ".join(words_of(_GENITIVE.sub("", text or "")))
    return [numbers.get(word, word.lstrip("0") or "0") for word in _PARTS.findall(words)]


def _street_word(word: str) -> str:
    """With the kind of street written out, and one form for St Mary's and St Marys."""
    rules = settings("free_text")["places"]
    whole = str(rules["short"].get(word, word))
    named = whole not in rules["streets"] and len(whole) > settings("free_text")["names"]["least"]
    return whole.removesuffix("s") if named else whole


@dataclass(frozen=True)
class _Name:
    family: tuple[str, ...]
    given: tuple[str, ...]
    own: bool  # the family name is also that of the person written about

    def stands(self, text: Read, family_alone: bool) -> bool:
        rules = settings("free_text")["names"]
        if not self.family:
            return False
        orders = [order for one in self.given for order in ((one, *self.family), (*self.family, one))]
        if any(text.at(order) for order in orders):
            return True
        joined = "".join(self.family)
        if len(joined) >= rules["glued"] and any(
            word in {one + joined, joined + one} for one in self.given for word in text.any
        ):
            return True
        family = {part for part in self.family if len(part) >= rules["least"]}
        if not family or not (family <= text.any or (len(joined) >= rules["least"] and joined in text.any)):
            return False
        if family <= set(rules["everyday"]):
            after = [i for part in family for i in text.at((part,)) if i]
            return family_alone and any(text.words[i - 1] in rules["titles"] for i in after)
        given = {one for one in self.given if len(one) >= rules["least"]}
        return not given.isdisjoint(text.any) or (family_alone and not self.own)


@dataclass(frozen=True)
class _Place:
    words: tuple[str, ...]
    numbers: frozenset[str]  # empty: the words alone say which

    def stands(self, text: Read) -> bool:
        found = text.at(self.words, text.places)
        if not self.numbers:
            return bool(found)
        reach = settings("free_text")["places"]["apart"]
        return any(text.near(i, i + len(self.words), self.numbers, reach) for i in found)


class _Kept:
    """What the texts about some persons must not hold."""

    def __init__(self, view: View, persons: Sequence[str], family_alone: bool) -> None:
        others = _records(view, tied_to(view, persons))
        self._family_alone = family_alone
        people = _called(view, _records(view, persons))
        own = {part for row in people for part in _plain(row["family_name"])}
        self._names = [
            _Name(family, tuple(_plain(row["given_names"])), not own.isdisjoint(family))
            for row in _called(view, others)
            if (family := tuple(_plain(row["family_name"])))
        ]
        lived = _addresses(view, others)
        self._places = [place for row in lived for place in _places(row["line"])]
        self._postcodes = {"".join(words_of(row["postcode"])) for row in lived if row["postcode"]}
        plans = view.identity("victim_plan")
        self._plans = plans.filter(pl.col("person_id").is_in(others)).to_dicts()

    def found_in(self, text: Read) -> list[str]:
        """The kinds of thing the text holds."""
        tests = {
            "name": any(name.stands(text, self._family_alone) for name in self._names),
            "address": any(place.stands(text) for place in self._places),
            "postcode": any(
                "".join(found).casefold() in self._postcodes for found in _POSTCODE.findall(text.raw)
            ),
            "phone": _PHONE.search(_DATE.sub(" ; ", text.raw)) is not None,
            "plan": any(_agreed(row, text) for row in self._plans),
        }
        return [kind for kind, found in tests.items() if found]


def _records(view: View, persons: Sequence[str]) -> pl.Series:
    """The persons with every record that stands for one of them: each has a name and an address of its own."""
    known = pl.Series(list(persons), dtype=pl.String)
    under = view.clusters.filter(pl.col("cluster_id").is_in(known.implode()))["person_id"]
    return pl.concat([known, under]).implode()


def _called(view: View, persons: pl.Series) -> list[dict[str, Any]]:
    columns = ["person_id", "family_name", "given_names"]
    rows = [view.identity(table).select(columns) for table in ("person", "alias")]
    return pl.concat(rows).filter(pl.col("person_id").is_in(persons)).to_dicts()


def _addresses(view: View, persons: pl.Series) -> list[dict[str, Any]]:
    tables = [view.identity(name) for name in ("person", "residence")]
    lived = [rows.filter(pl.col("person_id").is_in(persons)).select("address_id") for rows in tables]
    places = pl.concat(lived).drop_nulls()["address_id"].implode()
    nobodys = settings("free_text")["places"]["open"]
    known = view.identity("address").filter(pl.col("address_id").is_in(places))
    return known.filter(~pl.col("kind").is_in(nobodys).fill_null(False)).to_dicts()


def _places(line: str | None) -> list[_Place]:
    """A line of an address: its street with its numbers, or what the house is called."""
    rules = settings("free_text")["places"]
    first: tuple[str, ...] = ()
    streets: list[tuple[str, ...]] = []
    numbers: set[str] = set()
    for part in re.split(r"[,;\n]", line or ""):
        words = [_street_word(word) for word in _plain(part)]
        numbers |= {word for word in words if word.isdigit()}
        named = tuple(
            word for word in words if not word.isdigit() and len(word) > 1 and word not in rules["noise"]
        )
        end = next((i for i, word in enumerate(named) if i and word in rules["streets"]), None)
        if end is not None:
            streets.append(named[: end + 1])
        first = first or named
    if not numbers:
        return [_Place(first, frozenset())] if len(first) > 1 else []
    return [_Place(street, frozenset(numbers)) for street in streets or [first] if street]


def _agreed(plan: Mapping[str, Any], text: Read) -> bool:
    """Whether the text says whom to speak to instead of a victim, or when and how."""
    rules = settings("free_text")["plans"]
    for column in rules["whom"]:
        told = plan[column] or ""
        if any(text.at(_plain(name)) for name in _CALLED.findall(told)):
            return True
        words = _bare(told)
        telling = [word for word in words if word not in rules["filler"]]
        found = text.at(words) if telling else []
        if found and (len(telling) > 1 or any(_of_contact(text, i, len(words)) for i in found)):
            return True
    for column in rules["when"]:
        words = _bare(plan[column] or "")
        found = text.at(words) if set(words) - set(rules["filler"]) else []
        if any(_of_contact(text, i, len(words)) for i in found):
            return True
    return False


def _bare(told: str) -> list[str]:
    """The words of a text without little words before them."""
    words, filler = _plain(told), settings("free_text")["plans"]["filler"]
    while words and words[0] in filler:
        words = words[1:]
    return words


def _of_contact(text: Read, start: int, length: int) -> bool:
    rules = settings("free_text")["plans"]
    if start and text.words[start - 1] in rules["not_hers"]:
        return False
    if not set(rules["contact"]).isdisjoint(text.words[start : start + length]):
        return True
    return text.near(start, start + length, rules["contact"], rules["near"])
