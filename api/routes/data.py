"""JSON under /api/v1: lists, persons, sheets, health. Every look at a person is written down first."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from api import answers
from api.desk import Desk
from api.printing import list_as_dict
from risk.person import person, require_open, score_in_words
from risk.published import PublishedList, lists, shown
from risk.sheet import sheet
from risk.teams import find_team, teams

BY = "api"
PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": answers.Problem, "content": {"application/problem+json": {}}, "description": text}
    for status, text in {
        400: "The request, the load or the home is at fault; the cure says what to do.",
        403: "Not from this machine.",
        404: "No such list, person or team, or not one you can open.",
    }.items()
}
router = APIRouter(prefix="/api/v1", responses=PROBLEMS)

Team = Annotated[
    str | None, Query(description="A team_id or a district; the whole force without it.", max_length=80)
]
Top = Annotated[int | None, Query(description="How many places.", ge=1, le=10_000)]
AsOf = Annotated[
    str | None,
    Query(
        description="T: a date (06:00 London) or a time; that of the latest list without it.", max_length=40
    ),
]


def desk_of(request: Request) -> Desk:
    """The desk of the running service."""
    found: Desk = request.app.state.desk
    return found


@router.get(
    "/health", response_model=answers.Health, tags=["service"], summary="Load, model, list, age of data"
)
def health(request: Request) -> dict[str, Any]:
    """What is loaded, how old it is, which model and which list are in use. Names nobody."""
    return desk_of(request).health()


@router.get("/lists", response_model=answers.Lists, tags=["lists"], summary="Published lists")
def all_lists(request: Request, team: Team = None) -> dict[str, Any]:
    """Every published list, newest first; with ``team`` the counts are those of its patch."""
    desk = desk_of(request)
    desk.look("lists", BY, [], detail=team or "")
    found = list(reversed(lists(desk.home)))
    known = teams(desk.view(found[0].as_of)) if found else []
    patch = None if team is None else find_team(known, team).districts
    return {
        "lists": [one.about() | {"counts": _counts(one, patch)} for one in found],
        "teams": [_team(one) for one in known],
    }


def _counts(one: PublishedList, patch: tuple[str, ...] | None) -> dict[str, int]:
    if patch is None:
        return dict(one.facts["counts"])
    rows = one.rows.filter(one.rows["district"].is_in(list(patch)))
    return {
        "ranked": rows.height,
        "listed": int(rows["listed"].sum()),
        "apart": int(one.apart["district"].is_in(list(patch)).sum()),
        "entrants": int((rows["movement"] == "new").sum())
        if one.facts["previous"]
        else int(rows["listed"].sum()),
    }


def _team(team: Any) -> dict[str, Any]:
    return {"team_id": team.team_id, "name": team.name, "districts": list(team.districts)}


@router.get(
    "/lists/{list_id}", response_model=answers.ListAnswer, tags=["lists"], summary="A list, or the latest"
)
def one_list(request: Request, list_id: str, team: Team = None, top: Top = None) -> dict[str, Any]:
    """A published list by its id, or ``latest``; of one team or the whole force."""
    desk = desk_of(request)
    desk.load()
    view = shown(desk.published(list_id), desk.home, team=team, top=top)
    desk.look("list", BY, view.persons(), view.published.list_id, view.team_name)
    return list_as_dict(view)


@router.get("/persons/{person_id}", response_model=answers.PersonAnswer, tags=["persons"], summary="A person")
def one_person(request: Request, person_id: str, as_of: AsOf = None) -> dict[str, Any]:
    """History, score, the contributions that sum to it, reasons with their records, the people around."""
    desk = desk_of(request)
    t, published = desk.moment(as_of)
    view = desk.view(t)
    require_open(view, person_id)
    desk.look(
        "person", BY, sorted({person_id, view.who(person_id)}), published.list_id if published else None
    )
    found = person(view, desk.model(published), person_id, published)
    return found | {"network": found["network"].as_dict(), "reasons": reasons_as_dict(found["reasons"])}


@router.get(
    "/persons/{person_id}/sheet",
    response_model=answers.SheetAnswer,
    tags=["persons"],
    summary="Before attending",
)
def one_sheet(request: Request, person_id: str, as_of: AsOf = None) -> dict[str, Any]:
    """Where the person may be, who else is there, what happened before, the score in words, what was promised."""
    desk = desk_of(request)
    t, published = desk.moment(as_of)
    view = desk.view(t)
    require_open(view, person_id)
    desk.look("sheet", BY, sorted({person_id, view.who(person_id)}), published.list_id if published else None)
    found = sheet(view, person_id, score_in_words(view, desk.model(published), person_id, published))
    score = found["score"] | {"reasons": [reason_as_dict(reason) for reason in found["score"]["reasons"]]}
    return found | {"score": score}


def reasons_as_dict(reasons: dict[str, Any]) -> dict[str, Any]:
    """Reasons for a machine."""
    return {
        "raises": [reason_as_dict(reason) for reason in reasons["raises"]],
        "lowers": [reason_as_dict(reason) for reason in reasons["lowers"]],
        "missing": reasons["missing"],
        "not_fed": reasons["not_fed"],
    }


def reason_as_dict(reason: Any) -> dict[str, Any]:
    """One reason for a machine."""
    return {
        "group": reason.group,
        "title": reason.title,
        "sentence": reason.sentence,
        "contribution": reason.contribution,
        "columns": reason.columns,
        "cited": [
            {"event_id": one.event_id, "reference": one.reference, "at": one.at} for one in reason.cited
        ],
    }
