"""The mechanism: one day at a time over every couple, the same code for the force that was and for its possible futures.

A *slot* is a place for an offender: when one gives up, another person takes the slot. A *couple* is a slot's relation
with one person (partner, former partner or relative). Slots with one couple come first, slots with four after them,
so a slot's couples are found by arithmetic. A day runs from 06:00 to 06:00 London time. Each day, given the state
at its start, a couple has at most one event, with probability
    M * (b + E) * season,
where b is the couple's own rate, E the decaying, capped excitation of past events (reported or not) and M what custody
and restrictions leave. Whoever holds the state at T can therefore draw the future by running this class on.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from datetime import date, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.simulate.parameters import MILD, Floats, Ints, Parameters

NEVER = -1
WEEK = 7
EMPTY, CURRENT, FORMER, FAMILIAL = 0, 1, 2, 3
NONE, BAIL, DVPO, NMO, RESTRAINING = 0, 1, 2, 3, 4
RELEASES = ("charged_bail", "charged_remand", "precharge_bail", "under_investigation", "nfa")


@dataclass
class State:
    """The full latent state at the start of a day: arrays over slots, then arrays over couples."""

    singles: int
    # per slot
    person: Ints
    cls: Ints
    frailty: Floats
    sev: Ints
    s_flag: Ints
    d_flag: Ints
    active: NDArray[np.bool_]
    m_person: Floats
    cust_until: Ints
    court_day: Ints
    court_kind: Ints
    court_couple: Ints
    attention: Floats
    boost: Ints
    # per couple
    other: Ints
    cid: Ints
    phase: Ints
    b: Floats
    e: Floats
    cap: Floats
    jump: Floats
    mix: Ints
    level: Ints
    v_level: Ints
    v_flag: Ints
    m: Floats
    restr: Ints
    restr_until: Ints
    reverse: Floats
    counter: Floats

    def couples_of(self, slots: Ints) -> Ints:
        """Indices of all couples of the given slots."""
        one = slots[slots < self.singles]
        four = slots[slots >= self.singles]
        wide = (self.singles + (four - self.singles)[:, None] * 4 + np.arange(4)[None, :]).ravel()
        return np.concatenate([one, wide])

    def slot_of(self, couples: Ints) -> Ints:
        """The slot each couple belongs to."""
        return np.where(couples < self.singles, couples, self.singles + (couples - self.singles) // 4)

    def copy(self) -> State:
        """A deep copy."""
        return State(**{f.name: np.copy(v) if isinstance(v := getattr(self, f.name), np.ndarray) else v
                        for f in fields(self)})  # fmt: skip


@dataclass
class Log:
    """What happened, as lists of array bundles; empty hands when a future is only being weighed."""

    keep: bool = True
    rows: dict[str, list[dict[str, NDArray[Any]]]] = field(default_factory=dict)

    def add(self, table: str, **columns: NDArray[Any] | int | float) -> None:
        """Append one bundle; scalars are spread to the length of the first array."""
        if not self.keep:
            return
        n = next(len(v) for v in columns.values() if isinstance(v, np.ndarray))
        if n:
            self.rows.setdefault(table, []).append(
                {k: np.array(v) if isinstance(v, np.ndarray) else np.full(n, v) for k, v in columns.items()}
            )

    def table(self, name: str) -> dict[str, NDArray[Any]]:
        """One table, its bundles joined; an empty dict when nothing was logged."""
        bundles = self.rows.get(name, [])
        return {k: np.concatenate([b[k] for b in bundles]) for k in bundles[0]} if bundles else {}


class People:
    """Hands out persons to the mechanism; the real one keeps a register, the one for futures hands out nobody."""

    def newcomers(self, n: int, day: int, cls: Ints | None = None) -> tuple[Ints, Ints, Ints, NDArray[np.bool_]]:
        """Return (person, s_flag, d_flag, female) of n new offenders."""
        raise NotImplementedError

    def others(self, slots: Ints, state: State, phase: Ints, day: int) -> tuple[Ints, Ints, Ints, Ints]:
        """Return (person, couple id, reporting level, v_flag) of n new partners or relatives."""
        raise NotImplementedError


class Engine:
    """Runs a state forward. ``watch`` (optional) is told before anything a running total depends on changes."""

    def __init__(self, p: Parameters, state: State, people: People, rng: np.random.Generator, log: Log,
                 first_day: date, watch: Any = None) -> None:  # fmt: skip
        self.p, self.s, self.people, self.rng, self.log = p, state, people, rng, log
        self.first_day, self.watch = first_day, watch
        t = p.doc["timing"]
        self.decay = float(np.exp(-1.0 / t["excitation_days"]))
        self.daily_cap = float(t["daily_cap"])
        self.per_event = p.branching / t["excitation_days"]
        self.arrest, self.charge = p.column("arrest"), p.column("charge")
        self.remand, self.jail = p.column("remand"), p.column("jail")
        self.days, self.breach = p.column("days"), np.array(p.doc["justice"]["breach_offence"])
        self.restriction = np.array(p.doc["justice"]["restriction"])
        self.ranges = [
            (int(np.searchsorted(state.cls, c)), int(np.searchsorted(state.cls, c + 1)))
            for c in range(len(p.classes))
        ]
        n = len(state.b)
        self._lam = np.empty(n, dtype=np.float32)
        self._u = np.empty(n, dtype=np.float32)
        self.due: dict[str, dict[int, list[int]]] = {"release": {}, "expiry": {}, "court": {}}
        for what, days in (("release", state.cust_until), ("expiry", state.restr_until), ("court", state.court_day)):
            set_days = np.flatnonzero(days != NEVER)
            self._note_due(what, set_days, days[set_days])
        self.listed = "recording_factor" in p.w

    # -- pieces of a couple --------------------------------------------------------------------------------------
    def _touch(self, couples: Ints) -> None:
        if self.watch is not None and len(couples):
            self.watch.flush(couples)

    def _pick(self, lo: int, hi: int, rate: float) -> Ints:
        """Slots of one class range to which something with a small daily probability happens today."""
        if hi <= lo or rate <= 0:
            return np.empty(0, dtype=np.int64)
        n = self.rng.binomial(hi - lo, rate)
        return np.unique(self.rng.integers(lo, hi, n))

    def _refresh(self, couples: Ints) -> None:
        """Recompute what follows from the state: offence mix, reporting level, custody and restriction."""
        s = self.s
        slots = s.slot_of(couples)
        ph = np.maximum(s.phase[couples], 1)
        s.mix[couples] = s.sev[slots] * 3 + ph - 1
        s.level[couples] = self.p.level(
            s.v_level[couples], ph, s.s_flag[slots], s.v_flag[couples], s.d_flag[slots], s.boost[slots]
        )
        s.m[couples] = s.m_person[slots] * self.restriction[s.restr[couples]]

    def start_couples(self, couples: Ints, phase: Ints, day: int) -> None:
        """Fill couples with new partners (current) or relatives (familial); the rate is drawn here."""
        s, c = self.s, self.p.doc["couple"]
        if not len(couples):
            return
        slots = s.slot_of(couples)
        cls = s.cls[slots]
        n = len(couples)
        person, cid, level, v_flag = self.people.others(slots, s, phase, day)
        shape = np.where(couples < s.singles, c["couple_shape"][0], c["couple_shape"][1])
        own = self.rng.gamma(shape, 1.0 / shape)
        tone = np.where(phase == FAMILIAL, c["familial_rate"], 1.0)
        # A one-off offender's only couple carries his whole rate, whichever kind it is.
        tone = np.where(couples < s.singles, 1.0, tone)
        s.other[couples], s.cid[couples], s.phase[couples] = person, cid, phase
        s.b[couples] = np.minimum(self.p.rate[cls] / 365.0 * s.frailty[slots] * own * tone, self.daily_cap / 2)
        s.e[couples] = 0.0
        s.cap[couples] = self._cap(s.b[couples])
        s.jump[couples] = self.per_event[cls]
        s.v_level[couples], s.v_flag[couples] = level, v_flag
        s.restr[couples], s.restr_until[couples] = NONE, NEVER
        mutual = self.rng.random(n) < c["mutual_share"]
        both = np.where(phase == FAMILIAL, c["mutual_reverse"][1], c["mutual_reverse"][0])
        s.reverse[couples] = np.where(mutual, both, c["plain_reverse"])
        s.counter[couples] = np.where(mutual, c["counter_mutual"], c["counter_plain"])
        self._refresh(couples)

    def _cap(self, b: Floats) -> Floats:
        """Most that excitation may add: a multiple of the own rate, and never past the daily ceiling."""
        return np.asarray(np.minimum(self.p.doc["timing"]["excitation_cap"] * b, self.daily_cap - b))

    def _end(self, couples: Ints, day: int, how: int) -> None:
        """A couple falls silent: death, desistance, or abuse of a former partner that has died down."""
        s = self.s
        live = couples[s.phase[couples] != EMPTY]
        self._touch(live)
        self.log.add("couple_end", cid=s.cid[live], day=day, how=how)
        s.phase[live], s.b[live], s.e[live], s.cap[live] = EMPTY, 0.0, 0.0, 0.0

    def _note_due(self, what: str, index: Ints, days: Ints) -> None:
        agenda = self.due[what]
        for day, i in zip(days.tolist(), index.tolist(), strict=True):
            agenda.setdefault(day, []).append(i)

    def _fall_due(self, what: str, days: Ints, day: int) -> Ints:
        """What was due today and has not been moved to another day since."""
        index = np.unique(np.array(self.due[what].pop(day, []), dtype=np.int64))
        return index[days[index] == day]

    # -- what happens apart from events --------------------------------------------------------------------------
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
            self.log.add("order", cid=s.cid[couples], person=s.person[slots], other=s.other[couples],
                         kind=kind, day=day, until=until)  # fmt: skip

    def _court(self, day: int) -> None:
        s, j, rng = self.s, self.p.doc["justice"], self.rng
        due = self._fall_due("court", s.court_day, day)
        if not len(due):
            return
        kind, couple = s.court_kind[due], s.court_couple[due]
        guilty = rng.random(len(due)) < j["convict"]
        jail = guilty & (rng.random(len(due)) < self.jail[kind])
        served = np.maximum(7, self.days[kind] * rng.gamma(3.0, 1 / 3.0, len(due))).astype(np.int64)
        self.log.add("court", person=s.person[due], kind=kind, guilty=guilty, jail=jail, served=served, day=day,
                     cid=s.cid[couple])  # fmt: skip
        s.court_day[due] = NEVER
        if jail.any():
            self._jail(due[jail], day + served[jail])
            self.log.add("spell", person=s.person[due[jail]], state=0, day=day, until=day + served[jail])
        protect = guilty & (rng.random(len(due)) < j["restraining"]) & (s.phase[couple] != EMPTY)
        self._restrict(couple[protect], RESTRAINING, np.full(protect.sum(), day + 730), day)

    def _lives(self, day: int) -> None:
        """Desistance, separation, fading of abuse after separation, new partners.

        Each class has its own day of the week for these: rates are per week, and a seventh of the work is done a day.
        """
        s, p = self.s, self.p
        for c, (lo, hi) in enumerate(self.ranges):
            if hi <= lo or (day - c) % WEEK:
                continue
            gone = self._pick(lo, hi, WEEK * float(p.desist[c]))
            gone = gone[s.active[gone] & (s.cust_until[gone] == NEVER)]
            if len(gone):
                self._replace(gone, day)
            one = bool(p.single[c])
            split = self._couples_in(self._pick(lo, hi, WEEK * float(p.separate[c])), one)
            self.separate(split[s.phase[split] == CURRENT], day)
            fade = self._couples_in(self._pick(lo, hi, WEEK * float(p.fade[c])), one)
            fade = fade[s.phase[fade] == FORMER]
            if one:
                slots = s.slot_of(fade)
                free = slots[s.active[slots] & (s.cust_until[slots] == NEVER)]
                if len(free):
                    self._replace(free, day)
            else:
                self._end(fade, day, 1)
                self._pair_up(self._pick(lo, hi, WEEK * float(p.form[c])), day)

    def _couples_in(self, slots: Ints, one: bool) -> Ints:
        s = self.s
        return slots if one else (s.singles + (slots - s.singles)[:, None] * 4 + np.arange(3)[None, :]).ravel()

    def separate(self, couples: Ints, day: int) -> None:
        """Current couples become former ones; abuse after separation is at first more frequent."""
        s = self.s
        if not len(couples):
            return
        self._touch(couples)
        self.log.add("separate", cid=s.cid[couples], day=day)
        s.phase[couples] = FORMER
        s.b[couples] = np.minimum(s.b[couples] * self.p.doc["couple"]["former_rate"], self.daily_cap / 2)
        s.cap[couples] = self._cap(s.b[couples])
        s.e[couples] = np.minimum(s.e[couples], s.cap[couples])
        self._refresh(couples)

    def _pair_up(self, slots: Ints, day: int) -> None:
        """A new partner for those who have none and are free; an old former couple makes room when needed."""
        s = self.s
        slots = slots[s.active[slots] & (s.cust_until[slots] == NEVER)]
        if not len(slots):
            return
        base = s.singles + (slots - s.singles) * 4
        phase = s.phase[base[:, None] + np.arange(3)[None, :]]
        slots, base, phase = (x[~(phase == CURRENT).any(axis=1)] for x in (slots, base, phase))
        if not len(slots):
            return
        position = np.where((phase == EMPTY).any(axis=1), (phase == EMPTY).argmax(axis=1), 0)
        couples = base + position
        self._end(couples[s.phase[couples] != EMPTY], day, 1)
        self.start_couples(couples, np.full(len(couples), CURRENT), day)

    def _replace(self, slots: Ints, day: int) -> None:
        """Offenders give up (or die); newcomers take their slots, unless only a future is being weighed."""
        s = self.s
        self._end(s.couples_of(slots), day, 0)
        dead = self.rng.random(len(slots)) < self.p.doc["death"]["share_of_desistance"]
        self.log.add("gone", person=s.person[slots], day=day, dead=dead)
        s.active[slots] = False
        s.court_day[slots] = NEVER
        self.fill(slots, day)

    def fill(self, slots: Ints, day: int) -> None:
        """Put new offenders into slots."""
        s, p, rng = self.s, self.p, self.rng
        person, s_flag, d_flag, female = self.people.newcomers(len(slots), day, s.cls[slots])
        if not len(person):
            return
        cls = s.cls[slots]
        s.person[slots], s.s_flag[slots], s.d_flag[slots] = person, s_flag, d_flag
        s.frailty[slots] = rng.gamma(p.shape[cls], 1.0 / p.shape[cls])
        s.sev[slots] = self.draw_severity(cls, female)
        s.active[slots], s.m_person[slots] = True, 1.0
        s.cust_until[slots], s.court_day[slots] = NEVER, NEVER
        s.attention[slots], s.boost[slots] = 0.0, 0
        c = p.doc["couple"]
        one = slots[slots < s.singles]
        kin = rng.random(len(one)) < c["familial_one_off"]
        self.start_couples(one, np.where(kin, FAMILIAL, CURRENT), day)
        self.separate(one[~kin & (rng.random(len(one)) < c["start_former"])], day)
        four = slots[slots >= s.singles]
        base = s.singles + (four - s.singles) * 4
        partnered = base[rng.random(len(four)) >= c["start_single"]]
        self.start_couples(partnered, np.full(len(partnered), CURRENT), day)
        related = base[rng.random(len(four)) < c["familial_repeat"]] + 3
        self.start_couples(related, np.full(len(related), FAMILIAL), day)
        self.log.add("offender", person=person, cls=cls, frailty=s.frailty[slots], sev=s.sev[slots], day=day,
                     slot=slots)  # fmt: skip

    def age_couples(self) -> None:
        """Give the first day its mix of former couples; the burn-in does the rest."""
        s, c = self.s, self.p.doc["couple"]
        two = np.flatnonzero((s.phase == CURRENT) & (np.arange(len(s.b)) >= s.singles))
        self.separate(two[self.rng.random(len(two)) < c["start_former"]], 0)

    def draw_severity(self, cls: Ints, female: NDArray[np.bool_]) -> Ints:
        """Severity row of new offenders: low to sexual by class and sex; lethal and escalator by class alone."""
        out = np.zeros(len(cls), dtype=np.int64)
        for c, row in enumerate(self.p.classes):
            here = cls == c
            if row["severity"] == "lethal":
                out[here] = 4
            elif row["severity"] == "escalator":
                out[here] = self.p.escalator_base
            else:
                out[here] = np.searchsorted(np.cumsum(row["severity"])[:-1], self.rng.random(here.sum()), "right")
                out[here & female] = MILD
        return out

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
        arrested = live & (rng.random(n) < np.where(breach, np.maximum(self.arrest[kind], 0.6),
                                                    self.arrest[kind]))  # fmt: skip
        release, release_until = self._after_arrest(hit, slots, kind, arrested, day)
        self.log.add("event", day=day, couple=hit, slot=slots, cid=s.cid[hit], person=s.person[slots],
                     other=s.other[hit], phase=s.phase[hit], kind=kind, back=back, reported=reported, late=late,
                     counter=counter, order=order, breach=breach, arrested=arrested, release=release,
                     release_until=release_until, custody=s.m_person[slots] < 1.0)  # fmt: skip
        self._aftermath(hit, slots, kind, back, reported, live, day)

    def _after_arrest(self, hit: Ints, slots: Ints, kind: Ints, arrested: NDArray[np.bool_], day: int
                      ) -> tuple[Ints, Ints]:  # fmt: skip
        """Custody decision; returns the release code (-1 not arrested) and the day bail or remand runs to."""
        s, p, rng, j = self.s, self.p, self.rng, self.p.doc["justice"]
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
        if remand.any():
            held = slots[remand]
            s.court_day[held], s.court_kind[held], s.court_couple[held] = stay[remand], kind[remand], hit[remand]
            self._note_due("court", held, stay[remand])
            self._jail(held, stay[remand])
            self.log.add("spell", person=s.person[held], state=1, day=day, until=stay[remand])
        on_bail = (release == 0) | (release == 2)
        self._restrict(hit[on_bail], BAIL, until[on_bail], day)
        notice = arrested & ~charged & (rng.random(n) < j["dvpn"])
        self._restrict(hit[notice], DVPO, np.full(notice.sum(), day + 30), day)
        return release, until

    def _aftermath(self, hit: Ints, slots: Ints, kind: Ints, back: NDArray[np.bool_],
                   reported: NDArray[np.bool_], live: NDArray[np.bool_], day: int) -> None:  # fmt: skip
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
        parts = reported & (s.phase[hit] == CURRENT) & (rng.random(n) < p.doc["couple"]["separation_after_record"])
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
            self.log.add("visit", person=s.person[seen], other=s.other[couples], cid=s.cid[couples], day=day,
                         slot=seen, phase=s.phase[couples])  # fmt: skip
            self._notice(seen)

    def _any_couple(self, slots: Ints) -> Ints:
        """The busiest couple of each slot."""
        s = self.s
        base = np.where(slots < s.singles, slots, s.singles + (slots - s.singles) * 4)
        width = np.where(slots < s.singles, 1, 4)
        offsets = np.arange(4)[None, :]
        index = np.minimum(base[:, None] + np.minimum(offsets, width[:, None] - 1), len(s.b) - 1)
        return np.take_along_axis(index, s.b[index].argmax(axis=1)[:, None], axis=1)[:, 0]
