"""The shapes of the JSON answers, with examples for the OpenAPI document."""

from __future__ import annotations

from datetime import date, datetime
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


class Health(Answer):
    """What is loaded, how old it is, which model and which list are in use."""

    ok: bool = Field(description="A load, a model and a list are all there.", examples=[True])
    load_id: str | None = Field(examples=["l-2c9a71f0be55"])
    nature: str | None = Field(description="simulated, public or operational", examples=["simulated"])
    data_until: datetime | None = Field(description="When the newest event became known.")
    data_age_days: int | None = Field(examples=[1])
    model_version: str | None = Field(examples=["m-9d0f6a1c22b4"])
    model_notes: list[str] = Field(
        description="What must be said of the model in use: no approval, an override, an approval that ends or ended."
    )
    list_id: str | None = Field(examples=["20260101T0600Z-3f2a9c01d4"])
    list_as_of: datetime | None = None


class TeamArea(Answer):
    """A team and the districts it covers."""

    team_id: str = Field(examples=["D4"])
    name: str | None = Field(default=None, examples=["District 4"])
    districts: list[str] = Field(examples=[["D4"]])


class Counts(Answer):
    """How many persons a list is about."""

    ranked: int = Field(examples=[4120])
    listed: int = Field(examples=[212])
    apart: int = Field(examples=[63])
    entrants: int = Field(examples=[9])


class ListSummary(Answer):
    """What a published list says of itself."""

    list_id: str = Field(examples=["20260101T0600Z-3f2a9c01d4"])
    as_of: datetime
    published_at: datetime
    nature: str = Field(examples=["simulated"])
    load_id: str
    model_version: str
    approval: dict[str, Any] | None = Field(
        None, description="Who put the model in use, why, until when, and against which gates if any."
    )
    code_version: str
    harm: Any = Field(description="Harm scheme and edition behind the score.")
    horizon_days: int = Field(examples=[365])
    data_until: datetime | None
    counts: Counts
    previous: dict[str, Any] | None = Field(description="The list that changes are told against.")


class Lists(Answer):
    """Published lists, newest first."""

    lists: list[ListSummary]
    teams: list[TeamArea]


class ListReason(Answer):
    """A reason on a row: a sentence and the records it counts."""

    group: str = Field(examples=["Reports"])
    sentence: str = Field(examples=["4 domestic reports as suspect in the last 90 days, 1 in the 90 before"])
    contribution: float = Field(
        description="Log-odds against the average of the training rows.", examples=[0.82]
    )
    events: list[str] = Field(description="event_id of the newest records it counts.", examples=[["E000123"]])
    references: list[str] = Field(
        description="The same by the reference officers use.", examples=[["42/1234/25"]]
    )
    more: int = Field(description="How many further records it counts.", examples=[2])


class ListRow(Answer):
    """One place on a list."""

    rank: int = Field(examples=[1])
    rank_before: int | None = Field(examples=[4])
    change: str = Field(examples=["up 3"])
    person_id: str = Field(examples=["P00017"])
    name: str | None = None
    district: str = Field(examples=["D4"])
    team_rank: int = Field(examples=[1])
    in_100: str = Field(description="p_serious as a natural frequency.", examples=["7 in 100"])
    p_serious: float = Field(examples=[0.0712])
    p_any: float = Field(examples=[0.4321])
    expected_harm: float = Field(
        description="Harm days expected to be recorded in the horizon.", examples=[41.3]
    )
    harm_days_365: float | None = Field(examples=[190.0])
    incidents_30: int
    incidents_90: int
    incidents_365: int
    days_since: int | None
    victims_1095: int | None
    count_rank: int = Field(
        description="Rank by domestic events in 365 days; equals share a place.", examples=[12]
    )
    state: list[str] | None = Field(examples=[["On bail until 14 January 2026: no contact"]])
    release_due: datetime | None
    reasons: list[ListReason] | None
    age_unknown: bool
    records: int | None = Field(default=None, description="Nominal records taken as this person; null: one.")
    match: float | None = Field(default=None, description="The weakest match that holds them together.")
    linked: bool = Field(default=True, description="False: arrived after the last link run.")
    restricted: bool | None = Field(
        description="Reasons are kept back: the record is open to named users only."
    )
    withheld: bool = Field(default=False, description="Taken out of the records by law since publication.")


class Leaver(Answer):
    """Who was on the last list and is not on this one."""

    person_id: str
    rank_before: int
    why: str = Field(examples=["now 131 in the ranking"])


class Apart(Answer):
    """Who stands apart from the ranking, and why."""

    person_id: str
    district: str
    reason: str = Field(examples=["in prison or on remand"])
    release_due: datetime | None


class ListAnswer(ListSummary):
    """A list as a team sees it."""

    team: TeamArea | None
    top: int
    note: str
    rows: list[ListRow]
    leavers: list[Leaver]
    apart: list[Apart]
    teams: list[TeamArea]


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
    figures: dict[str, float | None] = {}
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
