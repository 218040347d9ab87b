"""The published list as it stands today: each row joined with what the records say now and what people decided.

The list itself never changes. Beside each row stand the present state (wanted, custody, bail, prison, orders), what
ends soon, the victims by reference, warnings about the data, and who owns it. Nothing here moves a rank, and no
victim's name, address or safe contact is in it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl

from features.errors import InputError
from risk.history import events_of, pairs
from risk.holds import held
from risk.kept_back import NAMED_ONLY, closed, keeper, kept_words, placeless
from risk.pseudonyms import withheld_as
from risk.published import PublishedList, everyone_of, names, parts_of, row_words
from risk.settings import settings
from risk.state import LOCKED_UP, State, states
from risk.teams import Team, find_team
from risk.view import View
from risk.who import doubled
from risk.words import count, day, listed

if TYPE_CHECKING:
    from risk.decisions import Standing
    from risk.store import Database

LAST = (1, "")


@dataclass(frozen=True)
class Day:
    """A list prepared for today, everything but what people write: rows by rank, leavers, those apart, names.

    A row is that of the published list with ``withheld`` and ``restricted`` (of either next to nothing is told),
    ``name``, ``now`` (state in words), ``flags`` (codes of the same), ``ends`` (what ends soon: what, on, days, flag),
    ``victims`` (references), ``victims_hidden`` (how many are not shown) and ``warnings``. ``t``: the moment the state
    is of. ``moved_on``: references under which persons are known now, where they differ. ``not_placed``: whose
    nomination was accepted and found no place, with ``why``.
    """

    published: PublishedList
    t: datetime
    rows: list[dict[str, Any]]
    apart: list[dict[str, Any]]
    leavers: list[dict[str, Any]]
    names: dict[str, str]
    teams: list[Team]
    moved_on: dict[str, str] = field(default_factory=dict)
    not_placed: list[dict[str, Any]] = field(default_factory=list)

    def persons(self) -> list[str]:
        """Everyone on a row."""
        return [row["person_id"] for row in self.rows if not row["withheld"]]


def people_of(published: PublishedList) -> list[str]:
    """Who is on a list, who has gone from it and who stands apart: those the records are asked about."""
    return everyone_of(published)


def prepare(
    published: PublishedList,
    view: View,
    force: list[Team],
    known: Collection[str],
    shut: Collection[str] | None = None,
) -> Day:
    """A list as the records of ``view`` stand: the rows of :func:`people_of`, as of now for the latest list.

    ``force``: the teams of the force. ``known``: whom of ``risk.published.everyone_of`` the records hold at any time.
    ``shut``: whose record is open to named users only now, which the records of an older list's day do not say
    (without it: as of the view).
    """
    shut = closed(view) if shut is None else shut
    home = published.folder.parent.parent
    keep = keeper(known, shut, withheld_as(home, published.list_id))
    rows = [keep(row) for row in published.placed()]
    apart = [keep(row) for row in published.apart.iter_rows(named=True)]
    gone = [keep(row) for row in published.facts["leavers"]]
    aside = [keep(row) for row in _not_placed(published)]
    now = {row["person_id"]: view.who(row["person_id"]) for row in rows if not row["withheld"]}
    told = _Told(view, sorted(set(now.values())), shut)
    called = names(view, [row["person_id"] for part in (rows, gone) for row in part if not kept_words(row)])
    made = [row | (BLANK if kept_words(row) else told.row(row, now[row["person_id"]])) for row in rows]
    for row in made:
        row["name"] = called.get(row["person_id"])
    moved_on = {person: known for person, known in now.items() if person != known}
    return Day(published, view.t, made, apart, gone, called, force, moved_on, aside)


def _not_placed(published: PublishedList) -> list[dict[str, Any]]:
    """Whose nomination was accepted and found no place on a list, with the district they stand in."""
    known = [frame.select("person_id", "district") for frame in (published.rows, published.apart)]
    where = dict(pl.concat(known).iter_rows())
    found = published.facts.get("not_placed", [])
    return [one | {"district": where.get(one["person_id"])} for one in found]


BLANK: dict[str, Any] = {
    "now": [],
    "flags": [],
    "ends": [],
    "victims": [],
    "victims_hidden": 0,
    "warnings": [],
}
"""What is added to a row that tells no more than its place."""


class _Told:
    """What the records of a view say of some persons, asked for all at once."""

    def __init__(self, view: View, persons: list[str], shut: Collection[str]) -> None:
        self._view, self._rules = view, settings("today")
        self._states = states(view, persons)
        taken_out = view.identity("person").filter(pl.col("no_processing").fill_null(False))
        self._shut = {*shut, *closed(view), *taken_out["person_id"].to_list()}
        self._victims, self._counter = _victims(view, persons, self._rules["victims"]["days"])
        self._records = dict(doubled(view).select("person_id", "records").iter_rows())

    def row(self, row: Mapping[str, Any], now: str) -> dict[str, Any]:
        """What is added to a row; ``now`` is the reference the person goes by today."""
        state = self._states[now]
        ends = self._ends(state)
        victims = self._victims.get(now, [])
        seen = [one for one in victims if one not in self._shut]
        return {
            "now": state.lines(),
            "flags": sorted(_flags(state) | {end["flag"] for end in ends}),
            "ends": ends,
            "victims": seen,
            "victims_hidden": len(victims) - len(seen),
            "warnings": self._warnings(row, now),
        }

    def _ends(self, state: State) -> list[dict[str, Any]]:
        """What ends within the days of ``today.toml``, soonest first."""
        days, t = self._rules["ends"], state.t
        locked = [spell["expected_end"] for spell in state.spells if spell["state"] in LOCKED_UP]
        orders = {(order["kind"], order["expires_on"]) for order in state.orders}
        found = [("Release due", due, days["release_days"], "release") for due in locked]
        found += [("Bail ends", bail["until_at"], days["bail_days"], "ending") for bail in state.bail]
        found += [(f"{kind} ends", until, days["order_days"], "ending") for kind, until in orders]
        soon = [
            {"what": what, "on": on, "days": max(0, (on - t).days), "flag": flag}
            for what, on, within, flag in found
            if on is not None and t < on <= t + timedelta(days=within)
        ]
        return sorted(soon, key=lambda end: (end["on"], end["what"]))

    def _warnings(self, row: Mapping[str, Any], now: str) -> list[str]:
        """What to know of the data behind a row before acting on it."""
        person = row["person_id"]
        said = [row_words(dict(row))["identity"]]
        then, today = int(row["records"] or 1), int(self._records.get(now, 1))
        if person != now:
            said.append(
                "since this list was made, this record was joined with another: open the person to see both"
            )
        elif today > then:
            said.append(
                f"since this list was made, {count(today - then, 'further record')} turned out to be this "
                "person: the score does not count them"
            )
        elif today < then:
            said.append(
                f"since this list was made, {count(then - today, 'record')} was taken off this person: "
                "the score may count another's record"
            )
        if number := self._counter.get(now, 0):
            said.append(
                f"a counter-allegation in {count(number, 'report')}: check who is the victim before acting"
            )
        return [one for one in said if one]


def _flags(state: State) -> set[str]:
    found = {name for name in ("wanted", "bail", "orders") if getattr(state, name)}
    if state.locked_up:
        found.add("custody")
    return found if found & {"wanted", "custody"} else found | {"large"}


def _victims(view: View, persons: list[str], days: int) -> tuple[dict[str, list[str]], dict[str, int]]:
    """Victims of each person in domestic events of the last ``days``, latest first, and in how many of those events
    a counter-allegation is recorded. Events police found by themselves are left out, as they are of every count."""
    events = view.whole("event").join(events_of(view, persons), on="event_id", how="semi")
    events = events.filter(
        pl.col("domestic") == "Y",
        ~pl.col("found_by_police"),
        pl.col("occurred_at") > view.t - timedelta(days=days),
    )
    ours = pairs(view, events).filter(pl.col("suspect_id").is_in(persons))
    ours = ours.join(events.select("event_id", "occurred_at", "counter_allegation"), on="event_id")
    found: dict[str, list[str]] = defaultdict(list)
    latest = ours.group_by("suspect_id", "victim_id").agg(pl.col("occurred_at").max())
    latest = latest.sort("occurred_at", "victim_id", descending=[True, False])
    for suspect, victim, _ in latest.iter_rows():
        found[suspect].append(victim)
    counter = ours.filter("counter_allegation").group_by("suspect_id").agg(pl.col("event_id").n_unique())
    return dict(found), dict(counter.iter_rows())


# --- as one viewer asks for it ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Asked:
    """What of a list is asked for. ``districts``: those the viewer may see (none: the whole force); ``only`` and
    ``order`` are words of ``today.toml``; ``owners``: by which names an owner is the viewer."""

    team: str | None = None
    top: int | None = None
    only: str = "all"
    order: str = "rank"
    districts: tuple[str, ...] = ()
    owners: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        for name in ("only", "order"):
            known = settings("today")[name]
            if getattr(self, name) not in known:
                raise InputError(
                    f"A list has no '{getattr(self, name)[:40]}' in '{name}'.",
                    where=name,
                    cure=f"Choose from: {', '.join(known)}.",
                )


@dataclass(frozen=True)
class Today:
    """A list as one viewer sees it today. ``rows``: those of :class:`Day` with ``standing`` and ``held`` (the line of a
    hold, or ""); ``every``: the same before they are narrowed."""

    day: Day
    asked: Asked
    team: Team | None
    top: int
    rows: list[dict[str, Any]]
    every: list[dict[str, Any]]
    apart: list[dict[str, Any]]
    leavers: list[dict[str, Any]]
    teams: list[Team]
    note: str

    @property
    def published(self) -> PublishedList:
        """The list behind it."""
        return self.day.published

    @property
    def names(self) -> dict[str, str]:
        """Names by reference."""
        return self.day.names

    @property
    def team_name(self) -> str:
        """Whose list it is, in words."""
        if self.team is not None:
            return self.team.name
        return f"districts {listed(self.asked.districts)}" if self.asked.districts else "whole force"

    def persons(self) -> list[str]:
        """Everyone shown."""
        return [row["person_id"] for part in (self.rows, self.leavers, self.apart) for row in part]

    def counts(self) -> dict[str, int]:
        """How many rows each narrowing leaves, by its code; of "mine" every viewer has their own."""
        tests = {code: test for code, test in ONLY.items() if code != "mine"}
        return {code: sum(test(row, self.asked) for row in self.every) for code, test in tests.items()}

    @property
    def places(self) -> str:
        """How many places there are and how they are used, in words."""
        kinds = [row.get("place") for row in self.every]
        used = {
            "nominated": kinds.count("reserve"),
            "staying beside them for four weeks": kinds.count("stay"),
        }
        more = [f"{number} {words}" for words, number in used.items() if number]
        return ", ".join([count(self.top, "place"), *more])

    def not_placed(self) -> list[dict[str, Any]]:
        """Whose nomination was accepted and found no place on this list, with ``why``."""
        patch = self.team.districts if self.team else self.asked.districts
        return [one for one in self.day.not_placed if not patch or one["district"] in patch]

    def apart_counts(self) -> dict[str, int]:
        """How many stand apart, by reason, in the order of the list."""
        found: dict[str, int] = {}
        for row in self.apart:
            found[row["reason"]] = found.get(row["reason"], 0) + 1
        return found

    def endings(self) -> list[dict[str, Any]]:
        """What ends soon among those shown, soonest first, with person_id, rank and name."""
        about = ("person_id", "rank", "name")
        found = [end | {key: row[key] for key in about} for row in self.rows for end in row["ends"]]
        return sorted(found, key=lambda end: (end["on"], end["rank"]))


def see(
    day: Day, standing: Mapping[str, Standing], asked: Asked, holds: Mapping[str, str] | None = None
) -> Today:
    """What a viewer sees of a list today: their districts alone, a team's places or the force's, narrowed and in the
    order asked for. ``holds``: the line of a hold (:func:`hold_lines`) on those apart and those gone. Raises InputError
    for a team there is not, or a district the viewer may not see."""
    mine = [team for team in (_within(one, asked.districts) for one in day.teams) if team is not None]
    chosen = None
    if asked.team is not None:
        seen = frozenset(row["district"] for row in day.rows)
        chosen = find_team(mine, asked.team, seen & set(asked.districts) if asked.districts else seen)
    patch = chosen.districts if chosen else asked.districts
    rows, limit, note = parts_of(day.published, day.rows, chosen, patch, asked.top)
    rows = [placeless(row) | _written(row, standing.get(row["person_id"])) for row in rows]
    kept = [row for row in rows if ONLY[asked.only](row, asked)]
    kept.sort(key=lambda row: (ORDER[asked.order](row), row["rank"]))
    lines = holds or {}
    apart = [
        placeless(row) | {"held": lines.get(row["person_id"], "")}
        for row in day.apart
        if not patch or row["district"] in patch
    ]
    gone = [
        placeless(row) | {"held": lines.get(row["person_id"], "")}
        for row in day.leavers
        if not patch or row["district_before"] in patch
    ]
    return Today(day, asked, chosen, limit, kept, rows, apart, gone, mine, note)


def _written(row: Mapping[str, Any], one: Standing | None) -> dict[str, Any]:
    """What people wrote of a row; of one that tells its place alone no more than that it is on hold."""
    line = one.hold.line if one and one.hold else ""
    return {"standing": None if kept_words(row) else one, "held": line}


def hold_lines(db: Database, persons: Iterable[str], clusters: pl.DataFrame) -> dict[str, str]:
    """The line of the hold in force on each of some persons, whichever of their references it was placed on; of those
    without one nothing. ``clusters``: ``View.clusters`` of today."""
    wanted, found = set(persons), held(db)
    asked = clusters.filter(pl.col("person_id").is_in([*wanted, *found]))
    now = dict(asked.select("person_id", "cluster_id").iter_rows())
    lines = {now.get(person, person): hold.line for person, hold in found.items()}
    return {person: lines[now.get(person, person)] for person in wanted if now.get(person, person) in lines}


def _within(team: Team, districts: Sequence[str]) -> Team | None:
    """A team as far as the viewer's districts go."""
    if not districts:
        return team
    both = tuple(one for one in team.districts if one in districts)
    return replace(team, districts=both) if both else None


