"""Published lists, as pages and as JSON: today's, those before it, what changed, who stands apart and why.

Who may read names gets names; analysts get the same lists under pseudonyms.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Annotated, Any, TypeVar

from fastapi import Query, Request
from fastapi.responses import HTMLResponse, Response
from markupsafe import Markup

from api.access import Viewer, allow, outside
from api.answers.lists import ApartAnswer, Changes, ListAnswer, Lists, Whereabouts
from api.days import Ready, days_of, known_of
from api.desk import Desk
from api.listing import Told, changes_as_dict, team_as_dict, today_as_dict
from api.routes.asked import Limit, Offset, Team, Top, both, desk_of, next_page
from api.templates import page
from features.errors import InputError
from risk import audit
from risk.kept_back import HELD, closed, keep_changes, keeper, undated, unnamed
from risk.list_history import difference
from risk.pseudonyms import pseudonyms, withheld_as
from risk.published import PublishedList, names, row_words
from risk.teams import find_team
from risk.today import Asked, Today, choices, hold_lines, see, whereabouts
from risk.who import records_of
from risk.words import day

pages, data = both()
T = TypeVar("T")
PAGE_OF_APART = 50
LISTS_A_PAGE = 60

Opens = Annotated[Viewer, allow("list.open", purpose=True)]
Only = Annotated[str, Query(description="Which rows: `narrowed` names them.", max_length=20)]
Order = Annotated[
    str,
    Query(description="rank, count, moved, recent, harm, ends or owner; ranks never change.", max_length=20),
]
Since = Annotated[
    str | None, Query(description="list_id of the earlier list; that before it without.", max_length=80)
]


# --- every list ----------------------------------------------------------------------------------------------------


@pages.get("/lists")
def every_list(
    request: Request, viewer: Annotated[Viewer, allow("list.open")], offset: Offset = 0
) -> HTMLResponse:
    """Every published list."""
    desk = desk_of(request)
    desk.look(viewer, "consultation", "/lists")
    known = desk.lists()[::-1]
    part = known[offset : offset + LISTS_A_PAGE]
    shown = [(one, _counts(one, viewer.districts or None)) for one in part]
    older, newer = _beside(request, offset, LISTS_A_PAGE, len(known))
    return page(request, viewer, "lists.html", lists=shown, newer=newer, older=older)


def _beside(request: Request, offset: int, step: int, of: int) -> tuple[str, str]:
    """The addresses of the next and the previous page of a table, empty where there is none."""
    url = request.url.include_query_params(offset=max(0, offset - step))
    return next_page(request, offset, step, of) or "", f"{url.path}?{url.query}" if offset else ""


@data.get("/lists", response_model=Lists, tags=["lists"], summary="Published lists")
def all_lists(
    request: Request,
    viewer: Annotated[Viewer, allow("list.open")],
    team: Team = None,
    offset: Offset = 0,
    limit: Limit = 100,
) -> dict[str, Any]:
    """Every published list, newest first; counts are those of ``team``, else of the viewer's districts."""
    desk = desk_of(request)
    desk.look(viewer, "consultation", "/lists", detail=team or "")
    found = desk.lists()[::-1]
    known = desk.teams() if found else []
    patch = viewer.districts or None
    if team is not None:
        patch = tuple(one for one in find_team(known, team).districts if viewer.sees(one))
    return {
        "lists": [one.about() | {"counts": _counts(one, patch)} for one in found[offset : offset + limit]],
        "next": next_page(request, offset, limit, len(found)),
        "teams": [team_as_dict(one) for one in known],
    }


def _counts(one: PublishedList, patch: tuple[str, ...] | None) -> dict[str, int]:
    if patch is None:
        return {**one.facts["counts"], "leavers": len(one.facts["leavers"])}
    rows = one.rows.filter(one.rows["district"].is_in(list(patch)))
    listed = int(rows["listed"].sum())
    return {
        "ranked": rows.height,
        "listed": listed,
        "apart": int(one.apart["district"].is_in(list(patch)).sum()),
        "entrants": int((rows["movement"] == "new").sum()) if one.facts["previous"] else listed,
        "leavers": sum(gone["district_before"] in patch for gone in one.facts["leavers"]),
    }


# --- one list, today -----------------------------------------------------------------------------------------------


def _asked(viewer: Viewer, team: str | None, top: int | None, only: str, order: str) -> Asked:
    mine = {viewer.account.casefold(), viewer.name.casefold()} if only == "mine" else ()
    return Asked(team or None, top, only or "all", order or "rank", viewer.districts, frozenset(mine))


