"""Weighing everyone against what was asked: the likeliest persons first.

Each difference between what was typed and what is recorded has a cost (``risk/data/search.toml``); a person's is the
sum of the least by name, birth date, district and address over all their records. Everyone is weighed roughly at once,
a byte a way of being known, and the likeliest few closely.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from risk.search_index import EPOCH, Index
from risk.search_text import Asked, Birth
from risk.search_words import UNIT, Numbers, points
from risk.settings import settings

_NOT = np.uint16(60_000)
"""A cost that says: not this one."""
_SLACK = 3 * UNIT
"""What looking closely may add to the best: names in another order, one that was not asked for."""
Ints = NDArray[np.int32]


@dataclass(frozen=True)
class Weighed:
    """Persons that may be meant, by the number of the record that stands for them, likeliest first.

    ``name_way``: the way of being known that the name agreed with best. ``kinds``: for each word asked how recorded
    words are near it. ``tied``: how a person is tied to the address asked for.
    """

    heads: Numbers
    costs: Ints
    name_way: Numbers
    kinds: tuple[dict[int, str], ...]
    tied: dict[int, str]


def weigh(index: Index, asked: Asked, left_out: NDArray[np.bool_]) -> Weighed:
    """Everyone of an index against what was asked. ``left_out``: ways of being known that are passed over."""
    words = [index.names.costs(word) for word in asked.words]
    total = np.zeros(index.person.size, dtype=np.uint16)
    for given, family, _ in words:
        total += np.minimum(given, family)
    if asked.birth is not None:
        total += _rough_birth(index, asked.birth, alone=not (asked.words or asked.place or asked.postcode))
    district = _district(index, asked.district)
    if district is not None:
        total += district
    tied = index.places.costs(asked.place, asked.postcode) if asked.place or asked.postcode else {}
    if asked.place or asked.postcode:
        total += _address(index, tied, alone=not asked.words)
    total[left_out] = _NOT
    heads = np.unique(index.cluster[index.person[_likeliest(index, total)]])
    ways = index.ways_of(index.members.all(heads))
    return _closely(index, asked, ways, words, district, tied, left_out)


def _likeliest(index: Index, total: NDArray[np.uint16]) -> Numbers:
    """The ways of being known that cost least; of equals, the last to be in an event.

    Nobody is shown whose cost is a window above the best, so nobody beyond that is looked at closely.
    """
    most = int(settings("search")["limits"]["weighed"])
    least = int(total.min()) if total.size else int(_NOT)
    within = np.flatnonzero(total < min(least + window() + _SLACK, int(_NOT)))
    if within.size > most:
        mine = total[within]
        cut = int(
            np.searchsorted(np.cumsum(np.bincount(mine)), most)
        )  # up to this there are as many as wanted
        sure, ties = within[mine < cut], within[mine == cut]
        room = most - sure.size
        if ties.size > room:
            ties = ties[np.argpartition(-index.last[index.cluster[index.person[ties]]], room)[:room]]
        within = np.concatenate((sure, ties))
    return within.astype(np.int32)


def window() -> int:
    """How far above the best somebody is still shown."""
    return round(float(settings("search")["limits"]["window"]) * UNIT)


def _rough_birth(index: Index, birth: Birth, alone: bool) -> NDArray[np.uint16]:
    """At most what a birth date will cost; ``alone``: nothing else was asked, so that only the date itself will do."""
    if alone:
        assert birth.day is not None
        costs = np.full(index.year.size, _NOT, dtype=np.uint16)
        costs[index.born == (birth.day - EPOCH).days] = 0
        return costs
    return _by_year(birth).astype(np.uint16)[index.year]


def _by_year(birth: Birth) -> NDArray[np.uint8]:
    """What each recorded year costs, by its code."""
    year = Index.year_code(birth.year)
    costs = np.full(256, points("other", "birth"), dtype=np.uint8)
    costs[max(year - 1, 1)] = costs[min(year + 1, 255)] = points("near", "birth")
    costs[year] = 0
    costs[0] = points("none", "birth")
    return costs


def _birth(index: Index, birth: Birth, ways: Numbers) -> Ints:
    """What a birth date costs against some ways of being known."""
    year, born = index.year[ways], index.born[ways]
    costs = _by_year(birth)[year].astype(np.int32)
    if birth.day is not None:
        for at in np.flatnonzero(year == Index.year_code(birth.year)):
            day = EPOCH + timedelta(days=int(born[at]))
            same = (day.month == birth.day.month) + (day.day == birth.day.day)
            turned = (day.month, day.day) == (birth.day.day, birth.day.month)
            name = "turned" if turned else ("year", "part", "")[same]
            costs[at] = 0 if same == 2 else points(name, "birth")
    return costs


def _district(index: Index, asked: str | None) -> NDArray[np.uint8] | None:
    """What a district costs against every way of being known, or nothing when none was asked for."""
    if asked is None:
        return None
    by_code = np.full(len(index.districts) + 1, points("other", "district"), dtype=np.uint8)
    by_code[-1] = points("none", "district")
    if asked not in index.districts:
        return by_code[index.way_district]
    number = index.districts.index(asked)
    by_code[number] = 0
    costs = by_code[index.way_district]
    lived = index.lived[number]
    costs[lived] = np.minimum(costs[lived], points("before", "district"))
    return costs


def _address(index: Index, tied: dict[int, tuple[int, str]], alone: bool) -> NDArray[np.uint16]:
    other = int(_NOT) if alone else points("other", "address")
    costs = np.full(index.count, other, dtype=np.uint16)
    for person, (cost, _) in tied.items():
        costs[person] = min(cost, other)
    return costs[index.person]


def _closely(
    index: Index,
    asked: Asked,
    ways: Numbers,
    words: list[tuple[NDArray[np.uint8], NDArray[np.uint8], dict[int, str]]],
    district: NDArray[np.uint8] | None,
    tied: dict[int, tuple[int, str]],
    left_out: NDArray[np.bool_],
) -> Weighed:
    ways = ways[~left_out[ways]]
    person = index.person[ways]
    heads, group = np.unique(index.cluster[person], return_inverse=True)
    name, absent = _names(index, asked, ways, words)
    total = np.zeros(heads.size, dtype=np.int32)
    order = np.lexsort((index.alias[ways], name, group))
    best = order[np.searchsorted(group[order], np.arange(heads.size))] if heads.size else order
    exact = np.zeros(heads.size, dtype=np.bool_)
    total += name[best]
    if asked.birth is not None:
        birth = _least(group, _birth(index, asked.birth, ways), heads.size)
        exact |= (birth == 0) & (asked.birth.day is not None)
        total += birth
    if district is not None:
        total += _least(group, district[ways].astype(np.int32), heads.size)
    if asked.place or asked.postcode:
        other = points("other", "address")
        costs = np.array([min(tied.get(int(one), (other, ""))[0], other) for one in person], dtype=np.int32)
        address = _least(group, costs, heads.size)
        exact |= address < other
        total += address
    # A name of which a word is missing is shown when two others agree, or something surer than a name.
    found = len(asked.words) - absent[best]
    enough = (
        (absent[best] == 0) | (found >= 2) & (absent[best] == 1) | exact & ((found >= 1) | (not asked.words))
    )
    kept = np.flatnonzero(enough)
    last = index.last[heads[kept]]
    kept = kept[np.lexsort((-last, total[kept]))]
    if kept.size:
        kept = kept[total[kept] <= total[kept[0]] + window()]
    said = {
        int(index.cluster[one]): kind for one, (_, kind) in sorted(tied.items(), key=lambda item: -item[1][0])
    }
    return Weighed(heads[kept], total[kept], ways[best[kept]], tuple(kinds for _, _, kinds in words), said)


def _least(group: NDArray[np.int64], costs: Ints, many: int) -> Ints:
    out = np.full(many, int(_NOT), dtype=np.int32)
    np.minimum.at(out, group, costs)
    return out


def _names(
    index: Index,
    asked: Asked,
    ways: Numbers,
    words: Sequence[tuple[NDArray[np.uint8], NDArray[np.uint8], dict[int, str]]],
) -> tuple[Ints, Ints]:
    """What the names asked for cost against some ways of being known, and how many of their words are missing."""
    both = [(given[ways].astype(np.int32), family[ways].astype(np.int32)) for given, family, _ in words]
    many = len(both)
    if not many:
        return np.zeros(ways.size, dtype=np.int32), np.zeros(ways.size, dtype=np.int32)
    given, family = (np.stack(side) for side in zip(*both, strict=True))
    either = np.minimum(given, family)
    orders = [either.sum(axis=0) + (points("mixed", "order") if many > 1 else 0)]
    for split in range(1, many):
        # "John Paul Smith", or with a comma, or turned round, "Smith John Paul"
        last = given[:split].sum(axis=0) + family[split:].sum(axis=0)
        first = family[:split].sum(axis=0) + given[split:].sum(axis=0)
        turned = points("turned", "order")
        orders += [last + turned * asked.family_first, first + turned * (not asked.family_first)]
    absent = (either == points("absent")).sum(axis=0).astype(np.int32)
    unasked = np.maximum(index.names.borne[ways].astype(np.int32) - (many - absent), 0)
    # Whoever is asked for as Mick is more likely a Michael Peter than a Peter Michael.
    meant = np.array(sorted({code for _, _, kinds in words for code in kinds}), dtype=np.int32)
    passed = (index.names.first[ways] >= 0) & ~np.isin(index.names.first[ways], meant)
    cost = np.min(np.stack(orders), axis=0) + unasked * points("unasked") + passed * points("first_passed")
    return cost + index.alias[ways] * points("alias", "way"), absent
