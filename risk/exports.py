"""Today's list as a spreadsheet or as CSV: the rows of the page, with who made the copy, when and why in the file.

Victims are references, and no address is in it. Text that a spreadsheet would run as a formula is kept text.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from risk.kept_back import kept_words
from risk.pack import Copy
from risk.pack_person import held_words
from risk.published import row_words
from risk.settings import settings
from risk.today import Today
from risk.words import LONDON, day_time

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
Row = Mapping[str, Any]


def text_cell(value: Any) -> Any:
    """A cell that no spreadsheet runs: text that begins like a formula gets an apostrophe before it."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA_STARTS) else value


def _owner(row: Row) -> str:
    return (row["standing"].owner if row["standing"] else None) or ""


def _last(row: Row) -> str:
    return row["standing"].last_action if row["standing"] else ""


def _victims(row: Row) -> str:
    more = f" and {row['victims_hidden']} not shown" if row["victims_hidden"] else ""
    return ", ".join(row["victims"]) + more


def _reasons(row: Row) -> str:
    return " | ".join(reason["sentence"] for reason in row["reasons"] or [])


def _expected(row: Row) -> float | None:
    return None if row["expected_harm"] is None else round(row["expected_harm"], 1)


def _ends(row: Row) -> str:
    return "; ".join(f"{one['what']} {one['on']:%Y-%m-%d}" for one in row["ends"])


COLUMNS: Sequence[tuple[str, int, Callable[[Row], Any]]] = (
    ("Rank", 6, lambda row: row["rank"]),
    ("Change", 11, lambda row: row_words(dict(row))["change"]),
    ("Person", 13, lambda row: row["person_id"]),
    ("Name", 24, lambda row: "" if row["restricted"] or row["withheld"] else row["name"] or ""),
    ("District", 9, lambda row: row["district"]),
    ("Rank in district", 9, lambda row: row["team_rank"]),
    ("Rank by count", 9, lambda row: row["count_rank"]),
    ("Serious harm in a year", 16, lambda row: row_words(dict(row))["in_100"]),
    ("Harm expected, days", 10, _expected),
    ("Harm last year, days", 10, lambda row: row["harm_days_365"]),
    ("Reports 30 days", 9, lambda row: row["incidents_30"]),
    ("Reports 90 days", 9, lambda row: row["incidents_90"]),
    ("Reports 365 days", 9, lambda row: row["incidents_365"]),
    ("Days since the last", 9, lambda row: row["days_since"]),
    ("Victims in three years", 30, _victims),
    ("State", 40, lambda row: kept_words(row) or "; ".join(row["now"])),
    ("Ends soon", 30, _ends),
    ("Reasons", 80, _reasons),
    ("Owner", 18, _owner),
    ("Last action", 30, _last),
    ("On hold", 30, held_words),
    ("What to doubt", 40, lambda row: "; ".join(row["warnings"])),
)
"""Heading, width in characters, and what stands in the cell of a row."""


def head_lines(today: Today, copy: Copy, simulated: bool) -> list[str]:
    """What stands above the rows: marking, list, and who made the copy, when and why."""
    marking = settings("pack")["marking"]["words"]
    published = today.published
    return [
        f"{marking}: SIMULATED, NO REAL PERSON" if simulated else marking,
        copy.watermark(),
        f"{today.team_name}: list {published.list_id} as of {day_time(published.as_of)}, "
        f"model {published.facts['model_version']}. Everyone here is a suspect unless a conviction is shown.",
    ]


def as_csv(today: Today, copy: Copy, simulated: bool = False) -> bytes:
    """The rows as CSV (RFC 4180, UTF-8 with a mark so that spreadsheets read it right): three lines of their own
    above the headings say what the file is."""
    out = io.StringIO()
    writer = csv.writer(out)
    for line in head_lines(today, copy, simulated):
        writer.writerow([text_cell(line)])
    writer.writerow([heading for heading, _, _ in COLUMNS])
    for row in today.rows:
        writer.writerow([text_cell(cell(row)) for _, _, cell in COLUMNS])
    return out.getvalue().encode("utf-8-sig")


def as_xlsx(today: Today, copy: Copy, simulated: bool = False) -> bytes:
    """The rows as an Excel workbook: marking and copy in the sheet and in the header and footer of its printed pages.
    Every text is written as text; rows on hold are grey."""
    import xlsxwriter

    out = io.BytesIO()
    book = xlsxwriter.Workbook(
        out, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    )
    made = copy.at.astimezone(LONDON).replace(tzinfo=None)
    book.set_properties({"title": f"List {today.published.list_id}", "author": copy.by, "created": made})
    sheet = book.add_worksheet("List")
    bold = book.add_format({"bold": True, "text_wrap": True, "bottom": 1})
    plain, grey = ({"text_wrap": True, "valign": "top"}, {"bg_color": "#DDDDDD"})
    cells, held = book.add_format(plain), book.add_format(plain | grey)
    lines = head_lines(today, copy, simulated)
    for number, line in enumerate(lines):
        sheet.write_string(number, 0, line, book.add_format({"bold": number == 0}))
    top = len(lines)
    for column, (heading, width, _) in enumerate(COLUMNS):
        sheet.set_column(column, column, width)
        sheet.write_string(top, column, heading, bold)
    for number, row in enumerate(today.rows, top + 1):
        look = held if held_words(row) else cells
        for column, (_, _, cell) in enumerate(COLUMNS):
            _write(sheet, number, column, cell(row), look)
    sheet.freeze_panes(top + 1, 4)
    sheet.autofilter(top, 0, max(top + len(today.rows), top + 1), len(COLUMNS) - 1)
    sheet.set_landscape()
    sheet.repeat_rows(top)
    sheet.fit_to_pages(1, 0)
    sheet.set_header(f"&C&B{_printed(lines[0])}")
    sheet.set_footer(f"&L{_printed(copy.watermark())[:200]}&R&P of &N")
    book.close()
    return out.getvalue()


def _write(sheet: Any, number: int, column: int, value: Any, look: Any) -> None:
    if isinstance(value, int | float):
        sheet.write_number(number, column, value, look)
    elif isinstance(value, datetime):
        sheet.write_string(number, column, day_time(value), look)
    else:
        sheet.write_string(number, column, value or "", look)


def _printed(text: str) -> str:
    """Text for a header or a footer, where an ampersand would begin a code."""
    return text.replace("&", "&&")
