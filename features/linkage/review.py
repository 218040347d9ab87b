"""The review queue: uncertain pairs for a person to look at, each comparison drawn, and what was decided.

The page names people: who writes it logs the look first. It holds everything in one file, works without a script and
prints on paper.
"""

from __future__ import annotations

import html
import math
from dataclasses import dataclass
from typing import Any

import polars as pl

from features.apart import open_identity
from features.errors import InputError, NotFoundError
from features.home import Home, Load
from features.linkage import store
from features.linkage.fields import settings, variants
from features.linkage.run import uncertain

FIELDS = {
    "given": "Given names",
    "family": "Family name",
    "born": "Born",
    "sex": "Sex",
    "address": "Address",
}
BAR, SCALE, ROW = 300, 24.0, 26
"""Width of a waterfall in pixels, the bits that fill it, and the height of a line."""


@dataclass(frozen=True)
class Compared:
    """An uncertain pair: the two references, how likely they are one person, and what each field is worth."""

    persons: tuple[str, str]
    probability: float
    start: float
    lines: tuple[tuple[str, str, str, float], ...]
    """Field, what one record says, what the other says, match weight in bits."""

    @property
    def total(self) -> float:
        """All weights together, the rarity of duplicates included; 0 is even odds."""
        return self.start + sum(bits for *_, bits in self.lines)


def queue(home: Home, top: int) -> list[Compared]:
    """The likeliest ``top`` undecided pairs of the current load; InputError before the first link run."""
    load = home.require()
    run = store.run_of(home.path, load.load_id)
    if run is None:
        raise InputError(
            "The nominals of this load were not compared yet.",
            where="link",
            cure="Run: doorstep link --purpose review",
        )
    rows = uncertain(home, load.load_id).head(top)
    ways = {row["unique_id"]: row for row in _ways(load, rows).iter_rows(named=True)}
    lines = dict(open_identity(load)["address"].sort("known_from").select("address_id", "line").iter_rows())
    for way in ways.values():  # as it was written, not as it was compared
        way["line"] = lines.get(way["address"])
    start = math.log2(run["prior"] / (1.0 - run["prior"]))
    return [_compared(row, ways, start) for row in rows.iter_rows(named=True)]


def _ways(load: Load, rows: pl.DataFrame) -> pl.DataFrame:
    """The variants of the persons in some pairs; named as in the run, since names go by order of becoming known."""
    people = pl.concat([rows["person_id_a"], rows["person_id_b"]]).unique().implode()
    tables = dict(open_identity(load)) | {"involvement": load.records().table("involvement")}
    mine = {
        name: frame.filter(pl.col("person_id").is_in(people)) if "person_id" in frame.columns else frame
        for name, frame in tables.items()
    }
    return variants(mine)[0]


def _compared(row: dict[str, Any], ways: dict[str, dict[str, Any]], start: float) -> Compared:
    nothing: dict[str, Any] = {}
    left, right = ways.get(row["unique_id_l"], nothing), ways.get(row["unique_id_r"], nothing)
    if row["unique_id_l"].rsplit("#", 1)[0] != row["person_id_a"]:
        left, right = right, left
    lines = tuple(
        (label, _shown(left, name), _shown(right, name), _bits(row, name)) for name, label in FIELDS.items()
    )
    return Compared((row["person_id_a"], row["person_id_b"]), row["probability"], start, lines)


def _bits(row: dict[str, Any], name: str) -> float:
    return float(row.get(f"mw_{name}") or 0.0) + float(row.get(f"mw_tf_adj_{name}") or 0.0)


def _shown(way: dict[str, Any], name: str) -> str:
    if name == "address":
        parts = [way.get("line"), way.get("postcode")]
        return " ".join(part for part in parts if part) or "not known"
    value = way.get(name) or ""
    if name == "born" and len(value) == 8:
        return f"{value[:4]}-{value[4:6]}-{value[6:]}"
    return (value.title() if name in ("given", "family") else value) or "not known"


def decide(home: Home, a: str, b: str, *, same: bool, by: str, reason: str) -> dict[str, Any]:
    """Write down what was decided of a pair and return it.

    Raises NotFoundError for a reference the load does not hold, InputError for a pair of one record with itself or a
    decision without a name or a reason.
    """
    known = set(home.require().records().table("person")["person_id"].to_list())
    for person in (a, b):
        if person not in known:
            raise NotFoundError(
                f"There is no record {person!r} in this load.",
                where="link decide",
                cure="Check the reference.",
            )
    if a == b:
        raise InputError(
            "One record cannot be compared with itself.", where="link decide", cure="Give two references."
        )
    for name, value in (("--by", by), ("--reason", reason)):
        if not value.strip():
            raise InputError(
                f"{name} is empty.", where="link decide", cure="A decision carries a name and a reason."
            )
    return store.decide(home.path, (a, b), same, by.strip(), reason.strip())


