"""A person, as a page and as JSON. Every look is written down before anything is shown."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from markupsafe import Markup

from api.access import Viewer, allow, outside
from api.answers.persons import PersonAnswer
from api.charts import ranks
from api.desk import Desk
from api.person_facts import Told, facts_of
from api.routes.asked import AsOf, both, desk_of
from api.templates import page
from features.nominals import clusters_at
from risk.options import last_check, standings
from risk.person_page import beside, on_lists
from risk.published import PublishedList

pages, data = both()
PAGE = "/persons/{person_id}"
Reader = Annotated[Viewer, allow("person.read", purpose=True)]


def open_to(desk: Desk, viewer: Viewer, t: datetime) -> frozenset[str]:
    """People of restricted records whom a viewer has opened, under every reference they go by at T."""
    if not viewer.opened:
        return frozenset()
    joined = dict(clusters_at(desk.load().records().links, t).select("person_id", "cluster_id").iter_rows())
    return viewer.opened | {joined.get(person, person) for person in viewer.opened}


@dataclass(frozen=True)
class Opened:
    """A person as a viewer may see them: ``facts`` (records and model) and ``told`` (all that the page shows)."""

    facts: Told
    published: PublishedList | None
    told: dict[str, Any]


def open_person(desk: Desk, viewer: Viewer, person_id: str, as_of: str | None) -> Opened:
    """The person, once they may be opened and the look is written down; NotFoundError, RefusedError."""
    if as_of is None:
        t, published = None, desk.latest()
    else:
        t, published = desk.moment(as_of)
    facts = facts_of(desk, person_id, published, as_of=t, opened=open_to(desk, viewer, t or desk.now())).told
    far = outside(viewer, facts.person["district"])
    persons, list_id = sorted({person_id, *facts.references}), published.list_id if published else None
    desk.look(viewer, "consultation", PAGE, persons, list_id, outside=far)
    lists, refs = desk.lists(), facts.references
    key = ("on lists", tuple(refs), list_id, len(lists), t, desk.state())
    on = desk.kept(key, lambda: on_lists(lists, desk.load(), refs, published, t))
    today = desk.kept(("options", last_check(desk.db), date.today()), lambda: standings(desk.db))
    return Opened(facts, published, beside(desk.db, facts.clusters, facts.person, on, today))


@pages.get(PAGE)
def a_person(request: Request, viewer: Reader, person_id: str, as_of: AsOf = None) -> HTMLResponse:
    """A person: score with its reasons, what happened, pairs, people around, options, decisions."""
    found = open_person(desk_of(request), viewer, person_id, as_of)
    facts, drawn = found.facts, found.facts.drawn
    shown: dict[str, Any] = {
        "pictures": {**facts.pictures, "ranks": ranks(found.told["ranks"])},
        "known": facts.known,
    }
    for part in ("person_why.html", "person_records.html"):
        if part not in drawn:
            template = request.app.state.pages.get_template(part)
            drawn[part] = Markup(template.render(person=facts.person, **shown))
    return page(
        request,
        viewer,
        "person.html",
        person=found.told,
        published=found.published,
        as_of=as_of,
        asked=person_id,
        drawn=drawn,
        **shown,
    )


@data.get(PAGE, response_model=PersonAnswer, tags=["persons"], summary="A person")
def one_person(request: Request, viewer: Reader, person_id: str, as_of: AsOf = None) -> dict[str, Any]:
    """Everything the page shows: score, reasons with their records, history, pairs, people around, ranks, options,
    decisions. Victims stand in it by reference alone."""
    return open_person(desk_of(request), viewer, person_id, as_of).told
