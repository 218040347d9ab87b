"""K, and how far officers and lists agree: what supervisors set and look at."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from api.access import Viewer, allow
from api.answers.decisions import CONFLICT, Agreement, Place, Places, PlacesSent
from api.deciding import crossed, errors_of, number_of
from api.forms import Typed
from api.routes.asked import Limit, Offset, both, desk_of, next_page
from api.templates import page
from features.errors import InputError
from risk import capacity
from risk.agreement import agreement
from risk.settings import settings
from risk.written import CrossedError, FieldError

pages, data = both()

Manager = Annotated[Viewer, allow("list.manage")]
Supervisor = Annotated[Viewer, allow("supervise")]
PAGE, AGREEMENT = "/supervise/places", "/supervise/agreement"


@pages.get(PAGE)
def ask(request: Request, viewer: Manager, done: Annotated[str, Query(max_length=20)] = "") -> HTMLResponse:
    """How many places each list has, how the latest used them, and the form."""
    desk_of(request).look(viewer, "consultation", PAGE)
    return _form(request, viewer, {}, done=done)


@pages.post(PAGE)
def set_them(request: Request, viewer: Manager, form: Typed) -> Response:
    """Set the places of one list."""
    scope, places = form.one("scope"), form.one("places")
    try:
        number = _whole(places)
        _set(request, viewer, scope, number, form.one("reason"), number_of(form, f"version_{scope}"))
    except FieldError as fault:
        return _form(request, viewer, form.typed(), errors=errors_of(fault), status=400)
    except CrossedError as fault:
        return _form(request, viewer, form.typed(), newer=fault, status=409)
    return RedirectResponse(f"{PAGE}?done=places", 303)


def _whole(text: str) -> int | None:
    try:
        return int(text.replace(",", "")) if text else None
    except ValueError:
        cure = "Give a whole number, or leave it empty for what the settings say."
        raise FieldError("places", "This is not a number.", cure) from None


def _set(
    request: Request, viewer: Viewer, scope: str, places: int | None, reason: str, version: int
) -> dict[str, Any]:
    desk = desk_of(request)
    if scope not in _scopes(request, viewer):
        raise FieldError("scope", "Choose a list.", "Select one of those offered.")
    with desk.db.begin():
        made = capacity.set_places(desk.db, viewer.who, scope, places, reason, desk.now(), version)
        desk.look(viewer, "alteration", PAGE, detail=f"places of {scope}: {places or 'as the settings say'}")
    return made


def _scopes(request: Request, viewer: Viewer) -> dict[str, str]:
    """The lists whose places this viewer may set: of the whole force only who sees all of it."""
    latest = desk_of(request).latest()
    known = set(latest.rows["district"]) if latest is not None else set()
    known |= {name for team in desk_of(request).teams() for name in team.districts}
    own = {name: f"District {name}" for name in sorted(known) if viewer.sees(name)}
    if viewer.districts:
        return own
    return {capacity.FORCE: "The force", capacity.EVERY: "Every district without its own number", **own}


def _form(
    request: Request,
    viewer: Viewer,
    typed: dict[str, str],
    *,
    errors: dict[str, str] | None = None,
    newer: CrossedError | None = None,
    status: int = 200,
    done: str = "",
) -> HTMLResponse:
    desk = desk_of(request)
    latest = capacity.latest(desk.db)
    general, own = capacity.places({scope: row["places"] for scope, row in latest.items()})
    published = desk.latest()
    return page(
        request,
        viewer,
        "places.html",
        status,
        scopes=_scopes(request, viewer),
        general=general,
        own=own,
        versions={scope: row["number"] for scope, row in latest.items()},
        made=capacity.settings_made(desk.db),
        used=published.facts.get("places") if published else None,
        published=published,
        rules=settings("list"),
        typed=typed,
        errors=errors or {},
        newer=newer,
        done=done,
    )


@pages.get(AGREEMENT)
def agreed(
    request: Request, viewer: Supervisor, district: Annotated[str, Query(max_length=80)] = ""
) -> HTMLResponse:
    """How far officers and lists agreed, list by list."""
    desk_of(request).look(viewer, "consultation", AGREEMENT)
    lines, districts = _agreement(request, viewer, district)
    return page(
        request,
        viewer,
        "agreement.html",
        lines=lines,
        district=district,
        districts=districts,
        choices=settings("decisions")["choices"],
    )


def _agreement(request: Request, viewer: Viewer, district: str) -> tuple[list[dict[str, Any]], list[str]]:
    desk = desk_of(request)
    lists = desk.lists()
    known = sorted({name for one in lists for name in one.rows["district"].unique() if viewer.sees(name)})
    if district and district not in known:
        raise InputError(
            "There is no such district, or not one of yours.",
            where="district",
            cure="Choose one of those offered.",
        )
    within = [district] if district else (known if viewer.districts else None)
    return agreement(desk.db, lists, within), known


@data.get("/agreement", response_model=Agreement, tags=["decisions"], summary="Officers and lists, over time")
def agreement_data(
    request: Request,
    viewer: Supervisor,
    district: Annotated[str, Query(max_length=80, description="Of one district alone.")] = "",
    offset: Offset = 0,
    limit: Limit = 100,
) -> dict[str, Any]:
    """A line a list, newest first. Nobody is named, and no officer is counted."""
    lines, _ = _agreement(request, viewer, district)
    part = lines[offset : offset + limit]
    return {"lists": part, "next": next_page(request, offset, limit, len(lines))}


@data.get("/places", response_model=Places, tags=["lists"], summary="How many places lists have")
def places_data(request: Request, viewer: Manager) -> dict[str, Any]:
    """The places of the force and of districts, and what was set by whom."""
    latest = capacity.latest(desk_of(request).db)
    general, own = capacity.places({scope: row["places"] for scope, row in latest.items()})
    return {**general, "districts": own, "set": list(latest.values())}


@data.post(
    "/places",
    status_code=201,
    response_model=Place,
    responses=CONFLICT,
    tags=["lists"],
    summary="Set how many places a list has",
)
def place_data(request: Request, viewer: Manager, sent: PlacesSent) -> Any:
    """Set them from today on, for the next list; 409 when somebody set them after the version you had seen."""
    try:
        return _set(request, viewer, sent.scope, sent.places, sent.reason, sent.version)
    except CrossedError as fault:
        return crossed(request, fault)
