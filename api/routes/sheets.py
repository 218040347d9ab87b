"""Before attending: the sheet about a person or of a call, found by the call's reference; as a page and as JSON."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from urllib.parse import quote
from uuid import uuid4

from fastapi import Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from api.access import Viewer, allow, outside
from api.answers.sheets import Calls, CallSheet, SheetAnswer
from api.attending import Opened, may_open, open_person, seen_call
from api.desk import Desk
from api.person_facts import reason_as_dict
from api.problems import RefusedError
from api.routes.asked import both, desk_of
from api.templates import page
from risk.published import names
from risk.settings import settings
from risk.sheet_call import Call, find_calls, suspects_at, the_call

pages, data = both()

LONGEST = 80
Reads = Annotated[Viewer, allow("sheet.read", purpose=True)]
CallId = Annotated[
    str | None,
    Query(alias="call", description="call_id of the call attended, or event_id of a report.", max_length=200),
]
Live = Annotated[
    str | None, Query(description="T: a date (06:00 London) or a time; now without it.", max_length=40)
]
Reference = Annotated[str, Query(description="The reference of a call, or of a report.", max_length=10_000)]


@pages.get("/calls")
def call_form(request: Request, viewer: Reads, reference: Reference = "") -> Response:
    """Where a call's reference is pasted; with one, its sheet."""
    desk = desk_of(request)
    typed = reference.strip()
    found, away = _found(desk, viewer, typed)
    if len(found) == 1:
        return RedirectResponse(f"/calls/{quote(found[0].call_id, safe='')}/sheet", 303)
    detail = f"reference {typed[:LONGEST]}: {len(found)} found" if typed else ""
    desk.look(viewer, "consultation", "/calls", outside=away, detail=detail)
    error = None
    if typed and not found:
        error = "No call or report has this reference. Check it, or search by name."
    status = 404 if error else 200
    return page(request, viewer, "calls.html", status, typed=typed[:LONGEST], calls=found, error=error)


@data.get("/calls", response_model=Calls, tags=["sheets"], summary="Calls by their reference")
def calls(request: Request, viewer: Reads, reference: Reference) -> dict[str, Any]:
    """The calls, else the reports, with a reference; letter case and spaces do not matter."""
    desk = desk_of(request)
    found, away = _found(desk, viewer, reference.strip())
    everyone = [p for one in found for p in (*one.victims, *one.suspects)]
    detail = f"reference {reference.strip()[:LONGEST]}"
    desk.look(viewer, "consultation", "/calls", everyone, outside=away, detail=detail)
    return {"calls": [one.as_dict() for one in found]}


def _found(desk: Desk, viewer: Viewer, typed: str) -> tuple[list[Call], bool]:
    """The calls with a reference as the viewer may see them, and whether any is of another district. Where the purpose
    is bound to their own districts, those of others are left out; RefusedError when nothing else is there."""
    t = desk.now()
    calls = find_calls(desk.load(), typed, t) if 0 < len(typed) <= LONGEST else []
    seen: list[tuple[Call, bool]] = []
    refused: RefusedError | None = None
    for one in calls:
        try:
            seen.append(seen_call(desk, viewer, one, t))
        except RefusedError as fault:
            refused = fault
    if refused is not None and not seen:
        raise refused
    return [call for call, _ in seen], any(away for _, away in seen)


@pages.get("/calls/{call_id}/sheet")
def a_call(request: Request, viewer: Reads, call_id: str) -> HTMLResponse:
    """The sheet of a call: of its one suspect, else whom the records tie to it."""
    opened, call, tied = _call(request, viewer, call_id)
    if opened is not None:
        return _sheet_page(request, opened)
    return page(request, viewer, "call.html", call=call, tied=tied)


