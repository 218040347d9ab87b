"""What the pages of an officer who attends have in common: the person opened, the call, the view around them, T."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import polars as pl
from fastapi import Request

from api.access import Viewer, outside
from api.desk import Desk
from api.person_facts import digest
from api.routes.asked import desk_of
from api.routes.persons import open_to
from features.errors import InputError, NotFoundError
from features.lazily import lazily
from risk.history import history
from risk.holds import held
from risk.person import in_words, place_of, require_open, score_alone, unscored
from risk.promises import Reached
from risk.published import PublishedList, names
from risk.settings import settings
from risk.sheet import sheet
from risk.sheet_call import Call, the_call
from risk.sheet_people import linked
from risk.state import states
from risk.teams import districts
from risk.view import CloseView, View
from risk.visits import QUESTIONS, contacts, entries, fresh, standing, why_send
from risk.who import restricted


@dataclass
class Opened:
    """A person opened before attending: at T, for a call if one is named, with the view around them.

    ``live``: T is the desk's now, not a day that was asked for. ``opened``: people of restricted records that the
    viewer may see. ``asked``: the reference they were opened by, which may be another record of theirs.
    """

    desk: Desk
    viewer: Viewer
    person_id: str
    t: datetime
    live: bool
    published: PublishedList | None
    call: Call | None
    view: View
    outside: bool = False
    opened: frozenset[str] = frozenset()
    asked: str = ""

    def look(self, act: str, page: str, others: Sequence[str] = (), detail: str = "") -> None:
        """Write down what is shown or recorded, of the person and of whoever else the page names."""
        list_id = self.published.list_id if self.published else None
        persons = sorted({self.asked or self.person_id, self.person_id, *others})
        reference = f"call {self.call.reference}" if self.call else ""
        said = "; ".join(part for part in (detail, reference) if part)
        self.desk.look(self.viewer, act, page, persons, list_id, self.outside, said)

    @lazily
    def records(self) -> list[str]:
        """Every reference of the person."""
        mine = self.view.clusters.filter(pl.col("cluster_id") == self.person_id)["person_id"].to_list()
        return sorted({self.person_id, *mine})

    def written(self, kind: str) -> list[dict[str, Any]]:
        """What officers recorded of this person, newest first, as much as a sheet shows. ``kind``: video, visits."""
        shown = settings("visits")["after"]["shown"]
        found = entries(self.desk.db, kind, self.person_id, records=self.records, limit=shown)
        return self.told(found, kind)

    def kept_back(self, kind: str) -> int:
        """How many of the entries a sheet would show are about a victim whose record the viewer may not open."""
        shown = settings("visits")["after"]["shown"]
        found = entries(self.desk.db, kind, self.person_id, records=self.records, limit=shown)
        return len(found) - len(self.told(found, kind))

    def told(self, found: Sequence[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
        """Some entries without those about a victim whose record the viewer may not open, answers in words."""
        shut = self.shut(found)
        seen = [row for row in found if row["victim_id"] not in shut]
        return [video_words(row) for row in seen] if kind == "video" else seen

    def shut(self, found: Iterable[Mapping[str, Any]]) -> set[str]:
        """The victims of some entries whose records are restricted, and not opened to the viewer."""
        victims = sorted({row["victim_id"] for row in found if row["victim_id"]})
        if not victims:
            return set()
        near = self.desk.around(victims, self.t, steps=1)
        closed = restricted(near, self.opened)
        return {one for one in victims if near.who(one) in closed}

    def answered(self) -> Mapping[str, Any] | None:
        """What the answers before video come to now, if any still stand. Of a victim whose record is restricted: that
        an officer is to be sent, and nothing of who said what."""
        call_id, now = self.call.call_id if self.call else None, datetime.now(UTC)
        rows = fresh(self.desk.db, self.person_id, self.records, now)
        found = standing(rows, call_id, now)
        if found is None or not self.shut([found]):
            return found and video_words(dict(found))
        if not found["send"]:
            return None
        told = video_words({**found, **dict.fromkeys((*QUESTIONS, "victim_id"))})
        return told | {"asked": True, "why": [settings("visits")["send"]["named_users"]]}

    def sheet(self) -> dict[str, Any]:
        """The sheet, with the hold there may be and what officers recorded."""
        until = None if self.live else self.t

        def logged(victims: Sequence[str]) -> list[Reached]:
            return contacts(self.desk.db, victims, until)

        found = sheet(self.view, self.person_id, self.score(), self.call, logged, self.opened)
        hold = held(self.desk.db, [self.person_id], self.view.clusters).get(self.person_id)
        return found | {
            "hold": hold.line if hold else None,
            "answered": self.answered() if self.live else None,
            "video": self.written("video"),
            "visits": self.written("visits"),
        }

    def score(self) -> dict[str, Any]:
        """The score in words. A live one is kept for the hour while no row around the person is added or ends: within
        it only the passing of time could move it. Without a model that may be used the sheet says so, and the rest of
        it stands: nobody is left at a door without the records."""
        try:
            doc = self.desk.model(self.published)
        except (InputError, NotFoundError) as fault:
            return unscored(fault.what)

        def made() -> dict[str, Any]:
            return score_alone(self.view, doc, self.person_id)

        place = place_of(self.published, [self.person_id])
        if not self.live or not isinstance(self.view, CloseView):
            return in_words(made(), place)
        hour = self.t.replace(minute=0, second=0, microsecond=0)
        rows = digest(self.view)
        return in_words(
            self.desk.kept(("score in words", self.person_id, doc["version"], hour, rows), made), place
        )

    def victims(self) -> list[tuple[str, str]]:
        """(reference, name and reference) of whoever may be spoken to, the call's victim first."""
        happened = history(self.view, self.person_id)
        state = states(self.view, [self.person_id])[self.person_id]
        others = linked(self.view, self.person_id, happened, state, self.call.victims if self.call else ())
        known = names(self.view, others)
        return [(one, f"{known[one]} ({one})" if one in known else one) for one in others]

    @lazily
    def name(self) -> str:
        """The person's name, else their reference."""
        return names(self.view, [self.person_id]).get(self.person_id, self.person_id)


