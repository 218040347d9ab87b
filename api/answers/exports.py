"""What is asked when a copy of a list is taken away."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class CopyAsked(BaseModel):
    """Which copy, and why."""

    model_config = ConfigDict(strict=True, extra="forbid")

    form: Literal["pdf", "xlsx", "csv"] = Field(description="The briefing pack, a workbook or plain rows.")
    reason: str = Field(min_length=5, max_length=200, examples=["08:00 briefing, team 4"])
    team: str | None = Field(default=None, max_length=80, examples=["D4"])
    top: int | None = Field(default=None, ge=1, le=500, description="How many places.")