def _answer(
    request: Request,
    viewer: Viewer,
    list_id: str,
    asked: Asked,
    more: tuple[Any, ...],
    make: Callable[[Ready, Today], T],
) -> T:
    """What ``make`` makes of a list as this viewer sees it, made once for all who ask the same; the look is written
    down before it is given. ``more``: what else the answer rests on."""
    days, desk, by_name = days_of(request), desk_of(request), viewer.may("list.read")
    ready, stamp = days.ready(list_id), days.stamp()
    published = ready.day.published

    def fresh() -> tuple[T, list[str], str]:
        today = see(ready.day, days.standing(ready, stamp), asked, days.holds(ready, stamp))
        shown = [row["person_id"] for part in (today.rows, today.leavers) for row in part]
        if not by_name:
            today = unnamed(today, lambda persons: _pseudonyms(desk, persons))
        return make(ready, today), shown, today.team_name

    key = (ready.key, stamp, asked, by_name, *more)
    found, shown, whose = days.answer(key, fresh)
    detail = whose if by_name else f"{whose}, under pseudonyms"
    desk.look(viewer, "consultation", "/lists/{list_id}", shown, published.list_id, detail=detail)
    return found


def _pseudonyms(desk: Desk, persons: Iterable[str]) -> dict[str, str]:
    """The pseudonyms of some persons; their key is made if nothing was ever written down, as for the first look."""
    audit.ready(desk.db, desk.path)
    return pseudonyms(desk.path, persons)


@pages.get("/lists/{list_id}")
def a_list(
    request: Request,
    viewer: Opens,
    list_id: str,
    team: Team = None,
    top: Top = None,
    only: Only = "all",
    order: Order = "rank",
) -> HTMLResponse:
    """A list as it stands today."""
    asked = _asked(viewer, team, top, only, order)
    desk = desk_of(request)
    latest = desk.latest()
    body = request.app.state.pages.get_template("list_body.html")

    def make(ready: Ready, today: Today) -> tuple[Markup, str]:
        published = today.published
        facts = {
            "today": today,
            "facts": published.facts,
            "words": row_words,
            "viewer": viewer,
            "live": latest is not None and latest.list_id == published.list_id,
            "moved_on": today.day.moved_on,
            "onlys": choices("only", viewer.may("list.read")),
            "orders": choices("order", viewer.may("list.read")),
        }
        return Markup(body.render(facts)), f"List of {day(published.as_of)}, {today.team_name}"

    more = ("page", viewer.role, viewer.duties, viewer.opened, latest and latest.list_id)
    made, title = _answer(request, viewer, list_id, asked, more, make)
    return page(request, viewer, "list.html", body=made, title=title)


