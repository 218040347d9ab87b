"""What every JSON answer is made of, and how an error is answered."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Answer(BaseModel):
    """Base of every answer."""

    model_config = ConfigDict(extra="ignore")


class Problem(Answer):
    """An error: what is wrong and what to do."""

    type: str = Field(examples=["about:blank"])
    title: str = Field(examples=["Not found"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=["There is no list '20990101T0600Z-0000000000'."])
    cure: str = Field(examples=["Lists here: 20260101T0600Z-3f2a9c01d4."])


PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "content": {"application/problem+json": {}}, "description": text}
    for status, text in {
        400: "The request, the load or the home is at fault; the cure says what to do.",
        401: "Not signed in, or a token that does not count any more.",
        403: "Your role does not include it, no purpose is stated, or the form was not sent from Doorstep.",
        404: "No such list, person or team, or not one you can open.",
        413: "What was sent is larger than is taken.",
        429: "Too many requests; Retry-After says how many seconds to wait.",
        503: "The database is away; nothing is shown that cannot be written down.",
    }.items()
}
