"""Published lists: who a team should look at first, frozen on the day with everything needed to explain it later.

A list lives in HOME/lists/<list_id>/: ``list.json`` (what it was made from, who joined and left, digests of the two
tables), ``rows.parquet`` (every ranked person; those with ``listed`` are the list, the others "not prioritised by
the model") and ``apart.parquet`` (who stands apart, and why). The folder is written beside and renamed into place,
its files are read-only, and its name is a digest of its inputs: publishing the same twice gives the same list. What
people decided that changes a list (the number of places, nominations, who was taken on, holds) is among them.

A row holds references and figures, never a victim's name, address or safe contact, and no name of the person
either: names are looked up in the identity store when an authorised person opens the list.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from features.home import Home, Load
from features.nominals import onto
from models.approval import usable
from models.store import champion, code_version
from risk import capacity
from risk.choices import Choices, choices_at
from risk.exposure import write_exposure
from risk.places import Rules, allot, as_placed, counted
from risk.published import ABOUT, APART, ROWS, PublishedList, list_ids, lists, read_list
from risk.reasons import Explainer
from risk.score import Scored, refuse_future, score_cohort, set_apart, shown_figures
from risk.settings import settings
from risk.state import states
from risk.store import Database
from risk.teams import districts
from risk.view import View
from risk.who import doubled
from risk.words import in_100

__all__ = ["PublishedList", "list_ids", "publish", "read_list"]

ROOMS = ("features", "models", "risk")  # the code that can change a number or a sentence on a list


@dataclass(frozen=True)
class _Previous:
    """The last list: what it says of itself and its rows."""

    facts: dict[str, Any]
    rows: pl.DataFrame


def publish(home: Home, t: datetime, choices: Choices | None = None) -> PublishedList:
    """Freeze the list as of T from the load and the model in use; the same again returns the same list.

    ``choices``: what people decided that changes it; what the home's database says for T without it.
    Raises InputError when T is in the future, nothing is loaded, no model is in use, or the one in use may not be used
    for these records (``models.approval.usable``). An empty cohort gives an empty list.
    """
    refuse_future(t)
    load, doc = home.require(), champion(home.path)
    view, last = View(load, t), _before(home, t)
    previous = _as_now(last, view)
    choices = _that_count(_decided(home, t) if choices is None else choices, view, previous)
    values, own = settings("list"), capacity.places(choices.places)
    values = values | {"places": own[0], "districts": own[1]}
    edition, rules = doc.get("harm", {}), _rules(values)
    inputs = {
        "as_of": t.astimezone(UTC).isoformat(),
        "load_id": load.load_id,
        "records": load.records().state,
        "model_version": doc["version"],
        "harm": edition,
        "code_version": code_version(ROOMS),
        "settings": values,
        "choices": choices.as_inputs(),
        "after": last and last.list_id,
    }
    digest = hashlib.sha256(json.dumps(inputs, sort_keys=True, default=str).encode()).hexdigest()
    list_id = f"{t.astimezone(UTC):%Y%m%dT%H%MZ}-{digest[:10]}"
    if (home.path / "lists" / list_id / ABOUT).is_file():
        return read_list(home, list_id)
    # a list that is there already stays; a new one needs a model that may be used
    approved = usable(home.path, load.nature, doc["version"])
    scored = set_apart(score_cohort(load, doc, t), choices.held, settings("decisions")["hold"]["apart"])
    rows = _rows(view, scored, previous, values, choices)
    apart = _apart(view, scored, values)
    facts = inputs | {
        "list_id": list_id,
        "nature": load.nature,
        "published_at": datetime.now(UTC).isoformat(timespec="microseconds"),
        "approval": {**approved.to_dict(), "notes": approved.notes(datetime.now(UTC))},
        "data_until": _data_until(load),
        "horizon_days": doc.get("horizon_days", 365),
        "previous": previous
        and {key: previous.facts[key] for key in ("list_id", "as_of", "model_version", "load_id")},
        "leavers": _leavers(rows, apart, previous),
        "not_placed": _not_placed(rows, apart, choices),
        "places": counted(rows, rules),
        "counts": {
            "ranked": rows.height,
            "listed": int(rows["listed"].sum()),
            "apart": apart.height,
            "entrants": int((rows["movement"] == "new").sum()) if previous else int(rows["listed"].sum()),
        },
    }
    made = _freeze(home, list_id, facts, rows, apart)
    with closing(Database.of(home.path)) as db:
        write_exposure(home, db)
    return made


def _decided(home: Home, t: datetime) -> Choices:
    """What the home's database says had been decided for T."""
    with closing(Database.of(home.path)) as db:
        return choices_at(db, t)


