"""The routes, a module a topic: each has ``pages`` (HTML) and ``data`` (the same as JSON under /api/v1)."""

from __future__ import annotations

from importlib import import_module

from fastapi import APIRouter

TOPICS = (
    "signin",
    "purpose",
    "accounts",
    "breakglass",
    "schema",
    "home",
    "lists",
    "exports",
    "persons",
    "options",
    "decisions",
    "actions",
    "holds",
    "nominations",
    "supervise",
    "places",
    "sheets",
    "search",
    "visits",
    "linkage",
    "quarantine",
    "models",
    "audit",
)


def routers() -> list[APIRouter]:
    """Every topic's routers, in the order of ``TOPICS``."""
    modules = [import_module(f"api.routes.{topic}") for topic in TOPICS]
    return [router for module in modules for router in (module.data, module.pages)]
