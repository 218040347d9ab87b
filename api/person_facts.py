"""What records and model say of a person, worked out once for as long as it stays true.

A score and its reasons take a few hundred milliseconds and change only when something about the person or those around
does. So they are told as of 06:00 of the day, or as of the newest row about them if that is later, and kept until a row
comes, a date passes (bail ends, an order runs out) or the next morning. What lists, options and officers say stands
beside them and is asked for each time (``risk.person_page``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from functools import cache
from typing import Any

import polars as pl
from markupsafe import Markup

from api.charts import bars, hundred, timeline
from api.desk import Desk
from features.errors import InputError, NotFoundError
from features.schema import SPECS
from risk.person import ever_suspects, person, require_open
from risk.published import PublishedList
from risk.view import CloseView, View
from risk.words import LONDON

MORNING = time(6)
ENDS = ("until_at", "expires_on", "expected_end")
"""Columns that say when a state will end by itself."""
FOREVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Told:
    """A person as of one T. ``person``: what ``risk.person.person`` says, as plain data; ``pictures``: SVG by name;
    ``clusters``: who is who, for what was written under another reference; ``known``: events by id; ``drawn``: parts of
    the page that are made of nothing else, once they were asked for."""

    person: Mapping[str, Any]
    pictures: Mapping[str, str]
    clusters: pl.DataFrame
    known: Mapping[str, Mapping[str, Any]]
    drawn: dict[str, Markup] = field(default_factory=dict, compare=False, repr=False)

    @property
    def references(self) -> list[str]:
        """Every reference of the person, the one they go by first."""
        return [self.person["person_id"], *(one["person_id"] for one in self.person["identity"]["records"])]


@dataclass(frozen=True)
class Facts:
    """What is told of a person, true until ``until``."""

    until: datetime
    told: Told


def facts_of(
    desk: Desk,
    person_id: str,
    published: PublishedList | None,
    *,
    as_of: datetime | None = None,
    opened: frozenset[str] = frozenset(),
) -> Facts:
    """A person for who may see them; NotFoundError for one that cannot be opened.

    ``published``: the list whose model scores; ``as_of``: a T of the past, kept for ever. ``opened``: people of
    restricted records that whoever asks may see.
    """
    now = as_of or desk.now()
    model = _Model.of(desk, published)
    key = ("person", desk.state(), person_id, opened, model.version, as_of)
    found = desk.kept((*key, None), lambda: _facts(desk, person_id, model, now, as_of, opened))
    while found.until <= now:
        found = desk.kept((*key, found.until), lambda: _facts(desk, person_id, model, now, as_of, opened))
    return found


@dataclass(frozen=True)
class _Model:
    """The model that scores; without one (``doc`` None) ``version`` says why, and the records stand alone."""

    doc: Mapping[str, Any] | None
    version: str

    @classmethod
    def of(cls, desk: Desk, published: PublishedList | None) -> _Model:
        """That of the list, else the one in use, if either may be used today."""
        try:
            doc = desk.model(published)
        except (InputError, NotFoundError) as fault:
            return cls(None, fault.what)
        return cls(doc, str(doc["version"]))


def _facts(
    desk: Desk,
    person_id: str,
    model: _Model,
    now: datetime,
    as_of: datetime | None,
    opened: frozenset[str],
) -> Facts:
    near = desk.around([person_id], now)
    assert isinstance(near, CloseView)
    require_open(near, person_id, opened)
    if as_of is not None:
        t, until = as_of, FOREVER
    else:
        last, following = _clocks(near, now)
        today = _morning(now)
        t, until = max(last, today), min(following, today + timedelta(days=1))
    made_of = ("person as of", near.who(person_id), t, opened, model.version, digest(near))

    def tell() -> Told:
        return _told(near if t == now else desk.around([person_id], t), person_id, model, opened)

    return Facts(until, desk.kept(made_of, tell))


def _told(view: View, person_id: str, model: _Model, opened: frozenset[str]) -> Told:
    found = person(view, model.doc, person_id, None, opened, model.version)
    net = found["network"]
    others = [node for node in net.order() if node != found["person_id"]]
    have_pages = ever_suspects(view, others)
    pairs = {pair["other"] for pair in found["dyads"]["shown"]}
    links = {node: f"/persons/{node}" if node in have_pages else f"#dyad-{node}" for node in others
             if node in have_pages or node in pairs}  # fmt: skip
    reasons = found["reasons"]
    reasons = reasons | {
        side: [reason_as_dict(one) for one in reasons[side]] for side in ("raises", "lowers")
    }
    told = found | {
        "reasons": reasons,
        "network": net.as_dict() | {"summary": net.summary(), "pages": sorted(have_pages)},
    }
    pictures = {
        "hundred": hundred(found["score"]),
        "bars": bars([*reasons["raises"], *reasons["lowers"]]),
        "timeline": timeline(found["history"], found["spans"], view.t),
        "network": net.svg(links=links) if others else "",
    }
    mine = {found["person_id"], *(one["person_id"] for one in found["identity"]["records"])}
    known = {one["event_id"]: one for one in found["history"]}
    return Told(told, pictures, view.clusters.filter(pl.col("person_id").is_in(mine)), known)


def reason_as_dict(reason: Any) -> dict[str, Any]:
    """One reason as plain data."""
    return {
        "group": reason.group,
        "title": reason.title,
        "sentence": reason.sentence,
        "contribution": reason.contribution,
        "columns": reason.columns,
        "cited": [
            {"event_id": one.event_id, "reference": one.reference, "at": one.at} for one in reason.cited
        ],
    }


def _morning(now: datetime) -> datetime:
    """The latest 06:00 in London."""
    local = now.astimezone(LONDON)
    day = local.date() if local.time() >= MORNING else local.date() - timedelta(days=1)
    return datetime.combine(day, MORNING, LONDON).astimezone(UTC)


def _frames(view: CloseView) -> Iterable[tuple[str, pl.DataFrame]]:
    around = view.rows
    yield from around.records.tables.items()
    for (_, name), frame in around.tables.items():
        yield name, frame


def _clocks(view: CloseView, now: datetime) -> tuple[datetime, datetime]:
    """The latest moment up to now, and the first after it, at which anything around the person was or will be
    different: a row entered or ended, a value filled in, a bail or an order run out."""
    last, following = datetime.min.replace(tzinfo=UTC), FOREVER
    for name, frame in _frames(view):
        columns = [c for c in frame.columns if c in _clock_names(name)]
        if frame.is_empty() or not columns:
            continue
        moments = pl.concat([frame[c] for c in columns]).drop_nulls()
        before = moments <= now
        found = moments.filter(before).max(), moments.filter(~before).min()
        if isinstance(found[0], datetime):
            last = max(last, found[0])
        if isinstance(found[1], datetime):
            following = min(following, found[1])
    return last, following


@cache
def _clock_names(table: str) -> frozenset[str]:
    """The columns of a table that say when something of a row changes: its versions, its later values, its end."""
    spec = SPECS.get(table.removeprefix("proactive_"))
    if spec is None:
        return frozenset()
    times = {name for name, dtype in spec.dtypes.items() if isinstance(dtype, pl.Datetime)}
    return frozenset({"known_from", "known_to"} | (times & {*spec.later.values(), *ENDS}))


def digest(view: CloseView) -> tuple[tuple[str, int, int, int], ...]:
    """Names the rows around a person: a row more, ended or taken out gives another."""
    found = []
    for name, frame in _frames(view):
        if frame.height and "known_from" in frame.columns:
            # By way of NumPy: each step of Polars costs more than these few rows
            came, went = (frame[c].to_numpy().view("int64").sum() for c in ("known_from", "known_to"))
            found.append((name, frame.height, int(came), int(went)))
    return tuple(found)
