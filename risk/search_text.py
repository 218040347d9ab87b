"""What a search was asked, read: names as words, a birth date or year, a district, a place, a reference."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from datetime import date
from functools import cache

from features.errors import InputError
from risk.settings import settings

_LETTERS = str.maketrans(
    {"ł": "l", "ø": "o", "ß": "ss", "æ": "ae", "œ": "oe", "đ": "d", "ð": "d", "þ": "th", "ı": "i"}
)
_APOSTROPHES = re.compile(r"['’‘`´ʼ]")
_APART = re.compile(r"[\W_]+")
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_NUMBERS = re.compile(r"(?<!\d)(\d{1,2})[/.\- ](\d{1,2})[/.\- ](\d{4})(?!\d)")
_ISO = re.compile(r"(?<!\d)(\d{4})-(\d{1,2})-(\d{1,2})(?!\d)")
_WORDY = re.compile(r"(?<!\d)(\d{1,2})(?:st|nd|rd|th)?\s+([a-z]{3,9})\.?,?\s+(\d{4})(?!\d)", re.IGNORECASE)
_YEAR = re.compile(r"(?<![\d/\-])(19\d\d|20\d\d)(?![\d/\-])")
_POSTCODE = re.compile(r"(?<!\w)([a-z]{1,2}\d[a-z\d]?)\s*(\d[a-z]{2})(?!\w)", re.IGNORECASE)
_FIRST_YEAR = 1900


@dataclass(frozen=True)
class Birth:
    """A year of birth, or a whole date."""

    year: int
    day: date | None = None


@dataclass(frozen=True)
class Asked:
    """A search as understood. ``parts``: words before and after a comma ("Smith, John" has the family name first);
    ``place``: words of an address, ``postcode`` without its space; ``reference``: text to look up as a reference."""

    words: tuple[str, ...] = ()
    family_first: bool = False
    birth: Birth | None = None
    district: str | None = None
    place: tuple[str, ...] = ()
    postcode: str | None = None
    reference: str | None = None
    said: dict[str, str] = field(default_factory=dict, compare=False)

    @property
    def empty(self) -> bool:
        """Whether there is nothing that a person could be found by."""
        return not (
            self.words or self.place or self.postcode or self.reference or (self.birth and self.birth.day)
        )


def read(text: str = "", born: str = "", district: str = "", address: str = "") -> Asked:
    """Understand what was typed. ``text`` may hold a name, with a year or date of birth, an address or a reference.

    Raises InputError, with what to do, for a field that is too long, a date that is none, and a search that could only
    be answered with a crowd (nothing, a district or a year alone).
    """
    said = {"text": text, "born": born, "district": district, "address": address}
    most = int(settings("search")["limits"]["text"])
    for name, value in said.items():
        if len(value) > most:
            raise InputError(
                f"What was typed is too long: {len(value):,} letters.",
                where=f"search: {name}",
                cure=f"Use at most {most} letters: a name, a birth date, an address or a reference.",
            )
    birth, rest = _birth(born)
    if born.strip() and (birth is None or rest):
        raise InputError(
            "The birth date cannot be read.",
            where="search: born",
            cure="Write a year such as 1985, or a date such as 3/2/1985 or 3 February 1985.",
        )
    found, rest = _birth(text) if birth is None else (None, text)
    place, postcode = _place(address)
    words, reference = words_of(rest), None
    if any(character.isdigit() for character in rest) or found is not None:
        reference = text.strip()  # a reference may look like a date
    if any(character.isdigit() for character in rest):  # an address, or a reference: no name has a digit
        if not (place or postcode):
            place, postcode = _place(rest)
        words = []
    limit = int(settings("search")["limits"]["words"])
    asked = Asked(
        words=tuple(words[:limit]),
        family_first="," in rest and bool(words_of(rest.partition(",")[2])),
        birth=birth or found,
        district=district.strip() or None,
        place=place,
        postcode=postcode,
        reference=reference,
        said=said,
    )
    if asked.empty:
        raise InputError(
            "That is not enough to find a person by.",
            where="search",
            cure="Give a name, a whole birth date, an address or a reference. A year or a district alone would answer "
            "with a crowd.",
        )
    return asked


def _birth(text: str) -> tuple[Birth | None, str]:
    """A birth date or year in a text, and the text without it."""
    for pattern in (_ISO, _NUMBERS, _WORDY):
        if met := pattern.search(text):
            first, second, third = met.groups()
            if pattern is _WORDY:
                second = str(_MONTHS.index(second[:3].lower()) + 1) if second[:3].lower() in _MONTHS else "0"
            year, day = (first, third) if pattern is _ISO else (third, first)
            try:
                born = date(int(year), int(second), int(day))
            except ValueError:
                continue
            if born.year >= _FIRST_YEAR:
                return Birth(born.year, born), f"{text[: met.start()]} {text[met.end() :]}".strip()
    met = _YEAR.search(text)
    if met is None:
        return None, text.strip()
    return Birth(int(met.group())), f"{text[: met.start()]} {text[met.end() :]}".strip()


def _place(text: str) -> tuple[tuple[str, ...], str | None]:
    """Words of an address, and its postcode without the space."""
    met = _POSTCODE.search(text)
    if met is None:
        return tuple(words_of(text)), None
    rest = f"{text[: met.start()]} {text[met.end() :]}"
    return tuple(words_of(rest)), "".join(met.groups()).upper()


def _plain(text: str) -> str:
    if text.isascii():
        return text.lower()
    open_text = unicodedata.normalize("NFKD", text.casefold().translate(_LETTERS))
    return "".join(c for c in open_text if not unicodedata.combining(c))


def words_of(text: str) -> list[str]:
    """Words of a name or an address in small plain letters: no accents, no apostrophes, hyphens part words."""
    return [word for word in _APART.split(_APOSTROPHES.sub("", _plain(text))) if word]


@cache
def _sounds() -> list[tuple[re.Pattern[str], str]]:
    return [(re.compile(pattern), becomes) for pattern, becomes in settings("search")["sounds"]["rules"]]


def sound_of(word: str) -> str:
    """How a word sounds, roughly: words that sound alike have one (risk/data/search.toml)."""
    for pattern, becomes in _sounds():
        word = pattern.sub(becomes, word)
    return word
