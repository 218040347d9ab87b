"""For records staff: what was set aside when the extract was read, counted for all, row by row with a purpose."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path, Query, Request
from fastapi.responses import HTMLResponse

from api.access import Viewer, allow
from api.answers.records import QuarantineCounts, QuarantinedRows
from api.routes.asked import both, desk_of
from api.templates import page
from risk.quarantine import SetAside, counts, rows_of

pages, data = both()

Looks = Annotated[Viewer, allow("quarantine.read")]
Opens = Annotated[Viewer, allow("quarantine.read", purpose=True)]
Table = Annotated[str, Path(max_length=80)]
Offset = Annotated[int, Query(ge=0, le=100_000_000, description="How many to pass over.")]
PAGE = 50


@pages.get("/quarantine")
def counts_page(request: Request, viewer: Looks) -> HTMLResponse:
    """How much was set aside, and why."""
    desk = desk_of(request)
    load = desk.load()
    desk.look(viewer, "consultation", "/quarantine")
    found = counts(load)
    return page(
        request, viewer, "quarantine.html", load_id=load.load_id, rows=found["rows"], blanked=found["blanked"]
    )


@pages.get("/quarantine/{table}")
def rows_page(request: Request, viewer: Opens, table: Table, offset: Offset = 0) -> HTMLResponse:
    """Rows of one table that were set aside."""
    found = _rows(request, viewer, table, offset)
    here = f"/quarantine/{table}"
    before = f"{here}?offset={max(offset - PAGE, 0)}" if offset else ""
    after = f"{here}?offset={offset + PAGE}" if found.more else ""
    return page(request, viewer, "quarantine-rows.html", table=table, found=found, before=before, after=after)


@data.get("/quarantine", response_model=QuarantineCounts, tags=["records"], summary="What was set aside")
def counts_data(request: Request, viewer: Looks) -> dict[str, Any]:
    """Quarantined rows and blanked cells by table and reason. Names nobody."""
    desk = desk_of(request)
    load = desk.load()
    desk.look(viewer, "consultation", "/quarantine")
    found = counts(load)
    return {"load_id": load.load_id, "counts": found["rows"], "blanked": found["blanked"]}


@data.get(
    "/quarantine/{table}",
    response_model=QuarantinedRows,
    tags=["records"],
    summary="Quarantined rows of a table",
)
def rows_data(request: Request, viewer: Opens, table: Table, offset: Offset = 0) -> dict[str, Any]:
    """Rows with their fault: line, keys, column, and what stood there where that is no name, address, plan or contact;
    fifty a page. Rows about anybody whose record is restricted are counted and not shown."""
    found = _rows(request, viewer, table, offset)
    return {
        "table": table,
        "rows": found.rows,
        "kept_back": found.kept_back,
        "next": offset + PAGE if found.more else None,
    }


def _rows(request: Request, viewer: Viewer, table: str, offset: int) -> SetAside:
    desk = desk_of(request)
    found = rows_of(desk.load(), desk.view(desk.now()), table, offset, PAGE, viewer.opened)
    detail = f"{table}, rows from {offset}"
    desk.look(viewer, "consultation", "/quarantine/{table}", found.persons, detail=detail)
    return found
