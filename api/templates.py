"""Pages from templates: the Jinja environment with our filters and macros, and the one way a page is rendered."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import (
    ChainableUndefined,
    Environment,
    FileSystemLoader,
    PackageLoader,
    PrefixLoader,
    StrictUndefined,
    pass_context,
)
from jinja2.runtime import Context
from markupsafe import Markup

from api.auth.openings import waiting_count
from api.auth.table import table
from risk import words

HERE = Path(__file__).parent
PAGES, STATIC = HERE / "pages", HERE / "static"

# Who finds which page in the menu and on the first page: the capability, the address, its name, what it is for.
MENU: tuple[tuple[str, str, str, str], ...] = (
    ("list.open", "/lists/latest", "Today’s list", "Who should be seen first, and why."),
    ("sheet.read", "/calls", "A call", "Paste the reference of a call and read the sheet before attending."),
    (
        "search",
        "/search",
        "Search",
        "Somebody by name, date of birth, address or reference; a call by its reference.",
    ),
    ("list.open", "/lists", "All lists", "Every list published so far, and what changed between them."),
    ("decide", "/actions", "Actions", "What somebody is to do by when, and what came of it."),
    (
        "supervise",
        "/supervise",
        "Supervise",
        "Holds and disagreements that wait, nominations, places, agreement.",
    ),
    ("models.read", "/models", "Models", "The model in use and its challenger, fairness and drift."),
    ("linkage.review", "/linkage", "Who is who", "Pairs of records that may be one person."),
    ("quarantine.read", "/quarantine", "Quarantine", "Rows that could not be taken in, and why."),
    ("audit.read", "/audit", "Audit", "Who looked at what, and what is unusual."),
    ("breakglass.review", "/breakglass", "Restricted records", "Each opening of one, for review."),
    ("options.verify", "/options", "Lawful options", "The legal tests that wait for verification by name."),
    ("accounts.manage", "/accounts", "Accounts", "Who may sign in, in which role and where."),
)


def environment() -> Environment:
    """The templates with the filters that say dates, chances and amounts in words.

    Names and members that are not there are an error, so that a page never shows a hole as a fact.
    """
    pages = Environment(
        loader=FileSystemLoader(PAGES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Any] = {
        "capitalize_first": lambda text: text[:1].upper() + text[1:],
        "clock": lambda when: f"{when.astimezone(words.LONDON):%H:%M}",
        "day": words.day,
        "day_of": lambda text: words.day(datetime.fromisoformat(text)),
        "hundred": words.in_100,
        "day_time": words.day_time,
        "amount": words.amount,
        "plain": words.plain,
        "listed": words.listed,
    }
    pages.filters.update(filters)
    pages.globals.update(
        count=words.count,
        asset=asset,
        menu=menu,
        csrf_field=csrf_field,
        govuk=govuk,
        role_name=_role_name,
        purpose_name=lambda purpose: table().purposes[purpose].name,
    )
    return pages


def _role_name(role: str) -> str:
    """A role in words; whoever ran a command has none of ours."""
    known = table().roles.get(role)
    return known.name if known else role.capitalize()


def page(request: Request, viewer: Any, template: str, status: int = 200, **facts: Any) -> HTMLResponse:
    """A page as the viewer sees it (``None``: before sign-in), with the age of the data beside."""
    made = request.app.state.pages.get_template(template)
    health = facts.pop("health") if "health" in facts else request.app.state.desk.health()
    reviews = viewer is not None and viewer.may("breakglass.review")
    alerts = waiting_count(request.app.state.desk.db) if reviews else 0
    context = {"viewer": viewer, "health": health, "path": _path(request), "alerts": alerts, **facts}
    return HTMLResponse(made.render(context), status)


def _path(request: Request) -> str:
    query = request.url.query
    return f"{request.url.path}?{query}" if query else request.url.path


@cache
def asset(name: str) -> str:
    """The address of a file in ``static``, with its digest: a browser may keep it until it changes."""
    digest = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]
    return f"/static/{name}?v={digest}"


def menu(viewer: Any, path: str) -> list[dict[str, Any]]:
    """The pages of the menu that this viewer may open, the one they are on marked; empty before sign-in."""
    if viewer is None:
        return []
    may = [(href, text, says) for needs, href, text, says in MENU if viewer.may(needs)]
    here = path.partition("?")[0]
    on = max((href for href, *_ in may if f"{here}/".startswith(f"{href}/")), key=len, default=None)
    return [{"href": href, "text": text, "says": says, "current": href == on} for href, text, says in may]


@pass_context
def csrf_field(context: Context) -> Markup:
    """The hidden input that every form which posts must hold; empty before sign-in."""
    viewer = context.get("viewer")
    token = viewer.csrf if viewer is not None else context.get("csrf")
    return Markup('<input type="hidden" name="csrf" value="{}">').format(token) if token else Markup("")


@cache
def _govuk() -> Environment:
    """The components of GOV.UK Frontend; they ask for options that were not given, which ours may not."""
    return Environment(
        loader=PrefixLoader({"govuk_frontend_jinja": PackageLoader("govuk_frontend_jinja")}),
        autoescape=True,
        undefined=ChainableUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def govuk(component: str, options: Mapping[str, Any] | Sequence[Any]) -> Markup:
    """A component of GOV.UK Frontend by its folder's name: ``{{ govuk("date-input", {...}) }}``."""
    source = _govuk().get_template(f"govuk_frontend_jinja/components/{component}/macro.html")
    parts = component.split("-")
    name = "govuk" + "".join(part.capitalize() for part in parts)
    return Markup(getattr(source.module, name)(options))
