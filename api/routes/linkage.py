"""For records staff: uncertain pairs, both records side by side, and the decision that they are one person or two.

The queue names nobody. A pair is opened with a purpose and the look is written down; no score is on any of it.
"""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Path, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from markupsafe import Markup

from api.access import Viewer, allow
from api.answers.records import Decided, OnePair, PairDecision, WaitingPairs
from api.desk import Desk
from api.forms import Typed
from api.routes.asked import both, desk_of
from api.templates import page
from features.errors import InputError
from features.linkage.review import Compared, decide, waterfall
from risk.pairs_review import Queue, pair, side, waiting
from risk.view import View

pages, data = both()

Looks = Annotated[Viewer, allow("linkage.review")]
Opens = Annotated[Viewer, allow("linkage.review", purpose=True)]
Reference = Annotated[str, Path(max_length=200)]
Offset = Annotated[int, Query(ge=0, le=1_000_000, description="How many to pass over.")]
PAGE, LONGEST = 50, 2000


@pages.get("/linkage")
def pairs_page(request: Request, viewer: Looks, offset: Offset = 0, done: str = "") -> HTMLResponse:
    """Pairs that wait for a decision."""
    desk = desk_of(request)
    desk.look(viewer, "consultation", "/linkage")
    try:
        found: Queue | None = _queue(desk, viewer)
        nothing = ""
    except InputError as fault:  # never linked: the page says what to do
        found, nothing = None, f"{fault.what} {fault.cure}"
    shown = found.pairs[offset : offset + PAGE] if found else []
    later = f"/linkage?offset={offset + PAGE}" if found and len(found.pairs) > offset + PAGE else ""
    before = f"/linkage?offset={max(offset - PAGE, 0)}" if offset else ""
    facts: dict[str, Any] = {"queue": found, "pairs": shown, "nothing": nothing}
    return page(request, viewer, "linkage.html", before=before, after=later, done=done, **facts)


@pages.get("/linkage/{a}/{b}")
def pair_page(request: Request, viewer: Opens, a: Reference, b: Reference) -> HTMLResponse:
    """A pair, side by side."""
    desk = desk_of(request)
    return _shown(request, viewer, _open(desk, viewer, a, b, "/linkage/{a}/{b}"))


@pages.post("/linkage/{a}/{b}")
def pair_decided(request: Request, viewer: Opens, a: Reference, b: Reference, form: Typed) -> Response:
    """One person, or two."""
    desk = desk_of(request)
    found = _open(desk, viewer, a, b, "/linkage/{a}/{b}")
    said, reason = form.one("same"), form.one("reason")
    errors = {}
    if said not in ("yes", "no"):
        errors["same"] = "Say whether they are one person or two."
    if len(reason) < 3 or len(reason) > LONGEST:
        errors["reason"] = f"Say why, in 3 to {LONGEST:,} characters."
    if errors:
        return _shown(request, viewer, found, form.typed(), errors, 400)
    _decide(desk, viewer, found, said == "yes", reason)
    return RedirectResponse(f"/linkage?done={quote('+'.join(found.persons))}", 303)


@data.get("/linkage", response_model=WaitingPairs, tags=["records"], summary="Pairs that wait for a decision")
def pairs_data(request: Request, viewer: Looks, offset: Offset = 0) -> dict[str, Any]:
    """Uncertain pairs by reference, the likeliest first, fifty a page."""
    desk = desk_of(request)
    desk.look(viewer, "consultation", "/linkage")
    found = _queue(desk, viewer)
    shown = found.pairs[offset : offset + PAGE]
    return {
        "pairs": [{"persons": one.persons, "probability": one.probability} for one in shown],
        "closed": found.closed,
        "decided": found.decided,
        "next": offset + PAGE if len(found.pairs) > offset + PAGE else None,
    }


@data.get("/linkage/{a}/{b}", response_model=OnePair, tags=["records"], summary="A pair, side by side")
def pair_data(request: Request, viewer: Opens, a: Reference, b: Reference) -> dict[str, Any]:
    """Both records as they were written, and what each field is worth."""
    desk = desk_of(request)
    found = _open(desk, viewer, a, b, "/linkage/{a}/{b}")
    view = _view(desk, found.persons)
    return {
        "persons": found.persons,
        "probability": found.probability,
        "start": found.start,
        "compared": [
            dict(zip(("field", "left", "right", "bits"), line, strict=True)) for line in found.lines
        ],
        "left": side(view, found.persons[0]),
        "right": side(view, found.persons[1]),
    }


@data.post("/linkage/{a}/{b}", response_model=Decided, tags=["records"], summary="Decide on a pair")
def decide_data(
    request: Request, viewer: Opens, a: Reference, b: Reference, said: PairDecision
) -> dict[str, Any]:
    """Say that they are one person or two. It holds from now on; a later decision may undo it."""
    desk = desk_of(request)
    found = _open(desk, viewer, a, b, "/linkage/{a}/{b}")
    return _decide(desk, viewer, found, said.same, said.reason)


def _view(desk: Desk, persons: tuple[str, ...]) -> View:
    return desk.around(list(persons), desk.now())


def _queue(desk: Desk, viewer: Viewer) -> Queue:
    return waiting(desk.home, desk.view(desk.now()), viewer.opened)


def _open(desk: Desk, viewer: Viewer, a: str, b: str, where: str) -> Compared:
    found = pair(desk.home, desk.view(desk.now()), a, b, viewer.opened)
    desk.look(viewer, "consultation", where, found.persons)
    return found


def _decide(desk: Desk, viewer: Viewer, found: Compared, same: bool, reason: str) -> dict[str, Any]:
    a, b = found.persons
    words = "one person" if same else "two people"
    with desk.db.begin():  # a decision that is refused leaves no row
        desk.look(viewer, "alteration", "/linkage/{a}/{b}", [a, b], detail=f"{words}: {reason}")
        return decide(desk.home, a, b, same=same, by=viewer.account, reason=reason)


def _shown(
    request: Request,
    viewer: Viewer,
    found: Compared,
    typed: dict[str, str] | None = None,
    errors: dict[str, str] | None = None,
    status: int = 200,
) -> HTMLResponse:
    view = _view(desk_of(request), found.persons)
    return page(
        request,
        viewer,
        "linkage-pair.html",
        status,
        pair=found,
        sides=[side(view, person) for person in found.persons],
        picture=Markup(waterfall(found)),
        typed=typed or {},
        errors=errors or {},
    )
