"""Facts of the reference engine that stand in one table's rows: a person, an assessment, an order, a call.

A mixin of ``reference.World``, which says what rows stood at T; here each row becomes the fact a stream counts
(``features/streams.py``).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from features.streams import DASH_QUESTIONS, GRADE_LEVEL, PARTNER_KINDS, TAG_FIELDS

Row = dict[str, Any]


class RowFacts(ABC):
    """The streams whose facts are rows of a table, one generator a stream."""

    t: datetime
    events: dict[str, Row]
    _sorted_out: dict[tuple[str, str], dict[str | None, list[Row]]]

    @abstractmethod
    def known(self, table: str) -> list[Row]:
        """The rows of a table that stood at T."""

    @abstractmethod
    def suspects_of(self, event: Row) -> frozenset[str]:
        """Who is suspected in an event."""

    @abstractmethod
    def events_with(self, person: str) -> Iterable[Row]:
        """Events in which the person is a suspect or a victim."""

    def having(self, table: str, column: str, value: str | None) -> Iterable[Row]:
        """The rows of a table with this value in the column, sorted out once for all values."""
        if (table, column) not in self._sorted_out:
            found: dict[str | None, list[Row]] = {}
            for row in self.known(table):
                found.setdefault(row[column], []).append(row)
            self._sorted_out[table, column] = found
        return self._sorted_out[table, column].get(value, ())

    def _person(self, person: str) -> Iterator[Row]:
        today = self.t.astimezone(ZoneInfo("Europe/London")).date()
        for row in self.having("person", "person_id", person):
            born = row["date_of_birth"]
            age = None
            if born is not None and born <= today:
                age = today.year - born.year - ((today.month, today.day) < (born.month, born.day))
            yield {"at": self.t, "age": age}

    def _assessment(self, row: Row) -> Row:
        answers = [row[q] for q in DASH_QUESTIONS if row[q] is not None]
        return {
            "at": row["at"],
            "tool": row["tool"],
            "grade": GRADE_LEVEL.get(row["grade_reviewed"] or row["grade"]),
            "yes": sum(answer == "Y" for answer in answers) if answers else None,
        }

    def _assessed_suspects(self, row: Row) -> frozenset[str]:
        if row["suspect_id"] is not None:
            return frozenset((row["suspect_id"],))
        event = self.events.get(row["event_id"])
        return self.suspects_of(event) if event else frozenset()

    def _assessment_as_suspect(self, person: str) -> Iterator[Row]:
        for row in self.having("risk_assessment", "suspect_id", person):
            yield self._assessment(row)
        for event in self.events_with(person):
            if person in self.suspects_of(event):
                for row in self.having("risk_assessment", "event_id", event["event_id"]):
                    if row["suspect_id"] is None:
                        yield self._assessment(row)

    def _assessment_as_victim(self, person: str) -> Iterator[Row]:
        for row in self.having("risk_assessment", "victim_id", person):
            yield self._assessment(row)

    def _pair_assessment(self, suspect: str, victim: str) -> Iterator[Row]:
        for row in self.having("risk_assessment", "victim_id", victim):
            if suspect in self._assessed_suspects(row):
                yield self._assessment(row)

    def _custody(self, person: str) -> Iterator[Row]:
        for row in self.having("custody", "person_id", person):
            yield {"at": row["at"], "release": row["release"], "released": row["released_at"] is not None}

    def _bail(self, person: str) -> Iterator[Row]:
        for row in self.having("bail", "person_id", person):
            over = row["until_at"] is not None and row["until_at"] <= self.t
            yield {
                "at": row["at"],
                "in_force": row["cancelled_at"] is None and not over,
                "no_contact": "no_contact" in (row["conditions"] or ()),
            }

    def _order(self, row: Row) -> Row:
        over = row["expires_on"] is not None and row["expires_on"] <= self.t
        in_force = row["discharged_on"] is None and not over
        return {"at": row["at"], "kind": row["kind"], "in_force": in_force, "order_id": row["order_id"]}

    def _order_as_respondent(self, person: str) -> Iterator[Row]:
        for row in self.having("order", "respondent_id", person):
            yield self._order(row)

    def _order_as_protected(self, person: str) -> Iterator[Row]:
        for row in self.having("order", "protected_id", person):
            yield self._order(row)

    def _pair_order(self, suspect: str, victim: str) -> Iterator[Row]:
        for row in self.having("order", "respondent_id", suspect):
            if row["protected_id"] == victim:
                yield self._order(row)

    def _breach(self, person: str) -> Iterator[Row]:
        for row in self.having("breach", "person_id", person):
            yield {
                "at": row["at"],
                "of_order": row["order_id"] is not None,
                "of_bail": row["bail_id"] is not None,
            }

    def _pair_breach(self, suspect: str, victim: str) -> Iterator[Row]:
        protecting = {row["order_id"] for row in self.having("order", "protected_id", victim)}
        for row in self.having("breach", "person_id", suspect):
            if row["order_id"] in protecting:
                yield {"at": row["at"], "of_order": True, "of_bail": row["bail_id"] is not None}

    def _marker(self, person: str) -> Iterator[Row]:
        for row in self.having("marker", "person_id", person):
            over = row["expires_on"] is not None and row["expires_on"] <= self.t
            yield {"at": row["at"], "code": row["code"], "in_force": not over}

    def _conviction(self, person: str) -> Iterator[Row]:
        for row in self.having("conviction", "person_id", person):
            fact = {
                "at": row["at"],
                "disposal": row["disposal"],
                "custody_days": row["custody_days"],
                "serious": bool(row["serious"]),
            }
            for name, tags in TAG_FIELDS.items():
                fact[name] = any(tag in (row["tags"] or ()) for tag in tags)
            yield fact

    def _wanted(self, person: str) -> Iterator[Row]:
        for row in self.having("wanted", "person_id", person):
            yield {"at": row["at"], "current": row["cleared_at"] is None}

    def _spell(self, person: str) -> Iterator[Row]:
        for row in self.having("spell", "person_id", person):
            yield {"at": row["at"], "state": row["state"], "current": row["ended_on"] is None}

    def _release(self, person: str) -> Iterator[Row]:
        for row in self.having("spell", "person_id", person):
            ended = row["ended_on"]
            if row["state"] in ("prison", "remand") and ended is not None:
                yield {"at": ended, "state": row["state"]}

    def _call_as_suspect(self, person: str) -> Iterator[Row]:
        for row in self.having("call", "suspect_id", person):
            yield {"at": row["at"], "grade": row["grade"], "caller_role": row["caller_role"]}

    def _call_as_victim(self, person: str) -> Iterator[Row]:
        for row in self.having("call", "victim_id", person):
            yield {"at": row["at"], "grade": row["grade"], "caller_role": row["caller_role"]}

    def _ties(self, person: str) -> Iterator[tuple[Row, str]]:
        """Relationship rows that name the person, with the other party."""
        for mine, other in (("person_id_a", "person_id_b"), ("person_id_b", "person_id_a")):
            for row in self.having("relationship", mine, person):
                if row[other] != person:
                    yield row, row[other]

    def _relationship(self, person: str) -> Iterator[Row]:
        for row, other in self._ties(person):
            yield {
                "at": row["at"],
                "kind": row["kind"],
                "other": other,
                "current": row["ended_on"] is None,
                "shared_child": row["shared_child"],
                "partner": row["kind"] in PARTNER_KINDS,
            }

    def _pair_relationship(self, suspect: str, victim: str) -> Iterator[Row]:
        for fact in self._relationship(suspect):
            if fact["other"] == victim:
                yield fact

    def _separation(self, person: str) -> Iterator[Row]:
        for row, other in self._ties(person):
            if row["kind"] in PARTNER_KINDS and row["ended_on"] is not None:
                yield {"at": row["ended_on"], "other": other}

    def _pair_separation(self, suspect: str, victim: str) -> Iterator[Row]:
        for fact in self._separation(suspect):
            if fact["other"] == victim:
                yield fact
