"""How offenders come and go and couples form, part and fall silent: all that happens apart from events."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.simulate.parameters import MILD, Ints, Parameters
from features.simulate.state import (
    CURRENT,
    EMPTY,
    FAMILIAL,
    FORMER,
    NEVER,
    NONE,
    Daily,
    Log,
    People,
    State,
)

WEEK = 7


class Lives:
    """A state and what may happen to its couples; ``watch`` is told before what a running total rests on changes."""

    def __init__(
        self,
        p: Parameters,
        state: State,
        people: People,
        rng: np.random.Generator,
        log: Log,
        first_day: date,
        watch: Any = None,
    ) -> None:
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
        for what, days in (
            ("release", state.cust_until),
            ("expiry", state.restr_until),
            ("court", state.court_day),
        ):
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
        s.b[couples] = np.minimum(
            self.p.rate[cls] / 365.0 * s.frailty[slots] * own * tone, self.daily_cap / 2
        )
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

    def _cap(self, b: Daily) -> Daily:
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
        return (
            slots if one else (s.singles + (slots - s.singles)[:, None] * 4 + np.arange(3)[None, :]).ravel()
        )

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
        self.log.add(
            "offender",
            person=person,
            cls=cls,
            frailty=s.frailty[slots],
            sev=s.sev[slots],
            day=day,
            slot=slots,
        )

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
                out[here] = np.searchsorted(
                    np.cumsum(row["severity"])[:-1], self.rng.random(here.sum()), "right"
                )
                out[here & female] = MILD
        return out
