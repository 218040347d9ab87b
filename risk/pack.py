"""The briefing pack: what a team takes to the 08:00 briefing on paper, a roll-up and a page a person.

Everything on it is on the list or on a person page; the pack adds no figure of its own. Victims are references. Each
copy says on every page who made it, when and why.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import polars as pl

from risk.blocks import Block, facts, lines, table
from risk.kept_back import KEPT_BACK, kept_words
from risk.pack_person import held_words, person_sheet
from risk.published import row_words
from risk.settings import settings
from risk.today import Today
from risk.words import amount, count, day, day_time

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Copy:
    """Who made a copy, in which role, when and why."""

    by: str
    role: str
    at: datetime
    reason: str

    def watermark(self) -> str:
        """What stands on every page of the copy."""
        handling = settings("pack")["marking"]["handling"]
        return (
            f"Copy made by {self.by} ({self.role}) on {day_time(self.at)}. Reason: {self.reason}. {handling}"
        )


def pack(
    today: Today, copy: Copy, person_of: Callable[[str], Mapping[str, Any]], simulated: bool = False
) -> dict[str, Any]:
    """The pack as plain data for ``risk.pack_pdf``: title, marking, watermark and sheets of blocks.

    ``person_of`` gives a person as their page shows them (``risk.person``). Restricted and withheld rows stand in the
    roll-up under their reference and have no sheet.
    """
    marking = settings("pack")["marking"]["words"]
    title = f"Briefing pack: {today.team_name}, {day(today.published.as_of)}"
    sheets = [_rollup(today)]
    open_rows = [row for row in today.rows if not (row["withheld"] or row["restricted"])]
    sheets += [person_sheet(row, person_of(row["person_id"])) for row in open_rows]
    return {
        "title": title,
        "marking": f"{marking}: SIMULATED, NO REAL PERSON" if simulated else marking,
        "watermark": copy.watermark(),
        "sheets": sheets,
    }


def _rollup(today: Today) -> dict[str, Any]:
    published = today.published
    held = [place for place, row in enumerate(today.rows) if held_words(row)]
    blocks = [
        _about(today),
        _first(today),
        table(
            "The list",
            ["Rank", "Change", "Person", "Serious harm in a year", "Harm in a year, days", "Reports 30 / 90 / 365",
             "By count", "State", "First reason", "Owner, last action"],
            [_cells(row, today) for row in today.rows],
            "Nobody is listed here as of this date.",
            widths=(0, 4, 9, 5, 4, 6, 4, 15, 18, 9),
            figures=(0, 6),
            held=held,
        ),
        _changes(today),
        _ending(today),
        _unowned(today),
        _doubts(today),
    ]  # fmt: skip
    lead = f"As of {day_time(published.as_of)}. Everyone here is a suspect unless a conviction is shown. {today.note}"
    return {
        "title": f"Briefing: {today.team_name}",
        "landscape": True,
        "lead": lead.strip(),
        "hold": "",
        "blocks": [block for block in blocks if block is not None],
    }


def _about(today: Today) -> Block:
    told, rows = today.published.facts, today.published.rows
    here = pl.Series([row["person_id"] for row in today.rows], dtype=pl.String)
    listed = float(rows.filter(pl.col("person_id").is_in(here.implode()))["expected_harm"].sum())
    everyone = float(rows["expected_harm"].sum())
    share = f"{100 * listed / everyone:.0f} %" if everyone else "none expected"
    return facts(
        "",
        [
            (
                "Shown",
                f"{count(len(today.rows), 'person', 'people')} of {told['counts']['ranked']:,} ranked",
            ),
            ("Share of the harm expected of all ranked", share),
            ("List", today.published.list_id),
            ("Model", str(told["model_version"])),
            ("Records up to", day_time(_moment(told["data_until"]))),
            ("Published", day_time(_moment(told["published_at"]))),
        ],
        across=2,
    )


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text).astimezone(UTC)


def _name(row: Row, today: Today) -> str:
    reference = str(row["person_id"])
    if row.get("withheld") or row.get("restricted"):
        return reference
    name = today.names.get(reference)
    return f"{name} ({reference})" if name else reference


def _cells(row: Row, today: Today) -> list[str]:
    said = row_words(dict(row))
    reasons = row["reasons"] or []
    kept = kept_words(row)
    why = kept or (reasons[0]["sentence"] if reasons else "nothing raises it above the average")
    standing = row["standing"]
    owned = "; ".join(part for part in (standing.owner, standing.last_action) if part) if standing else ""
    return [
        str(row["rank"]),
        said["change"],
        _name(row, today),
        said["in_100"],
        KEPT_BACK if row["expected_harm"] is None else amount(row["expected_harm"]),
        said["incidents"],
        "" if kept else str(row["count_rank"]),
        "; ".join(row["now"]),
        held_words(row) or why,
        owned or ("" if kept else "no owner"),
    ]


def _first(today: Today) -> Block:
    """Who is wanted: they come first in a briefing."""
    told = [
        f"{row['rank']}. {_name(row, today)}: {row['now'][0]}"
        for row in today.rows
        if "wanted" in row["flags"] and not row["restricted"]
    ]
    return lines("Wanted and outstanding", told, "Nobody listed here is wanted, as far as the records say.")


def _changes(today: Today) -> Block | None:
    previous = today.published.facts["previous"]
    if not previous:
        return None
    values = settings("pack")["rollup"]
    most, least = int(values["most_changes"]), int(values["moved_places"])
    new = [row for row in today.rows if row["movement"] == "new"]
    moved = [
        row for row in today.rows if row["movement"] in ("up", "down") and abs(row["places_moved"]) >= least
    ]
    moved.sort(key=lambda row: -abs(row["places_moved"]))
    told = [f"New: {_some([_name(row, today) for row in new], most)}"]
    gone = [f"{_name(row, today)}, {row['why']}{_on_hold(row)}" for row in today.leavers]
    told.append(f"Off the list: {_some(gone, most)}")
    told.append(
        f"Moved {least} places or more: "
        + _some([f"{_name(row, today)} {row_words(dict(row))['change']}" for row in moved], most)
    )
    return lines(f"Since the list of {day(_moment(previous['as_of']))}", told, "")


def _on_hold(row: Row) -> str:
    return f". {row['held']}" if row["held"] else ""


def _some(named: list[str], most: int) -> str:
    if not named:
        return "nobody"
    more = f" and {len(named) - most} more" if len(named) > most else ""
    return "; ".join(named[:most]) + more


def _ending(today: Today) -> Block:
    """Orders, bail and releases of those listed, and releases of those who stand apart."""
    days = settings("today")["ends"]
    told = [(one["on"], f"{_name(one, today)}: {one['what']} {day(one['on'])}") for one in today.endings()]
    told += [
        (
            one["release_due"],
            f"{one['person_id']} (apart): release due {day(one['release_due'])}{_on_hold(one)}",
        )
        for one in today.apart
        if one["release_due"] and not one["withheld"]
    ]
    title = (
        f"Ending soon: releases within {days['release_days']} days, orders within {days['order_days']}, "
        f"bail within {days['bail_days']}"
    )
    return lines(title, dict.fromkeys(words for _, words in sorted(told)), "Nothing recorded.")


def _unowned(today: Today) -> Block:
    nobody, overdue = [], []
    for row in today.rows:
        standing = row["standing"]
        if not (kept_words(row) or (standing and standing.owner)):
            nobody.append(_name(row, today))
        overdue += [
            f"Overdue: {_name(row, today)}, {one['line']}" for one in (standing.overdue if standing else ())
        ]
    told = [f"Nobody owns: {'; '.join(nobody)}"] if nobody else []
    return lines("Owners and actions", told, "Everyone listed has an owner and nothing is overdue.", overdue)


def _doubts(today: Today) -> Block:
    told = [f"{_name(row, today)}: {'; '.join(row['warnings'])}" for row in today.rows if row["warnings"]]
    return lines("What to doubt in the records", told, "No warning about the records of those listed.")
