"""The shapes of answers from the audit trail."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from api.answers.base import Answer


class AuditRow(Answer):
    """One act: who, what, about whom, what for, from where, when."""

    seq: int = Field(examples=[4711], description="Its number; numbers have no gaps.")
    at: datetime
    username: str = Field(examples=["s.okafor"])
    role: str = Field(examples=["dalo"])
    face: str = Field(examples=["page"], description="page, api or command line.")
    source: str = Field(examples=["10.2.0.17"])
    act: str = Field(examples=["consultation"])
    page: str = Field(examples=["/persons/{person_id}"])
    persons: list[str] = Field(examples=[["P0000123"]])
    persons_count: int
    list_id: str | None
    purpose: str | None = Field(examples=["attending"])
    reference: str | None
    outside: bool = Field(description="Somebody was of a district not the viewer's.")
    detail: str
    mac: str = Field(description="Its code in the chain; doorstep audit verify tests it.")


class AuditRows(Answer):
    """Rows, newest first."""

    why: str = Field(examples=["security"], description="What they are read for; written down.")
    rows: list[AuditRow]
    before: int | None = Field(description="Ask for rows before this number next; none: these are the last.")


class UnusualOne(Answer):
    """Somebody, or the machine, and what stands out."""

    username: str
    role: str
    words: str = Field(examples=["opened 61 persons on 3 March 2026; usual in the role is 12 a day"])
    persons: list[str]
    rows: list[int] = Field(description="Numbers of rows to begin with.")


class UnusualKind(Answer):
    """A pattern, what it means, and what was found."""

    key: str = Field(examples=["volume"])
    title: str
    says: str
    found: list[UnusualOne]
    more: int


class UnusualAnswer(Answer):
    """What stands out between two moments."""

    why: str
    since: datetime
    until: datetime
    patterns: list[UnusualKind]


class AuditHead(Answer):
    """How long the trail is, and what was last carried to the second place."""

    rows: int
    last_at: datetime | None
    carried: int = Field(description="Rows counted by the last head; 0: none was carried yet.")
    carried_at: datetime | None
