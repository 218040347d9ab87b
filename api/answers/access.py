"""The shapes of answers about who is signed in, accounts and restricted records."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from api.answers.base import Answer


class TaskAnswer(Answer):
    """What persons are opened for."""

    purpose: str = Field(examples=["attending"])
    reference: str = Field(examples=["CAD 0412 of 3 March 2026"])
    until: datetime


class Me(Answer):
    """The account behind the session or token."""

    username: str = Field(examples=["s.okafor"])
    name: str = Field(examples=["Sam Okafor"])
    role: str = Field(examples=["dalo"])
    districts: list[str] = Field(examples=[["D1"]], description="None: the whole force.")
    duties: list[str]
    may: list[str] = Field(examples=[["home", "person.read", "sheet.read"]])
    task: TaskAnswer | None


class AccountAnswer(Answer):
    """An account."""

    username: str = Field(examples=["s.okafor"])
    name: str = Field(examples=["Sam Okafor"])
    role: str = Field(examples=["dalo"])
    districts: list[str]
    duties: list[str]
    state: str = Field(examples=["open"], description="open, closed, or waiting after wrong passwords.")
    provider: str | None = Field(description="The identity provider they sign in with, if any.")
    made_at: datetime
    made_by: str
    signed_in_at: datetime | None


class Accounts(Answer):
    """Every account."""

    accounts: list[AccountAnswer]


class Opening(Answer):
    """A restricted record that was opened by somebody not named for it."""

    id: int
    username: str = Field(examples=["s.okafor"])
    person_id: str = Field(examples=["P0000123"])
    reason: str
    purpose: str = Field(examples=["attending"])
    reference: str
    at: datetime
    until: datetime
    reviewed_at: datetime | None
    reviewed_by: str | None
    verdict: str | None = Field(examples=["justified"])
    note: str | None


class Naming(Answer):
    """Somebody named for a restricted record; it opens nothing before a second supervisor agreed."""

    person_id: str = Field(examples=["P0000123"])
    username: str = Field(examples=["s.okafor"])
    named_at: datetime
    named_by: str
    why: str
    agreed_at: datetime | None
    agreed_by: str | None


class Openings(Answer):
    """Restricted records that were opened, and who is named for which."""

    waiting: list[Opening]
    reviewed: list[Opening]
    named: list[Naming]