def _flag(name: str) -> Callable[[dict[str, Any], Asked], bool]:
    return lambda row, asked: name in row["flags"]


def _owner(row: Mapping[str, Any]) -> str | None:
    return row["standing"].owner if row["standing"] else None


ONLY: dict[str, Callable[[dict[str, Any], Asked], bool]] = {
    "all": lambda row, asked: True,
    "new": lambda row, asked: row["movement"] == "new",
    "up": lambda row, asked: row["movement"] == "up",
    **{name: _flag(name) for name in ("wanted", "custody", "release", "bail", "orders", "ending", "large")},
    "unowned": lambda row, asked: not (_owner(row) or kept_words(row)),
    "mine": lambda row, asked: (_owner(row) or "").casefold() in asked.owners,
    "overdue": lambda row, asked: bool(row["standing"] and row["standing"].overdue),
    "held": lambda row, asked: bool(row["held"]),
    "warned": lambda row, asked: bool(row["warnings"]),
}
ORDER: dict[str, Callable[[dict[str, Any]], tuple[Any, ...]]] = {
    "rank": lambda row: (row["rank"],),
    "count": lambda row: (row["count_rank"] is None, row["count_rank"] or 0),
    "moved": lambda row: (-(row["places_moved"] or 0),),
    "recent": lambda row: (row["days_since"] is None, row["days_since"] or 0),
    "harm": lambda row: (-(row["harm_days_365"] or 0),),
    "ends": lambda row: (0, row["ends"][0]["on"].isoformat()) if row["ends"] else LAST,
    "owner": lambda row: (0, _owner(row)) if _owner(row) else LAST,
}


