"""The mechanism, a day at a time over every couple: the same code for the force that was and for its futures.

A *slot* is a place for an offender: when one gives up, another person takes the slot. A *couple* is a slot's relation
with one person (partner, former partner or relative). Slots with one couple come first, slots with four after them,
so a slot's couples are found by arithmetic. A day runs from 06:00 to 06:00 London time. Each day, given the state
at its start, a couple has at most one event, with probability
    M * (b + E) * season,
where b is the couple's own rate, E the decaying, capped excitation of past events (reported or not) and M what custody
and restrictions leave. Whoever holds the state at T can therefore draw the future by running this class on.
"""

from __future__ import annotations

from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from features.simulate.lives import Lives
from features.simulate.parameters import Ints
from features.simulate.state import BAIL, CURRENT, DVPO, EMPTY, NEVER, NMO, NONE, RESTRAINING


class Engine(Lives):
    """Runs a state forward, a day at a time."""

    # -- custody, courts, restrictions --------------------------------------------------------------------------
    def _releases(self, day: int) -> None:
        s = self.s
        out = self._fall_due("release", s.cust_until, day)
        if len(out):
            couples = s.couples_of(out)
            self._touch(couples)
            s.m_person[out], s.cust_until[out] = 1.0, NEVER
            self._refresh(couples)
        done = self._fall_due("expiry", s.restr_until, day)
        if len(done):
            self._touch(done)
            s.restr[done], s.restr_until[done] = NONE, NEVER
            self._refresh(done)

    def _jail(self, slots: Ints, until: Ints) -> None:
        s = self.s
        couples = s.couples_of(slots)
        self._touch(couples)
        s.cust_until[slots], s.m_person[slots] = until, self.p.doc["justice"]["custody_factor"]
        self._note_due("release", slots, until)
        self._refresh(couples)

    def _restrict(self, couples: Ints, kind: int, until: Ints, day: int) -> None:
        """A stronger restriction replaces a weaker one; the same kind is extended."""
        s = self.s
        take = s.restr[couples] <= kind
        couples, until = couples[take], until[take]
        if not len(couples):
            return
        self._touch(couples)
        s.restr[couples], s.restr_until[couples] = kind, until
        self._note_due("expiry", couples, until)
        self._refresh(couples)
        if kind != BAIL:
            slots = s.slot_of(couples)
            self.log.add(
                "order",
                cid=s.cid[couples],
                person=s.person[slots],
                other=s.other[couples],
                kind=kind,
                day=day,
                until=until,
            )

    def _court(self, day: int) -> None:
        s, j, rng = self.s, self.p.doc["justice"], self.rng
        due = self._fall_due("court", s.court_day, day)
        if not len(due):
            return
        kind, couple = s.court_kind[due], s.court_couple[due]
        guilty = rng.random(len(due)) < j["convict"]
        jail = guilty & (rng.random(len(due)) < self.jail[kind])
        served = np.maximum(7, self.days[kind] * rng.gamma(3.0, 1 / 3.0, len(due))).astype(np.int64)
        self.log.add(
            "court",
            person=s.person[due],
            kind=kind,
            guilty=guilty,
            jail=jail,
            served=served,
            day=day,
            cid=s.court_cid[due],
        )
        s.court_day[due] = NEVER
        if jail.any():
            self._jail(due[jail], day + served[jail])
            self.log.add("spell", person=s.person[due[jail]], state=0, day=day, until=day + served[jail])
        # An order protects the victim of the case, not whoever may have taken the place in the couple since.
        same = (s.phase[couple] != EMPTY) & (s.cid[couple] == s.court_cid[due])
        protect = guilty & (rng.random(len(due)) < j["restraining"]) & same
        self._restrict(couple[protect], RESTRAINING, np.full(protect.sum(), day + 730), day)

    # -- a day ---------------------------------------------------------------------------------------------------
    def season(self, day: int) -> float:
        """Weekday and month multiplier of a day."""
        d = self.first_day + timedelta(days=day)
        weekday, month = self.p.season
        return float(weekday[d.weekday()] * month[d.month - 1])

    def step(self, day: int) -> None:
        """One day: what ends and begins, then the events that follow from the state."""
        s = self.s
        self._releases(day)
        self._court(day)
        self._lives(day)
        if self.listed and day % 7 == 0:
            self._attend(day)
        lam = self._lam
        s.e *= self.decay
        np.add(s.b, s.e, out=lam)
        lam *= s.m
        lam *= self.season(day)
        if self.watch is not None:
            self.watch.accrue(lam, day)
        self.rng.random(out=self._u, dtype=np.float32)
        hit = np.flatnonzero(self._u < lam)
        if len(hit):
            self._events(hit, day)

    def _events(self, hit: Ints, day: int) -> None:
        s, p, rng = self.s, self.p, self.rng
        n = len(hit)
        slots = s.slot_of(hit)
        back = rng.random(n) < s.reverse[hit]
        row = np.where(back, p.reverse_row, s.mix[hit])
        kind = (rng.random(n)[:, None] > p.mix_cum[row]).sum(axis=1)
        kind = np.minimum(kind, len(p.keys) - 1)
        reported = rng.random(n) < p.report[s.level[hit], kind]
        late = reported & (rng.random(n) < p.late[kind])
        counter = reported & (rng.random(n) < s.counter[hit])
        order = s.restr[hit]
        breach = reported & ~back & (rng.random(n) < self.breach[order])
        if self.watch is not None:
            self.watch.events(hit, back, kind, reported, late, counter)
        crime = (kind > 0) | breach
        live = reported & ~late & crime & ~back & (s.cust_until[slots] == NEVER)
        arrested = live & (
            rng.random(n) < np.where(breach, np.maximum(self.arrest[kind], 0.6), self.arrest[kind])
        )
        release, release_until = self._after_arrest(hit, slots, kind, arrested, day)
        self.log.add(
            "event",
            day=day,
            couple=hit,
            slot=slots,
            cid=s.cid[hit],
            person=s.person[slots],
            other=s.other[hit],
            phase=s.phase[hit],
            kind=kind,
            back=back,
            reported=reported,
            late=late,
            counter=counter,
            order=order,
            breach=breach,
            arrested=arrested,
            release=release,
            release_until=release_until,
            custody=s.m_person[slots] < 1.0,
        )
        self._aftermath(hit, slots, kind, back, reported, live, day)

    def _after_arrest(
        self, hit: Ints, slots: Ints, kind: Ints, arrested: NDArray[np.bool_], day: int
    ) -> tuple[Ints, Ints]:
        """Custody decision; returns the release code (-1 not arrested) and the day bail or remand runs to."""
        s, rng, j = self.s, self.rng, self.p.doc["justice"]
        n = len(hit)
        u = rng.random(n)
        charged = arrested & (rng.random(n) < self.charge[kind])
        remand = charged & (rng.random(n) < self.remand[kind])
        bail = arrested & ~charged & (u < j["precharge_bail"])
        ui = arrested & ~charged & ~bail & (u < j["precharge_bail"] + j["under_investigation"])
        release = np.select([remand, charged, bail, ui, arrested], [1, 0, 2, 3, 4], -1)
        low, extra = j["remand_days"]
        stay = day + low + rng.exponential(extra, n).astype(np.int64)
        low, extra = j["court_days"]
        wait = day + low + rng.exponential(extra, n).astype(np.int64)
        conditions = day + rng.integers(j["bail_days"][0], j["bail_days"][1] + 1, n)
        until = np.select([remand, charged, bail], [stay, wait, conditions], NEVER)
        # Two couples of one person on one day: the later row of the day's arrests decides, as in a custody record.
        fresh = charged & (s.court_day[slots] == NEVER)
        s.court_day[slots[fresh]] = until[fresh]
        self._note_due("court", slots[fresh], until[fresh])
        s.court_kind[slots[fresh]], s.court_couple[slots[fresh]] = kind[fresh], hit[fresh]
        s.court_cid[slots[fresh]] = s.cid[hit[fresh]]
        if remand.any():
            held = slots[remand]
            s.court_cid[held] = s.cid[hit[remand]]
            s.court_day[held], s.court_kind[held], s.court_couple[held] = (
                stay[remand],
                kind[remand],
                hit[remand],
            )
            self._note_due("court", held, stay[remand])
            self._jail(held, stay[remand])
            self.log.add("spell", person=s.person[held], state=1, day=day, until=stay[remand])
        on_bail = (release == 0) | (release == 2)
        self._restrict(hit[on_bail], BAIL, until[on_bail], day)
        notice = arrested & ~charged & (rng.random(n) < j["dvpn"])
        self._restrict(hit[notice], DVPO, np.full(notice.sum(), day + 30), day)
        return release, until

    def _aftermath(
        self,
        hit: Ints,
        slots: Ints,
        kind: Ints,
        back: NDArray[np.bool_],
        reported: NDArray[np.bool_],
        live: NDArray[np.bool_],
        day: int,
    ) -> None:
        """Excitation, escalation or decline, civil orders, separation, deaths."""
        s, p, rng = self.s, self.p, self.rng
        n = len(hit)
        s.e[hit] = np.minimum(s.e[hit] + s.jump[hit], s.cap[hit])
        u = rng.random(n)
        sev = s.sev[slots]
        up = ~back & (sev >= p.escalator_base) & (sev < p.escalator_base + p.levels - 1)
        up &= u < p.doc["severity"]["escalate"]
        down = ~back & ((sev == 1) | (sev == 2)) & (u < p.doc["severity"]["drift_down"])
        if up.any() or down.any():
            moved = np.unique(slots[up | down])
            couples = s.couples_of(moved)
            self._touch(couples)
            s.sev[slots[up]] = sev[up] + 1
            s.sev[slots[down]] = sev[down] - 1
            self._refresh(couples)
        civil = live & (rng.random(n) < p.doc["justice"]["nmo"])
        self._restrict(hit[civil], NMO, np.full(civil.sum(), day + 365), day)
        if self.listed:
            self._notice(slots[reported & ~back])
        parts = (
            reported
            & (s.phase[hit] == CURRENT)
            & (rng.random(n) < p.doc["couple"]["separation_after_record"])
        )
        self.separate(hit[parts], day)
        dead = np.isin(kind, p.lethal_kinds)
        if dead.any():
            victims = np.where(back[dead], s.person[slots[dead]], s.other[hit[dead]])
            self.log.add("killed", person=victims, day=day)
            self._end(hit[dead], day, 2)

    # -- the world in which being on a list makes records --------------------------------------------------------
    def _notice(self, slots: Ints) -> None:
        np.add.at(self.s.attention, slots, 1.0)

    def _attend(self, day: int) -> None:
        """Once a week: attention fades, those above the line are recorded more and visited, and visits count."""
        s, w = self.s, self.p.w
        s.attention *= np.exp(-7.0 / w["attention_days"])
        boost = (s.attention >= w["attention_from"]).astype(np.int64)
        changed = np.flatnonzero(boost != s.boost)
        if len(changed):
            couples = s.couples_of(changed)
            self._touch(couples)
            s.boost[changed] = boost[changed]
            self._refresh(couples)
        watched = np.flatnonzero(s.boost == 1)
        seen = watched[self.rng.random(len(watched)) < w["visits_per_year"] * 7.0 / 365.0]
        seen = seen[s.active[seen] & (s.cust_until[seen] == NEVER)]
        if len(seen):
            couples = self._any_couple(seen)
            self.log.add(
                "visit",
                person=s.person[seen],
                other=s.other[couples],
                cid=s.cid[couples],
                day=day,
                slot=seen,
                phase=s.phase[couples],
            )
            self._notice(seen)

    def _any_couple(self, slots: Ints) -> Ints:
        """The busiest couple of each slot."""
        s = self.s
        base = np.where(slots < s.singles, slots, s.singles + (slots - s.singles) * 4)
        width = np.where(slots < s.singles, 1, 4)
        offsets = np.arange(4)[None, :]
        index = np.minimum(base[:, None] + np.minimum(offsets, width[:, None] - 1), len(s.b) - 1)
        return np.take_along_axis(index, s.b[index].argmax(axis=1)[:, None], axis=1)[:, 0]
