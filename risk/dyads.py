"""The pairs a person stands in: who is suspected of harming whom, how often, how gravely, and whether both accuse.

For each other person the domestic events of both directions are laid side by side: how many, over what time, how many
harm days each way and what is left when one is taken from the other. Where both are suspects the pair says so, and
says whether the rule that holds likely victims for review (``models.dual``) speaks for either. Facts and arithmetic:
who the victim is, a person decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import polars as pl

from models.dual import dual_pairs
from risk.history import Happened
from risk.settings import settings
from risk.view import View
from risk.words import amount, count, day, plain


@dataclass(frozen=True)
class Way:
    """One direction of a pair. Events are domestic; harm is in Cambridge harm days; ``serious``: events of serious
    harm; ``found_by_police``: events in no score; times are UTC, None without an event."""

    events: int
    harm_days: float
    serious: int
    found_by_police: int
    first: datetime | None
    last: datetime | None


@dataclass(frozen=True)
class Dyad:
    """A person and one other, both directions. ``toward``: the person as suspect; ``back``: the other as suspect.

    ``net_harm``: harm days toward less harm days back. ``held``: why a likely victim may stand on record as suspect,
    in words, empty where no rule speaks. ``references``: the events that record a counter-allegation.
    """

    other: str
    relationship: str
    toward: Way
    back: Way
    counter_allegations: int
    references: tuple[str, ...]
    events: tuple[str, ...]
    direction: str
    held: str

    @property
    def net_harm(self) -> float:
        """Harm days toward less harm days back."""
        return round(self.toward.harm_days - self.back.harm_days, 2)

    @property
    def both_ways(self) -> bool:
        """Whether each is a suspect against the other, or a counter-allegation is recorded between them."""
        return bool(self.toward.events and self.back.events) or self.counter_allegations > 0

    def lines(self) -> list[str]:
        """The pair in plain sentences."""
        said = [self.direction]
        if self.toward.harm_days or self.back.harm_days:
            net, here, there = self.net_harm, amount(self.toward.harm_days), amount(self.back.harm_days)
            side = (
                f"{amount(abs(net))} more {'as suspect' if net > 0 else 'the other way'}"
                if net
                else "the same"
            )
            said.append(f"harm days {here} as suspect, {there} the other way: {side}")
        if self.counter_allegations:
            said.append(f"{count(self.counter_allegations, 'counter-allegation')} recorded")
        if self.held:
            said.append(self.held)
        return said

    def as_dict(self) -> dict[str, Any]:
        """The same facts for a machine."""
        return asdict(self) | {"net_harm": self.net_harm, "both_ways": self.both_ways, "lines": self.lines()}


@dataclass(frozen=True)
class Dyads:
    """The pairs of a person, the most events first; ``more``: pairs beyond those told; ``not_shown``: people whose
    record is for named users."""

    shown: list[Dyad]
    more: int
    not_shown: int

    def as_dict(self) -> dict[str, Any]:
        """The same facts for a machine."""
        return {
            "shown": [one.as_dict() for one in self.shown],
            "more": self.more,
            "not_shown": self.not_shown,
        }


def dyads(
    view: View, person_id: str, happened: Sequence[Happened], closed: frozenset[str] = frozenset()
) -> Dyads:
    """The pairs a person stands in as of T.

    ``happened``: the person's history (``risk.history``); ``closed``: people whose record is for named users, counted
    and not shown.
    """
    domestic = [one for one in happened if one.domestic and one.status_code != "cancelled"]
    others = dict.fromkeys(other for one in domestic for other in (*one.against, *one.accused_by))
    shown = [other for other in others if other not in closed]
    toward = {other for one in domestic for other in one.against}
    back = {other for one in domestic for other in one.accused_by}
    held = _held(
        view, person_id, sorted(toward & back & set(shown))
    )  # where each is a suspect against the other
    found = [_dyad(view, person_id, other, domestic, held) for other in shown]
    found.sort(key=lambda one: (-(one.toward.events + one.back.events), -(one.toward.harm_days), one.other))
    most = int(settings("dyads")["shown"]["most"])
    return Dyads(found[:most], len(found[most:]), len(others) - len(shown))


def _dyad(
    view: View, person: str, other: str, happened: Sequence[Happened], held: dict[tuple[str, str], str]
) -> Dyad:
    toward = [one for one in happened if other in one.against]
    back = [one for one in happened if other in one.accused_by]
    either = [one for one in happened if other in one.against or other in one.accused_by]
    countered = [one for one in either if one.counter_allegation]
    here, there = _way(toward, person, other), _way(back, other, person)
    why = ""
    for suspect, victim in ((person, other), (other, person)):
        if (suspect, victim) in held:
            who = "this person" if suspect == person else "the other"
            why = f"Who is the victim may be in doubt: {who} is {held[suspect, victim]}"
    return Dyad(
        other=other,
        relationship=relationship(view, person, other, toward),
        toward=here,
        back=there,
        counter_allegations=len(countered),
        references=tuple(one.reference for one in countered),
        events=tuple(one.event_id for one in either),
        direction=_direction(here.events, there.events),
        held=why,
    )


def _way(happened: Sequence[Happened], suspect: str, victim: str) -> Way:
    counted = [one.between.get((suspect, victim), (0, False)) for one in happened]
    return Way(
        events=len(happened),
        harm_days=sum(harm for harm, _ in counted) / 100,
        serious=sum(serious for _, serious in counted),
        found_by_police=sum(one.found_by_police for one in happened),
        first=min((one.occurred_at for one in happened), default=None),
        last=max((one.occurred_at for one in happened), default=None),
    )


def _direction(toward: int, back: int) -> str:
    """How the events lie between the two, in words."""
    share = toward / (toward + back)
    mostly = float(settings("dyads")["direction"]["mostly"])
    numbers = f"{count(toward, 'domestic event')} with this person as suspect, {back or 'none'} the other way"
    if not back:
        return f"{numbers}: all one way"
    if not toward:
        return f"{numbers}: this person is recorded only as the victim"
    if share >= mostly:
        return f"{numbers}: mostly this person as suspect"
    if share <= 1 - mostly:
        return f"{numbers}: mostly the other way"
    return f"{numbers}: both ways"


def _held(view: View, person: str, others: Sequence[str]) -> dict[tuple[str, str], str]:
    """(suspect, victim) -> why the suspect of the pair may be its victim, for pairs with this person in them."""
    if not others:
        return {}
    pairs = dual_pairs(view.load.near([person, *others], view.t), view.t, [person, *others])
    mine = pairs.filter(
        pl.col("why").is_not_null() & ((pl.col("suspect_id") == person) | (pl.col("victim_id") == person))
    )
    return {
        (suspect, victim): why
        for suspect, victim, why in mine.select("suspect_id", "victim_id", "why").iter_rows()
    }


def relationship(view: View, person: str, other: str, toward: Sequence[Happened]) -> str:
    """How two people are related on record: the latest relationship, else what the latest event says."""
    table = view.table("relationship")
    forward = (pl.col("person_id_a") == person) & (pl.col("person_id_b") == other)
    backward = (pl.col("person_id_a") == other) & (pl.col("person_id_b") == person)
    rows = table.filter(forward | backward).sort("at", "kind")
    if rows.height:
        row = rows.row(-1, named=True)
        child = ", a child together" if row["shared_child"] else ""
        ended = f", ended {day(row['ended_on'])}" if row["ended_on"] else ""
        return f"{plain(row['kind'])} since {day(row['started_on'])}{ended}{child}"
    if toward and toward[0].relationships:
        return f"{' / '.join(toward[0].relationships)}, as recorded {day(toward[0].occurred_at)}"
    return "not recorded"
