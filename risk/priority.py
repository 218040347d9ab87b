"""Published lists: who a team should look at first, frozen on the day with everything needed to explain it later.

A list lives in HOME/lists/<list_id>/: ``list.json`` (what it was made from, who joined and left, digests of the two
tables), ``rows.parquet`` (every ranked person; those with ``listed`` are the list, the others "not prioritised by
the model") and ``apart.parquet`` (who stands apart, and why). The folder is written beside and renamed into place,
its files are read-only, and its name is a digest of its inputs: publishing the same twice gives the same list.

A row holds references and figures, never a victim's name, address or safe contact, and no name of the person
either: names are looked up in the identity store when an authorised person opens the list.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from features.errors import InputError, NotFoundError
from features.home import Home, Load
from models.store import champion, code_version
from risk.reasons import Explainer
from risk.score import Scored, refuse_future, score_cohort
from risk.settings import settings
from risk.state import states
from risk.teams import Team, districts, find_team, teams
from risk.view import View
from risk.words import amount, count, day, day_time, in_100

ROOMS = ("features", "models", "risk")  # the code that can change a number or a sentence on a list
ROWS, APART, ABOUT = "rows.parquet", "apart.parquet", "list.json"


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

    @cached_property
    def rows(self) -> pl.DataFrame:
        """Every ranked person by rank; ``listed`` marks the list itself."""
        return self._table(ROWS)

    @cached_property
    def apart(self) -> pl.DataFrame:
        """Who stands apart, with the reason."""
        return self._table(APART)

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
        return {name: value for name, value in self.facts.items() if name not in {"leavers", "sha256"}}

    def summary(self) -> str:
        """Two lines for the command line."""
        facts = self.facts
        state = "published" if self.created else "already published; nothing changed"
        return (
            f"List {self.list_id} {state}: as of {day_time(self.as_of)}, "
            f"{facts['counts']['listed']:,} listed of {facts['counts']['ranked']:,} ranked, "
            f"{facts['counts']['apart']:,} apart.\n"
            f"Since the last list: {facts['counts']['entrants']:,} new, {len(facts['leavers']):,} gone."
        )


# --- publishing --------------------------------------------------------------------------------------------


def publish(home: Home, t: datetime) -> PublishedList:
    """Freeze the list as of T from the load and the model in use; the same again returns the same list.

    Raises InputError when T is in the future, nothing is loaded or no model is trained. An empty cohort gives an
    empty list.
    """
    refuse_future(t)
    load, doc, values = home.require(), champion(home.path), settings("list")
    edition = doc.get("harm", {})
    inputs = {
        "as_of": t.astimezone(UTC).isoformat(),
        "load_id": load.load_id,
        "model_version": doc["version"],
        "harm": edition,
        "code_version": code_version(ROOMS),
        "settings": values,
    }
    digest = hashlib.sha256(json.dumps(inputs, sort_keys=True, default=str).encode()).hexdigest()
    list_id = f"{t.astimezone(UTC):%Y%m%dT%H%MZ}-{digest[:10]}"
    if (home.path / "lists" / list_id / ABOUT).is_file():
        return read_list(home, list_id)
    view, scored = View(load, t), score_cohort(load, doc, t)
    previous = _before(home, t)
    rows = _rows(view, scored, previous, values)
    apart = _apart(view, scored, values)
    facts = inputs | {
        "list_id": list_id,
        "nature": load.nature,
        "published_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "data_until": _data_until(load),
        "horizon_days": doc.get("horizon_days", 365),
        "previous": previous and {key: previous.facts[key] for key in ("list_id", "as_of", "model_version", "load_id")},
        "leavers": _leavers(rows, apart, previous),
        "counts": {
            "ranked": rows.height,
            "listed": int(rows["listed"].sum()),
            "apart": apart.height,
            "entrants": int((rows["movement"] == "new").sum()) if previous else int(rows["listed"].sum()),
        },
    }
    return _freeze(home, list_id, facts, rows, apart)


def _rows(view: View, scored: Scored, previous: PublishedList | None, values: dict[str, Any]) -> pl.DataFrame:
    """One row a ranked person; sentences, state and citations for those who are listed."""
    places = values["places"]
    shown = scored.features.select(
        "person_id",
        incidents_30=_whole("domestic_events_30d"),
        incidents_90=_whole("domestic_events_90d"),
        incidents_365=_whole("domestic_events_365d"),
        harm_days_365=pl.col("harm_days_365d").fill_null(0.0),
        days_since=pl.col("days_since_domestic").cast(pl.Int64),
        victims_1095=_whole("distinct_victims_1095d"),
    )
    rows = (
        scored.frame.filter("in_scope")
        .join(shown, on="person_id", how="left")
        .join(districts(view, scored.frame), on="person_id", how="left")
        .sort("rank")
        .with_columns(team_rank=pl.int_range(1, pl.len() + 1, dtype=pl.Int64).over("district"))
        .with_columns(listed=(pl.col("rank") <= places["force"]) | (pl.col("team_rank") <= places["team"]))
        .with_columns(in_100=pl.col("p_serious").map_elements(in_100, return_dtype=pl.String))
    )
    rows = _moved(rows, previous)
    listed = rows.filter("listed")["person_id"].to_list()
    return rows.join(_told(view, scored, listed, values), on="person_id", how="left").sort("rank")


def _whole(column: str) -> pl.Expr:
    return pl.col(column).fill_null(0).cast(pl.Int64)


def _moved(rows: pl.DataFrame, previous: PublishedList | None) -> pl.DataFrame:
    """Rank on the last list and what became of it; "new" is: not listed then, listed now."""
    if previous is None:
        empty = pl.DataFrame(schema={"person_id": pl.String, "rank_before": pl.Int64, "was_listed": pl.Boolean})
        before = empty
    else:
        before = previous.rows.select("person_id", rank_before="rank", was_listed="listed")
    change = pl.col("rank_before") - pl.col("rank")
    movement = (
        pl.when(pl.lit(previous is None))
        .then(None)
        .when(~pl.col("was_listed").fill_null(False))
        .then(pl.lit("new"))
        .when(change > 0)
        .then(pl.lit("up"))
        .when(change < 0)
        .then(pl.lit("down"))
        .otherwise(pl.lit("same"))
    )
    return (
        rows.join(before, on="person_id", how="left")
        .with_columns(places_moved=change, movement=pl.when("listed").then(movement))
        .drop("was_listed")
    )


REASON = pl.Struct(
    {
        "group": pl.String,
        "sentence": pl.String,
        "contribution": pl.Float64,
        "events": pl.List(pl.String),
        "more": pl.Int64,
    }
)
TOLD = {
    "person_id": pl.String,
    "state": pl.List(pl.String),
    "reasons": pl.List(REASON),
    "restricted": pl.Boolean,
}


def _told(view: View, scored: Scored, listed: list[str], values: dict[str, Any]) -> pl.DataFrame:
    """Present state and the top reasons of the listed persons; a restricted record keeps its reasons back."""
    standing = states(view, listed)
    explainer = Explainer(view, scored, listed)
    private = set(
        view.identity("person").filter(pl.col("access") == "named_users")["person_id"].to_list(),
    )
    told = []
    for person in listed:
        closed = person in private
        top = [] if closed else explainer.of(person).top(values["reasons"]["top"])
        told.append(
            {
                "person_id": person,
                "state": standing[person].lines(),
                "reasons": [reason.row(values["reasons"]["events"]) for reason in top],
                "restricted": closed,
            }
        )
    return pl.DataFrame(told, schema=TOLD)


def _apart(view: View, scored: Scored, values: dict[str, Any]) -> pl.DataFrame:
    """Who is not ranked, with the reason and, where one is recorded, the day of release."""
    order = {reason: place for place, reason in enumerate(values["apart"]["order"])}
    out = scored.frame.filter(~pl.col("in_scope"))
    return (
        out.join(districts(view, out), on="person_id", how="left")
        .select("person_id", "district", "release_due", reason="out_of_scope_reason")
        .sort(pl.col("reason").replace_strict(order, default=len(order), return_dtype=pl.Int64), "person_id")
    )


def _leavers(rows: pl.DataFrame, apart: pl.DataFrame, previous: PublishedList | None) -> list[dict[str, Any]]:
    """Who was listed last time and is not now, and what became of them."""
    if previous is None:
        return []
    gone = previous.rows.filter("listed").select("person_id", rank_before="rank", district_before="district")
    gone = gone.join(rows.filter("listed"), on="person_id", how="anti")
    gone = gone.join(rows.select("person_id", "rank"), on="person_id", how="left")
    gone = gone.join(apart.select("person_id", "reason"), on="person_id", how="left").sort("rank_before")
    return [
        row | {"why": row["reason"] or (f"now {row['rank']:,} in the ranking" if row["rank"] else "no longer scored")}
        for row in gone.iter_rows(named=True)
    ]


def _before(home: Home, t: datetime) -> PublishedList | None:
    """The last list as of an earlier moment than T."""
    earlier = [one for one in lists(home) if one.as_of < t]
    return earlier[-1] if earlier else None


def _data_until(load: Load) -> str | None:
    """When the newest event of the load became known."""
    newest = load.records().table("event")["known_from"].max()
    return newest.isoformat() if isinstance(newest, datetime) else None


def _freeze(
    home: Home, list_id: str, facts: dict[str, Any], rows: pl.DataFrame, apart: pl.DataFrame
) -> PublishedList:
    """Write the list beside its place and move it there whole; another process may have been first."""
    place = home.path / "lists" / list_id
    half = home.path / "lists" / f".{list_id}.{os.getpid()}"
    half.mkdir(parents=True)
    try:
        rows.write_parquet(half / ROWS)
        apart.write_parquet(half / APART)
        digests = {name: hashlib.sha256((half / name).read_bytes()).hexdigest() for name in (ROWS, APART)}
        text = json.dumps(facts | {"sha256": digests}, indent=1, sort_keys=True, default=str)
        (half / ABOUT).write_text(text + "\n", encoding="utf-8")
        for file in half.iterdir():
            with file.open("rb") as handle:
                os.fsync(handle.fileno())
            file.chmod(0o444)
        half.rename(place)
    except OSError:
        shutil.rmtree(half, ignore_errors=True)
        if not (place / ABOUT).is_file():
            raise
    found = read_list(home, list_id)
    return PublishedList(found.folder, found.facts, created=True)


# --- reading -----------------------------------------------------------------------------------------------


def list_ids(home: Home) -> list[str]:
    """The ids of all published lists, oldest T first; of equal T the last published comes last."""
    return [one.list_id for one in lists(home)]


def lists(home: Home) -> list[PublishedList]:
    """Every published list, oldest T first."""
    folder = home.path / "lists"
    found = [read_list(home, path.parent.name) for path in folder.glob(f"[!.]*/{ABOUT}")]
    return sorted(found, key=lambda one: (one.as_of, one.facts["published_at"], one.list_id))


def read_list(home: Home, list_id: str | None = None) -> PublishedList:
    """A published list by its id, the latest (greatest T) without one. Raises NotFoundError."""
    if list_id is None:
        known = lists(home)
        if not known:
            raise NotFoundError(
                "No list has been published yet.", where="lists", cure="Run doorstep publish --as-of DATE."
            )
        return known[-1]
    folder = home.path / "lists" / list_id
    if list_id.startswith(".") or "/" in list_id or not (folder / ABOUT).is_file():
        known_ids = [path.parent.name for path in (home.path / "lists").glob(f"[!.]*/{ABOUT}")]
        raise NotFoundError(
            f"There is no list {list_id!r}.",
            where="lists",
            cure=f"Lists here: {', '.join(sorted(known_ids)[-5:]) or 'none; run doorstep publish'}.",
        )
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


def shown(
    published: PublishedList, home: Home, *, team: str | None = None, top: int | None = None
) -> Shown:
    """The list of a team (team_id or district) or of the whole force, its first ``top`` places.

    A list is published to a fixed depth (``risk/data/list.toml``); asking for more shows what there is and says so.
    """
    view = _identity_view(published, home)
    known = teams(view) if view else []
    chosen = None if team is None else find_team(known, team, frozenset(published.rows["district"].unique().to_list()))
    places = published.facts["settings"]["places"]
    limit = top or int(places["force"] if chosen is None else places["team"])
    rows, apart, leavers = published.rows.filter("listed"), published.apart, published.facts["leavers"]
    if chosen is not None:
        patch = list(chosen.districts)
        rows = rows.filter(pl.col("district").is_in(patch))
        apart = apart.filter(pl.col("district").is_in(patch))
        leavers = [gone for gone in leavers if gone["district_before"] in patch]
    else:
        rows = rows.filter(pl.col("rank") <= places["force"]) if top is None else rows
    cut = rows.head(limit).to_dicts()
    note = "" if top is None or rows.height >= top else f"The list holds {count(rows.height, 'place')} here, not {top:,}."
    people = [*(row["person_id"] for row in cut), *apart["person_id"].to_list(), *(g["person_id"] for g in leavers)]
    return Shown(
        published, chosen, limit, cut, apart.to_dicts(), leavers, names(view, people) if view else {}, known, note
    )


def _identity_view(published: PublishedList, home: Home) -> View | None:
    """The view that can name persons: only while the load the list was made from is still the one in use."""
    load = home.current()
    return View(load, published.as_of) if load is not None else None


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
        "identity": "birth date not recorded" if row["age_unknown"] else "",
    }