@data.get("/calls/{call_id}/sheet", response_model=CallSheet, tags=["sheets"], summary="A call's sheet")
def one_call(request: Request, viewer: Reads, call_id: str) -> dict[str, Any]:
    """The sheet of the suspect a call names; where it names none or several, whom the records tie to the address."""
    opened, call, tied = _call(request, viewer, call_id)
    found = as_json(_looked_at(opened, "/calls/{call_id}/sheet")) if opened else None
    return {"call": call.as_dict(), "sheet": found, "suspects": tied}


def _call(request: Request, viewer: Viewer, call_id: str) -> tuple[Opened | None, Call, list[dict[str, Any]]]:
    """The one suspect of a call opened; or nobody, and who may be meant. The look at those is written down here."""
    desk = desk_of(request)
    t = desk.now()
    call, away = seen_call(desk, viewer, the_call(desk.load(), call_id, t), t)
    named = call.suspects
    if len(named) == 1:
        return open_person(request, viewer, named[0], call.call_id), call, []
    said = [{"person_id": one, "why": "named as suspect"} for one in named]
    if not named and call.address_id is not None:
        near = suspects_at(desk.load(), call.address_id, t)
        said = [one for one in near if may_open(desk, viewer, one["person_id"], t)]
    said, others = _within(desk, viewer, said, t)
    persons = [one["person_id"] for one in said]
    known = names(desk.around(persons, t), persons) if persons else {}
    shown = [*persons, *call.suspects, *call.victims]
    page_of, detail = "/calls/{call_id}/sheet", f"call {call.reference}"
    desk.look(viewer, "consultation", page_of, shown, outside=away or others, detail=detail)
    return None, call, [one | {"name": known.get(one["person_id"])} for one in said]


def _within(
    desk: Desk, viewer: Viewer, said: list[dict[str, Any]], t: datetime
) -> tuple[list[dict[str, Any]], bool]:
    """Those of some people whom the viewer may be told of for the purpose stated, and whether any is of another
    district."""
    if not viewer.districts or not said:
        return said, False
    where = desk.district_of([one["person_id"] for one in said], t)
    kept, away = [], False
    for one in said:
        try:
            away |= outside(viewer, where[one["person_id"]])
        except RefusedError:
            continue
        kept.append(one)
    return kept, away


@pages.get("/persons/{person_id}/sheet")
def a_sheet(
    request: Request, viewer: Reads, person_id: str, call: CallId = None, as_of: Live = None
) -> HTMLResponse:
    """Before attending."""
    return _sheet_page(request, open_person(request, viewer, person_id, call, as_of))


@data.get(
    "/persons/{person_id}/sheet", response_model=SheetAnswer, tags=["sheets"], summary="Before attending"
)
def one_sheet(
    request: Request, viewer: Reads, person_id: str, call: CallId = None, as_of: Live = None
) -> dict[str, Any]:
    """Where the person may be, who else is there, what happened before, the score in words, what was promised, what
    need not be asked again."""
    opened = open_person(request, viewer, person_id, call, as_of)
    return as_json(_looked_at(opened, "/persons/{person_id}/sheet"))


def _looked_at(opened: Opened, where: str) -> dict[str, Any]:
    """The sheet, once the look at everyone it names is written down."""
    found = opened.sheet()
    called = (*opened.call.victims, *opened.call.suspects) if opened.call else ()
    opened.look("consultation", where, [*(one["person_id"] for one in found["people"]), *called])
    return found


def _sheet_page(request: Request, opened: Opened) -> HTMLResponse:
    found = _looked_at(opened, "/persons/{person_id}/sheet")
    return page(
        request,
        opened.viewer,
        "sheet.html",
        sheet=found,
        live=opened.live,
        after=settings("visits")["after"],
        query=asked(opened),
        once=uuid4(),
    )


def asked(opened: Opened) -> str:
    """What the links between the pages of one visit carry along: the call."""
    return f"?call={quote(opened.call.call_id, safe='')}" if opened.call else ""


def as_json(found: dict[str, Any]) -> dict[str, Any]:
    """A sheet for a machine."""
    reasons = [reason_as_dict(reason) for reason in found["score"]["reasons"]]
    return found | {"score": found["score"] | {"reasons": reasons}}