def _that_count(choices: Choices, view: View, previous: _Previous | None) -> Choices:
    """Of what people decided that which bears on this list, under the references of now."""
    placed = previous.rows.filter(pl.col("place").is_not_null()) if previous else None
    listed = set() if placed is None else set(placed["person_id"])
    return choices.under(view.clusters).about(set(view.everyone()), listed)


def _rules(values: dict[str, Any]) -> Rules:
    stay, share = timedelta(days=values["stay"]["days"]), float(values["reserve"]["share"])
    return Rules(values["places"]["force"], values["places"]["team"], values["districts"], share, stay)


def _rows(
    view: View, scored: Scored, previous: _Previous | None, values: dict[str, Any], choices: Choices
) -> pl.DataFrame:
    """One row a ranked person; sentences, state and citations for those who are listed."""
    shown = shown_figures(scored).select(
        "person_id",
        incidents_30=_whole("domestic_events_30d"),
        incidents_90=_whole("domestic_events_90d"),
        incidents_365=_whole("domestic_events_365d"),
        harm_days_365="harm_days_365d",
        days_since=pl.col("days_since_domestic").cast(pl.Int64),
        victims_1095=pl.col("distinct_victims_1095d").cast(pl.Int64),
    )
    rows = (
        scored.frame.filter("in_scope")
        .join(shown, on="person_id", how="left")
        .join(districts(view, scored.frame), on="person_id", how="left")
        .join(doubled(view), on="person_id", how="left")
        .with_columns(linked=_linked(view))
        .sort("rank")
        .with_columns(team_rank=pl.int_range(1, pl.len() + 1, dtype=pl.Int64).over("district"))
        .with_columns(in_100=pl.col("p_serious").map_elements(in_100, return_dtype=pl.String))
    )
    rows = allot(rows, previous.rows if previous else None, choices, _rules(values), view.t)
    rows = _moved(rows, previous)
    listed = rows.filter("listed")["person_id"].to_list()
    return rows.join(_told(view, scored, listed, values), on="person_id", how="left").sort("rank")


def _linked(view: View) -> pl.Expr:
    """Whether the person was compared with other records at the last link run; true where there never was one."""
    links = view.records.links
    return pl.lit(True) if links is None else pl.col("person_id").is_in(links.persons["person_id"].implode())


def _whole(column: str) -> pl.Expr:
    return pl.col(column).fill_null(0).cast(pl.Int64)


def _moved(rows: pl.DataFrame, previous: _Previous | None) -> pl.DataFrame:
    """Rank on the last list and what became of it; "new" is: not listed then, listed now."""
    if previous is None:
        empty = pl.DataFrame(
            schema={"person_id": pl.String, "rank_before": pl.Int64, "was_listed": pl.Boolean}
        )
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
        "references": pl.List(pl.String),
        "more": pl.Int64,
    }
)
TOLD: dict[str, Any] = {
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


def _leavers(rows: pl.DataFrame, apart: pl.DataFrame, previous: _Previous | None) -> list[dict[str, Any]]:
    """Who was listed last time and is not now, and what became of them."""
    if previous is None:
        return []
    gone = previous.rows.filter("listed").select("person_id", rank_before="rank", district_before="district")
    gone = gone.join(rows.filter("listed"), on="person_id", how="anti")
    gone = gone.join(rows.select("person_id", "rank"), on="person_id", how="left")
    gone = gone.join(apart.select("person_id", "reason"), on="person_id", how="left").sort("rank_before")
    return [
        row
        | {
            "why": row["reason"]
            or (f"now {row['rank']:,} in the ranking" if row["rank"] else "no longer scored")
        }
        for row in gone.iter_rows(named=True)
    ]


def _not_placed(rows: pl.DataFrame, apart: pl.DataFrame, choices: Choices) -> list[dict[str, Any]]:
    """Whose nomination was accepted and found no place, and why."""
    listed = set(rows.filter("listed")["person_id"])
    ranks = dict(rows.select("person_id", "rank").iter_rows())
    aside = dict(apart.select("person_id", "reason").iter_rows())
    return [
        {
            "person_id": one.person_id,
            "nomination": one.nomination_id,
            "why": aside.get(one.person_id)
            or ("every reserve place is taken" if one.person_id in ranks else "not in the records ranked"),
        }
        for one in choices.nominated
        if one.person_id not in listed
    ]


def _as_now(previous: PublishedList | None, view: View) -> _Previous | None:
    """The last list with its persons under the references of now: who has since turned out to be someone on it
    already is not new, and of two who have turned out to be one the better place counts."""
    if previous is None:
        return None
    rows = as_placed(previous.rows, previous.facts["settings"]["places"], previous.as_of)
    rows = onto(rows, view.clusters).sort("rank").unique("person_id", keep="first", maintain_order=True)
    return _Previous(previous.facts, rows)


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
