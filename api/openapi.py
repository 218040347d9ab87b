"""The OpenAPI document: what FastAPI works out, with wrong values answered as they are (400, not 422)."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

OURS = "422"
"""FastAPI documents this status for wrong values; here they are answered with 400 (``api.problems``)."""


def document(app: FastAPI) -> dict[str, Any]:
    """The document of the service, made once."""
    if app.openapi_schema is None:
        made = get_openapi(
            title=app.title,
            version=app.version,
            summary=app.summary,
            description=app.description,
            routes=app.routes,
        )
        for methods in made["paths"].values():
            for operation in methods.values():
                operation["responses"].pop(OURS, None)
        for name in ("HTTPValidationError", "ValidationError"):
            made.get("components", {}).get("schemas", {}).pop(name, None)
        app.openapi_schema = made
    return app.openapi_schema
