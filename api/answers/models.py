"""The shapes of models for analysts and supervisors."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from api.answers.base import Answer


class ModelLine(Answer):
    """One model of the home."""

    version: str = Field(examples=["m-9d0f6a1c22b4"])
    family: str = Field(examples=["elastic_net"])
    until: str = Field(examples=["2025-12-31T06:00:00Z"])
    made_at: str
    standing: str = Field(examples=["IN USE, approved by A. Approver until 2027-03-01"])
    in_use: bool
    report: bool = Field(description="Whether its report was written.")
    load: str
    nature: str


class Models(Answer):
    """Every model, the newest first."""

    models: list[ModelLine]
    notes: list[str] = Field(description="What must be said of the model in use.")


class FigureLine(Answer):
    """One figure of the models compared, in words with its interval."""

    title: str = Field(examples=["AUC, everyone"])
    reads: str = Field(examples=["who from who not: 0.5 is chance, 1 is never wrong"])
    values: list[str] = Field(examples=[["0.893 (0.873 to 0.915)", "0.887 (0.862 to 0.910)"]])


class Compared(Answer):
    """Two models side by side, on dates neither could have learned from."""

    versions: list[str]
    figures: list[FigureLine]


class ModelAnswer(Answer):
    """One model: its figures, the gates as last judged, fairness in words, drift, and what was decided."""

    model: ModelLine
    figures: list[FigureLine]
    gates: list[dict[str, Any]]
    judged_at: str | None
    fairness: dict[str, list[str]]
    drift: dict[str, Any] | None
    decisions: list[dict[str, Any]]
