"""Before a video response and after a visit: three answers, an officer asked for, a contact logged."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from urllib.parse import quote
from uuid import uuid4

from fastapi import Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from api.access import Viewer, allow
from api.answers.sheets import VideoDone, VideoIn, Videos, VisitIn, VisitRow, Visits
from api.attending import Opened, open_person, video_words
from api.forms import Form, Typed
from api.problems import RefusedError
from api.routes.asked import both
from api.routes.sheets import CallId, Reads, asked
from api.templates import page
from features.errors import InputError
from risk.settings import settings
from risk.visits import (
    QUESTIONS,
    About,
    FormError,
    SentBeforeError,
    answer_video,
    attend_instead,
    entries,
    log_visit,
)
from risk.words import LONDON

pages, data = both()

VIDEO, VISIT = "/persons/{person_id}/video", "/persons/{person_id}/visits"
Writes = Annotated[Viewer, allow("visit.write", purpose=True)]
Before = Annotated[int | None, Query(description="`next` of the page before.", ge=1, le=2**31 - 1)]
Limit = Annotated[int, Query(description="How many entries of each kind.", ge=1, le=200)]
ONCE = 80


@pages.get(VIDEO)
def video(request: Request, viewer: Writes, person_id: str, call: CallId = None) -> HTMLResponse:
    """The three questions, and what the last answers came to."""
    opened = open_person(request, viewer, person_id, call)
    return _video_page(request, opened, {}, {})


@pages.post(VIDEO)
def answered(request: Request, viewer: Writes, form: Typed, person_id: str, call: CallId = None) -> Response:
    """Record the answers, or that an officer is to be sent."""
    opened = open_person(request, viewer, person_id, call)
    try:
        _record_video(opened, _about(opened, form.one("victim"), form.one("once")), _answers(form), form)
    except FormError as wrong:
        return _video_page(request, opened, form.typed(), wrong.fields)
    except SentBeforeError as fault:
        return _video_page(request, opened, *_overtaken(form, fault), status=409)
    return RedirectResponse(f"/persons/{quote(opened.person_id, safe='')}/video{asked(opened)}", 303)


def _answers(form: Form) -> dict[str, str | None]:
    return {name: form.one(name) or None for name in QUESTIONS}


def _overtaken(form: Form, fault: SentBeforeError) -> tuple[dict[str, str], dict[str, str]]:
    """What was typed, for a form with a number of its own, and what to say at the first field."""
    typed = form.typed()
    typed.pop("once", None)
    return typed, {"victim": f"{fault.what} {fault.cure}"}


def _crossed(fault: SentBeforeError) -> RefusedError:
    """The same for a program."""
    return RefusedError(409, fault.what, fault.cure)


def _record_video(
    opened: Opened, about: About, answers: dict[str, str | None], form: Form | VideoIn
) -> dict[str, Any]:
    """Write the answers, or the officer asked for, and the look at it, together or not at all."""
    at_once = form.attend_instead if isinstance(form, VideoIn) else bool(form.one("attend"))
    with opened.desk.db.begin():
        if at_once:
            row, new = attend_instead(opened.desk.db, opened.viewer.who, about)
        else:
            row, new = answer_video(opened.desk.db, opened.viewer.who, about, answers)
        _look(opened, VIDEO, about, new, "officer asked for" if at_once else "answers before video")
    return video_words(row)


def _look(opened: Opened, where: str, about: About, new: bool, detail: str) -> None:
    """Write down what was recorded; of a form sent twice, that what was recorded is shown again."""
    persons = [about.victim_id] if about.victim_id else []
    if new:
        opened.look("collection", where, persons, detail)
    else:
        opened.look("consultation", where, persons, f"{detail}: sent again, nothing new")


def _video_page(
    request: Request, opened: Opened, typed: dict[str, str], errors: dict[str, str], status: int = 400
) -> HTMLResponse:
    victims = opened.victims()
    opened.look("consultation", VIDEO, [one for one, _ in victims])
    said = settings("visits")
    return page(
        request,
        opened.viewer,
        "video.html",
        status if errors else 200,
        opened=opened,
        victims=victims,
        typed=typed,
        errors=errors,
        last=opened.answered(),
        questions=said["video"],
        answers=list(said["answers"].items()),
        query=asked(opened),
        once=_once(typed),
    )


@pages.get(VISIT)
def visit(request: Request, viewer: Writes, person_id: str, call: CallId = None) -> HTMLResponse:
    """The form after a visit, and what was logged before."""
    return _visit_page(request, open_person(request, viewer, person_id, call), {}, {})


@pages.post(VISIT)
def logged(request: Request, viewer: Writes, form: Typed, person_id: str, call: CallId = None) -> Response:
    """Log a contact and what came of it."""
    opened = open_person(request, viewer, person_id, call)
    try:
        _record_visit(opened, _about(opened, form.one("victim"), form.one("once")), _given(form))
    except FormError as wrong:
        return _visit_page(request, opened, form.typed(), wrong.fields)
    except SentBeforeError as fault:
        return _visit_page(request, opened, *_overtaken(form, fault), status=409)
    return RedirectResponse(f"/persons/{quote(opened.person_id, safe='')}/visits{asked(opened)}#logged", 303)


def _given(form: Form) -> dict[str, Any]:
    """What was typed, as ``log_visit`` takes it. FormError for a time that is none."""
    given: dict[str, Any] = {
        name: form.one(name) or None
        for name in ("channel", "information", "regrade", "regrade_why", "referral")
    }
    given["reached"] = {"Y": True, "N": False}.get(form.one("reached"))
    typed = form.one("contact_at")
    if typed:
        try:
            when = datetime.fromisoformat(typed)
        except ValueError:
            raise FormError(
                {"contact_at": "Give the time as 2026-03-03T14:30, or leave it out for now."}
            ) from None
        given["contact_at"] = when if when.tzinfo else when.replace(tzinfo=LONDON)
    return given


def _record_visit(opened: Opened, about: About, given: dict[str, Any]) -> dict[str, Any]:
    with opened.desk.db.begin():
        row, new = log_visit(opened.desk.db, opened.viewer.who, about, given)
        _look(opened, VISIT, about, new, "contact logged")
    return row


def _visit_page(
    request: Request, opened: Opened, typed: dict[str, str], errors: dict[str, str], status: int = 400
) -> HTMLResponse:
    victims = opened.victims()
    opened.look("consultation", VISIT, [one for one, _ in victims])
    return page(
        request,
        opened.viewer,
        "visit.html",
        status if errors else 200,
        opened=opened,
        victims=victims,
        typed=typed,
        errors=errors,
        visits=opened.written("visits"),
        kept_back=opened.kept_back("visits"),
        after=settings("visits")["after"],
        query=asked(opened),
        once=_once(typed),
    )


def _once(typed: dict[str, str]) -> str:
    """What makes sending a form twice one entry: kept while the form is mended."""
    return typed.get("once") or str(uuid4())


def _about(opened: Opened, victim: str, once: str) -> About:
    """What an entry is about. FormError for a victim who is not on this person's sheet, InputError for a form without
    its number."""
    if not 8 <= len(once) <= ONCE or not once.isprintable():
        raise InputError(
            "The form is not whole.", where="once", cure="Open the page again and fill it in anew."
        )
    if victim and victim not in {one for one, _ in opened.victims()}:
        raise FormError({"victim": "Choose one of those on the sheet, or nobody in particular."})
    return About(opened.person_id, once, victim or None, opened.call.call_id if opened.call else None)


# --- the same for programs -------------------------------------------------------------------------------------------


@data.post(
    "/persons/{person_id}/video",
    response_model=VideoDone,
    tags=["sheets"],
    summary="Answers before a video response",
)
def post_video(request: Request, viewer: Writes, person_id: str, body: VideoIn) -> dict[str, Any]:
    """Record the three answers, never inferred, or that an officer is to be sent. Any "N" or "U" means: send one.
    409: the same `once` with other answers, or answers that were overtaken."""
    opened = open_person(request, viewer, person_id, body.call_id)
    about = _about(opened, body.victim_id or "", body.once)
    try:
        row = _record_video(opened, about, {name: getattr(body, name) for name in QUESTIONS}, body)
    except SentBeforeError as fault:
        raise _crossed(fault) from None
    stands = opened.answered()
    if row["send"] or stands is None:
        return row
    return row | {name: stands[name] for name in ("send", "words", "why")}


@data.post(
    "/persons/{person_id}/visits",
    response_model=VisitRow,
    tags=["sheets"],
    summary="Log a contact after a visit",
)
def post_visit(request: Request, viewer: Writes, person_id: str, body: VisitIn) -> dict[str, Any]:
    """Log a contact with a victim and what came of it: new information, another grade with its reason, a referral."""
    opened = open_person(request, viewer, person_id, body.call_id)
    given = body.model_dump(exclude={"once", "victim_id", "call_id"})
    when = given["contact_at"]
    if when is not None and when.tzinfo is None:
        given["contact_at"] = when.replace(tzinfo=LONDON)
    try:
        return _record_visit(opened, _about(opened, body.victim_id or "", body.once), given)
    except SentBeforeError as fault:
        raise _crossed(fault) from None


@data.get("/persons/{person_id}/video", response_model=Videos, tags=["sheets"], summary="Answers recorded")
def every_video(
    request: Request, viewer: Reads, person_id: str, before: Before = None, limit: Limit = 20
) -> dict[str, Any]:
    """Answers recorded before video responses, newest first, a page at a time."""
    found, last = _a_page(open_person(request, viewer, person_id, None), VIDEO, "video", before, limit)
    return {"video": found, "next": last}


@data.get("/persons/{person_id}/visits", response_model=Visits, tags=["sheets"], summary="Contacts logged")
def every_visit(
    request: Request, viewer: Reads, person_id: str, before: Before = None, limit: Limit = 20
) -> dict[str, Any]:
    """Contacts logged after visits, newest first, a page at a time."""
    found, last = _a_page(open_person(request, viewer, person_id, None), VISIT, "visits", before, limit)
    return {"visits": found, "next": last}


def _a_page(
    opened: Opened, where: str, kind: str, before: int | None, limit: int
) -> tuple[list[dict[str, Any]], int | None]:
    """A page of entries and, when there may be another, what to pass for it."""
    found = entries(
        opened.desk.db, kind, opened.person_id, records=opened.records, before=before, limit=limit
    )
    told = opened.told(found, kind)
    opened.look("consultation", where, [row["victim_id"] for row in told if row["victim_id"]])
    return told, found[-1]["id"] if len(found) == limit else None
