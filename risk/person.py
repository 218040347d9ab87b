"""One person as of T: score, what it is made of, the reasons with their records, the history and the people around.

The score comes from `risk.score`, the same path the nightly list takes, so a live answer equals the listed one to
the bit when load, model and T are the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import polars as pl

from features.errors import NotFoundError
from models.intervals import columns_of, interval
from risk.ahead import ahead
from risk.dyads import dyads
from risk.history import story
from risk.network import network
from risk.options_facts import Known, bearings
from risk.published import PublishedList
from risk.reasons import Explainer, Explanation
from risk.score import SHOWN, Scored, score_cohort, shown_figures
from risk.sheet_people import age
from risk.state import State, states
from risk.statuses import cancelled
from risk.teams import districts
from risk.view import View
from risk.who import CLOSED, identity, records_of, restricted
from risk.words import between, in_100

CONVICTION = ("conviction_id", "convicted_on", "ho_code", "disposal", "custody_days")
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
NOTHING: dict[str, Any] = dict.fromkeys(SCORE_FIELDS) | {"scored": False, "in_scope": False, "figures": {}}
"""A score that there is not."""
NO_SCORE = "not scored: no domestic event as suspect in the last three years"


def require_open(view: View, person_id: str, opened: frozenset[str] = frozenset()) -> None:
    """Refuse whoever has no page: not in the records as of T, restricted (but for ``opened``), or never a suspect.

    All are refused in the same words, so that an answer does not confirm that a record exists.
    """
    person_id = view.who(person_id)
    found = view.identity("person").filter(pl.col("person_id") == person_id)
    shut = not found.is_empty() and found["access"][0] == "named_users" and person_id not in opened
    if found.is_empty() or shut or not ever_suspects(view, [person_id]):
        raise NotFoundError(
            f"There is no person {person_id!r} you can open.",
            where="persons",
            cure="Check the reference. People recorded only as victims or witnesses have no page here; a record kept "
            "for named users opens to others for a reason, under restricted records; one withheld by law stays with "
            "the force's records team.",
        )


def ever_suspects(view: View, persons: Iterable[str]) -> set[str]:
    """Those of some persons who are a suspect in any event: the ones who have a page."""
    asked, part, offence = list(persons), view.whole("involvement"), view.whole("offence")
    acting = part.filter(pl.col("person_id").is_in(asked) & (pl.col("role") == "suspect"))["person_id"]
    named = offence.filter(pl.col("suspect_id").is_in(asked))["suspect_id"]
    return set(acting.to_list()) | set(named.to_list())


def person(
    view: View,
    doc: Mapping[str, Any] | None,
    person_id: str,
    published: PublishedList | None = None,
    opened: frozenset[str] = frozenset(),
    without: str = "no model is in use",
) -> dict[str, Any]:
    """Everything the records and the model say of a person as of T. No victim's name, address or safe contact is in it.

    Any of a person's records may be asked for: the page is about the person, under one reference, and names the others
    with the match that joins them. ``opened``: people of restricted records that whoever asks may see. What lists and
    officers say of the person stands beside it (``risk.person_page``). Where no model may be used (``doc`` None) the
    records stand alone, and ``without`` says why.
    """
    require_open(view, person_id, opened)
    person_id = view.who(person_id)
    shut = frozenset(restricted(view, opened) - {person_id})
    happened, statuses = story(view, person_id)
    pairs = dyads(view, person_id, happened, shut)
    state = states(view, [person_id])[person_id]
    born = next(iter(view.table("person").filter(pl.col("person_id") == person_id)["date_of_birth"]), None)
    return {
        "person_id": person_id,
        "name": _name(view, person_id),
        "born": born,
        "age": age(born, view.t),
        "as_of": view.t,
        "district": districts(view, pl.DataFrame({"person_id": [person_id]}))["district"][0],
        "called": statuses.called(),
        "identity": identity(view, person_id),
        **_model_says(view, doc, person_id, published, without),
        "state": standing(state, shut),
        "history": [_hidden(one.as_dict(), shut) for one in happened],
        "cancelled": [one.as_dict() for one in cancelled(view, records_of(view, person_id))],
        "convictions": [{name: row[name] for name in CONVICTION} for row in statuses.convictions],
        "assessments": assessments(view, person_id, shut),
        "dyads": pairs.as_dict(),
        "network": network(view, person_id, opened=opened),
        "spans": _spans(view, person_id),
        "bearing": bearings(Known(view, person_id, born, happened, pairs, state, shut)),
        "model_version": doc["version"] if doc else None,
        "load_id": view.load.load_id,
    }


def _model_says(
    view: View,
    doc: Mapping[str, Any] | None,
    person_id: str,
    published: PublishedList | None,
    without: str,
) -> dict[str, Any]:
    """The score with its contributions, reasons and what time would change."""
    if doc is None:
        none: dict[str, Any] = {"intercept": None, "log_odds": None, "parts": []}
        return {
            "score": NOTHING | {"words": f"not scored: {without}"},
            "contributions": none,
            "reasons": reasons_of(None),
            "ahead": [],
        }
    scored = score_cohort(view.load, doc, view.t, [person_id], whole_row=True)
    explained = Explainer(view, scored, [person_id]).of(person_id) if scored.frame.height else None
    return {
        "score": score_of(doc, scored, person_id, published),
        "contributions": contributions(scored, person_id),
        "reasons": reasons_of(explained),
        "ahead": [later.as_dict() for later in ahead(view, scored, person_id)],
    }


def _name(view: View, person_id: str) -> str | None:
    """The name as recorded; whether the page may be opened at all was asked before."""
    row = next(view.identity("person").filter(pl.col("person_id") == person_id).iter_rows(named=True), {})
    return " ".join(part for part in (row.get("given_names"), row.get("family_name")) if part) or None


def standing(state: State, shut: frozenset[str]) -> dict[str, Any]:
    """The present state as plain data, whom an order protects by reference unless their record is closed."""
    told = state.as_dict()
    orders = [
        row | {"protected_id": CLOSED} if row["protected_id"] in shut else row for row in told["orders"]
    ]
    return told | {"orders": orders}


def _hidden(event: dict[str, Any], shut: frozenset[str]) -> dict[str, Any]:
    """An event without the references of people whose records are for named users."""
    sides = ("against", "accused_by", "co_suspects")
    return event | {side: [CLOSED if other in shut else other for other in event[side]] for side in sides}


def assessments(view: View, person_id: str, shut: frozenset[str] = frozenset()) -> list[dict[str, Any]]:
    """Risk assessments that victims completed about a person, newest first: somebody's judgement, as recorded."""
    rows = view.table("risk_assessment").filter(pl.col("suspect_id") == person_id)
    return [
        {
            "at": row["completed_at"],
            "tool": row["tool"],
            "grade": row["grade"],
            "reviewed": row["grade_reviewed"],
            "of": CLOSED if row["victim_id"] in shut else row["victim_id"],
            "event_id": row["event_id"],
        }
        for row in rows.sort("completed_at", "assessment_id", descending=True).iter_rows(named=True)
    ]


