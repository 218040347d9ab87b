"""The shapes of what records staff work on: uncertain pairs and quarantined rows."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from api.answers.base import Answer


class WaitingPair(Answer):
    """Two records that may be one person, by reference."""

    persons: tuple[str, str] = Field(examples=[("P00017", "P00423")])
    probability: float = Field(examples=[0.62])


class WaitingPairs(Answer):
    """The pairs that wait, the likeliest first."""

    pairs: list[WaitingPair]
    closed: int = Field(description="Not shown: a record of the pair is for named users.", examples=[0])
    decided: int = Field(description="Decided so far.", examples=[14])
    next: int | None = Field(description="The offset of the next page; null on the last.", examples=[50])


class Comparison(Answer):
    """What one field is worth: each bit doubles the odds that the two are one person."""

    field: str = Field(examples=["Family name"])
    left: str
    right: str
    bits: float = Field(examples=[7.2])


class RecordSide(Answer):
    """One record as it was written."""

    person_id: str
    name: str
    born: str
    sex: str
    also: list[str]
    places: list[str]
    events: list[str]
    total: str


class OnePair(Answer):
    """A pair with both records side by side."""

    persons: tuple[str, str]
    probability: float
    start: float = Field(description="Bits of two records at random: how rare duplicates are.")
    compared: list[Comparison]
    left: RecordSide
    right: RecordSide


class PairDecision(BaseModel):
    """What is said of a pair."""

    model_config = ConfigDict(strict=True, extra="forbid")

    same: bool = Field(description="True: one person; false: two people.")
    reason: str = Field(min_length=3, max_length=2000, examples=["Same birth date, address and partner."])


class Decided(Answer):
    """A decision as it was kept."""

    person_id_a: str
    person_id_b: str
    same: bool
    by: str
    at: str
    reason: str


class QuarantineCount(Answer):
    """Rows of one table that were set aside for one reason."""

    table: str = Field(examples=["event"])
    reason: str = Field(examples=["not a date"])
    rows: int = Field(examples=[12])


class QuarantineCounts(Answer):
    """What was set aside of the load in use, without any content."""

    load_id: str
    counts: list[QuarantineCount]
    blanked: list[QuarantineCount] = Field(description="Cells blanked in rows that were kept.")


class QuarantinedRow(Answer):
    """One row with its fault: where it is in the file, which column, what stood there."""

    line: int | None
    column: str | None
    reason: str
    told: bool = Field(
        description="Whether `value` is told: never of names, addresses, victims' plans or contacts."
    )
    value: str | None = Field(description="What stood there.", examples=["32 May"])
    keys: dict[str, str | None] = Field(
        description="The references that find the row in the records system.", examples=[{"event_id": "E99"}]
    )


class QuarantinedRows(Answer):
    """Quarantined rows of one table."""

    table: str
    rows: list[QuarantinedRow]
    kept_back: int = Field(description="Rows of restricted records, which are not shown.", examples=[0])
    next: int | None
