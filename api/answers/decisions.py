"""What is sent and answered about decisions, actions, holds, nominations, places and agreement."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from api.answers.base import Answer, Problem


def _iso_date(value: Any) -> Any:
    return date.fromisoformat(value) if isinstance(value, str) and len(value) == 10 else value


Day = Annotated[date, BeforeValidator(_iso_date)]
Reason = Annotated[
    str, Field(max_length=20_000, examples=["Two partner agencies say the same as the records"])
]


class Sent(BaseModel):
    """Base of every body: nothing that is not named, nothing guessed."""

    model_config = ConfigDict(strict=True, extra="forbid")


class DecisionSent(Sent):
    """A decision. ``version``: the number of the newest one you have seen (0: none), so that nobody is overruled
    unseen."""

    choice: str = Field(examples=["adopt"], max_length=40)
    code: str = Field(examples=["records"], max_length=40)
    reason: Reason
    owner: str | None = Field(None, examples=["DC 4411"], max_length=200)
    due_on: Day | None = Field(None, examples=["2026-03-27"])
    version: int = Field(0, ge=0, le=1_000_000)


class WordSent(Sent):
    """A supervisor's word on a decision."""

    agreed: bool
    reason: Reason


class SaidSent(Sent):
    """A supervisor's word on a hold (lift, stands) or a nomination (accept, refuse, end)."""

    said: str = Field(examples=["accept"], max_length=40)
    reason: Reason


class ActionSent(Sent):
    """An action that somebody is to do."""

    kind: str = Field(examples=["visit"], max_length=40)
    reason: Reason
    owner: str = Field(examples=["DC 4411"], max_length=200)
    due_on: Day = Field(examples=["2026-03-27"])


class ResultSent(Sent):
    """What came of an action."""

    result: str = Field(examples=["done"], max_length=40)
    reason: Reason


class HoldSent(Sent):
    """A hold: what is in doubt, and why."""

    doubt: str = Field(examples=["role"], max_length=40)
    reason: Reason


class NominationSent(Sent):
    """A nomination for a reserve place."""

    scope: Literal["team", "force"] = "team"
    code: str = Field(examples=["not_recorded"], max_length=40)
    reason: Reason


class PlacesSent(Sent):
    """How many places a list has; null: as the settings say. ``version``: the number of the newest setting you have
    seen (0: none)."""

    scope: str = Field(examples=["force"], max_length=80)
    places: int | None = Field(examples=[120], ge=-1_000_000, le=1_000_000)
    reason: Reason
    version: int = Field(0, ge=0, le=1_000_000)


class Written(Answer):
    """Who wrote something, in which role, when and why."""

    by: str = Field(examples=["a.officer"])
    role: str = Field(examples=["proactive"])
    at: datetime
    reason: str


class Word(Written):
    """What a supervisor said."""

    said: str | None = None
    agreed: bool | None = None
    words: str | None = None


class Decision(Written):
    """A decision about a person on a list. ``holds``: whether it has effect once no newer one has."""

    id: int
    person_id: str
    version: int
    choice: str
    words: str = Field(examples=["Adopt"])
    code: str
    code_words: str
    owner: str | None
    due_on: date | None
    status: str = Field(examples=["in effect", "waits for a supervisor"])
    holds: bool
    word: Word | None
    list_id: str | None
    rank: int | None
    district: str | None


class Action(Written):
    """An action with what came of it."""

    id: int
    person_id: str
    kind: str
    words: str = Field(examples=["Visit"])
    owner: str
    due_on: date
    overdue: bool
    line: str = Field(examples=["Visit: due 27 March 2026"])
    result: Word | None
    district: str | None


class Held(Written):
    """A hold. ``in_force``: the person is greyed everywhere; ``waits``: no supervisor has decided yet."""

    id: int
    person_id: str
    doubt: str
    doubt_words: str
    line: str
    due_by: datetime
    in_force: bool
    waits: bool
    overdue: bool
    said: list[Word]
    district: str | None


class Nomination(Written):
    """A nomination, its state and, once accepted, until when it keeps its place."""

    id: int
    person_id: str
    scope: str
    code: str
    code_words: str
    status: str = Field(examples=["waits", "accepted", "refused", "ended"])
    until: datetime | None
    line: str
    said: list[Word]
    district: str | None


class StandingAnswer(Answer):
    """Where a person stands with those who decide."""

    version: int = Field(description="Number of the newest decision: send it with yours.")
    decision: Decision | None
    waiting: Decision | None
    owner: str | None
    last_action: str | None
    actions: list[Action]
    hold: Held | None
    nomination: Nomination | None


class Line(Answer):
    """Something people wrote about a person."""

    at: datetime
    by: str
    role: str
    kind: str = Field(examples=["decision", "supervisor", "action", "result", "hold", "nomination"])
    words: str
    reason: str
    owner: str | None = None
    due_on: date | None = None
    list_id: str | None = None
    rank: int | None = None


class DecisionsOfPerson(Answer):
    """Where a person stands, and everything people wrote about them, newest first."""

    person_id: str
    standing: StandingAnswer
    history: list[Line]
    next: str | None


class Decisions(Answer):
    """Decisions that wait for a supervisor."""

    decisions: list[Decision]
    next: str | None


class Actions(Answer):
    """Actions without a result, soonest due first."""

    actions: list[Action]
    next: str | None


class Holds(Answer):
    """Holds in force, the longest waiting first."""

    holds: list[Held]
    next: str | None


class Nominations(Answer):
    """Nominations that wait or hold a place."""

    nominations: list[Nomination]
    next: str | None


class Place(Answer):
    """The places of one list."""

    scope: str = Field(examples=["force", "every district", "D4"])
    places: int | None = Field(description="As set; null: as the settings say.")
    number: int = Field(description="Number of this setting: send it with yours.")
    by: str
    at: datetime
    reason: str


class Places(Answer):
    """How many places lists have: for the force, for a district unless it has its own, and what was set."""

    force: int = Field(examples=[100])
    team: int = Field(examples=[25])
    districts: dict[str, int]
    set: list[Place]


class AgreementLine(Answer):
    """How officers and one list agreed."""

    list_id: str
    as_of: datetime
    published_at: datetime
    listed: int
    decided: int
    adopt: int
    not_now: int
    disagree_up: int
    disagree_down: int
    refer: int
    agree: int
    differ: int
    share: float | None = Field(
        description="agree / (agree + differ); null where nothing speaks of the place"
    )
    waiting: int
    refused: int


class Agreement(Answer):
    """Agreement of officers with lists, newest list first."""

    lists: list[AgreementLine]
    next: str | None


class Crossed(Problem):
    """Somebody wrote first: what they wrote."""

    newer: list[dict[str, Any]]


CONFLICT: dict[int | str, dict[str, Any]] = {
    409: {
        "model": Crossed,
        "content": {"application/problem+json": {}},
        "description": "Somebody wrote first; newer says what. Nothing of yours was kept.",
    }
}
