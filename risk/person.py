"""One person as of T: score, what it is made of, the reasons with their records, the history and the people around.

The score comes from `risk.score`, the same path the nightly list takes, so a live answer equals the listed one to
the bit when load, model and T are the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import polars as pl

from features.errors import NotFoundError
from features.histories import histories
from models.intervals import columns_of, interval
from risk.ahead import ahead
from risk.history import history
from risk.network import network
from risk.published import PublishedList, names
from risk.reasons import Explainer, Explanation
from risk.score import SHOWN, Scored, score_cohort, shown_figures
from risk.state import states
from risk.teams import districts
from risk.view import View
from risk.who import identity
from risk.words import between, in_100

NOT_PRIORITISED = "not prioritised by the model"
SCORE_FIELDS = (
    "in_100",
    "between",
    "p_serious",
    "p_low",
    "p_high",
    "p_any",
    "expected_harm",
    "reason_apart",
    "age_unknown",
    "first_time",
    "release_due",
    "place",
)
NO_SCORE = "not scored: no domestic event as suspect in the last three years"


def require_open(view: View, person_id: str) -> None:
    """Refuse whoever has no page: not in the records as of T, restricted, or never a suspect.

    All are refused in the same words, so that an answer does not confirm that a record exists.
    """
    person_id = view.who(person_id)
    found = view.identity("person").filter(pl.col("person_id") == person_id)
    if found.is_empty() or found["access"][0] == "named_users" or not _ever_suspect(view, person_id):
        raise NotFoundError(
            f"There is no person {person_id!r} you can open.",
            where="persons",
            cure="Check the reference. People recorded only as victims or witnesses have no page here; a record "
            "restricted to named users or withheld by law is opened by the force's records team.",
        )


def _ever_suspect(view: View, person_id: str) -> bool:
    part, offence = view.whole("involvement"), view.whole("offence")
    acting = part.filter((pl.col("person_id") == person_id) & (pl.col("role") == "suspect"))
    return acting.height > 0 or offence.filter(pl.col("suspect_id") == person_id).height > 0


def person(
    view: View, doc: Mapping[str, Any], person_id: str, published: PublishedList | None = None
) -> dict[str, Any]:
    """Everything a person page shows. No victim's name, address or safe contact is in it.

    Any of a person's records may be asked for: the page is about the person, under one reference, and names the others
    with the match that joins them.
    """
    require_open(view, person_id)
    person_id = view.who(person_id)
    scored = score_cohort(view.load, doc, view.t, [person_id])
    explained = Explainer(view, scored, [person_id]).of(person_id) if scored.frame.height else None
    happened = history(view, person_id)
    district = districts(view, pl.DataFrame({"person_id": [person_id]}))["district"][0]
    return {
        "person_id": person_id,
        "name": names(view, [person_id]).get(person_id),
        "as_of": view.t,
        "district": district,
        "identity": identity(view, person_id),
        "score": score_of(view, doc, scored, person_id, published),
        "contributions": contributions(scored, person_id),
        "reasons": reasons_of(explained),
        "ahead": [later.as_dict() for later in ahead(view, scored, person_id)],
        "state": states(view, [person_id])[person_id].as_dict(),
        "history": [one.as_dict() for one in happened],
        "network": network(view, person_id),
        "spans": _spans(view, person_id),
        "model_version": doc["version"],
        "load_id": view.load.load_id,
    }


def score_of(
    view: View, doc: Mapping[str, Any], scored: Scored, person_id: str, published: PublishedList | None
) -> dict[str, Any]:
    """The score of one person with its place on the published list, in figures and in words."""
    rows = scored.frame.filter(pl.col("person_id") == person_id)
    if rows.is_empty():
        return dict.fromkeys(SCORE_FIELDS) | {
            "scored": False,
            "words": NO_SCORE,
            "in_scope": False,
            "figures": {},
        }
    row = rows.row(0, named=True)
    place = _place(published, person_id)
    figures = shown_figures(scored).filter(pl.col("person_id") == person_id).row(0, named=True)
    said = in_100(row["p_serious"])
    low, high = _interval(view, doc, person_id) if row["p_serious"] is not None else (None, None)
    range_ = None if low is None or high is None else between(low, high)
    shown = f"{said} ({range_})" if range_ else said
    words = f"{shown} people with histories like this are recorded for serious harm within a year"
    if row["p_serious"] is None:
        words = f"not scored: {row['out_of_scope_reason']}"
    elif row["out_of_scope_reason"]:
        words += f"; stands apart: {row['out_of_scope_reason']}"
    elif place is not None and not place["listed"]:
        words += f"; {NOT_PRIORITISED}"
    return {
        "scored": row["p_serious"] is not None,
        "words": words,
        "in_100": said,
        "between": range_,
        "p_serious": row["p_serious"],
        "p_low": low,
        "p_high": high,
        "p_any": row["p_any"],
        "expected_harm": row["expected_harm"],
        "in_scope": row["in_scope"],
        "reason_apart": row["out_of_scope_reason"],
        "age_unknown": row["age_unknown"],
        "first_time": row["first_time"],
        "release_due": row["release_due"],
        "figures": {name: figures.get(name) for name in SHOWN},
        "place": place,
    }


def _interval(view: View, doc: Mapping[str, Any], person_id: str) -> tuple[float | None, float | None]:
    """The interval of the person's probability (``models.intervals``); nothing where the model keeps no refits.

    Worked out when a page asks for it: refits may read histories that the score itself does not.
    """
    columns = columns_of(doc)
    if not columns:
        return None, None
    keys = pl.DataFrame({"person_id": [person_id]})
    near = view.load.near([person_id], view.t)
    rows = histories(near, "offender", view.t, subjects=keys, columns=columns, engine="auto")
    found = interval(doc, rows)
    return (None, None) if found is None else (found["p_low"][0], found["p_high"][0])


def _place(published: PublishedList | None, person_id: str) -> dict[str, Any] | None:
    """Where the person stands on the published list."""
    if published is None:
        return None
    rows = published.rows.filter(pl.col("person_id") == person_id)
    if rows.is_empty():
        return None
    row = rows.row(0, named=True)
    kept = (
        "rank",
        "rank_before",
        "places_moved",
        "movement",
        "listed",
        "district",
        "team_rank",
        "count_rank",
    )
    counts = published.facts["counts"]
    return {"list_id": published.list_id, "of": counts["ranked"]} | {name: row[name] for name in kept}


def contributions(scored: Scored, person_id: str) -> dict[str, Any]:
    """The exact sum: intercept, one part a column, and the log-odds they add up to."""
    rows = scored.frame.filter(pl.col("person_id") == person_id)
    if rows.is_empty() or rows["p_serious"][0] is None:
        return {"intercept": None, "log_odds": None, "parts": []}
    p = rows["p_serious"][0]
    parts = scored.contributions([person_id]).select("column", "value", "contribution").to_dicts()
    base = next(part["contribution"] for part in parts if part["column"] == "(intercept)")
    rest = [part for part in parts if part["column"] != "(intercept)"]
    rest.sort(key=lambda part: (-abs(part["contribution"]), part["column"]))
    return {"intercept": base, "log_odds": math.log(p / (1 - p)), "parts": rest}


def reasons_of(explained: Explanation | None) -> dict[str, Any]:
    """The reasons of a score: what raises it, what lowers it, what it had to do without."""
    if explained is None:
        return {"raises": [], "lowers": [], "missing": [], "not_fed": []}
    return {
        "raises": explained.raises(),
        "lowers": explained.lowers(),
        "missing": explained.missing,
        "not_fed": explained.not_fed,
    }


def score_in_words(
    view: View, doc: Mapping[str, Any], person_id: str, published: PublishedList | None
) -> dict[str, Any]:
    """The score as a before-attending sheet says it: words and up to three reasons."""
    person_id = view.who(person_id)
    scored = score_cohort(view.load, doc, view.t, [person_id])
    said = score_of(view, doc, scored, person_id, published)
    top = Explainer(view, scored, [person_id]).of(person_id).top(3) if said["scored"] else []
    place = said.get("place")
    return {
        "words": said["words"],
        "reasons": top,
        "rank": place and place["rank"],
        "of": place and place["of"],
        "listed": bool(place and place["listed"]),
        "model_version": doc["version"],
    }


def _spans(view: View, person_id: str) -> list[dict[str, Any]]:
    """Stretches of time for the timeline picture: spells, custody, bail and orders."""
    found: list[dict[str, Any]] = []

    def add(table: str, key: str, start: str, ends: tuple[str, ...], name: str) -> None:
        rows = view.whole(table).filter(pl.col(key) == person_id)
        for row in rows.iter_rows(named=True):
            end = min((row[e] for e in ends if row[e] is not None), default=None)
            found.append({"lane": name, "label": str(row.get("state") or row.get("kind") or name),
                          "from": row[start], "to": end})  # fmt: skip

    add("spell", "person_id", "started_on", ("ended_on",), "prison, remand, licence")
    add("custody", "person_id", "arrested_at", ("released_at",), "custody")
    add("bail", "person_id", "from_at", ("until_at", "cancelled_at"), "bail")
    add("order", "respondent_id", "made_on", ("expires_on", "discharged_on"), "orders")
    unique = {(s["lane"], s["label"], s["from"], s["to"]): s for s in found}
    return sorted(unique.values(), key=lambda s: (s["lane"], s["from"], s["label"]))
