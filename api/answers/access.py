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
