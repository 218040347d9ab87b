"""Writes ``api/data/examples.json``: what every operation answered when it was asked about the hand-made force.

    python -m tests.openapi_examples

Nobody in it is real: names and places are those of tests/conftest.py and tests/sheet_force.py. Long tables are cut.
"""

from __future__ import annotations

import json
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient

from api.auth.table import table
from api.openapi import EXAMPLES
from features.clocks import parse_as_of
from features.home import Home
from risk.priority import publish
from tests.reporting import document, home_with, measured
from tests.sheet_force import make
from tests.signing import client_of

MOST, LONGEST = 2, 400
WHY = "Two partner agencies say the same as the records"
ROOT = "/api/v1"
ONCE = "4f1c0c9e-2f6b-4c0e-9f5a-0d2f1c8a77b"
Call = tuple[str, str, str, dict[str, Any] | None]


def calls(client: dict[str, TestClient]) -> list[Call]:
    """Role, operation, path as asked and body, in an order in which each finds what it needs."""
    option = client["supervisor"].get("/api/v1/options").json()["options"][0]
    version = client["analyst"].get("/api/v1/models").json()["models"][0]["version"]
    places = client["supervisor"].get("/api/v1/places").json()
    base = {"list_id": "latest", "person_id": "P1", "version": version, "option_id": option["option_id"],
            "action_id": 1, "number": 1, "call_id": "C1", "a": "P2", "b": "P3", "seq": 1, "table": "event"}  # fmt: skip
    due = f"{datetime.now(UTC) + timedelta(days=7):%Y-%m-%d}"
    check = {"verdict": "verified", "wording": option["wording"], "source": "Read on 3 March 2026"}
    down = {"choice": "disagree_down", "code": "changed", "reason": WHY}
    visit = {"kind": "visit", "reason": WHY, "owner": "DC 4411", "due_on": due}
    named = {"scope": "team", "code": "not_recorded", "reason": WHY}
    video = {
        "once": ONCE + "1",
        "victim_id": "V1",
        "agrees": "Y",
        "can_talk": "Y",
        "suspect_absent": "U",
    }
    logged = {"once": ONCE + "2", "victim_id": "V1", "channel": "phone", "reached": True}
    more = {"scope": "force", "places": 120, "reason": WHY, "version": places.get("version", 0)}
    first: list[tuple[str, str, str, dict[str, Any] | None]] = [
        ("supervisor", "post /options/{option_id}/checks", "", check),
        ("proactive", "post /persons/{person_id}/decisions", "", down),
        ("proactive", "post /persons/{person_id}/actions", "", visit),
        ("proactive", "post /actions/{action_id}/result", "", {"result": "done", "reason": WHY}),
        ("dalo", "post /persons/{person_id}/hold", "", {"doubt": "role", "reason": WHY}),
        ("proactive", "post /persons/{person_id}/nomination", "", named),
        ("supervisor", "get /holds", "", None),
        ("supervisor", "post /decisions/{number}/word", "", {"agreed": True, "reason": WHY}),
        ("supervisor", "post /holds/{number}/word", "", {"said": "lift", "reason": WHY}),
        ("supervisor", "post /nominations/{number}/word", "", {"said": "accept", "reason": WHY}),
        ("supervisor", "post /places", "", more),
        ("dalo", "post /search", "", {"text": "Adam Quilmark", "born": "1985"}),
        ("dalo", "post /persons/{person_id}/video", "", video),
        ("dalo", "post /persons/{person_id}/visits", "", logged),
        ("supervisor", "get /lists/{list_id}/why", "?person=P2", None),
        ("dalo", "get /calls", "?reference=CAD-100", None),
        ("records", "get /linkage/{a}/{b}", "", None),
        ("records", "post /linkage/{a}/{b}", "", {"same": False, "reason": "Born years apart."}),
        ("auditor", "get /audit", "?why=lawfulness&limit=2", None),
        ("auditor", "get /audit/unusual", "?why=lawfulness", None),
        ("auditor", "get /audit/{seq}", "?why=lawfulness", None),
    ]
    asked: list[Call] = []
    for role, short, query, body in first:
        method, path = short.split(" ")
        asked.append((role, f"{method} {ROOT}{path}", f"{ROOT}{path}".format(**base) + query, body))
    said = {operation for _, operation, _, _ in asked}
    for path, methods in client["supervisor"].app.openapi()["paths"].items():  # type: ignore[attr-defined]
        answered = methods.get("get", {}).get("responses", {}).get("200", {}).get("content", {})
        if "application/json" in answered and f"get {path}" not in said:
            whole = path.format(**base)
            asked.append((_able(client, whole), f"get {path}", whole, None))
    return asked


def _able(client: dict[str, TestClient], path: str) -> str:
    """The first role that may ask for it."""
    able = [role for role in client if client[role].get(path).status_code == 200]
    if not able:
        raise ValueError(f"nobody is answered at {path}")
    return able[0]


def cut(value: Any) -> Any:
    """An answer short enough for a document: two rows of a table, the beginning of a text."""
    if isinstance(value, dict):
        return {key: cut(part) for key, part in value.items()}
    if isinstance(value, list):
        return [cut(part) for part in value[:MOST]]
    return value[:LONGEST] if isinstance(value, str) else value


def answers(folder: Path) -> dict[str, Any]:
    """Operation -> what it answered. ValueError for one that did not."""
    from tests.test_browser import linked
    from tests.test_pages_records import set_aside

    home = make(folder)
    publish(Home(home), parse_as_of("2025-06-08"))  # a second list, so that there is something that changed
    linked(home)
    set_aside(home, 2)
    home_with(home, document("tables"), measured())
    client: dict[str, TestClient] = {}
    app = None
    for role in ("supervisor", "proactive", "dalo", "analyst", "records", "auditor", "administrator"):
        purpose = next((p.key for p in table().purposes_of(role) if p.key != "briefing"), None)
        client[role] = client_of(home, role, duties=("legal",), purpose=purpose, app=app)
        app = client[role].app  # type: ignore[assignment]
    made = {}
    for role, operation, path, body in calls(client):
        answer = client[role].get(path) if body is None else client[role].post(path, json=body)
        if answer.status_code not in (200, 201):
            raise ValueError(f"{operation} as {role}: {answer.status_code} {answer.text[:300]}")
        if answer.headers["content-type"] == "application/json":
            made[operation] = cut(answer.json())
    return made


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        EXAMPLES.write_text(
            json.dumps(answers(Path(name)), indent=1, sort_keys=True, ensure_ascii=False) + "\n"
        )
