"""The OpenAPI document: what FastAPI works out, with wrong values answered as they are (400, not 422), and with real
answers about a force that never was as examples (``api/data/examples.json``)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

EXAMPLES = Path(__file__).parent / "data" / "examples.json"
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
        examples = json.loads(EXAMPLES.read_text(encoding="utf-8"))
        for path, methods in made["paths"].items():
            for method, operation in methods.items():
                operation["responses"].pop(OURS, None)
                _shown(operation["responses"], examples.get(f"{method} {path}"))
        for name in ("HTTPValidationError", "ValidationError"):
            made.get("components", {}).get("schemas", {}).pop(name, None)
        app.openapi_schema = made
    return app.openapi_schema


def _shown(responses: dict[str, Any], example: Any) -> None:
    """Put the example beside the answer of success."""
    for status in ("200", "201"):
        content = responses.get(status, {}).get("content", {}).get("application/json")
        if content is not None and example is not None:
            content["example"] = example
