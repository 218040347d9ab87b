"""For auditors: who looked at what, and what is unusual. Whoever reads says what for, and that is a row too."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Depends, Path, Query, Request
from fastapi.responses import HTMLResponse

from api.access import Viewer, allow
from api.answers.audit import AuditHead, AuditRow, AuditRows, UnusualAnswer
from api.desk import Desk
from api.routes.asked import both, desk_of
from api.templates import page
from features.apart import open_identity
from features.errors import InputError
from risk.audit_patterns import Pattern, unusual
from risk.audit_search import Asked, find, one, reading
from risk.audit_verify import standing
from risk.settings import settings

pages, data = both()

Auditor = Annotated[Viewer, allow("audit.read", purpose=True)]
MOST = 2**62
ROWS = 50
Text = Annotated[str, Query(max_length=200)]
Why = Annotated[
    str, Query(max_length=40, description="What the rows are read for (docs/audit.md); written down.")
]
Limit = Annotated[int, Query(ge=1, le=500, description="How many rows.")]
Seq = Annotated[int, Path(ge=1, le=MOST, description="The number of a row.")]
Days = Annotated[
    int | None, Query(ge=1, le=31, description="How many days back, today among them; 7 without it.")
]


def _asked(
    who: Annotated[str, Query(max_length=200, description="A username.")] = "",
    person: Annotated[str, Query(max_length=200, description="A person's reference.")] = "",
    act: Annotated[str, Query(max_length=40, description="A word of section 62, or access.")] = "",
    place: Annotated[str, Query(max_length=200, description="A page or command, or part of one.")] = "",
    since: Annotated[str, Query(max_length=40, description="A day, such as 2026-03-01.")] = "",
    until: Annotated[str, Query(max_length=40, description="A day, included.")] = "",
    outside: Annotated[
        bool, Query(description="Only rows marked as outside the viewer's districts.")
    ] = False,
    before: Annotated[
        int | None, Query(ge=1, le=MOST, description="Only rows with a smaller number.")
    ] = None,
) -> Asked:
    return Asked(
        who=who.strip(), person=person.strip(), act=act.strip(), place=place.strip(),
        since=since.strip(), until=until.strip(), outside=outside, before=before,
    )  # fmt: skip


Search = Annotated[Asked, Depends(_asked)]


@pages.get("/audit")
def search_page(request: Request, viewer: Auditor, asked: Search, why: Why = "") -> HTMLResponse:
    """The search, and what it finds once it is said what for."""
    desk, known = desk_of(request), settings("audit")
    rows: list[dict[str, Any]] | None = None
    errors, more = {}, ""
    if request.query_params:
        try:
            rows, last = _rows(desk, viewer, asked, why, ROWS)
            more = _address(why, replace(asked, before=last)) if last else ""
        except InputError as fault:
            errors = {fault.where: f"{fault.what} {fault.cure}"}
    return page(
        request, viewer, "audit.html", status=400 if errors else 200, asked=asked, why=why, rows=rows,
        errors=errors, more=more, known=known, head=standing(desk.db, desk.path),
    )  # fmt: skip


@pages.get("/audit/unusual")
def unusual_page(request: Request, viewer: Auditor, why: Why = "", days: Days = None) -> HTMLResponse:
    """What is unusual, pattern by pattern."""
    days = days or settings("audit")["unusual"]["days"]
    errors: dict[str, str] = {}
    found: list[Pattern] | None = None
    if request.query_params:
        try:
            found = _patterns(desk_of(request), viewer, why, days)[0]
        except InputError as fault:
            errors = {fault.where: f"{fault.what} {fault.cure}"}
    return page(
        request, viewer, "audit-unusual.html", status=400 if errors else 200, why=why, days=days,
        found=found, errors=errors, known=settings("audit"),
    )  # fmt: skip


@pages.get("/audit/{seq}")
def row_page(request: Request, viewer: Auditor, seq: Seq, why: Why = "") -> HTMLResponse:
    """One row, every person of it."""
    return page(request, viewer, "audit-row.html", row=_row(desk_of(request), viewer, seq, why), why=why,
                known=settings("audit"))  # fmt: skip


@data.get("/audit", response_model=AuditRows, tags=["audit"], summary="Rows of the audit trail")
def search_data(
    request: Request, viewer: Auditor, asked: Search, why: Why, limit: Limit = ROWS
) -> dict[str, Any]:
    """Who did what, about whom, what for, from where and when; newest first."""
    rows, last = _rows(desk_of(request), viewer, asked, why, limit)
    return {"why": why, "rows": rows, "before": last}


@data.get("/audit/unusual", response_model=UnusualAnswer, tags=["audit"], summary="What is unusual")
def unusual_data(request: Request, viewer: Auditor, why: Why, days: Days = None) -> dict[str, Any]:
    """Own name, same surname, volume, outside district, refusals, a clock set back: to ask about, no finding."""
    found, since, until = _patterns(
        desk_of(request), viewer, why, days or settings("audit")["unusual"]["days"]
    )
    return {"why": why, "since": since, "until": until, "patterns": [asdict(one) for one in found]}


@data.get("/audit/head", response_model=AuditHead, tags=["audit"], summary="How long the trail is")
def head_data(request: Request, viewer: Auditor) -> dict[str, Any]:
    """The number of rows, and what was last carried to the second place."""
    desk = desk_of(request)
    desk.look(viewer, "consultation", "/audit/head")
    return standing(desk.db, desk.path)


@data.get("/audit/{seq}", response_model=AuditRow, tags=["audit"], summary="One row of the audit trail")
def row_data(request: Request, viewer: Auditor, seq: Seq, why: Why) -> dict[str, Any]:
    """A row by its number, with every person it speaks of."""
    return _row(desk_of(request), viewer, seq, why)


def _rows(
    desk: Desk, viewer: Viewer, asked: Asked, why: str, limit: int
) -> tuple[list[dict[str, Any]], int | None]:
    words = reading(why)
    found = find(desk.db, asked, limit)
    persons = [asked.person] if asked.person else []
    desk.look(viewer, "consultation", "/audit", persons, detail=f"{words}: {asked.words()}")
    return found


def _patterns(desk: Desk, viewer: Viewer, why: str, days: int) -> tuple[list[Pattern], datetime, datetime]:
    words = reading(why)
    until = datetime.now(UTC)
    since = until - timedelta(days=days)
    load = desk.home.current()
    names = open_identity(desk.load()) if load is not None else {}
    found = unusual(desk.db, names, since, until)
    desk.look(viewer, "consultation", "/audit/unusual", detail=f"{words}: the last {days} days")
    return found, since, until


def _row(desk: Desk, viewer: Viewer, seq: int, why: str) -> dict[str, Any]:
    words = reading(why)
    found = one(desk.db, seq)
    desk.look(viewer, "consultation", "/audit/{seq}", detail=f"{words}: row {seq}")
    return found


def _address(why: str, asked: Asked) -> str:
    """The address of a search."""
    named = {"who": asked.who, "person": asked.person, "act": asked.act, "place": asked.place,
             "since": asked.since, "until": asked.until, "before": asked.before}  # fmt: skip
    filled = {name: value for name, value in named.items() if value}
    if asked.outside:
        filled["outside"] = "true"
    return "/audit?" + urlencode({"why": why, **filled})
