"""Where each allegation against a person stands: alleged, charged, convicted, no further action, cancelled.

A person is a suspect until a conviction is shown. Outcomes of offences say most of it; a custody release speaks where
no offence has an outcome; a conviction row, which names an offence code and no event, is matched to a charged event
only when no other could be meant, and the match is said to be Doorstep's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import polars as pl

from features.asof import instant
from risk.settings import settings
from risk.view import View
from risk.words import count, day, listed

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Status:
    """Where one event stands. ``code``: a key of ``statuses.toml`` [status]; ``words`` for a reader; ``kind``: record
    or calculation (a conviction matched by Doorstep)."""

    code: str
    words: str
    kind: str = "record"


@dataclass(frozen=True)
class Cancelled:
    """An event that was taken out of the records again: it counts for nothing."""

    event_id: str
    occurred_at: datetime
    cancelled_at: datetime

    def as_dict(self) -> dict[str, Any]:
        """The same facts for a machine."""
        return asdict(self)


class Statuses:
    """The statuses of one person's events; custody and convictions are read once."""

    def __init__(
        self, view: View, person_id: str, own_offences: Rows, crimes_gone: Mapping[str, datetime]
    ) -> None:
        said = settings("statuses")
        self._words: Mapping[str, str] = said["status"]
        self._outcome, self._release = said["outcome"], said["release"]
        self._not = frozenset(said["conviction"]["not_convictions"])
        self._gone = crimes_gone
        custody = view.whole("custody").filter(
            pl.col("person_id") == person_id, pl.col("event_id").is_not_null()
        )
        self._released = {  # the latest custody of an event is read last and stays
            row["event_id"]: row["release"]
            for row in custody.sort("arrested_at", "custody_id").iter_rows(named=True)
        }
        convictions = view.whole("conviction").filter(pl.col("person_id") == person_id)
        self.convictions = convictions.sort("convicted_on", "conviction_id").to_dicts()
        self._matched, self._perhaps = self._match(own_offences)

    def of(self, event: Mapping[str, Any], own: Rows) -> Status:
        """The status of one event by the offences in it that are the person's own (or nobody's by name)."""
        if not own:
            if (at := self._gone.get(event["event_id"])) is not None:
                return Status("cancelled", f"crime {self._words['cancelled']} {day(at)}")
            if event["kind"] == "crime":
                return Status("alleged", "alleged; offence not in the records")
            return Status("no_crime", self._words["no_crime"])
        event_id = event["event_id"]
        if row := self._matched.get(event_id):
            words = (
                f"{self._words['convicted']} {day(row['convicted_on'])} (matched by offence code to this charge, "
                "the only one it fits)"
            )
            return Status("convicted", words, "calculation")
        groups = [self._group(row["outcome_code"]) for row in own]
        if "charged" in groups:
            return Status("charged", self._words["charged"] + self._perhaps.get(event_id, ""))
        if not any(groups):
            release = self._released.get(event_id)
            if release in self._release["charged"]:
                return Status("charged", f"{self._words['charged']}, as the custody release says")
            if release in self._release["no_further_action"]:
                return Status(
                    "no_further_action",
                    "released with no further action; no outcome recorded for the offence",
                )
        code = next(code for code in self._words if code in {group or "alleged" for group in groups})
        outcomes = sorted({str(row["outcome_code"]) for row in own if row["outcome_code"]})
        closed = f", outcome {listed(outcomes)}" if outcomes and code != "alleged" else ""
        return Status(code, self._words[code] + closed)

    def _group(self, outcome: str | None) -> str | None:
        if outcome is None:
            return None
        return next((name for name, codes in self._outcome.items() if outcome in codes), "no_further_action")

    def _match(self, own: Rows) -> tuple[dict[str, Mapping[str, Any]], dict[str, str]]:
        """Event -> the one conviction that can only be about it; event -> what to say where several fit."""
        charged = [row for row in own if self._charged(row)]
        matched: dict[str, Mapping[str, Any]] = {}
        perhaps: dict[str, str] = {}
        for row in self.convictions:
            if row["disposal"] in self._not:
                continue
            fits = sorted({
                one["event_id"]
                for one in charged
                if one["ho_code"] == row["ho_code"] and one["occurred_at"] <= row["convicted_on"]
            })  # fmt: skip
            if len(fits) == 1 and fits[0] not in matched:
                matched[fits[0]] = row
            elif len(fits) > 1:
                said = (
                    f"; a conviction of {day(row['convicted_on'])} has this offence code, the records do not say "
                    f"for which of {count(len(fits), 'charge')}"
                )
                perhaps |= dict.fromkeys(fits, said)
        return matched, perhaps

    def _charged(self, row: Mapping[str, Any]) -> bool:
        group = self._group(row["outcome_code"])
        return group == "charged" or (
            group is None and self._released.get(row["event_id"]) in self._release["charged"]
        )

    def called(self) -> str:
        """ "suspect" until the records show a conviction, then how many."""
        shown = [row for row in self.convictions if row["disposal"] not in self._not]
        return f"suspect, with {count(len(shown), 'conviction')} on record" if shown else "suspect"


def cancelled(view: View, person_ids: Iterable[str]) -> list[Cancelled]:
    """Events of a person that were on record once and stand no longer at T, newest first.

    ``person_ids``: every record of the person. Only events taken out whole: where a person was taken off an event that
    stands, nothing is said of it, here or anywhere.
    """
    mine = list(person_ids)
    records, seen = view.load.near(mine, view.t), _seen_by(view.t)
    part = records.table("involvement").filter(
        seen, pl.col("person_id").is_in(mine), pl.col("role").is_in(["suspect", "victim"])
    )
    named = records.table("offence").filter(
        seen, pl.col("suspect_id").is_in(mine) | pl.col("victim_id").is_in(mine)
    )
    ids = pl.concat([part.select("event_id"), named.select("event_id")]).unique()
    last = _last_version(records.table("event").join(ids, on="event_id", how="semi"), view.t, "event_id")
    gone = last.filter(pl.col("known_to") <= instant(view.t)).sort("occurred_at", "event_id", descending=True)
    return [
        Cancelled(row["event_id"], row["occurred_at"], row["known_to"]) for row in gone.iter_rows(named=True)
    ]


def crimes_cancelled(view: View, person_ids: Iterable[str], event_ids: Iterable[str]) -> dict[str, datetime]:
    """Events whose every offence was withdrawn by T, with the time of the last withdrawal: the event stands, as an
    incident, the crime does not."""
    records = view.load.near(list(person_ids), view.t)
    rows = records.table("offence").filter(pl.col("event_id").is_in(list(event_ids)))
    last = _last_version(rows, view.t, "offence_id")
    whole = last.group_by("event_id").agg(
        open=(pl.col("known_to").is_null() | (pl.col("known_to") > instant(view.t))).any(),
        at=pl.col("known_to").max(),
    )
    return dict(whole.filter(~pl.col("open")).select("event_id", "at").iter_rows())


def _seen_by(t: datetime) -> pl.Expr:
    """Versions that stood on a screen at some moment up to T (one taken out ends as it begins)."""
    return (pl.col("known_from") <= instant(t)) & (
        pl.col("known_to").is_null() | (pl.col("known_to") > pl.col("known_from"))
    )


def _last_version(rows: pl.DataFrame, t: datetime, key: str) -> pl.DataFrame:
    return rows.filter(_seen_by(t)).sort("known_from").group_by(key, maintain_order=True).last()