def page(home: Home, pairs: list[Compared]) -> str:
    """The queue as one HTML page."""
    load = home.require()
    body = (
        "\n".join(_card(number, one) for number, one in enumerate(pairs, 1)) or "<p>No pair is uncertain.</p>"
    )
    return _PAGE.format(
        count=len(pairs),
        load=html.escape(load.load_id),
        nature=html.escape(load.nature),
        sure=f"{settings()['review']['highest']:.2f}",
        body=body,
    )


def _card(number: int, one: Compared) -> str:
    a, b = (html.escape(person) for person in one.persons)
    rows = "".join(
        f"<tr><th scope='row'>{html.escape(label)}</th><td>{html.escape(left)}</td><td>{html.escape(right)}</td>"
        f"<td class='bits'>{bits:+.1f}</td></tr>"
        for label, left, right, bits in one.lines
    )
    return (
        f"<section><h2>{number}. {a} and {b}: {100 * one.probability:.0f} in 100 that this is one person</h2>"
        f"<div class='pair'><table><thead><tr><th>Field</th><th>{a}</th><th>{b}</th><th>Bits</th></tr></thead>"
        f"<tbody>{rows}</tbody></table>{waterfall(one)}</div>"
        f"<p><code>doorstep link decide {a} {b} --same --by NAME --reason TEXT</code> or <code>--different</code></p>"
        "</section>"
    )


def waterfall(one: Compared) -> str:
    """The comparison drawn (SVG): from how rare duplicates are, each field's weight moves the odds; above 0 means more
    likely one person than not. Each bit doubles the odds."""
    steps = [("Two records at random", one.start), *((label, bits) for label, *_, bits in one.lines)]
    height, left = ROW * (len(steps) + 1) + 8, 150
    level, parts = 0.0, []
    low = min(-SCALE, one.start - 2.0)

    def place(bits: float) -> float:
        return left + BAR * (min(max(bits, low), SCALE) - low) / (SCALE - low)

    for number, (label, bits) in enumerate(steps):
        top, before, level = 4 + number * ROW, level, level + bits
        x, width = min(place(before), place(level)), max(abs(place(level) - place(before)), 1.0)
        colour = "#00703c" if bits > 0 else "#d4351c" if bits < 0 else "#b1b4b6"
        parts.append(
            f"<text x='{left - 8}' y='{top + 15}' text-anchor='end'>{html.escape(label)}</text>"
            f"<rect x='{x:.1f}' y='{top + 3}' width='{width:.1f}' height='16' fill='{colour}'/>"
            f"<text x='{left + BAR + 8}' y='{top + 15}'>{bits:+.1f}</text>"
        )
    top, end = 4 + len(steps) * ROW, place(level)
    parts.append(
        f"<text x='{left - 8}' y='{top + 15}' text-anchor='end' font-weight='bold'>Together</text>"
        f"<circle cx='{end:.1f}' cy='{top + 11}' r='6' fill='#0b0c0c'/>"
        f"<text x='{left + BAR + 8}' y='{top + 15}' font-weight='bold'>{level:+.1f}</text>"
    )
    zero = place(0.0)
    said = "; ".join(f"{label} {bits:+.1f}" for label, bits in steps) + f"; together {level:+.1f} bits"
    return (
        f"<svg role='img' viewBox='0 0 {left + BAR + 60} {height}' font-family='Arial, sans-serif' font-size='13'>"
        f"<title>{html.escape(said)}</title>"
        f"<line x1='{zero:.1f}' x2='{zero:.1f}' y1='0' y2='{height}' stroke='#505a5f' stroke-dasharray='3 3'/>"
        f"{''.join(parts)}</svg>"
    )


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Who is who: {count} uncertain pairs</title>
<style>
body {{ font: 16px/1.4 Arial, sans-serif; color: #0b0c0c; margin: 0 auto; max-width: 1100px; padding: 0 15px 40px }}
.mark {{ background: #0b0c0c; color: #fff; text-align: center; padding: 5px; font-weight: bold }}
section {{ border-top: 2px solid #b1b4b6; padding: 5px 0 10px; break-inside: avoid }}
h2 {{ font-size: 19px; margin: 12px 0 }}
.pair {{ display: flex; flex-wrap: wrap; gap: 20px; align-items: flex-start }}
table {{ border-collapse: collapse; flex: 1 1 340px }}
th, td {{ text-align: left; padding: 4px 8px; border-bottom: 1px solid #b1b4b6; overflow-wrap: anywhere }}
.bits {{ text-align: right; white-space: nowrap }}
svg {{ flex: 1 1 340px; max-width: 510px; min-width: 0; width: 100% }}
code {{ background: #f3f2f1; padding: 2px 4px; overflow-wrap: anywhere }}
</style></head><body>
<p class="mark">OFFICIAL-SENSITIVE</p>
<h1>Who is who: {count} uncertain pairs</h1>
<p>Load {load} ({nature} records). Each pair may be one person under two references. The bars say what each field is
worth in bits: to the right, evidence for one person; to the left, against. Each bit doubles the odds; past the dashed
line one person is the likelier. Pairs above a match of {sure} are not asked about. Nothing is merged: a decision holds
from the moment it is made and can be undone by a later one.</p>
{body}
<p class="mark">OFFICIAL-SENSITIVE</p>
</body></html>
"""
