"""The shapes of published lists in JSON."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from pydantic import Field

from api.answers.base import Answer

HELD = "On hold, identity or role in doubt: the line to show; empty: no hold."


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
    leavers: int | None = Field(default=None, examples=[7])


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
    next: str | None = Field(default=None, description="Where the older ones are; null: these are the last.")
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


class Ending(Answer):
    """Something about a person that ends soon."""

    what: str = Field(examples=["Release due"])
    on: datetime
    days: int = Field(description="Whole days from now.", examples=[11])


class ListRow(Answer):
    """One place on a list."""

    rank: int = Field(examples=[1])
    rank_before: int | None = Field(examples=[4])
    change: str = Field(examples=["up 3"])
    person_id: str = Field(examples=["P00017"])
    name: str | None = None
    district: str | None = Field(description="Null: withheld.", examples=["D4"])
    team_rank: int | None = Field(examples=[1])
    in_100: str | None = Field(
        description="p_serious as a natural frequency; null: kept back.", examples=["7 in 100"]
    )
    p_serious: float | None = Field(
        description="Null: kept back, as this and the next are under pseudonyms.", examples=[0.0712]
    )
    p_any: float | None = Field(examples=[0.4321])
    expected_harm: float | None = Field(
        description="Harm days expected to be recorded in the horizon; whole days under pseudonyms.",
        examples=[41.3],
    )
    harm_days_365: float | None = Field(examples=[190.0])
    incidents_30: int | None
    incidents_90: int | None
    incidents_365: int | None
    days_since: int | None
    victims_1095: int | None
    count_rank: int | None = Field(
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
        description="Open to named users only: beside rank, reference and district everything is kept back."
    )
    withheld: bool = Field(
        default=False,
        description="Taken out of the records by law since publication: rank and score alone are told.",
    )
    place: str | None = Field(
        default=None,
        description="rank, reserve (nominated) or stay (four weeks have not passed).",
        examples=["rank"],
    )
    stays_until: datetime | None = Field(
        default=None, description="Until then the ranking alone takes nobody off the list."
    )
    now: list[str] = Field(
        description="The state as the records say today, under pseudonyms in words without dates; `state` is that of "
        "the day of the list.",
        examples=[["Wanted since 30 May 2025: failed to answer bail"]],
    )
    flags: list[str] = Field(
        description="The same as codes: wanted, custody, bail, orders, large, release, ending.",
        examples=[["wanted", "bail"]],
    )
    ends: list[Ending] = Field(
        description="Release within 28 days, bail and orders within 14, soonest first."
    )
    victims: list[str] = Field(description="By reference, latest first.", examples=[["V00412"]])
    victims_hidden: int = Field(description="Victims not shown: their record is restricted.")
    warnings: list[str] = Field(description="What to know of the data behind the row before acting on it.")
    held: str = Field(
        description=HELD,
        examples=[
            "On hold: identity or role in doubt since 3 March 2026. A supervisor decides by 5 March 2026"
        ],
    )
    owner: str | None = Field(default=None, examples=["Team D4"])
    decision: str | None = Field(default=None, description="The decision in effect.", examples=["Adopt"])
    waiting: bool = Field(default=False, description="A decision waits for a supervisor's word.")
    due_on: date | None = None
    last_action: str | None = Field(default=None, examples=["Visit, 4 March 2026: done"])
    overdue: int = Field(default=0, description="Actions without a result whose day has passed.")


class Leaver(Answer):
    """Who was on the last list and is not on this one."""

    person_id: str
    rank_before: int
    why: str = Field(examples=["now 131 in the ranking"])
    withheld: bool = False
    restricted: bool = False
    held: str = Field(default="", description=HELD)


class Apart(Answer):
    """Who stands apart from the ranking, and why."""

    person_id: str
    district: str | None = Field(description="Null: withheld.")
    reason: str = Field(examples=["in prison or on remand"])
    release_due: datetime | None
    withheld: bool = False
    restricted: bool = False
    held: str = Field(default="", description=HELD)


class ListAnswer(ListSummary):
    """A list as a viewer sees it today: their districts, in the order and narrowed as asked for. Ranks never change."""

    team: TeamArea | None
    top: int = Field(description="How many places there are.")
    note: str
    state_as_of: datetime = Field(description="The moment `now` is of.")
    pseudonyms: bool = Field(
        description="Persons stand under pseudonyms; references of records are left out."
    )
    shown: int = Field(description="How many rows there are after narrowing.", examples=[25])
    of: int = Field(description="How many before.", examples=[100])
    narrowed: dict[str, int] = Field(
        description="How many rows each `only` leaves.", examples=[{"wanted": 2}]
    )
    rows: list[ListRow]
    next: str | None = Field(description="Where the rows after these are; null: these are the last.")
    leavers: list[Leaver]
    apart_counts: dict[str, int] = Field(
        description="How many stand apart, by reason; who they are: `/lists/{list_id}/apart`.",
        examples=[{"in prison or on remand": 41}],
    )
    teams: list[TeamArea]


class ApartAnswer(Answer):
    """Who stands apart from a list, a page at a time."""

    list_id: str
    of: int = Field(examples=[41])
    apart: list[Apart]
    next: str | None


class Whereabouts(Answer):
    """Why a person is, or is not, on a list."""

    list_id: str
    person_id: str = Field(examples=["P00017"])
    words: str = Field(
        examples=["Not on the list: ranked 131 of 4,120 and 31 in district D4, below its places."]
    )
    held: str = Field(default="", description=HELD)


class ChangedRow(Answer):
    """A person's place on two lists."""

    person_id: str
    name: str | None
    district: str | None = Field(description="Null: withheld.")
    rank: int | None = Field(description="On the later list; null: not ranked.")
    rank_before: int | None = Field(description="On the earlier list; null: not ranked.")
    why: str | None = Field(default=None, description="Of a leaver: what became of them.")
    withheld: bool = False
    restricted: bool = False
    held: str = Field(default="", description=HELD)


class Changes(Answer):
    """What changed from one list to another."""

    before: str = Field(description="list_id of the earlier list.")
    after: str
    pseudonyms: bool
    entrants: list[ChangedRow]
    leavers: list[ChangedRow]
    stayed: list[ChangedRow] = Field(description="The greatest move first.")
    other: list[str] = Field(
        description="What else differs: moves may come from it.", examples=[["another model"]]
    )
    by_count: int = Field(
        description="How many of the later list's people the same number of places by count would hold."
    )
