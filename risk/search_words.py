"""Words of names as searched: every word recorded once, what is near a word that was typed, and who bears each word."""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import polars as pl
from numpy.typing import NDArray
from rapidfuzz import process
from rapidfuzz.distance import OSA

from features.linkage.fields import settings as linkage_settings
from risk.search_text import sound_of, words_of
from risk.settings import settings

UNIT = 20
"""Costs are counted in twentieths, whole numbers, so that a whole force's fit into bytes."""
WORST = 255
Costs = NDArray[np.uint8]
Numbers = NDArray[np.int32]
EXACT, BEGINS, FORM, SOUND, SLIP = (
    "as recorded",
    "begins so",
    "a short form or another spelling",
    "sounds alike",
    "nearly so",
)
_NEAR_KEPT = 2000


def points(name: str, group: str = "word") -> int:
    """A cost of risk/data/search.toml in twentieths."""
    return round(float(settings("search")["costs"][group][name]) * UNIT)


@dataclass(frozen=True)
class Lists:
    """For each of n things a list of numbers: those of thing i are items[starts[i]:starts[i + 1]]."""

    starts: NDArray[np.int64]
    items: Numbers

    @classmethod
    def of(cls, n: int, things: NDArray[np.integer], items: NDArray[np.integer]) -> Lists:
        """Pairs of (thing, item), kept in the order given; a negative thing is nobody's."""
        there = things >= 0
        things, items = things[there], items[there]
        order = np.argsort(things, kind="stable")
        starts = np.concatenate(([0], np.cumsum(np.bincount(things, minlength=n))))
        return cls(starts, items[order].astype(np.int32))

    def __getitem__(self, thing: int) -> Numbers:
        return self.items[self.starts[thing] : self.starts[thing + 1]]

    def all(self, things: NDArray[np.integer] | Sequence[int]) -> Numbers:
        """The numbers of several things, end to end."""
        asked = np.asarray(things, dtype=np.int64)
        many = self.starts[asked + 1] - self.starts[asked]
        ends = np.cumsum(many)
        within = np.arange(int(ends[-1]) if ends.size else 0) - np.repeat(ends - many, many)
        return self.items[np.repeat(self.starts[asked], many) + within]

    def many(self, things: NDArray[np.integer]) -> NDArray[np.int64]:
        """How many numbers each of several things has."""
        return self.starts[things + 1] - self.starts[things]

    @property
    def nbytes(self) -> int:
        """Memory."""
        return self.starts.nbytes + self.items.nbytes


@dataclass(frozen=True)
class Near:
    """Recorded words near one that was typed: their numbers, what each costs (dearest first) and how it is near."""

    codes: Numbers
    costs: Costs
    kinds: dict[int, str]


class Vocabulary:
    """Every word once, in order, and what is near a word that was typed."""

    def __init__(self, words: Iterable[str]) -> None:
        self.words: list[str] = sorted(set(words))
        self._masks = np.array([_mask(word) for word in self.words], dtype=np.uint32)
        self._lengths = np.array([len(word) for word in self.words], dtype=np.int16)
        sounds = [sound_of(word) for word in self.words]
        self._by_sound = np.array(sorted(range(len(sounds)), key=sounds.__getitem__), dtype=np.int32)
        self._sounds = [sounds[i] for i in self._by_sound]
        self._known: OrderedDict[str, Near] = OrderedDict()

    def code(self, word: str) -> int:
        """The number of a word, -1 when nobody bears it."""
        at = bisect_left(self.words, word)
        return at if at < len(self.words) and self.words[at] == word else -1

    def near(self, word: str) -> Near:
        """Recorded words that may be meant by a word."""
        found = self._known.get(word)
        if found is None:
            found = self._known[word] = self._near(word)
            while len(self._known) > _NEAR_KEPT:
                self._known.popitem(last=False)
        return found

    def _near(self, word: str) -> Near:
        best: dict[int, tuple[int, str]] = {}

        def add(code: int, cost: int, kind: str) -> None:
            if code >= 0 and cost < best.get(code, (WORST, ""))[0]:
                best[code] = (cost, kind)

        add(self.code(word), 0, EXACT)
        if any(letter.isdigit() for letter in word):  # the number of a house is that or another
            return self._as_near(best)
        for other, cost in _forms().get(word, {}).items():
            add(self.code(other), cost, FORM)
        for code in self._alike(word):
            add(code, points("sound"), SOUND)
        for code, cost in self._slips(word):
            add(code, cost, SLIP)
        for code, cost in self._beginnings(word):
            add(code, cost, BEGINS)
        return self._as_near(best)

    @staticmethod
    def _as_near(best: dict[int, tuple[int, str]]) -> Near:
        codes = sorted(best, key=lambda code: -best[code][0])
        return Near(
            np.array(codes, dtype=np.int32),
            np.array([best[code][0] for code in codes], dtype=np.uint8),
            {code: kind for code, (_, kind) in best.items()},
        )

    def _beginnings(self, word: str) -> Iterable[tuple[int, int]]:
        low, high = bisect_left(self.words, word), bisect_left(self.words, word + "\U0010ffff")
        more, most = points("begins_letter"), points("begins_most")
        for code in range(low, high):
            missing = int(self._lengths[code]) - len(word)
            if missing > 0:
                yield (
                    code,
                    points("initial") if len(word) == 1 else points("begins") + min(most, more * missing),
                )

    def _alike(self, word: str) -> Sequence[int]:
        if len(word) < 3:
            return ()
        sound = sound_of(word)
        low, high = bisect_left(self._sounds, sound), bisect_left(self._sounds, sound + "\0")
        return [int(code) for code in self._by_sound[low:high]]

    def _slips(self, word: str) -> Iterable[tuple[int, int]]:
        """Words one slip away, of long ones two. A slip changes at most two letters of the word's set of letters, so
        few words need to be compared letter by letter."""
        if len(word) < 3:
            return
        most = 2 if len(word) >= 7 else 1
        apart = np.bitwise_count(self._masks ^ np.uint32(_mask(word)))
        close = (apart <= 2 * most) & (np.abs(self._lengths - len(word)) <= most)
        codes = np.flatnonzero(close)
        if not codes.size:
            return
        choices = [self.words[code] for code in codes]
        far = process.cdist([word], choices, scorer=OSA.distance, score_cutoff=most, dtype=np.uint8)[0]
        for at in np.flatnonzero(far <= most):
            extra = points("short_slip") if len(word) <= 4 else 0
            yield int(codes[at]), points("slip" if far[at] <= 1 else "two_slips") + extra

    def nbytes(self) -> int:
        """Memory, about: the words with Python's books, and the arrays."""
        return 2 * sum(60 + len(word) for word in self.words) + self._masks.nbytes * 3


