"""The shape of a before-attending sheet in JSON."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from api.answers.base import Answer
from api.answers.persons import Identity


class SheetWho(Answer):
    """Who the sheet is about."""

    name: str | None
    also_known_as: list[str]
    date_of_birth: date | None
    age: int | None
    last_place: str


class SheetAnswer(Answer):
    """Before attending: the sheet in the order it is read."""

    person_id: str
    as_of: datetime
    who: SheetWho
    identity: Identity
    now: dict[str, Any]
    people: list[dict[str, Any]]
    children: list[str]
    before: list[dict[str, Any]]
    balance: list[str]
    grades: list[dict[str, Any]]
    separations: list[str]
    score: dict[str, Any]
    promises: list[dict[str, Any]]
    schemes: list[str]
    never_recorded: list[str]
