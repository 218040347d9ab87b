"""What a list keeps back. Of somebody taken out of the records by law it tells rank and score alone; of a record open
to named users only its rank, reference and district; and to those who see no names nothing that singles a person out:
no date, no exact figure, no reference."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import polars as pl

from risk.settings import settings
from risk.who import restricted

if TYPE_CHECKING:
    from risk.list_history import Difference
    from risk.today import Today
    from risk.view import View

TAKEN_OUT = "taken out of the records by law since the list was published"
NAMED_ONLY = "open to named users only"
KEPT_BACK = "kept back"
HELD = "On hold: identity or role in doubt"

PLACES = {"listed", "force_place", "team_place", "rank", "rank_now"}  # the list cannot be cut without them
OF_TAKEN_OUT = PLACES | {"in_100", "p_serious", "expected_harm", "district", "district_before"}
OF_NAMED_ONLY = PLACES | {"person_id", "district", "district_before", "team_rank"}
EMPTY: Mapping[str, Any] = {"reasons": [], "state": [], "linked": True, "age_unknown": False}
"""What stands in a blanked column, where that is not null."""
STATES = ("wanted", "custody", "bail", "orders", "large")

Row = Mapping[str, Any]


def closed(view: View) -> set[str]:
    """Every reference, of those a view holds, of persons whose record is open to named users only."""
    shut = restricted(view)
    same = view.clusters.filter(pl.col("cluster_id").is_in(list(shut)))["person_id"].to_list()
    return {*shut, *same}


def keeper(
    known: Collection[str], shut: Collection[str], code: Callable[[str], str]
) -> Callable[[Row], dict[str, Any]]:
    """Blanks the rows of a list that may not be told: of rows, of those apart and of those gone.

    ``known``: whom of the list the records hold at any time; ``shut``: whose record is open to named users only;
    ``code``: what to write for the reference of somebody taken out. Every row gets ``withheld`` and ``restricted``.
    The district stays on a withheld row until the list has been cut to districts (:func:`placeless`).
    """

    def keep(row: Row) -> dict[str, Any]:
        person = row["person_id"]
        if person not in known:
            bare = _only(row, OF_TAKEN_OUT, TAKEN_OUT)
            return bare | {"withheld": True, "restricted": False, "person_id": code(person)}
        if row.get("restricted") or person in shut:
            return _only(row, OF_NAMED_ONLY, NAMED_ONLY) | {"withheld": False, "restricted": True}
        return dict(row) | {"withheld": False, "restricted": False}

    return keep


def _only(row: Row, kept: Collection[str], why: str) -> dict[str, Any]:
    """A row with the columns ``kept`` alone. Of those gone from a list, or set beside another, the rank before is the
    place they are told by."""
    gone = "why" in row or "rank_now" in row or "listed" not in row
    found = {
        name: value if name in kept or (gone and name == "rank_before") else EMPTY.get(name)
        for name, value in row.items()
    }
    return found | {name: why for name in ("why", "reason") if name in row}


def placeless(row: dict[str, Any]) -> dict[str, Any]:
    """The row, without the district if it is of somebody taken out."""
    if not row["withheld"]:
        return row
    return row | {name: None for name in ("district", "district_before") if name in row}


def keep_changes(found: Difference, keep: Callable[[Row], dict[str, Any]]) -> Difference:
    """What changed between two lists, with the rows blanked that may not be told."""

    def kept(part: Iterable[Row]) -> list[dict[str, Any]]:
        return [placeless(keep(row)) for row in part]

    return replace(
        found, entrants=kept(found.entrants), leavers=kept(found.leavers), stayed=kept(found.stayed)
    )


def kept_words(row: Row) -> str:
    """Why a row tells no more, in words; empty when it tells everything."""
    if row.get("withheld"):
        return TAKEN_OUT
    return NAMED_ONLY if row.get("restricted") else ""


# --- for those who see no names --------------------------------------------------------------------------------


def unnamed(today: Today, names_of: Callable[[Iterable[str]], Mapping[str, str]]) -> Today:
    """The same list for those who may see no names: persons and victims under pseudonyms, no reference of a record, the
    state in words without a date or a reason, no release day, figures rounded, and of what people wrote only that
    somebody is on hold."""
    rows = [*today.every, *today.apart, *today.leavers]
    victims = [one for row in today.every for one in row["victims"]]
    known = names_of({*(row["person_id"] for row in rows), *victims})

    def other(row: dict[str, Any]) -> dict[str, Any]:
        found = undated(row) | {"person_id": known[row["person_id"]]}
        return found | _rounded(row, known) if "victims" in row else found

    return replace(
        today,
        day=replace(today.day, names={}, moved_on={}),
        rows=[other(row) for row in today.rows],
        every=[other(row) for row in today.every],
        apart=[other(row) for row in today.apart],
        leavers=[other(row) for row in today.leavers],
    )


def undated(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of any part of a list without the days in it: of release, of a hold, until when somebody stays."""
    gone = {name: None for name in ("release_due", "stays_until") if name in row}
    return {**row, **gone} | ({"held": HELD} if row.get("held") else {})


def _rounded(row: Row, known: Mapping[str, str]) -> dict[str, Any]:
    """What a ranked row tells in place of words with dates, exact figures and references."""
    words = settings("today")["only"]
    reasons = [
        {
            **reason,
            "events": [],
            "references": [],
            "more": 0,
            "contribution": round(reason["contribution"], 1),
        }
        for reason in row["reasons"] or []
    ]
    harm = row["expected_harm"]
    return {
        "victims": [known[one] for one in row["victims"]],
        "reasons": reasons,
        "name": None,
        "standing": None,
        "now": [words[code] for code in STATES if code in row["flags"]],
        "state": None,
        "ends": [],
        "p_serious": None,
        "p_any": None,
        "expected_harm": None if harm is None else float(round(harm)),
    }
