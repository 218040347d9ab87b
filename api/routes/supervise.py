"""What waits for a supervisor: holds, lower places, nominations; and a supervisor's word on each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Path, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from api.access import Viewer, allow
from api.answers.decisions import CONFLICT, Decision, Decisions, Held, Nomination, SaidSent, WordSent
from api.deciding import About, about, act, crossed, errors_of, look
from api.forms import Typed
from api.people import shown_people
from api.routes.asked import Limit, Offset, both, desk_of, next_page
from api.templates import page
from features.errors import NotFoundError
from risk import actions, decisions, holds, nominations
from risk.written import CrossedError, FieldError

pages, data = both()

Supervisor = Annotated[Viewer, allow("supervise", purpose=True)]
Manager = Annotated[Viewer, allow("list.manage", purpose=True)]
Number = Annotated[int, Path(ge=1, le=2**31 - 1)]
PAGE = "/supervise"


@pages.get(PAGE)
def waits(
    request: Request, viewer: Supervisor, done: Annotated[str, Query(max_length=20)] = ""
) -> HTMLResponse:
    """Everything that waits, in the viewer's districts."""
    db = desk_of(request).db
    on_hold = sorted(holds.held(db).values(), key=lambda hold: (not hold.waits, hold.row["due_by"]))
    rows: list[dict[str, Any]] = [{**hold.as_dict(), "part": "hold"} for hold in on_hold]
    rows += [{**one, "part": "decision"} for one in decisions.waiting(db)]
    rows += [{**one, "part": "nomination"} for one in nominations.open_nominations(db)]
    rows += [{**one, "part": "action"} for one in actions.unfinished(db) if one["overdue"]]
    shown = shown_people(request, viewer, PAGE, [row for row in rows if viewer.sees(row["district"])])

    def part(name: str) -> list[dict[str, Any]]:
        return [row for row in shown.rows if row["part"] == name]

    return page(
        request,
        viewer,
        "supervise.html",
        holds=part("hold"),
        decisions=part("decision"),
        nominations=part("nomination"),
        actions=part("action"),
        names=shown.names,
        gone=shown.gone,
        done=done,
        unplaced=_unplaced(request),
    )


def _unplaced(request: Request) -> dict[int, str]:
    """Why an accepted nomination has no place on the latest list, by its number."""
    latest = desk_of(request).latest()
    found = [] if latest is None else latest.facts.get("not_placed", [])
    return {one["nomination"]: one["why"] for one in found}


@dataclass(frozen=True)
class Matter:
    """Something a supervisor speaks to: what it is about, what may be said, and how it is said."""

    title: str
    path: str
    person_id: str
    lines: list[tuple[str, str]]
    options: list[tuple[str, str]]
    say: Callable[[str, str], Any]


def _matter(request: Request, viewer: Viewer, part: str, number: int) -> Matter:
    """A hold, decision or nomination by its number. NotFoundError for another word or none such."""
    if part == "holds":
        return _hold(request, viewer, number)
    if part == "decisions":
        return _decision(request, viewer, number)
    if part == "nominations":
        return _nomination(request, viewer, number)
    raise NotFoundError("Nothing of that name waits.", where=PAGE, cure="Open the page of what waits.")


def _hold(request: Request, viewer: Viewer, number: int) -> Matter:
    db, t = desk_of(request).db, desk_of(request).now()
    hold = holds.one_hold(db, number)
    lines = [("In doubt", hold.doubt_words), ("Reason", str(hold.row["reason"])), ("State", hold.line)]
    said = {name: words for name, words in holds.sayings().items() if hold.waits or name == "lift"}
    return Matter(
        "Hold: identity or role in doubt",
        f"{PAGE}/holds/{number}",
        hold.person_id,
        [*lines, ("Placed by", f"{hold.row['by']} ({hold.row['role']})")],
        list(said.items()),
        lambda word, reason: holds.say(db, viewer.who, number, word, reason, t),
    )


def _decision(request: Request, viewer: Viewer, number: int) -> Matter:
    db, t = desk_of(request).db, desk_of(request).now()
    one = decisions.one_decision(db, number)
    words = {"agree": "Agree: the place should be lower", "refuse": "Do not agree: nothing changes"}

    def say(word: str, reason: str) -> dict[str, Any]:
        if word not in words:
            raise FieldError("said", "Choose whether you agree.", "Select one of those offered.")
        return decisions.say(db, viewer.who, number, word == "agree", reason, t)

    lines = [("Asked for", one["words"]), ("Because", one["code_words"]), ("Reason", one["reason"])]
    return Matter(
        "A lower place",
        f"{PAGE}/decisions/{number}",
        one["person_id"],
        [*lines, ("State", one["status"]), ("Asked by", f"{one['by']} ({one['role']})")],
        list(words.items()),
        say,
    )


