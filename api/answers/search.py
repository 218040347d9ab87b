"""The shapes of a search: what is asked, and who may be meant."""

from __future__ import annotations

from datetime import date, datetime

from pydantic import BaseModel, ConfigDict, Field

from api.answers.base import Answer

LONGEST = 10_000
"""Letters a body may bring in one field; what is too long to search for is told so (``risk/data/search.toml``)."""


class SearchBody(BaseModel):
    """What to search for. A name may be misspelt, turned round, short, an alias or begun; ``text`` also takes an
    address, or the reference of a person, an event or a call."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        json_schema_extra={"examples": [{"text": "Mick Taylor", "born": "1985", "district": "D5"}]},
    )

    text: str = Field("", max_length=LONGEST, examples=["Mick Taylor"])
    born: str = Field("", max_length=LONGEST, description="A year or a date.", examples=["1985", "3/2/1985"])
    district: str = Field("", max_length=LONGEST, examples=["D5"])
    address: str = Field("", max_length=LONGEST, examples=["152 Mill Lane"])


class NamedIn(Answer):
    """An event somebody is named in, with its suspects by reference."""

    event_id: str = Field(examples=["E000123"])
    reference: str = Field(examples=["42/1234/25"])
    at: datetime | None
    suspects: list[str] = Field(examples=[["P00017"]])


class SearchHit(Answer):
    """A person who may be meant. Of somebody never recorded as a suspect neither district nor address is said."""

    person_id: str = Field(examples=["P00017"])
    name: str = Field(examples=["Michael Archie Taylor"])
    known_as: list[str] = Field(description="Other names over all their records.", examples=[["Mick Taylor"]])
    born: date | None
    district: str | None
    suspect: bool = Field(description="Ever recorded as one: there is a page and a before-attending sheet.")
    last: date | None = Field(description="Day of the newest event they are in.")
    records: int = Field(description="Records that stand for this one person.", examples=[2])
    agrees: list[str] = Field(description="How they fit what was asked.", examples=[["the year of birth"]])
    cost: float = Field(description="How far from what was asked; 0: as recorded.", examples=[0.0])
    hold: str | None = Field(description="A hold on this person: identity or role is in doubt.")
    namesakes: int = Field(description="Others on this answer with the same name.", examples=[0])
    named_in: list[NamedIn] = Field(
        description="For somebody never recorded as a suspect: where they are named."
    )


class ReferredTo(Answer):
    """An event or a call that goes by the reference asked for, with its suspects."""

    kind: str = Field(examples=["call"])
    reference: str = Field(examples=["INC00000007"])
    at: datetime | None
    event_id: str | None
    call_id: str | None
    persons: list[SearchHit]


class SearchAnswer(Answer):
    """Who may be meant, the likeliest first."""

    referred: list[ReferredTo]
    hits: list[SearchHit]
    more: int = Field(description="How many more there are: say more to find whom you mean.", examples=[0])
    elsewhere: int = Field(
        description="Left out: of another district, and the task is bound to your own.", examples=[0]
    )
