"""The pieces a printed page is made of: lines, facts, tables and boxes to write in. Plain data for any printer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

Block = dict[str, Any]


def lines(title: str, items: Iterable[str], empty: str, strong: Iterable[str] = ()) -> Block:
    """A list of sentences; those of ``strong`` come first, in bold. ``empty`` is said when there are none."""
    pressing = list(strong)
    told = [{"text": one, "pressing": True} for one in pressing]
    told += [{"text": one, "pressing": False} for one in items if one not in pressing]
    return {"kind": "lines", "title": title, "items": told, "empty": empty}


def facts(title: str, rows: Iterable[tuple[str, str]], across: int = 1) -> Block:
    """Names with their values, ``across`` pairs a line; a last line that is not full is filled with empty cells."""
    told = [list(row) for row in rows]
    told += [["", ""]] * (-len(told) % across)
    return {"kind": "facts", "title": title, "rows": told, "across": across}


def table(
    title: str,
    head: Sequence[str],
    rows: Iterable[Sequence[str]],
    empty: str,
    *,
    widths: Sequence[int],
    figures: Sequence[int] = (),
    held: Sequence[int] = (),
) -> Block:
    """A table. ``widths``: share of the width a column takes, 0 for as much as it needs; ``figures``: columns of
    numbers; ``held``: rows that are greyed."""
    told = [list(row) for row in rows]
    return {
        "kind": "table",
        "title": title,
        "head": list(head),
        "rows": told,
        "empty": empty,
        "widths": list(widths),
        "figures": list(figures),
        "held": list(held),
    }


def to_write(title: str, boxes: Sequence[str], words: str) -> Block:
    """Boxes to tick and room to write by hand."""
    return {"kind": "write", "title": title, "boxes": list(boxes), "words": words}
