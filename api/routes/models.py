"""For analysts and supervisors: models side by side, their gates, fairness, drift and report. Nobody is named."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Path, Query, Request
from fastapi.responses import HTMLResponse, Response

from api.access import Viewer, allow
from api.answers.models import Compared, ModelAnswer, Models
from api.desk import Desk
from api.routes.asked import both, desk_of
from api.templates import page
from features.errors import NotFoundError
from models import approval, decisions, store
from models.drift_words import MEANS
from models.fairness_words import statement
from models.side_by_side import about, compare, drift_of, families, report_file, test_of

pages, data = both()

Reads = Annotated[Viewer, allow("models.read")]
Version = Annotated[str, Path(max_length=80)]
Beside = Annotated[
    str, Query(max_length=80, description="The version to lay beside; the model in use without it.")
]


@pages.get("/models")
def every_model(request: Request, viewer: Reads) -> HTMLResponse:
    """The model in use, and those that might take its place."""
    desk = desk_of(request)
    desk.look(viewer, "consultation", "/models")
    return page(request, viewer, "models.html", rows=families(desk.path), notes=_notes(desk))


@pages.get("/models/{version}")
def a_model(request: Request, viewer: Reads, version: Version, beside: Beside = "") -> HTMLResponse:
    """One model, beside the one in use or another."""
    desk = desk_of(request)
    desk.look(viewer, "consultation", "/models/{version}", detail=version)
    told = _model(desk, version)
    other = _other(desk, version, beside)
    versions = [version, other] if other else [version]
    known = [row for row in families(desk.path) if row["version"] != version and row["family"] != "?"]
    return page(
        request,
        viewer,
        "model.html",
        told=told,
        versions=versions,
        figures=compare(desk.path, versions),
        others=known,
        fairer=_fairness(desk, other) if other else {},
        means=MEANS,
    )


@pages.get("/models/{version}/report.pdf")
def the_report(request: Request, viewer: Reads, version: Version) -> Response:
    """The report as it was written."""
    return _file(request, viewer, version, "pdf", "application/pdf")


@pages.get("/models/{version}/report.atrs.json")
def the_record(request: Request, viewer: Reads, version: Version) -> Response:
    """The transparency record beside the report."""
    return _file(request, viewer, version, "atrs.json", "application/json")


@data.get("/models", response_model=Models, tags=["models"], summary="Models, the newest first")
def models_data(request: Request, viewer: Reads) -> dict[str, Any]:
    """Which model is in use and by whose approval, and every challenger."""
    desk = desk_of(request)
    desk.look(viewer, "consultation", "/models")
    return {"models": families(desk.path), "notes": _notes(desk)}


@data.get("/models/{version}", response_model=ModelAnswer, tags=["models"], summary="One model")
def model_data(request: Request, viewer: Reads, version: Version) -> dict[str, Any]:
    """Figures on dates it could not know, gates, fairness in words, drift, decisions."""
    desk = desk_of(request)
    desk.look(viewer, "consultation", "/models/{version}", detail=version)
    return _model(desk, version) | {"figures": [vars(one) for one in compare(desk.path, [version])]}


@data.get("/models/{version}/beside", response_model=Compared, tags=["models"], summary="Two models compared")
def compare_data(request: Request, viewer: Reads, version: Version, other: Beside = "") -> dict[str, Any]:
    """Two models side by side."""
    desk = desk_of(request)
    desk.look(viewer, "consultation", "/models/{version}", detail=version)
    _known(desk, version)
    second = _other(desk, version, other)
    versions = [version, second] if second else [version]
    return {"versions": versions, "figures": [vars(one) for one in compare(desk.path, versions)]}


@data.get(
    "/models/{version}/report",
    tags=["models"],
    summary="The report as a PDF",
    response_class=Response,
    responses={200: {"description": "The report.", "content": {"application/pdf": {}}}},
)
def report_data(request: Request, viewer: Reads, version: Version) -> Response:
    """The report as it was written (PDF/UA)."""
    return _file(request, viewer, version, "pdf", "application/pdf")


def _notes(desk: Desk) -> list[str]:
    now = approval.standing(desk.path)
    return now.notes(datetime.now(UTC)) if now else []


def _known(desk: Desk, version: str) -> None:
    if version not in store.versions(desk.path):
        raise NotFoundError(
            f"There is no model {version!r}.", where="models", cure="Go back to the models and choose one."
        )


def _other(desk: Desk, version: str, asked: str) -> str | None:
    """The version to lay beside: as asked, else the one in use; None where it would be the same."""
    other = asked or store.champion_version(desk.path)
    if other is None or other == version:
        return None
    _known(desk, other)
    return other


def _fairness(desk: Desk, version: str) -> dict[str, list[str]]:
    return statement(test_of(desk.path, version) or {})


def _model(desk: Desk, version: str) -> dict[str, Any]:
    _known(desk, version)
    judged: Mapping[str, Any] | None = decisions.judged(desk.path, version)
    drift = drift_of(desk.path, version)
    kept = ("at", "kind", "by", "reason")
    return {
        "model": about(desk.path, version),
        "gates": [dict(verdict) for verdict in judged["verdicts"]] if judged else [],
        "judged_at": judged["at"] if judged else None,
        "fairness": _fairness(desk, version),
        "drift": drift and {name: drift[name] for name in ("as_of", "call", "calls")},
        "decisions": [
            {name: one[name] for name in kept} | {"override": decisions.on_override(one)}
            for one in decisions.decisions(desk.path)
            if one["version"] == version
        ],
    }


def _file(request: Request, viewer: Viewer, version: str, kind: str, media: str) -> Response:
    desk = desk_of(request)
    made = report_file(desk.path, version, kind)
    desk.look(viewer, "disclosure", "/models/{version}/report", detail=f"{version}, {kind}")
    head = {"Content-Disposition": f'attachment; filename="{version}.{kind}"'}
    return Response(made, media_type=media, headers=head)