def _nomination(request: Request, viewer: Viewer, number: int) -> Matter:
    db, t = desk_of(request).db, desk_of(request).now()
    one = nominations.nomination(db, number)
    fits = {"end"} if one["status"] == "accepted" else {"accept", "refuse"}
    said = {name: words for name, words in nominations.sayings().items() if name in fits}
    lines = [("For", one["scope_words"]), ("Because", one["code_words"]), ("Reason", one["reason"])]
    return Matter(
        "Nomination for a reserve place",
        f"{PAGE}/nominations/{number}",
        one["person_id"],
        [*lines, ("State", one["line"]), ("Nominated by", f"{one['by']} ({one['role']})")],
        list(said.items()),
        lambda word, reason: nominations.say(db, viewer.who, number, word, reason, t),
    )


@pages.get(f"{PAGE}/{{part}}/{{number}}")
def ask(request: Request, viewer: Supervisor, part: str, number: Number) -> HTMLResponse:
    """One matter, and the form of the word."""
    matter = _matter(request, viewer, part, number)
    who = about(request, viewer, matter.person_id)
    look(desk_of(request), viewer, who, f"{PAGE}/{part}/{{number}}")
    return _form(request, viewer, who, matter, {})


@pages.post(f"{PAGE}/{{part}}/{{number}}")
def said(request: Request, viewer: Supervisor, part: str, number: Number, form: Typed) -> Response:
    """Record the word; the second supervisor who speaks is told of the first."""
    matter = _matter(request, viewer, part, number)
    who = about(request, viewer, matter.person_id)
    try:
        _say(request, viewer, who, matter, form.one("said"), form.one("reason"))
    except FieldError as fault:
        return _form(request, viewer, who, matter, form.typed(), errors=errors_of(fault), status=400)
    except CrossedError as fault:
        now = _matter(request, viewer, part, number)
        return _form(request, viewer, who, now, form.typed(), newer=fault, status=409)
    return RedirectResponse(f"{PAGE}?done={part}", 303)


def _say(request: Request, viewer: Viewer, who: About, matter: Matter, word: str, reason: str) -> Any:
    desk = desk_of(request)
    detail = f"{matter.title}: {word[:40]}"
    return act(desk, viewer, who, matter.path, detail, {"reason": reason}, lambda: matter.say(word, reason))


def _form(
    request: Request,
    viewer: Viewer,
    who: About,
    matter: Matter,
    typed: dict[str, str],
    *,
    errors: dict[str, str] | None = None,
    newer: CrossedError | None = None,
    status: int = 200,
) -> HTMLResponse:
    return page(
        request,
        viewer,
        "word.html",
        status,
        who=who,
        matter=matter,
        typed=typed,
        errors=errors or {},
        newer=newer,
    )


@data.get(
    "/decisions", response_model=Decisions, tags=["decisions"], summary="Decisions that wait for a supervisor"
)
def waiting(request: Request, viewer: Supervisor, offset: Offset = 0, limit: Limit = 100) -> dict[str, Any]:
    """Lower places asked for in the viewer's districts, the oldest first."""
    rows = [one for one in decisions.waiting(desk_of(request).db) if viewer.sees(one["district"])]
    shown = shown_people(request, viewer, "/api/v1/decisions", rows)
    part = shown.rows[offset : offset + limit]
    return {"decisions": part, "next": next_page(request, offset, limit, len(shown.rows))}


def _spoken(request: Request, viewer: Viewer, part: str, number: int, word: str, reason: str) -> Any:
    matter = _matter(request, viewer, part, number)
    who = about(request, viewer, matter.person_id)
    try:
        return _say(request, viewer, who, matter, word, reason)
    except CrossedError as fault:
        return crossed(request, fault)


@data.post(
    "/decisions/{number}/word",
    status_code=201,
    response_model=Decision,
    responses=CONFLICT,
    tags=["decisions"],
    summary="A supervisor's word on a lower place",
)
def on_decision(request: Request, viewer: Supervisor, number: Number, sent: WordSent) -> Any:
    """Agree, or do not; 409 when another supervisor has spoken."""
    return _spoken(request, viewer, "decisions", number, "agree" if sent.agreed else "refuse", sent.reason)


@data.post(
    "/holds/{number}/word",
    status_code=201,
    response_model=Held,
    responses=CONFLICT,
    tags=["decisions"],
    summary="A supervisor's word on a hold",
)
def on_hold(request: Request, viewer: Supervisor, number: Number, sent: SaidSent) -> Any:
    """Lift it, or find the doubt right; 409 when another supervisor has spoken."""
    found = _spoken(request, viewer, "holds", number, sent.said, sent.reason)
    return found.as_dict() if isinstance(found, holds.Hold) else found


@data.post(
    "/nominations/{number}/word",
    status_code=201,
    response_model=Nomination,
    responses=CONFLICT,
    tags=["decisions"],
    summary="A supervisor's word on a nomination",
)
def on_nomination(request: Request, viewer: Manager, number: Number, sent: SaidSent) -> Any:
    """Accept, refuse or end; 409 when another supervisor has spoken."""
    return _spoken(request, viewer, "nominations", number, sent.said, sent.reason)