@data.get("/lists/{list_id}", response_model=ListAnswer, tags=["lists"], summary="A list, or the latest")
def one_list(
    request: Request,
    viewer: Opens,
    list_id: str,
    team: Team = None,
    top: Top = None,
    only: Only = "all",
    order: Order = "rank",
    offset: Offset = 0,
    limit: Limit = 200,
) -> Response:
    """A published list by its id, or ``latest``, as it stands today; of one team or of the viewer's districts."""
    asked = _asked(viewer, team, top, only, order)

    def make(ready: Ready, today: Today) -> tuple[bytes, bytes]:
        following = next_page(request, offset, limit, len(today.rows))
        found = today_as_dict(today, not viewer.may("list.read"), offset, limit, following)
        plain = ListAnswer.model_validate(found).model_dump_json().encode()
        return plain, gzip.compress(plain, 6)

    made = _answer(request, viewer, list_id, asked, ("data", str(request.url), offset, limit), make)
    if "gzip" not in request.headers.get("accept-encoding", ""):
        return Response(made[0], media_type="application/json")
    packed = {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
    return Response(made[1], media_type="application/json", headers=packed)


# --- who stands apart, and where a person is -----------------------------------------------------------------------


def _apart(request: Request, viewer: Viewer, list_id: str, team: str | None, reason: str | None) -> Today:
    days = days_of(request)
    ready = days.ready(list_id)
    asked = _asked(viewer, team, None, "all", "rank")
    today = see(ready.day, {}, asked, days.holds(ready, days.stamp()))
    if reason:
        return replace(today, apart=[row for row in today.apart if row["reason"] == reason])
    return today


def _page_of(request: Request, viewer: Viewer, today: Today, offset: int, limit: int) -> list[dict[str, Any]]:
    """A page of those apart, logged, under pseudonyms for those who see no names."""
    desk, part = desk_of(request), today.apart[offset : offset + limit]
    shown = [row["person_id"] for row in part]
    desk.look(viewer, "consultation", "/lists/{list_id}/apart", shown, today.published.list_id)
    if viewer.may("list.read"):
        return part
    called = _pseudonyms(desk, shown)
    return [undated(row) | {"person_id": called[row["person_id"]]} for row in part]


Reason = Annotated[str | None, Query(description="Only those apart for this reason.", max_length=120)]


@pages.get("/lists/{list_id}/apart")
def those_apart(
    request: Request,
    viewer: Opens,
    list_id: str,
    team: Team = None,
    reason: Reason = None,
    offset: Offset = 0,
) -> HTMLResponse:
    """Who stands apart from a list, and why."""
    today = _apart(request, viewer, list_id, team, reason)
    part = _page_of(request, viewer, today, offset, PAGE_OF_APART)
    following, before = _beside(request, offset, PAGE_OF_APART, len(today.apart))
    return page(
        request,
        viewer,
        "list_apart.html",
        today=today,
        part=part,
        reason=reason,
        before=before,
        after=following,
    )


@data.get("/lists/{list_id}/apart", response_model=ApartAnswer, tags=["lists"], summary="Who stands apart")
def all_apart(
    request: Request,
    viewer: Opens,
    list_id: str,
    team: Team = None,
    reason: Reason = None,
    offset: Offset = 0,
    limit: Limit = 100,
) -> dict[str, Any]:
    """Who stands apart from a list, and why, a page at a time."""
    today = _apart(request, viewer, list_id, team, reason)
    part = _page_of(request, viewer, today, offset, limit)
    found = {"list_id": today.published.list_id, "of": len(today.apart), "apart": part}
    return found | {"next": next_page(request, offset, limit, len(today.apart))}


Names = Annotated[Viewer, allow("list.read", purpose=True)]
Person = Annotated[str, Query(description="The person's reference.", min_length=1, max_length=80)]


def _why(request: Request, viewer: Viewer, list_id: str, person: str) -> dict[str, Any]:
    desk, person = desk_of(request), person.strip()
    if not person:
        raise InputError("No reference was given.", where="person", cure="Type the person's reference.")
    published = desk.published(list_id)
    view = desk.around([person], published.as_of)
    who = view.who(person)
    held = ""
    if known_of(desk, [person]):
        every = {person, *records_of(view, who)}
        today = desk.around([person], max(desk.now(), published.as_of))
        words, district = whereabouts(published, every, not every.isdisjoint(closed(today)))
        held = hold_lines(desk.db, [person], today.clusters).get(person, "")
    else:  # nobody, or somebody taken out by law: the answer is the same
        words, district = whereabouts(published, ())
    away = district is not None and outside(viewer, district)
    detail = "why on the list or not"
    desk.look(
        viewer,
        "consultation",
        "/lists/{list_id}/why",
        [person],
        published.list_id,
        outside=away,
        detail=detail,
    )
    return {"list_id": published.list_id, "person_id": person, "words": words, "held": held}


@pages.get("/lists/{list_id}/why")
def why_not(request: Request, viewer: Names, list_id: str, person: Person) -> HTMLResponse:
    """Why a person is, or is not, on a list."""
    found = _why(request, viewer, list_id, person)
    return page(request, viewer, "list_why.html", found=found, published=desk_of(request).published(list_id))


@data.get("/lists/{list_id}/why", response_model=Whereabouts, tags=["lists"], summary="Why, or why not")
def why(request: Request, viewer: Names, list_id: str, person: Person) -> dict[str, Any]:
    """Why a person is, or is not, on a list."""
    return _why(request, viewer, list_id, person)


# --- what changed --------------------------------------------------------------------------------------------------


def _changed(request: Request, viewer: Viewer, list_id: str, since: str | None) -> Told:
    """Two lists side by side, with what to say of the persons in them."""
    desk = desk_of(request)
    later = desk.published(list_id)
    before = since or (later.facts["previous"] or {}).get("list_id")
    if before is None:
        raise InputError(
            "This is the first list: there is none before it to set it against.",
            where="since",
            cure="Open it when the next list is published.",
        )
    if desk.published(before).list_id == later.list_id:
        raise InputError("A list cannot be set against itself.", where="since", cure="Choose another list.")
    pair = sorted([desk.published(before), later], key=lambda one: (one.as_of, one.facts["published_at"]))
    clusters = desk.view(later.as_of).clusters
    found = difference(pair[0], pair[1], clusters, viewer.districts)
    now = desk.around(found.persons(), max(desk.now(), later.as_of), steps=0)
    code = withheld_as(desk.path, pair[1].list_id)
    found = keep_changes(found, keeper(known_of(desk, found.persons()), closed(now), code))
    persons = found.persons()
    held = hold_lines(desk.db, persons, clusters)
    detail = f"against {pair[0].list_id}"
    desk.look(viewer, "consultation", "/lists/{list_id}/changes", persons, pair[1].list_id, detail=detail)
    if viewer.may("list.read"):
        return Told(found, names(now, set(persons) - closed(now)), {}, held)
    return Told(found, {}, _pseudonyms(desk, persons), dict.fromkeys(held, HELD))


@pages.get("/lists/{list_id}/changes")
def changes(request: Request, viewer: Opens, list_id: str, since: Since = None) -> HTMLResponse:
    """What changed from one list to another."""
    both_lists = _changed(request, viewer, list_id, since)
    found, told = both_lists.found, changes_as_dict(both_lists, not viewer.may("list.read"))
    others = [one for one in reversed(desk_of(request).lists()) if one.list_id != found.after.list_id]
    return page(request, viewer, "list_changes.html", found=found, told=told, others=others[:LISTS_A_PAGE])


@data.get("/lists/{list_id}/changes", response_model=Changes, tags=["lists"], summary="What changed")
def what_changed(request: Request, viewer: Opens, list_id: str, since: Since = None) -> dict[str, Any]:
    """Who came, who went and why, who moved, from the list before (or ``since``) to this one."""
    return changes_as_dict(_changed(request, viewer, list_id, since), not viewer.may("list.read"))
