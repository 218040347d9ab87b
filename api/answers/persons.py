"""The shapes of a person in JSON."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from api.answers.base import Answer


class CitedRecord(Answer):
    """A record behind a sentence."""

    event_id: str
    reference: str
    at: datetime | None


class PersonReason(Answer):
    """One family's share of a score."""

    group: str
    title: str
    sentence: str
    contribution: float
    columns: dict[str, float] = Field(description="Contribution of each column of the family.")
    cited: list[CitedRecord]


class Reasons(Answer):
    """What raises a score, what lowers it, what it did without."""

    raises: list[PersonReason]
    lowers: list[PersonReason]
    missing: list[str] = Field(description="What is not known of this person.")
    not_fed: list[str] = Field(description="What the load lacks, and which features are left out for it.")


class Part(Answer):
    """One column's exact part of a score."""

    column: str = Field(examples=["domestic_events_90d"])
    value: float | None = Field(examples=[4.0])
    contribution: float = Field(examples=[0.41])


class Change(Answer):
    """One family that time alone moves: what stands now and what will stand then."""

    title: str = Field(examples=["Reports"])
    now: str = Field(examples=["2 domestic reports as suspect in the last 90 days"])
    then: str = Field(examples=["no domestic reports as suspect in the last 90 days"])
    difference: float = Field(description="In log-odds.", examples=[-0.4])


class Later(Answer):
    """The score at a later date if nothing new is recorded in between."""

    days: int = Field(examples=[30])
    at: datetime
    words: str = Field(examples=["on 1 July 2025: 5 in 100 in the year after it"])
    p_serious: float | None
    in_100: str | None
    expected_harm: float | None
    apart: str | None = Field(description="Why there is no score, or none in the ranking, by then.")
    changes: list[Change]


class Contributions(Answer):
    """The exact sum: intercept plus parts equals log_odds = logit(p_serious)."""

    intercept: float | None
    log_odds: float | None
    parts: list[Part]


class Score(Answer):
    """The score of a person in figures and in words."""

    scored: bool
    words: str = Field(
        examples=[
            "7 in 100 (between 5 and 9) people with histories like this are recorded for serious harm within a year"
        ]
    )
    between: str | None = Field(default=None, examples=["between 5 and 9"])
    p_serious: float | None = None
    p_low: float | None = Field(
        default=None, description="Lower end of the interval of p_serious (models.intervals)."
    )
    p_high: float | None = Field(
        default=None, description="Upper end of it; null: the model keeps no refits."
    )
    p_any: float | None = None
    expected_harm: float | None = None
    in_scope: bool = False
    reason_apart: str | None = None
    age_unknown: bool | None = None
    first_time: bool | None = None
    release_due: datetime | None = None
    figures: dict[str, float | None] = Field(default_factory=dict)
    place: dict[str, Any] | None = None


class Event(Answer):
    """One event of a person's history; victims by reference."""

    event_id: str
    reference: str
    occurred_at: datetime
    kind: str
    domestic: bool
    roles: list[str]
    against: list[str]
    accused_by: list[str]
    co_suspects: list[str]
    what: str
    harm_days: float
    serious: bool
    assumed: bool = Field(description="The harm weight rests on the offence class alone.")
    ticks: list[str]
    status: str
    found_by_police: bool = Field(description="Police found it themselves: it counts in no score.")
    counter_allegation: bool
    children_present: int | None


class NetworkAnswer(Answer):
    """The people around a person, by reference."""

    person_id: str
    nodes: list[dict[str, Any]]
    edges: list[dict[str, Any]]
    left_out: int
    not_shown: int


class OtherRecord(Answer):
    """Another nominal record of the same person, and the match that holds it in."""

    person_id: str
    match: float


class Identity(Answer):
    """How surely this is one person: their other records, the weakest match, and what to say of it."""

    records: list[OtherRecord]
    match: float | None
    note: str


class PersonAnswer(Answer):
    """A person as of T. No victim's name, address or safe contact is in it."""

    person_id: str
    name: str | None
    as_of: datetime
    district: str
    identity: Identity
    score: Score
    contributions: Contributions
    reasons: Reasons
    ahead: list[Later] = Field(description="What time alone would change; empty when there is no score.")
    state: dict[str, Any]
    history: list[Event]
    network: NetworkAnswer
    model_version: str
    load_id: str
