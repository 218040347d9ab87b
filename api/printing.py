"""A published list on a terminal, as CSV and as data."""

from __future__ import annotations

import csv
import io
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from features.home import Home
from risk.exports import text_cell
from risk.holds import held
from risk.kept_back import kept_words
from risk.published import Shown, row_words
from risk.store import Database
from risk.view import View
from risk.words import day, day_time

CSV_COLUMNS = (
    "rank", "change", "hold", "person_id", "district", "team_rank", "in_100", "p_serious", "expected_harm",
    "harm_days_365", "incidents_30", "incidents_90", "incidents_365", "days_since", "victims_1095", "count_rank",
    "state", "release_due", "reasons", "age_unknown",
)  # fmt: skip


def reason_text(reason: dict[str, Any]) -> str:
    """A reason with the records it cites: "4 reports …: E123, E130 and 2 more"."""
    if not reason["references"]:
        return str(reason["sentence"])
    more = f" and {reason['more']:,} more" if reason["more"] else ""
    return f"{reason['sentence']}: {', '.join(reason['references'])}{more}"


def with_holds(view: Shown, home: Home) -> Shown:
    """The list with the line of a hold (identity or role in doubt) on every row that has one, "" on the others."""
    clusters = View(home.require(), datetime.now(UTC)).clusters
    now = dict(clusters.select("person_id", "cluster_id").iter_rows())
    known = {row["person_id"]: now.get(row["person_id"], row["person_id"]) for row in view.rows}
    with closing(Database.of(home.path)) as db:
        holds = held(db, set(known.values()), clusters)
    lines = {person: holds[who].line for person, who in known.items() if who in holds}
    return replace(view, rows=[row | {"hold": lines.get(row["person_id"], "")} for row in view.rows])


def list_as_dict(view: Shown) -> dict[str, Any]:
    """The list for a machine: what it is, its rows, who left, who stands apart."""
    return {
        **view.published.about(),
        "team": view.team and {"team_id": view.team.team_id, "districts": list(view.team.districts)},
        "top": view.top,
        "note": view.note,
        "rows": [_row(view, row) for row in view.rows],
        "leavers": view.leavers,
        "apart": view.apart,
        "teams": [
            {"team_id": team.team_id, "name": team.name, "districts": list(team.districts)}
            for team in view.teams
        ],
    }


def _row(view: Shown, row: dict[str, Any]) -> dict[str, Any]:
    words = row_words(row)
    return {**row, "name": view.names.get(row["person_id"]), "change": words["change"]}


def list_as_csv(view: Shown) -> str:
    """The rows as CSV (RFC 4180). Text that a spreadsheet would run as a formula gets an apostrophe before it."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(CSV_COLUMNS)
    for row in view.rows:
        flat = row | {
            "change": row_words(row)["change"],
            "state": "; ".join(row["state"] or []),
            "reasons": " | ".join(reason_text(reason) for reason in row["reasons"] or []),
            "release_due": row["release_due"].isoformat() if row["release_due"] else "",
        }
        writer.writerow([text_cell(flat[name]) for name in CSV_COLUMNS])
    return out.getvalue()


def print_list(view: Shown) -> None:
    """The list as a table on the terminal."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    about = view.published.facts
    title = f"OFFICIAL-SENSITIVE. {view.team_name}: as of {day_time(view.published.as_of)}"
    if about["nature"] == "simulated":
        title = f"SIMULATED, NO REAL PERSON. {title}"
    table = Table(title=title, title_justify="left", show_lines=True, expand=True)
    table.add_column("Rank", justify="right", no_wrap=True)
    table.add_column("Who, and where they stand", ratio=3)
    table.add_column("Risk and record", ratio=3)
    table.add_column("Why", ratio=5)
    for row in view.rows:
        words = row_words(row)
        who = [
            row["hold"].upper(),
            view.names.get(row["person_id"]),
            " · ".join(filter(None, [row["person_id"], row["district"]])),
            kept_words(row).capitalize(),
            *(row["state"] or []),
        ]
        figures = [
            f"{words['in_100']} in a year",
            f"{words['expected']} of harm expected",
            f"{words['harm_365']} last year",
            f"{words['incidents']} reports",
            f"victims in 3 years: {words['victims']}",
        ]
        table.add_row(
            f"{row['rank']}\n{words['change']}"
            + (f"\n{row['count_rank']} by count" if row["count_rank"] else ""),
            escape("\n".join(filter(None, [*who, words["release"], words["identity"]]))),
            "\n".join(figures),
            escape("\n".join(f"{n}. {reason_text(r)}" for n, r in enumerate(row["reasons"] or [], 1))),
            style="dim" if row["hold"] else None,
        )
    console.print(table)
    for line in _below(view):
        console.print(line, highlight=False, markup=False)


def _below(view: Shown) -> list[str]:
    """What stands under the table: who left, who stands apart, what made the list."""
    facts = view.published.facts
    lines = [view.note] if view.note else []
    lines += [f"Off the list since last time: {gone['person_id']} (was {gone['rank_before']}; {gone['why']})"
              for gone in view.leavers]  # fmt: skip
    by_reason: dict[str, int] = {}
    for row in view.apart:
        by_reason[row["reason"]] = by_reason.get(row["reason"], 0) + 1
    lines += [f"Apart, {reason}: {number:,}" for reason, number in by_reason.items()]
    lines.append("Everyone else of the cohort is not prioritised by the model.")
    newest = day(datetime.fromisoformat(facts["data_until"])) if facts["data_until"] else "none"
    lines.append(
        f"List {view.published.list_id}, load {facts['load_id']}, model {facts['model_version']}; "
        f"newest record {newest}."
    )
    return lines