def open_person(
    request: Request, viewer: Viewer, person_id: str, call_id: str | None, as_of: str | None = None
) -> Opened:
    """The person with the records around them, if the viewer may open them.

    T is now, however old the latest list: what came in a minute ago is there. NotFoundError, in the same words for
    whoever has no page; RefusedError where the purpose is bound to the viewer's own districts.
    """
    desk = desk_of(request)
    t, published = desk.moment(as_of) if as_of else (desk.now(), desk.latest())
    call, call_away = (
        seen_call(desk, viewer, the_call(desk.load(), call_id, t), t) if call_id else (None, False)
    )
    view = desk.around([person_id, *(call.victims if call else ())], t)
    may_see = open_to(desk, viewer, t)
    require_open(view, person_id, may_see)
    who = view.who(person_id)
    away = bool(viewer.districts) and outside(viewer, district(view, who))
    return Opened(
        desk, viewer, who, t, as_of is None, published, call, view, away or call_away, may_see, person_id
    )


def seen_call(desk: Desk, viewer: Viewer, call: Call, t: datetime) -> tuple[Call, bool]:
    """A call as the viewer may see it, without the references of suspects they have no page of; and whether it is of
    another district than theirs: by its own, else its address's, else its suspects'.

    RefusedError where the purpose is bound to the viewer's own districts.
    """
    named = tuple(one for one in call.suspects if may_open(desk, viewer, one, t))
    seen = replace(call, suspects=named, not_shown=len(call.suspects) - len(named))
    if not viewer.districts:
        return seen, False
    away = [outside(viewer, one, "This call") for one in _districts_of(desk, call, t)]
    return seen, any(away)


def _districts_of(desk: Desk, call: Call, t: datetime) -> list[str]:
    """The district of a call; where neither it nor its address has one, those of whom it names."""
    own = call.district or (call.place or {}).get("district")
    if own is not None:
        return [own]
    persons = [*call.suspects, *call.victims]
    return sorted(set(desk.district_of(persons, t).values())) if persons else []


def district(view: View, person: str) -> str:
    """The district of a person as of the view's T."""
    return str(districts(view, pl.DataFrame({"person_id": [person]}))["district"][0])


def may_open(desk: Desk, viewer: Viewer, person_id: str, t: datetime) -> bool:
    """Whether a person has a page that the viewer may see."""
    try:
        require_open(desk.around([person_id], t), person_id, open_to(desk, viewer, t))
    except NotFoundError:
        return False
    return True


def video_words(row: dict[str, Any]) -> dict[str, Any]:
    """A row of answers with what follows from it, in words."""
    said = settings("visits")["send"]
    asked = row["agrees"] is not None
    why = why_send(row) if asked else []
    return row | {
        "words": said["words"] if row["send"] else said["go_on"],
        "why": why,
        "asked": asked,
    }
