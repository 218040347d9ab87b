"""Search, as a page and as JSON: the names typed are posted, never part of an address."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import Path, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from api.access import Viewer, allow
from api.answers.search import SearchAnswer, SearchBody
from api.auth import kept
from api.desk import Desk
from api.forms import Typed
from api.routes.asked import both, desk_of
from api.searching import FIELDS, Answered
from api.templates import page
from features.errors import InputError
from risk.search import Hit
from risk.search_text import read

pages, data = both()

Looks = Annotated[Viewer, allow("search", purpose=True)]
OVER = "This search is no longer kept. Type it again."


@pages.get("/search")
def search_form(request: Request, viewer: Looks) -> HTMLResponse:
    """Where a search is typed."""
    return _page(request, viewer, dict.fromkeys(FIELDS, ""))


@pages.post("/search")
def search_typed(request: Request, viewer: Looks, form: Typed) -> Response:
    """Keep what was typed for its author alone and go to its answer, so that going back to it asks nothing again."""
    typed = {name: form.one(name) for name in FIELDS}
    try:
        read(**typed)
    except InputError as fault:
        return _page(request, viewer, typed, fault=fault, status=400)
    key = kept.keep(desk_of(request).db, viewer.account_id, "/search", list(typed.items()))
    return RedirectResponse(f"/search/{key}", 303)


@pages.get("/search/{key}")
def search_answer(request: Request, viewer: Looks, key: Annotated[str, Path(max_length=200)]) -> HTMLResponse:
    """The answer to a search typed before."""
    desk = desk_of(request)
    found = kept.find(desk.db, key, viewer.account_id)
    if found is None or found[0] != "/search":
        return _page(request, viewer, dict.fromkeys(FIELDS, ""), fault=InputError(OVER), status=404)
    typed = dict.fromkeys(FIELDS, "") | dict(found[1])
    return _page(request, viewer, typed, desk.search.ask(viewer, typed))


@data.post("/search", response_model=SearchAnswer, tags=["search"], summary="Find a person")
def search(request: Request, viewer: Looks, body: SearchBody) -> dict[str, Any]:
    """Who may be meant, the likeliest first; events and calls by their reference. Posted, so that no name is part of an
    address."""
    answered = desk_of(request).search.ask(viewer, body.model_dump())
    found = answered.found
    return {
        "referred": [
            asdict(one) | {"persons": [_as_json(hit, answered) for hit in one.persons]}
            for one in found.referred
        ],
        "hits": [_as_json(hit, answered) for hit in found.hits],
        "more": found.more,
        "elsewhere": answered.elsewhere,
    }


def _as_json(hit: Hit, answered: Answered) -> dict[str, Any]:
    return asdict(hit) | {"district": hit.district, "hold": answered.holds.get(hit.person_id)}


def _page(
    request: Request,
    viewer: Viewer,
    typed: dict[str, str],
    answered: Answered | None = None,
    *,
    fault: InputError | None = None,
    status: int = 200,
) -> HTMLResponse:
    desk = desk_of(request)
    field = fault.where.rpartition(" ")[2] if fault is not None and fault.where else ""
    said = f"{fault.what} {fault.cure}".strip() if fault is not None else ""
    errors = {field if field in FIELDS else "text": said} if fault is not None else {}
    return page(
        request,
        viewer,
        "search.html",
        status,
        typed=typed,
        errors=errors,
        districts=_districts(desk),
        answered=answered,
        now=desk.now(),
    )


def _districts(desk: Desk) -> list[str]:
    return sorted({district for team in desk.teams() for district in team.districts})
