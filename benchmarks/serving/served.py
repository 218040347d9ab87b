"""The service as ``doorstep serve`` runs it, with one route more: the list's permission check and audit row, and {}.

    python -m benchmarks.serving.served HOME PORT

The route is what the list's JSON is measured against; it is in no other service.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import uvicorn
from fastapi import APIRouter, FastAPI, Request

from api.access import Viewer, allow
from api.app import create_app
from api.routes.asked import desk_of
from api.serving import options
from api.settings import Settings

EMPTY = "/api/v1/empty"
router = APIRouter()


@router.get(EMPTY)
def nothing(request: Request, viewer: Annotated[Viewer, allow("list.open", purpose=True)]) -> dict[str, Any]:
    """The same check and the same row as the latest list's JSON, and no answer."""
    desk = desk_of(request)
    latest = desk.latest()
    assert latest is not None
    shown = desk.kept(
        ("benchmark", latest.list_id), lambda: latest.rows.filter("listed")["person_id"].to_list()
    )
    desk.look(viewer, "consultation", "/lists/{list_id}", shown, latest.list_id, detail="whole force")
    return {}


def service(home: Path) -> FastAPI:
    """The service over a home, and the empty route."""
    app = create_app(home)
    app.include_router(router)
    return app


if __name__ == "__main__":
    place = Path(sys.argv[1])
    uvicorn.run(service(place), host="127.0.0.1", port=int(sys.argv[2]), **options(Settings.of(place)))
