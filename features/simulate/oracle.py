"""The oracle: what the mechanism itself expects of each cohort member in the year after T, given its full state at T.

The state kept at 06:00 London time of day T is copied many times and run on for 365 days by the same engine. Nothing is
counted that can be expected instead: between changes of its state a couple's daily probability of an event is
added up, and at each change the sum is turned into expected harm and into the chance of a first recorded event
(the compensator of the first event, stopped when a path has had one). What remains random is only the path of the
state. Errors come from eight independent batches.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from features.simulate.engine import Engine
from features.simulate.event_rows import Written
from features.simulate.happenings import YES
from features.simulate.nominals import Nominals
from features.simulate.parameters import Floats, Ints, Parameters
from features.simulate.people import Strangers
from features.simulate.stage import DAY, NAT, Bools, Stage, ids
from features.simulate.state import Log, State

HORIZON = 365
DELAY = 90
COHORT_DAYS = 1095
BATCHES = 8
COPIES = 300_000  # couples held at once, over all replicates of a batch
FEWEST, MOST = 12, 24
BLOCK = 30
ANY_STEPS, SERIOUS_STEPS = 4, 3


@dataclass
class Cohort:
    """Records scored at T (their numbers and shares of the person's events) and the persons behind them."""

    number: Ints
    share: Floats
    person: Ints
    index: Ints  # of each record: position of its person in ``person``
    of_person: Ints  # position of every true person, -1 outside


def cohort_at(t: int, stage: Stage, nominals: Nominals, w: Written) -> Cohort:
    """Every record that is suspect in a domestic event known at T and at most 1,095 days old."""
    e = w.events
    known = (e.recorded <= t) & (e.occurred <= t) & (e.occurred > t - COHORT_DAYS * DAY) & (e.domestic == YES)
    known &= ~e.proactive & ((w.withdrawn == NAT) | (w.withdrawn > t))
    printed = np.concatenate([w.a[known], w.b[known & e.counter]])
    labels = nominals.label(np.arange(nominals.total))
    order = np.argsort(labels)
    printed = np.unique(printed[printed >= 0])
    number = np.sort(order[np.searchsorted(labels[order], printed)])
    owner = nominals.person_of()[number]
    person, index = np.unique(owner, return_inverse=True)
    main = number == nominals.first[owner]
    n = nominals.count[owner]
    share = np.where(
        main, nominals.main_share[owner], (1 - nominals.main_share[owner]) / np.maximum(n - 1, 1)
    )
    of_person = np.full(stage.register.person["sex"].n, -1, dtype=np.int64)
    of_person[person] = np.arange(len(person))
    return Cohort(number, share, person, index, of_person)


def replicate(s: State, slots: Ints, copies: int) -> tuple[State, Ints, Ints]:
    """``copies`` copies of the given slots side by side; returns state, copy number of slots, and of couples."""
    wide = np.repeat(slots, copies)
    couples = s.couples_of(wide)
    singles = int((wide < s.singles).sum())
    old_base = np.where(wide < s.singles, wide, s.singles + (wide - s.singles) * 4)
    n = len(wide)
    position = np.arange(n)
    new_base = np.where(position < singles, position, singles + (position - singles) * 4)
    court = new_base + np.clip(s.court_couple[wide] - old_base, 0, 3 * (position >= singles))
    per_slot = (
        "person",
        "cls",
        "frailty",
        "sev",
        "s_flag",
        "d_flag",
        "active",
        "m_person",
        "cust_until",
        "court_day",
        "court_kind",
        "court_cid",
        "attention",
        "boost",
    )
    per_couple = (
        "other",
        "cid",
        "phase",
        "b",
        "e",
        "cap",
        "jump",
        "mix",
        "level",
        "v_level",
        "v_flag",
        "m",
        "restr",
        "restr_until",
        "reverse",
        "counter",
    )
    state = State(
        singles=singles,
        court_couple=court,
        **{k: getattr(s, k)[wide] for k in per_slot},
        **{k: getattr(s, k)[couples] for k in per_couple},
    )
    copy = np.tile(np.arange(copies), len(slots))
    return state, copy, copy[state.slot_of(np.arange(len(couples)))]


class Tally:
    """Running expectations of one batch, told by the engine whenever what they depend on is about to change."""

    def __init__(
        self,
        p: Parameters,
        state: State,
        cohort: Cohort,
        copy_slot: Ints,
        copy_couple: Ints,
        copies: int,
        day: int,
        rng: np.random.Generator,
    ) -> None:
        self.p, self.s, self.rng, self.day0 = p, state, rng, day
        n = len(cohort.person) * copies
        who = cohort.of_person[np.maximum(state.person, 0)]
        self.gi = np.where(who >= 0, who * copies + copy_slot, -1)
        who = np.where(state.other >= 0, cohort.of_person[np.maximum(state.other, 0)], -1)
        self.gb = np.where(who >= 0, who * copies + copy_couple, -1)
        self.ga = self.gi[state.slot_of(np.arange(len(state.b)))]
        self.acc = np.zeros(len(state.b), dtype=np.float32)
        self.seat = np.zeros(len(state.b), dtype=np.int64)
        self.weight = 0.0
        self.harm, self.harm_true = np.zeros(n), np.zeros(n)
        self.any, self.serious = np.zeros((n, ANY_STEPS)), np.zeros((n, SERIOUS_STEPS))
        self.any_true, self.serious_true = np.zeros(n), np.zeros(n)
        self.n_any, self.n_serious = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
        self.n_true, self.n_serious_true = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
        self._as_victim()
        j = p.doc["justice"]
        self.breach_harm = np.array(j["breach_offence"]) * np.array(j["breach_harm_cd"])
        self.settled = p.change @ p.serious.astype(np.float64)

    def _as_victim(self) -> None:
        """Couples in which each watched person is the other one."""
        couples = np.flatnonzero(self.gb >= 0)
        order = np.argsort(self.gb[couples], kind="stable")
        self.v_couple = couples[order]
        g = self.gb[couples][order]
        self.v_start = np.searchsorted(g, np.arange(len(self.harm)))
        self.v_end = np.searchsorted(g, np.arange(len(self.harm)), "right")

    def known_late(self, day: int) -> float:
        """Chance that an event of this day which is reported late is on record by T + 365 + 90 days."""
        rule = self.p.doc["late"]
        left = HORIZON + DELAY - (day - self.day0) - 0.5
        return 0.5 * (
            1 + math.erf(math.log(max(left, 0.5) / rule["median_days"]) / rule["sigma"] / math.sqrt(2))
        )

    def accrue(self, lam: Floats, day: int) -> None:
        """Add a day's probabilities of an event; the chance of late records is renewed each block of days."""
        if (day - self.day0) % BLOCK == 0:
            self.finish()
            self.weight = self.known_late(day + BLOCK // 2)
        self.acc += lam

    def flush(self, couples: Ints) -> None:
        """Turn what has been added up into expectations, under the state that held while it was."""
        couples = couples[self.acc[couples] > 0]
        if not len(couples):
            return
        # A couple named twice is settled once: the last seat taken is the one that counts.
        order = np.arange(len(couples))
        self.seat[couples] = order
        couples = couples[self.seat[couples] == order]
        s, p = self.s, self.p
        live = self.acc[couples].astype(np.float64)
        self.acc[couples] = 0.0
        mix, level = s.mix[couples], s.level[couples]
        psi, ctr = s.reverse[couples], s.counter[couples]

        def recorded(table: tuple[Floats, Floats], row: Ints | int) -> Floats:
            return np.asarray(live * (table[0][row, level] + self.weight * table[1][row, level]))

        fwd_any, fwd_ser, fwd_harm = (recorded(t, mix) for t in (p.rec_any, p.rec_serious, p.rec_harm))
        fwd_harm = fwd_harm + fwd_any * self.breach_harm[s.restr[couples]]
        rev = p.reverse_row
        rev_any, rev_ser, rev_harm = (recorded(t, rev) for t in (p.rec_any, p.rec_serious, p.rec_harm))
        ahead = 1.0 - psi
        a = self.ga[couples]
        b = np.where(s.other[couples] >= 0, self.gb[couples], -1)
        self._add(
            a,
            ahead * fwd_any + psi * ctr * rev_any,
            ahead * fwd_ser,
            ahead * fwd_harm + psi * ctr * rev_any * p.counter_harm,
            ahead * live,
            ahead * live * p.true_serious[mix],
            ahead * live * p.true_harm[mix],
        )
        self._add(
            b,
            psi * rev_any + ahead * ctr * fwd_any,
            psi * rev_ser,
            psi * rev_harm + ahead * ctr * fwd_any * p.counter_harm,
            psi * live,
            psi * live * p.true_serious[rev],
            psi * live * p.true_harm[rev],
        )

    def _add(
        self,
        g: Ints,
        some: Floats,
        serious: Floats,
        harm: Floats,
        true: Floats,
        true_serious: Floats,
        true_harm: Floats,
    ) -> None:
        ok = g >= 0
        g = g[ok]
        if not len(g):
            return
        np.add.at(self.harm, g, harm[ok])
        np.add.at(self.harm_true, g, true_harm[ok])
        np.add.at(self.any, (g, np.minimum(self.n_any[g], ANY_STEPS - 1)), some[ok])
        np.add.at(self.serious, (g, np.minimum(self.n_serious[g], SERIOUS_STEPS - 1)), serious[ok])
        np.add.at(self.any_true, g, true[ok] * (self.n_true[g] == 0))
        np.add.at(self.serious_true, g, true_serious[ok] * (self.n_serious_true[g] == 0))

    def events(
        self, hit: Ints, back: Bools, kind: Ints, reported: Bools, late: Bools, counter: Bools
    ) -> None:
        """Note what has happened on each path, after settling everything its persons have run up so far."""
        s, p = self.s, self.p
        a, b = self.ga[hit], np.where(s.other[hit] >= 0, self.gb[hit], -1)
        self._settle(np.concatenate([a[a >= 0], b[b >= 0]]))
        suspect, other = np.where(back, b, a), np.where(back, a, b)
        keep = np.where(late, self.weight, 1.0 - p.withdrawn)
        keep = keep * np.where(kind == 0, 1.0 - p.unsure, 1.0)
        counted = reported & (self.rng.random(len(hit)) < keep)
        grave = np.where(late, p.serious[kind].astype(np.float64), self.settled[kind])
        grave_counted = counted & (self.rng.random(len(hit)) < grave)
        for g, hit_any, hit_serious in ((suspect, counted, grave_counted), (other, counted & counter, None)):
            np.add.at(self.n_any, g[(g >= 0) & hit_any], 1)
            if hit_serious is not None:
                np.add.at(self.n_serious, g[(g >= 0) & hit_serious], 1)
        np.add.at(self.n_true, suspect[suspect >= 0], 1)
        np.add.at(self.n_serious_true, suspect[(suspect >= 0) & p.serious[kind]], 1)

    def _settle(self, g: Ints) -> None:
        """Flush every couple a watched person is in, on either side."""
        g = np.unique(g)
        if not len(g):
            return
        slots = self.slots_of[g]
        own = self.s.couples_of(slots[slots >= 0])
        count = self.v_end[g] - self.v_start[g]
        at = (
            np.repeat(self.v_start[g], count)
            + np.arange(int(count.sum()))
            - np.repeat(np.cumsum(count) - count, count)
        )
        self.flush(np.concatenate([own, self.v_couple[at]]))

    def index_slots(self) -> None:
        """Where each watched person's own slot is (a person holds at most one)."""
        self.slots_of = np.full(len(self.harm), -1, dtype=np.int64)
        held = np.flatnonzero(self.gi >= 0)
        self.slots_of[self.gi[held]] = held

    def finish(self) -> None:
        """Settle everything."""
        self.flush(np.arange(len(self.acc)))


def forward(
    stage: Stage, state: State, slots: Ints, cohort: Cohort, day: int, copies: int, batch: int
) -> Tally:
    """Run one batch of replicates for the horizon."""
    rng = np.random.default_rng([stage.seed, 77, day, batch])
    copied, copy_slot, copy_couple = replicate(state, slots, copies)
    tally = Tally(stage.p, copied, cohort, copy_slot, copy_couple, copies, day, rng)
    tally.index_slots()
    engine = Engine(
        stage.p, copied, Strangers(stage.register, rng), rng, Log(keep=False), stage.first_day, tally
    )
    for d in range(day, day + HORIZON):
        engine.step(d)
    tally.finish()
    return tally


def estimates(tally: Tally, cohort: Cohort, copies: int) -> dict[str, Floats]:
    """Means over a batch's replicates, one value a record, in days of harm and probabilities."""

    def mean(x: Floats) -> Floats:
        return np.asarray(x.reshape(len(cohort.person), copies, -1).mean(axis=1))[cohort.index]

    w = cohort.share
    some, serious = mean(tally.any), mean(tally.serious)

    def under_record(steps: Floats) -> Floats:
        return np.asarray(w * sum(steps[:, j] * (1.0 - w) ** j for j in range(steps.shape[1])))

    harm = mean(tally.harm)[:, 0] / 100
    return {
        "expected_harm": w * harm,
        "p_serious": under_record(serious),
        "p_any": under_record(some),
        "expected_harm_person": harm,
        "p_serious_person": serious[:, 0],
        "p_any_person": some[:, 0],
        "expected_harm_true": mean(tally.harm_true)[:, 0] / 100,
        "p_serious_true": mean(tally.serious_true)[:, 0],
        "p_any_true": mean(tally.any_true)[:, 0],
    }


def write_oracle(
    folder: Path, text: str, day: int, state: State, stage: Stage, nominals: Nominals, w: Written, kept: Bools
) -> dict[str, Any]:
    """Write truth/oracle_T.parquet, one row a record in the cohort at T; returns its size, replicates and seconds."""
    began = time.perf_counter()
    cohort = cohort_at(int(stage.base[day]), stage, nominals, w)
    inside = cohort.of_person[np.maximum(state.other, 0)] >= 0
    inside &= (state.other >= 0) & (state.phase > 0)
    own = (state.person >= 0) & (cohort.of_person[np.maximum(state.person, 0)] >= 0) & state.active
    own[state.slot_of(np.flatnonzero(inside))] = True
    slots = np.flatnonzero(own & kept)
    copies = int(np.clip(COPIES // max(1, len(state.couples_of(slots))), FEWEST, MOST))
    batches: list[dict[str, Floats]] = []
    if len(slots):
        batches = [
            estimates(forward(stage, state, slots, cohort, day, copies, i), cohort, copies)
            for i in range(BATCHES)
        ]
    columns: dict[str, Any] = {
        "person_id": ids("P", nominals.label(cohort.number)),
        "true_person": ids("T", cohort.person[cohort.index]),
    }
    for name in batches[0] if batches else ():
        values = np.stack([b[name] for b in batches])
        mean = np.clip(values.mean(axis=0), 0.0, 1.0) if name.startswith("p_") else values.mean(axis=0)
        columns[name] = mean
        columns[f"{name}_mc_error"] = values.std(axis=0, ddof=1) / math.sqrt(BATCHES)
    frame = pl.DataFrame(columns).sort("person_id")
    frame.write_parquet(folder / f"oracle_{text}.parquet")
    return {
        "records": len(frame),
        "persons": len(cohort.person),
        "replicates": copies * BATCHES,
        "horizon_ends": str(stage.first_day + timedelta(days=day + HORIZON)),
        "seconds": round(time.perf_counter() - began, 2),
    }
