"""The pieces a report is made of, as plain data: the page and the PDF are two renderings of the same pieces.

A *block* is a mapping with ``kind``; a *section* has an ``id``, a ``title`` and blocks. All text is plain: nothing in a
file name or a reason somebody typed can become mark-up on either side.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Block = dict[str, Any]
Cell = str | tuple[str, str]
"""Text, or text and what stands small below it."""
DASH = "–"


def section(key: str, title: str, blocks: Iterable[Block | None]) -> dict[str, Any] | None:
    """A section, or None when nothing is left in it."""
    kept = [b for b in blocks if b is not None]
    return {"id": key, "title": title, "blocks": kept} if kept else None


def text(words: str) -> Block:
    return {"kind": "text", "text": words}


def heading(words: str) -> Block:
    return {"kind": "heading", "text": words}


def note(words: str) -> Block:
    """Something a reader must not miss."""
    return {"kind": "note", "text": words}


def warn(words: str) -> Block:
    """Something that stands against using the model."""
    return {"kind": "warn", "text": words}


def write(words: str) -> Block:
    """What a named person must still write; the run cannot know it."""
    return {"kind": "write", "text": words}


def bullets(items: Iterable[str]) -> Block:
    return {"kind": "bullets", "items": list(items)}


def facts(rows: Iterable[tuple[str, str]]) -> Block:
    """Name and value, two columns."""
    return {"kind": "facts", "rows": [list(r) for r in rows]}


def table(
    caption: str,
    head: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    strong: Iterable[int] = (),
    words: Iterable[int] = (0,),
    spans: Mapping[int, str] | None = None,
) -> Block | None:
    """A table of :data:`Cell`, or None without rows.

    ``words``: columns of text, the others are figures. ``strong``: rows in bold. ``spans``: row -> a heading of its own
    before it.
    """
    body = [[_cell(c) for c in row] for row in rows]
    if not body:
        return None
    bold, left = set(strong), set(words)
    return {
        "kind": "table",
        "caption": caption,
        "head": [{"text": h, "words": i in left} for i, h in enumerate(head)],
        "grow": max(left, key=lambda i: sum(len(row[i]["text"]) for row in body), default=0),
        "rows": [
            {"cells": cells, "strong": i in bold, "span": (spans or {}).get(i, "")}
            for i, cells in enumerate(body)
        ],
    }


def _cell(value: Cell) -> dict[str, str]:
    return {"text": value[0], "small": value[1]} if isinstance(value, tuple) else {"text": value, "small": ""}


def figure(svg: str, alt: str, caption: str) -> Block:
    return {"kind": "figures", "items": [{"svg": svg, "alt": alt, "caption": caption}], "columns": 1}


def figures(items: Iterable[tuple[str, str, str]], columns: int = 2) -> Block | None:
    """Several figures side by side: (svg, alternative text, caption)."""
    found = [{"svg": s, "alt": a, "caption": c} for s, a, c in items]
    return {"kind": "figures", "items": found, "columns": columns} if found else None


def folded(summary: str, blocks: Iterable[Block | None]) -> Block | None:
    """Blocks that stay folded on a page and are printed in full."""
    kept = [b for b in blocks if b is not None]
    return {"kind": "folded", "summary": summary, "blocks": kept} if kept else None


# --- numbers in words ----------------------------------------------------------------------------------------


def number(value: float | None, digits: int = 3) -> str:
    """A number, or a dash where there is none."""
    return DASH if value is None else f"{value:,.{digits}f}"


def whole(value: float | None) -> str:
    return DASH if value is None else f"{value:,.0f}"


def signed(value: float | None, digits: int = 3) -> str:
    """A number with its sign."""
    return DASH if value is None else f"{value:+.{digits}f}"


def percent(value: float | None, digits: int = 1) -> str:
    return DASH if value is None else f"{100 * value:.{digits}f} %"


def in_100(p: float) -> str:
    """A probability as people read it: "12 in 100"; small ones with a decimal."""
    return f"{100 * p:.0f} in 100" if p >= 0.0995 else f"{100 * p:.1f} in 100"


def interval(low: float | None, high: float | None, digits: int = 3) -> str:
    """Both ends in brackets, or nothing."""
    return "" if low is None or high is None else f"{low:.{digits}f} to {high:.{digits}f}"


def with_interval(row: Mapping[str, Any], name: str, digits: int = 3) -> Cell:
    """A figure of a row with its interval below it."""
    return number(row.get(name), digits), interval(row.get(f"{name}_low"), row.get(f"{name}_high"), digits)


def share_with_interval(row: Mapping[str, Any], name: str, digits: int = 1) -> Cell:
    """The same, in per cent."""
    low, high = row.get(f"{name}_low"), row.get(f"{name}_high")
    ends = "" if low is None or high is None else f"{100 * low:.{digits}f} to {100 * high:.{digits}f}"
    return percent(row.get(name), digits), ends


def date(stamp: str | None) -> str:
    """The day of an ISO moment, or "all dates" for the pooled row."""
    if not stamp:
        return DASH
    return "all dates" if stamp == "pooled" else stamp[:10]


def listed(items: Sequence[str]) -> str:
    """ "a, b and c"."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}" if items else ""