def score_of(
    doc: Mapping[str, Any], scored: Scored, person_id: str, published: PublishedList | None
) -> dict[str, Any]:
    """The score of one person with its place on the published list, in figures and in words.

    ``scored`` holds whole rows (``score_cohort(..., whole_row=True)``).
    """
    return placed(_score(doc, scored, person_id), place_of(published, [person_id]))


def placed(score: Mapping[str, Any], place: dict[str, Any] | None) -> dict[str, Any]:
    """A score with the person's place on a published list (:func:`place_of`), and in words."""
    if not score["scored"] and score["in_100"] is None:
        return {**score, "place": None}
    said, range_ = score["in_100"], score["between"]
    shown = f"{said} ({range_})" if range_ else said
    words = f"{shown} people with histories like this are recorded for serious harm within a year"
    if not score["scored"]:
        words = f"not scored: {score['reason_apart']}"
    elif score["reason_apart"]:
        words += f"; stands apart: {score['reason_apart']}"
    elif place is not None and not place["listed"]:
        words += f"; {NOT_PRIORITISED}"
    return {**score, "words": words, "place": place}


def _score(doc: Mapping[str, Any], scored: Scored, person_id: str) -> dict[str, Any]:
    rows = scored.frame.filter(pl.col("person_id") == person_id)
    if rows.is_empty():
        return NOTHING | {"words": NO_SCORE}
    row = rows.row(0, named=True)
    figures = shown_figures(scored).filter(pl.col("person_id") == person_id).row(0, named=True)
    low, high = _interval(doc, scored, person_id) if row["p_serious"] is not None else (None, None)
    return {
        "scored": row["p_serious"] is not None,
        "words": "",
        "in_100": in_100(row["p_serious"]),
        "between": None if low is None or high is None else between(low, high),
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
        "place": None,
    }


def _interval(doc: Mapping[str, Any], scored: Scored, person_id: str) -> tuple[float | None, float | None]:
    """The interval of the person's probability (``models.intervals``); nothing where the model keeps no refits.

    Refits may read histories that the score itself does not: ``scored`` holds the whole row.
    """
    if not columns_of(doc):
        return None, None
    found = interval(doc, scored.features.filter(pl.col("person_id") == person_id))
    return (None, None) if found is None else (found["p_low"][0], found["p_high"][0])


def place_of(published: PublishedList | None, references: Sequence[str]) -> dict[str, Any] | None:
    """Where the person stands on the published list, under whichever of their references it has."""
    if published is None:
        return None
    rows = published.rows.filter(pl.col("person_id").is_in(list(references)))
    if rows.is_empty():
        return None
    row = rows.row(0, named=True)
    kept = ("person_id", "rank", "rank_before", "places_moved", "movement", "listed", "district", "team_rank",
            "count_rank", "in_100")  # fmt: skip
    counts = published.facts["counts"]
    told = {name: row[name] for name in kept}
    return {"list_id": published.list_id, "as_of": published.as_of, "of": counts["ranked"]} | told


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
    return in_words(score_alone(view, doc, person_id), place_of(published, [person_id]))


def score_alone(view: View, doc: Mapping[str, Any], person_id: str) -> dict[str, Any]:
    """What a sheet says of the score that no list changes: ``score``, up to three ``reasons``, ``model_version``."""
    scored = score_cohort(view.load, doc, view.t, [person_id], whole_row=True)
    said = _score(doc, scored, person_id)
    top = Explainer(view, scored, [person_id]).of(person_id).top(3) if said["scored"] else []
    return {"score": said, "reasons": top, "model_version": doc["version"]}


def in_words(alone: Mapping[str, Any], place: dict[str, Any] | None) -> dict[str, Any]:
    """:func:`score_alone` with the place on a list (:func:`place_of`)."""
    said = placed(alone["score"], place)
    there = said.get("place")
    return {
        "words": said["words"],
        "reasons": alone["reasons"],
        "rank": there and there["rank"],
        "of": there and there["of"],
        "listed": bool(there and there["listed"]),
        "model_version": alone["model_version"],
    }


def unscored(why: str) -> dict[str, Any]:
    """What stands in the place of a score when no model may be used: why, and no figure."""
    return {
        "words": f"not scored: {why.rstrip('.')}",
        "reasons": [],
        "rank": None,
        "of": None,
        "listed": False,
        "model_version": None,
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