def choices(name: str, deciders: bool = True) -> list[tuple[str, str]]:
    """The words of ``[only]`` or ``[order]`` for a form: (code, words)."""
    found = settings("today")[name].items()
    about_people = {"unowned", "mine", "overdue", "owner"}
    return [(code, words) for code, words in found if deciders or code not in about_people]


def whereabouts(
    published: PublishedList, references: Iterable[str], shut: bool = False
) -> tuple[str, str | None]:
    """Why a person is or is not on a list, in a sentence, and the district they stand in there, None when the list
    does not have them. ``references``: every record of the person, none for somebody the records do not hold; ``shut``:
    the record is open to named users only, and no more than the place is told."""
    words, district = _place(published, list(references), shut)
    return (f"{words} The record is {NAMED_ONLY}." if shut and district else words), district


def _place(published: PublishedList, wanted: list[str], shut: bool) -> tuple[str, str | None]:
    here = published.rows.filter(pl.col("person_id").is_in(wanted)).sort("rank").head(1)
    if here.height:
        row = here.row(0, named=True)
        of = f"ranked {row['rank']:,} of {published.facts['counts']['ranked']:,}"
        place = f"{of} and {row['team_rank']:,} in district {row['district']}"
        if row["listed"]:
            return f"On the list: {place}.", row["district"]
        low = "below its places. Not prioritised by the model; that is no finding about them"
        return f"Not on the list: {place}, {low}.", row["district"]
    aside = published.apart.filter(pl.col("person_id").is_in(wanted)).head(1)
    if aside.height:
        row = aside.row(0, named=True)
        if shut:
            return "Stands apart, not ranked.", row["district"]
        due = f"; due out {day(row['release_due'])}" if row["release_due"] else ""
        return f"Stands apart, not ranked: {row['reason']}{due}.", row["district"]
    never = "Not scored for this list: not suspect in a domestic event of the three years before it"
    return f"{never}, or not known to the records by then.", None
