"""How somebody fits what was asked, in words."""

from __future__ import annotations

import numpy as np

from risk.search_index import Index
from risk.search_text import Asked
from risk.search_weigh import Weighed
from risk.search_words import EXACT
from risk.words import day


def named(index: Index, way: int) -> str:
    """The name of a way of being known."""
    name = " ".join(part for part in (index.given[way], index.family[way]) if part)
    return name or "no name recorded"


def known_as(index: Index, head: int, shown: int) -> tuple[str, ...]:
    """The other names of a person, over all their records."""
    names = [named(index, int(way)) for way in index.ways_of(index.members[head])]
    return tuple(dict.fromkeys(name for name in names if name.casefold() != named(index, shown).casefold()))


def agreement(index: Index, asked: Asked, weighed: Weighed, at: int) -> tuple[str, ...]:
    """How the person at a place of the answer fits: name, birth date, district, address."""
    head, way = int(weighed.heads[at]), int(weighed.name_way[at])
    suspect = bool(index.suspect[head])
    out = _name(index, asked, weighed, way)
    if asked.birth is not None:
        out.append(_birth(index, asked, head, way))
    if asked.district is not None and suspect:
        out.append(_district(index, asked.district, head))
    if head in weighed.tied:
        out.append(weighed.tied[head] if suspect else "tied to the address")
    elif asked.place or asked.postcode:
        out.append("not known at the address")
    return tuple(out)


def _name(index: Index, asked: Asked, weighed: Weighed, way: int) -> list[str]:
    if not asked.words:
        return []
    borne = [*index.names.given.words[way].tolist(), *index.names.family.words[way].tolist()]
    out = []
    for word, kinds in zip(asked.words, weighed.kinds, strict=True):
        met = [kinds[code] for code in borne if code in kinds]
        if EXACT in met:
            continue
        out.append(f"“{word}”: {met[0]}" if met else f"“{word}”: not in the name")
    if index.alias[way]:
        out.insert(0, f"also known as {named(index, way)}")
    return out or ["the name"]


def _birth(index: Index, asked: Asked, head: int, way: int) -> str:
    assert asked.birth is not None
    ways = [way, *(int(one) for one in index.ways_of(index.members[head]))]
    days = [known for one in ways if (known := index.day_of(one)) is not None]
    if not days:
        return "no birth date is recorded"
    if asked.birth.day in days:
        return "the birth date"
    if any(known.year == asked.birth.year for known in days):
        return (
            "the year of birth" if asked.birth.day is None else f"the year of birth; recorded: {day(days[0])}"
        )
    return f"another birth date: {day(days[0])}"


def _district(index: Index, asked: str, head: int) -> str:
    mine = int(index.district[head])
    name = index.districts[mine] if mine >= 0 else None
    if name == asked:
        return "the district"
    here = index.districts.index(asked) if asked in index.districts else -1
    once = here >= 0 and bool(np.isin(index.lived[here], index.ways_of(index.members[head])).any())
    told = "no district is known" if name is None else f"now in {name}"
    return f"lived in {asked}; {told}" if once else told
