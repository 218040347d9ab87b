"""The shape of a before-attending sheet in JSON, of calls, and of what an officer records."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from api.answers.base import Answer
from api.answers.persons import Identity

Said = Literal["Y", "N", "U"]


class CallAnswer(Answer):
    """A call, or the report where no call is recorded. The address is not given."""

    kind: str = Field(examples=["call"])
    call_id: str = Field(examples=["C00009482"])
    reference: str = Field(examples=["INC00009482"])
    at: datetime
    grade: int | None = Field(examples=[1])
    caller_role: str | None = Field(examples=["victim"])
    victims: list[str] = Field(examples=[["P91516798"]])
    suspects: list[str] = Field(examples=[["P46637038"]])
    not_shown: int = Field(
        description="Suspects named besides, of whom there is no page to open.", examples=[0]
    )
    district: str | None = Field(examples=["D4"])
    event_id: str | None


class Calls(Answer):
    """The calls with a reference, newest first."""

    calls: list[CallAnswer]


class SheetWho(Answer):
    """Who the sheet is about."""

    name: str | None
    also_known_as: list[str]
    date_of_birth: date | None
    age: int | None
    last_place: str


class Near(Answer):
    """How near the latest known address is to the call's."""

    band: str | None = Field(
        description="here, under_1_km, under_10_km, further, unknown; null: no place to compare with.",
        examples=["under_1_km"],
    )
    words: str = Field(
        examples=["Latest known address: under 1 km from here (recorded 3 March 2026, 12 days ago)"]
    )
    since: datetime | None
    days_old: int | None = Field(examples=[12])
    old: bool
    notes: list[str]


class Now(Answer):
    """Where the person may be, and what protects others."""

    lines: list[str] = Field(examples=[["On bail until 14 January 2026: no contact"]])
    near: Near
    orders: list[dict[str, Any]]
    markers: list[dict[str, Any]]
    at_large: bool


class Owed(Answer):
    """One thing owed to a victim."""

    person_id: str
    to: str
    kind: str = Field(description="promise, update or code (the Victims' Code).", examples=["code"])
    what: str
    due: datetime
    overdue: bool
    basis: str


class KnownFact(Answer):
    """The latest value of one fact, its date and where it stands; ``before``: an earlier value that differs."""

    name: str = Field(examples=["language"])
    label: str = Field(examples=["Language"])
    value: str = Field(examples=["Polish"])
    when: datetime | None
    source: str = Field(examples=["victim plan"])
    before: str | None


class KnownOf(Answer):
    """What need not be asked again of one person, and what was never recorded. ``of`` null: the sheet's person."""

    of: str | None
    who: str | None
    facts: list[KnownFact]
    answers: list[KnownFact]
    never: list[str]


class VideoRow(Answer):
    """Answers recorded before a video response, or that an officer was asked for at once (``asked`` false)."""

    id: int
    person_id: str
    victim_id: str | None
    call_id: str | None
    asked: bool
    agrees: Said | None
    can_talk: Said | None
    suspect_absent: Said | None
    send: bool = Field(description="Send an officer.")
    words: str = Field(examples=["Send an officer"])
    why: list[str] = Field(examples=[["may have the suspect there"]])
    by: str
    role: str
    at: datetime


class VideoDone(VideoRow):
    """What was recorded, with what stands now: ``send``, ``words`` and ``why`` are those of the answers that stand,
    which may be an earlier "no" of another victim."""


class VisitRow(Answer):
    """A contact logged after a visit, with what came of it."""

    id: int
    person_id: str
    victim_id: str | None
    call_id: str | None
    channel: str = Field(examples=["visit"])
    reached: bool
    contact_at: datetime
    information: str | None
    regrade: str | None = Field(examples=["high"])
    regrade_why: str | None
    referral: str | None
    by: str
    role: str
    at: datetime


class SheetAnswer(Answer):
    """Before attending: the sheet in the order it is read."""

    person_id: str
    as_of: datetime
    call: CallAnswer | None
    hold: str | None = Field(description="Identity or role is in doubt: what is said of it.")
    who: SheetWho
    identity: Identity
    now: Now
    people: list[dict[str, Any]]
    children: list[str]
    before: list[dict[str, Any]]
    earlier: int = Field(description="Domestic events older than those shown.")
    balance: list[str]
    grades: list[dict[str, Any]]
    separations: list[str]
    score: dict[str, Any]
    promises: list[Owed]
    promises_older: int = Field(description="Older changes without a contact recorded since.")
    last_contact: dict[str, datetime]
    schemes: list[str]
    disclosures: list[str]
    known: list[KnownOf]
    never_recorded: list[str]
    answered: VideoRow | None = Field(description="Answers before video that still stand; null: ask.")
    video: list[VideoRow]
    visits: list[VisitRow]


class Tied(Answer):
    """A suspect whom the records tie to an address."""

    person_id: str
    name: str | None
    why: str = Field(examples=["suspect in 3 domestic events here, the last on 3 March 2026"])


class CallSheet(Answer):
    """A call with the sheet of the suspect it names; where it names none or several, whom the records tie to it."""

    call: CallAnswer
    sheet: SheetAnswer | None
    suspects: list[Tied]


class Videos(Answer):
    """Answers recorded, newest first. ``next``: pass it as ``before`` for the next page."""

    video: list[VideoRow]
    next: int | None


class Visits(Answer):
    """Contacts logged, newest first. ``next``: pass it as ``before`` for the next page."""

    visits: list[VisitRow]
    next: int | None


class _Body(BaseModel):
    """What is sent; nothing beyond it is taken."""

    model_config = ConfigDict(strict=True, extra="forbid")

    once: str = Field(
        min_length=8, max_length=80, description="Made by the sender: sending it twice writes one entry.",
        examples=["4f1c0c9e-2f6b-4c0e-9f5a-0d2f1c8a77b1"],
    )  # fmt: skip
    victim_id: str | None = Field(None, max_length=200)
    call_id: str | None = Field(None, max_length=200)


class VideoIn(_Body):
    """The three answers, as the victim gave them; or an officer asked for at once."""

    attend_instead: bool = False
    agrees: Said | None = None
    can_talk: Said | None = None
    suspect_absent: Said | None = None


class VisitIn(_Body):
    """A contact and what came of it."""

    channel: Literal["visit", "phone", "video", "text", "email"]
    reached: bool
    contact_at: datetime | None = Field(None, strict=False, description="Now, when left out.")
    information: str | None = Field(None, max_length=4000)
    regrade: Literal["standard", "medium", "high"] | None = None
    regrade_why: str | None = Field(None, max_length=4000)
    referral: Literal["MARAC", "IDVA", "perpetrator_programme", "other"] | None = None
