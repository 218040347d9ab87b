"""Reading published lists: the frozen folder as an object, and a list as one team sees it.

Names of listed persons are looked up in the identity store of the load in use, at the moment of looking: a person
taken out of the records by law since the list was published is shown as withheld, with rank and score alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from features.errors import InputError, NotFoundError
from features.home import Home
from features.lazily import lazily
from risk.kept_back import KEPT_BACK, closed, keeper, placeless
from risk.places import as_placed
from risk.pseudonyms import withheld_as
from risk.teams import Team, find_team, teams
from risk.view import View
from risk.who import words as identity_words
from risk.words import amount, count, day, day_time

ROWS, APART, ABOUT = "rows.parquet", "apart.parquet", "list.json"
PERSONAL = {"leavers", "not_placed", "choices", "sha256"}  # what list.json says of persons, and the digests


@dataclass(frozen=True)
class PublishedList:
    """A frozen list. ``facts`` is list.json; the tables are read when asked for and checked against its digests."""

    folder: Path
    facts: dict[str, Any]
    created: bool = field(default=False, compare=False)

    @property
    def list_id(self) -> str:
        """The name of the list."""
        return str(self.facts["list_id"])

    @property
    def as_of(self) -> datetime:
        """T: the moment the list is about."""
        return datetime.fromisoformat(self.facts["as_of"])

    @lazily
    def rows(self) -> pl.DataFrame:
        """Every ranked person by rank; ``listed`` marks the list itself."""
        return self._table(ROWS)

    def placed(self) -> list[dict[str, Any]]:
        """The rows of the list itself by rank, each with its places (``risk.places``)."""
        rows = as_placed(self.rows, self.facts["settings"]["places"], self.as_of)
        return list(rows.filter("listed").iter_rows(named=True))

    @lazily
    def apart(self) -> pl.DataFrame:
        """Who stands apart, with the reason."""
        return self._table(APART)

    def let_go(self) -> None:
        """Keep the tables in memory no longer; they are read again when asked for."""
        for table in ("rows", "apart"):
            self.__dict__.pop(table, None)

    def _table(self, name: str) -> pl.DataFrame:
        data = (self.folder / name).read_bytes()
        if hashlib.sha256(data).hexdigest() != self.facts["sha256"][name]:
            raise InputError(
                f"List {self.list_id} is not the one that was published: the digest of {name} differs.",
                where=f"lists/{self.list_id}/{name}",
                cure="Restore it from a backup; it will not be shown as it is.",
            )
        return pl.read_parquet(data)

    def about(self) -> dict[str, Any]:
        """What the list says of itself, without its persons."""
        return {name: value for name, value in self.facts.items() if name not in PERSONAL}

    def summary(self) -> str:
        """Two lines for the command line."""
        facts = self.facts
        changes = "The first list: no changes to tell."
        if facts["previous"]:
            changes = (
                f"Since the last list: {facts['counts']['entrants']:,} new, {len(facts['leavers']):,} gone."
            )
        state = "published" if self.created else "already published; nothing changed"
        return (
            f"List {self.list_id} {state}: as of {day_time(self.as_of)}, "
            f"{facts['counts']['listed']:,} listed of {facts['counts']['ranked']:,} ranked, "
            f"{facts['counts']['apart']:,} apart.\n" + "\n".join([changes, *self.notes()])
        )

    def notes(self) -> list[str]:
        """What must be said of the model it was made with, a line each."""
        return [f"note: {note}" for note in (self.facts.get("approval") or {}).get("notes", ())]


def list_ids(home: Home) -> list[str]:
    """The ids of all published lists, oldest T first; of equal T the last published comes last."""
    return [one.list_id for one in lists(home)]


def lists(home: Home) -> list[PublishedList]:
    """Every published list, oldest T first."""
    return sorted((_opened(home, name) for name in list_names(home)), key=order_of)


def list_names(home: Home) -> set[str]:
    """The ids of all published lists, in no order."""
    return {path.parent.name for path in (home.path / "lists").glob(f"[!.]*/{ABOUT}")}


def order_of(one: PublishedList) -> tuple[datetime, str, str]:
    """What lists are put in order by: T, then when each was published."""
    return one.as_of, one.facts["published_at"], one.list_id


def read_list(home: Home, list_id: str | None = None) -> PublishedList:
    """A published list by its id, the latest (greatest T) without one. Raises NotFoundError."""
    if list_id is None:
        known = lists(home)
        if not known:
            raise NotFoundError(
                "No list has been published yet.", where="lists", cure="Run doorstep publish --as-of DATE."
            )
        return known[-1]
    if list_id not in (known_ids := list_names(home)):
        raise NotFoundError(
            f"There is no list {list_id[:80]!r}.",
            where="lists",
            cure=f"Lists here: {', '.join(sorted(known_ids)[-5:]) or 'none; run doorstep publish'}.",
        )
    return _opened(home, list_id)


def _opened(home: Home, list_id: str) -> PublishedList:
    folder = home.path / "lists" / list_id
    return PublishedList(folder, json.loads((folder / ABOUT).read_text(encoding="utf-8")))


@dataclass(frozen=True)
class Shown:
    """A list as one team sees it: the rows shown, the leavers and those apart on its patch, and names."""

    published: PublishedList
    team: Team | None
    top: int
    rows: list[dict[str, Any]]
    apart: list[dict[str, Any]]
    leavers: list[dict[str, Any]]
    names: dict[str, str]
    teams: list[Team]
    note: str

    @property
    def team_name(self) -> str:
        """Whose list it is, in words."""
        return "whole force" if self.team is None else self.team.name

    def persons(self) -> list[str]:
        """Everyone the view shows."""
        return [row["person_id"] for part in (self.rows, self.leavers, self.apart) for row in part]


def shown(published: PublishedList, home: Home, *, team: str | None = None, top: int | None = None) -> Shown:
    """The list of a team (team_id or district) or of the whole force, its first ``top`` places.

    A list is published to a fixed depth (``risk/data/list.toml``); asking for more shows what there is and says so.
    Raises InputError for a team or district there is not.
    """
    view = View(home.require(), published.as_of)
    known = teams(view)
    rows, apart, leavers = published.placed(), published.apart, published.facts["leavers"]
    chosen = None
    if team is not None:
        chosen = find_team(known, team, frozenset(published.rows["district"].unique().to_list()))
        patch = list(chosen.districts)
        apart = apart.filter(pl.col("district").is_in(patch))
        leavers = [gone for gone in leavers if gone["district_before"] in patch]
    shut = closed(View(view.load, max(datetime.now(UTC), published.as_of)))  # whoever was restricted since
    keep = keeper(view.ever(everyone_of(published)), shut, withheld_as(home.path, published.list_id))
    cut, limit, note = parts_of(published, rows, chosen, chosen.districts if chosen else (), top)
    cut = [placeless(keep(row)) for row in cut]
    aside = [placeless(keep(row)) for row in apart.iter_rows(named=True)]
    gone = [placeless(keep(row)) for row in leavers]
    people = [row["person_id"] for part in (cut, aside, gone) for row in part]
    return Shown(published, chosen, limit, cut, aside, gone, names(view, set(people) - shut), known, note)


def parts_of(
    published: PublishedList,
    rows: list[dict[str, Any]],
    team: Team | None,
    patch: Collection[str],
    top: int | None = None,
) -> tuple[list[dict[str, Any]], int, str]:
    """Of the listed rows those of a team, of the districts of ``patch``, or of the force (neither): the rows, how many
    places there are, and what must be said above them.

    A list is published to a fixed depth: asking for more shows what there is and says so.
    """
    places = published.facts["settings"]["places"]
    here = [row for row in rows if not patch or row["district"] in patch]
    own = published.facts["settings"].get("districts", {})
    of_team = sum(int(own.get(district, places["team"])) for district in team.districts) if team else 0
    limit = top or of_team or int(places["force"])
    note = ""
    if len(here) < (top or 0):
        note = f"The list was published with {count(len(here), 'place')} here, not {top:,}."
    if top:
        here = here[:top]
    elif team is not None or not patch:  # who stays for their four weeks is beside the places
        has_place = "team_place" if team else "force_place"
        here = [row for row in here if row[has_place] is not None]
    loud = published.facts.get("approval") or {}
    if loud.get("override"):  # whoever reads the list must know; the rest of its approval stands below it
        note = f"{loud['notes'][0]} {note}".strip()
    return here, limit, note


def everyone_of(published: PublishedList) -> list[str]:
    """Everyone a list speaks of: listed, apart, gone, and nominated without a place."""
    facts = published.facts
    gone = [one["person_id"] for one in [*facts["leavers"], *facts.get("not_placed", [])]]
    listed = published.rows.filter("listed")["person_id"].to_list()
    return list(dict.fromkeys([*listed, *published.apart["person_id"].to_list(), *gone]))


def names(view: View, persons: Iterable[str]) -> dict[str, str]:
    """Names as recorded, for those who may open them; restricted records and nameless ones are left out."""
    table = view.identity("person").filter(pl.col("person_id").is_in(list(persons)))
    open_ones = table.filter(
        pl.col("access").fill_null("normal") != "named_users", ~pl.col("no_processing").fill_null(False)
    )
    found = {}
    for row in open_ones.iter_rows(named=True):
        parts = [row["given_names"], row["family_name"]]
        if name := " ".join(part for part in parts if part):
            found[row["person_id"]] = name
    return found


def row_words(row: dict[str, Any]) -> dict[str, str]:
    """A row's figures in words, the same on the page, on paper and on the command line."""
    if row.get("withheld") or row.get("restricted"):
        return _bare_words(row)
    moves = row["places_moved"]
    change = {
        "new": "new",
        "up": f"up {moves or 0:,}",
        "down": f"down {-(moves or 0):,}",
        "same": "no change",
    }.get(row["movement"] or "", "first list")
    return {
        "change": change,
        "in_100": row["in_100"] or "not scored",
        "expected": f"{amount(row['expected_harm'])} days",
        "harm_365": f"{amount(row['harm_days_365'])} days",
        "incidents": f"{row['incidents_30']} / {row['incidents_90']} / {row['incidents_365']}",
        "since": count(row["days_since"], "day") if row["days_since"] is not None else "not in the records",
        "victims": str(row["victims_1095"]),
        "release": f"due out {day(row['release_due'])}" if row["release_due"] else "",
        "identity": "; ".join(
            part
            for part in (
                "birth date not recorded" if row["age_unknown"] else "",
                identity_words(row.get("records"), row.get("match"), row.get("linked", True)),
            )
            if part
        ),
    }


def _bare_words(row: dict[str, Any]) -> dict[str, str]:
    """The words of a row that tells no figures, or the score alone."""
    harm = row["expected_harm"]
    kept = dict.fromkeys(("harm_365", "incidents", "since", "victims"), KEPT_BACK)
    return kept | {
        "change": "",
        "in_100": row["in_100"] or KEPT_BACK,
        "expected": KEPT_BACK if harm is None else f"{amount(harm)} days",
        "release": "",
        "identity": "",
    }