def _mask(word: str) -> int:
    mask = 0
    for letter in word:
        mask |= 1 << (ord(letter) % 32)
    return mask


@cache
def _forms() -> dict[str, dict[str, int]]:
    """word -> other names it may stand for, with their cost: short forms both ways, and names that share one."""
    short: dict[str, set[str]] = {}
    own = settings("search")["names"]
    for table in (linkage_settings()["names"]["short_forms"], own["short_forms"]):
        for name, forms in table.items():
            short.setdefault(name, set()).update(forms)
    out: dict[str, dict[str, int]] = {}

    def add(a: str, b: str, cost: int) -> None:
        for one, other in ((a, b), (b, a)):
            mine = out.setdefault(one, {})
            if one != other:
                mine[other] = min(cost, mine.get(other, WORST))

    for name, forms in short.items():
        for form in forms:
            add(name, form, points("form"))
            for sibling in forms:
                add(form, sibling, points("sibling"))
    for group in own["spellings"]["groups"]:
        for one in group:
            for other in group:
                add(one, other, points("sibling"))
    return out


@dataclass(frozen=True)
class Role:
    """Who bears each word in one role, given name or family name."""

    bearers: Lists
    words: Lists

    @classmethod
    def of(cls, texts: pl.Series, spelt: Callable[[str], list[str]], vocabulary: Vocabulary) -> Role:
        """``texts``: one name a way of being known, by number."""
        filled = pl.DataFrame({"text": texts.fill_null("")})
        once = filled["text"].unique().sort()
        codes = [[vocabulary.code(word) for word in dict.fromkeys(spelt(text))] for text in once]
        rows = filled.join(
            pl.DataFrame({"text": once}).with_row_index("n"), on="text", how="left", maintain_order="left"
        )["n"].to_numpy()
        lengths = np.array([len(some) for some in codes], dtype=np.int64)
        flat = np.array([code for some in codes for code in some], dtype=np.int32)
        starts = np.concatenate(([0], np.cumsum(lengths)))
        many = lengths[rows]
        whose = np.repeat(np.arange(rows.size, dtype=np.int32), many)
        first = np.repeat(starts[rows] - np.concatenate(([0], np.cumsum(many)))[:-1], many)
        found = flat[first + np.arange(whose.size)]
        return cls(Lists.of(len(vocabulary.words), found, whose), Lists.of(rows.size, whose, found))

    def costs(self, near: Near) -> Costs:
        """What words near one that was typed cost against every name; ``absent`` where none of them is in it."""
        costs = np.full(self.words.starts.size - 1, points("absent"), dtype=np.uint8)
        # One write for all words, the dearest first: of several in one name the cheapest holds.
        costs[self.bearers.all(near.codes)] = np.repeat(near.costs, self.bearers.many(near.codes))
        return costs

    @property
    def nbytes(self) -> int:
        """Memory."""
        return self.bearers.nbytes + self.words.nbytes


def family_words(text: str) -> list[str]:
    """Words of a family name, and all of them as one: Mac Donald is found as MacDonald too."""
    words = words_of(text)
    return [*words, "".join(words)] if len(words) > 1 else words


class Names:
    """The names of every way of being known (a record's own name, an alias), by number."""

    def __init__(self, given: pl.Series, family: pl.Series) -> None:
        all_words: set[str] = set()
        for text in given.drop_nulls().unique():
            all_words.update(words_of(text))
        for text in family.drop_nulls().unique():
            all_words.update(family_words(text))
        self.vocabulary = Vocabulary(all_words)
        self.count = given.len()
        self.given = Role.of(given, words_of, self.vocabulary)
        self.family = Role.of(family, family_words, self.vocabulary)
        firsts = np.full(self.count, -1, dtype=np.int32)
        there = np.diff(self.given.words.starts) > 0
        firsts[there] = self.given.words.items[self.given.words.starts[:-1][there]]
        self.first = firsts
        borne = np.diff(self.given.words.starts) + (np.diff(self.family.words.starts) > 0)
        self.borne = np.minimum(borne, 200).astype(np.uint8)

    def costs(self, word: str) -> tuple[Costs, Costs, dict[int, str]]:
        """What a word that was typed costs against every name, as a given name and as a family name; and how each
        recorded word is near it."""
        near = self.vocabulary.near(word)
        return self.given.costs(near), self.family.costs(near), near.kinds

    def nbytes(self) -> int:
        """Memory."""
        own = self.borne.nbytes + self.first.nbytes
        return self.given.nbytes + self.family.nbytes + own + self.vocabulary.nbytes()
