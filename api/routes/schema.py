"""The description of the JSON answers, for programs and their makers."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Request

from api.access import Viewer, allow
from api.routes.asked import both

pages, data = both()

SCHEMES = {
    "token": {"type": "http", "scheme": "bearer", "description": "From: doorstep user token."},
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "doorstep",
        "description": "Of a browser that signed in; over TLS its name begins with __Host-. What changes something "
        "also needs the header X-CSRF-Token.",
    },
}


@data.get("/openapi.json", include_in_schema=False)
def openapi(request: Request, viewer: Annotated[Viewer, allow("home")]) -> dict[str, Any]:
    """Every answer with its examples, as OpenAPI."""
    document: dict[str, Any] = request.app.openapi()
    document.setdefault("components", {})["securitySchemes"] = SCHEMES
    document["security"] = [{name: []} for name in SCHEMES]
    return document
