"""What is sent and answered about lawful options."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from api.answers.base import Answer


class CheckSent(BaseModel):
    """A legal officer's word on an option."""

    model_config = ConfigDict(strict=True, extra="forbid")
    verdict: Literal["verified", "refused"] = Field(examples=["verified"])
    wording: str = Field(
        description="Digest of the option as you read it; refused when the wording has changed since.",
        examples=["0f3c9a7d5e1b2c44"],
        max_length=64,
    )
    source: str = Field(
        description="What it was checked against.",
        examples=["Family Law Act 1996 s.42 as amended, read 3 March 2026"],
        min_length=1,
        max_length=2_000,
    )
    note: str = Field(default="", max_length=2_000)


class FactAnswer(Answer):
    """One statement of an option."""

    part: str = Field(examples=["test"])
    heading: str = Field(examples=["Legal test"])
    text: str
    mark: str = Field(description="found at its source, or recalled and not checked", examples=["found"])
    source: str
    rests: bool = Field(description="The option cannot stand without it.")


class CheckAnswer(Answer):
    """What a legal officer said."""

    verdict: str = Field(examples=["verified"])
    name: str
    username: str
    at: datetime
    source: str
    note: str
    wording: str


class OptionAnswer(Answer):
    """An option with every fact and every word on it."""

    option_id: str = Field(examples=["dvpn"])
    name: str
    kind: str
    area: str
    limited: bool = Field(description="In force in some areas only.")
    wording: str
    shown: bool = Field(description="Whether person pages may show it.")
    why: str = Field(description="Who stands behind it, or why it is hidden.")
    facts: list[FactAnswer]
    checks: list[CheckAnswer]


class OptionsAnswer(Answer):
    """Every option."""

    options: list[OptionAnswer]
