"""Pages from templates: the Jinja environment with our filters, and the one way a page is rendered."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from risk import words

PAGES = Path(__file__).parent / "pages"


def environment() -> Environment:
    """The templates with the filters that say dates, chances and amounts in words."""
    pages = Environment(
        loader=FileSystemLoader(PAGES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Any] = {
        "capitalize_first": lambda text: text[:1].upper() + text[1:],
        "day": words.day,
        "day_of": lambda text: words.day(datetime.fromisoformat(text)),
        "hundred": words.in_100,
        "day_time": words.day_time,
        "amount": words.amount,
        "plain": words.plain,
        "listed": words.listed,
    }
    pages.filters.update(filters)
    pages.globals["count"] = words.count
    return pages


def page(request: Request, viewer: Any, template: str, status: int = 200, **facts: Any) -> HTMLResponse:
    """A page as the viewer sees it (``None``: before sign-in), with the age of the data beside."""
    made = request.app.state.pages.get_template(template)
    health = request.app.state.desk.health()
    context = {"viewer": viewer, "health": health, "path": request.url.path, **facts}
    return HTMLResponse(made.render(context), status)
