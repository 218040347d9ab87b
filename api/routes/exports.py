"""Copies of a list that leave Doorstep: the briefing pack (PDF), a workbook, plain rows. Each has a reason, is written
down as a disclosure with everyone on it, and says on every page who made it, when and why."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Request
from fastapi.responses import HTMLResponse, Response

from api.access import Viewer, allow
from api.answers.exports import CopyAsked
from api.days import days_of
from api.deciding import errors_of
from api.desk import Desk
from api.forms import Typed
from api.routes.asked import Team, both, desk_of
from api.templates import page
from risk.exports import as_csv, as_xlsx
from risk.free_text import refuse_named
from risk.options import standings
from risk.pack import Copy, pack
from risk.pack_pdf import pdf
from risk.person import person
from risk.person_page import beside, on_lists
from risk.today import Asked, Today, see
from risk.written import FieldError

pages, data = both()

Takes = Annotated[Viewer, allow("list.export", purpose=True)]
FORMS = {
    "pdf": ("Briefing pack (PDF): a roll-up and a page a person", "application/pdf"),
    "xlsx": ("Workbook (XLSX)", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    "csv": ("Plain rows (CSV)", "text/csv; charset=utf-8"),
}
LEAST, MOST = 5, 200
PLACE = "/lists/{list_id}/export"


@pages.get(PLACE)
def ask(request: Request, viewer: Takes, list_id: str, team: Team = None) -> HTMLResponse:
    """Which copy, and why."""
    today = _today(request, viewer, list_id, team or None, None)
    desk_of(request).look(viewer, "consultation", PLACE, list_id=today.published.list_id)
    return _ask(request, viewer, today, {}, {}, 200)


@pages.post(PLACE)
def take(request: Request, viewer: Takes, list_id: str, form: Typed) -> Response:
    """The copy itself."""
    today = _today(request, viewer, list_id, form.one("team") or None, None)
    wanted, reason = form.one("form"), form.one("reason")
    errors = {}
    if wanted not in FORMS:
        errors["form"] = "Choose what to take."
    if not LEAST <= len(reason) <= MOST:
        errors["reason"] = f"Say why, in {LEAST} to {MOST} characters: it is printed on every page."
    if errors:
        return _ask(request, viewer, today, form.typed(), errors, 400)
    try:
        return _copy(request, viewer, today, wanted, reason)
    except FieldError as fault:
        return _ask(request, viewer, today, form.typed(), errors_of(fault), 400)


@data.post(
    PLACE,
    tags=["lists"],
    summary="A copy of a list as a file",
    response_class=Response,
    responses={200: {"description": "The file.", "content": {kind: {} for _, kind in FORMS.values()}}},
)
def take_data(request: Request, viewer: Takes, list_id: str, asked: CopyAsked) -> Response:
    """The briefing pack as a PDF, or the rows as a workbook or CSV; the reason is printed in it."""
    return _copy(
        request, viewer, _today(request, viewer, list_id, asked.team, asked.top), asked.form, asked.reason
    )


def _today(request: Request, viewer: Viewer, list_id: str, team: str | None, top: int | None) -> Today:
    days = days_of(request)
    ready = days.ready(list_id)
    stamp = days.stamp()
    asked = Asked(team, top, districts=viewer.districts)
    return see(ready.day, days.standing(ready, stamp), asked, days.holds(ready, stamp))


def _copy(request: Request, viewer: Viewer, today: Today, form: str, reason: str) -> Response:
    desk, published = desk_of(request), today.published
    _refuse_named(desk, today, reason)
    simulated = published.facts["nature"] == "simulated"
    name = viewer.name if viewer.name == viewer.account else f"{viewer.name}, {viewer.account}"
    copy = Copy(name, viewer.role, datetime.now(UTC), reason)
    shown = sorted({*today.persons(), *(v for row in today.rows for v in row["victims"])})
    detail = f"{form}, {today.team_name}: {reason}"
    desk.look(viewer, "disclosure", PLACE, shown, published.list_id, detail=detail)
    if form == "pdf":
        made = pdf(pack(today, copy, lambda one: _person(desk, viewer, today, one), simulated))
    else:
        made = (as_xlsx if form == "xlsx" else as_csv)(today, copy, simulated)
    file = f"doorstep-{published.list_id}{'-' + today.team.team_id if today.team else ''}.{form}"
    head = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(file)}"}
    return Response(made, media_type=FORMS[form][1], headers=head)


def _refuse_named(desk: Desk, today: Today, reason: str) -> None:
    """FieldError when the reason, which is printed on every page, names somebody the copy never names. So many are tied
    to a whole list that a family name alone would often be an officer's."""
    view = desk.around(today.persons(), today.day.t, steps=1)
    people = sorted({view.who(person) for person in today.persons()})
    refuse_named(view, people, {"reason": reason}, family_alone=False)


def _person(desk: Desk, viewer: Viewer, today: Today, person_id: str) -> Mapping[str, Any]:
    """A person as the page of this list's moment shows them."""
    published, t = today.published, today.day.t
    view = desk.around([person_id], t)
    found = person(view, desk.model(published), person_id, published, viewer.opened)
    known_as = [found["person_id"], *(one["person_id"] for one in found["identity"]["records"])]
    on = on_lists(desk.lists(), view.load, known_as, published, t)
    return beside(desk.db, view.clusters, found, on, standings(desk.db))


def _ask(
    request: Request, viewer: Viewer, today: Today, typed: dict[str, str], errors: dict[str, str], status: int
) -> HTMLResponse:
    forms = [(key, words) for key, (words, _) in FORMS.items()]
    return page(
        request, viewer, "list_export.html", status, today=today, forms_of=forms, typed=typed, errors=errors
    )
