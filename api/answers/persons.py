"""The shapes of a person in JSON."""

from __future__ import annotations

from datetime import date, datetime
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
    relationships: list[str]
    what: str
    harm_days: float
    serious: bool
    assumed: bool = Field(description="The harm weight rests on the offence class alone.")
    ticks: list[str]
    status: str = Field(examples=["charged"])
    status_code: str = Field(
        description="alleged, charged, convicted, out_of_court, no_further_action, no_crime or cancelled",
        examples=["charged"],
    )
    status_kind: str = Field(description="record, or calculation: a conviction matched to its charge.")
    found_by_police: bool = Field(description="Police found it themselves: it counts in no score.")
    counter_allegation: bool
    children_present: int | None


class Cancelled(Answer):
    """An event that was taken out of the records again."""

    event_id: str
    occurred_at: datetime
    cancelled_at: datetime


class Conviction(Answer):
    """A conviction or caution."""

    conviction_id: str
    convicted_on: datetime
    ho_code: str
    disposal: str | None
    custody_days: int | None


class Assessment(Answer):
    """A risk assessment about the person: somebody's judgement, as recorded."""

    at: datetime
    tool: str
    grade: str | None
    reviewed: str | None
    of: str = Field(description="The victim, by reference.")
    event_id: str


class Way(Answer):
    """One direction of a pair: domestic events, harm days."""

    events: int
    harm_days: float
    serious: int
    found_by_police: int
    first: datetime | None
    last: datetime | None


class Dyad(Answer):
    """The person and one other, by reference, in both directions."""

    other: str
    relationship: str
    toward: Way = Field(description="The person as suspect.")
    back: Way = Field(description="The other as suspect.")
    net_harm: float = Field(description="Harm days toward less harm days back.")
    both_ways: bool
    counter_allegations: int
    references: list[str]
    events: list[str]
    direction: str
    held: str = Field(
        description="Why a likely victim may stand on record as suspect; empty: no rule says so."
    )
    lines: list[str]


class Dyads(Answer):
    """The pairs of a person, the most events first."""

    shown: list[Dyad]
    more: int
    not_shown: int


class RankPlace(Answer):
    """Where the person stood on one list."""

    list_id: str
    as_of: datetime
    person_id: str | None = Field(description="The reference they stood under.")
    rank: int | None
    count_rank: int | None
    of: int
    listed: bool
    in_100: str | None
    expected_harm: float | None
    model_version: str
    apart: str | None
    words: str


class OptionFact(Answer):
    """A statement of an option that may be shown."""

    part: str
    heading: str
    text: str
    mark: str
    source: str


class BearingLine(Answer):
    """What the records hold that bears on the test of an option."""

    kind: str = Field(description="record, assessment or calculation")
    text: str
    events: list[str]
    bears: bool


class ShownOption(Answer):
    """A lawful option as a prompt: never advice, never pressed by the machine."""

    option_id: str
    title: str
    kind: str
    area: str
    test: str
    facts: list[OptionFact]
    held_back: int
    why: str = Field(description="Who stands behind it.")
    verified_by: str | None
    verified_at: datetime | None
    lines: list[BearingLine]
    bears: bool


class ShownOptions(Answer):
    """The options that may be shown, and how many may not."""

    shown: list[ShownOption]
    hidden: int


class DecidedLine(Answer):
    """Something a person wrote about this person."""

    kind: str
    words: str
    at: datetime
    by: str
    role: str
    reason: str
    owner: str | None
    due_on: Any
    list_id: str | None
    rank: int | None


class NetworkAnswer(Answer):
    """The people around a person, by reference."""

    person_id: str
    nodes: list[dict[str, Any]]
    edges: list[dict[str, Any]]
    left_out: int
    not_shown: int
    summary: str
    pages: list[str] = Field(description="Those of them who have a page of their own.")


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
    born: date | None
    age: int | None
    as_of: datetime = Field(description="Nothing newer is on record about this person or those around.")
    district: str
    called: str = Field(examples=["suspect"])
    identity: Identity
    moved: str = Field(description="What changed of who this is since the list; empty: nothing.")
    score: Score
    contributions: Contributions
    reasons: Reasons
    ahead: list[Later] = Field(description="What time alone would change; empty when there is no score.")
    state: dict[str, Any]
    history: list[Event]
    cancelled: list[Cancelled]
    convictions: list[Conviction]
    assessments: list[Assessment]
    dyads: Dyads
    network: NetworkAnswer
    options: ShownOptions
    ranks: list[RankPlace]
    standing: dict[str, Any] = Field(description="Owner, last action, decision in effect, hold, nomination.")
    decided: list[DecidedLine] = Field(
        description="What people have written about this person, newest first."
    )
    model_version: str | None = Field(description="null: no model may be used today; score.words says why.")
    load_id: str
