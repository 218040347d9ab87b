"""Every event that reaches the records, as arrays: domestic ones from the mechanism, and all the rest around them."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from features.simulate.parameters import Ints
from features.simulate.stage import DAY, HOUR, NAT, Bools, Stage, exponential, pick
from features.simulate.state import EMPTY

CONTACT, CRIME, NON_CRIME = 0, 1, 2
YES, NO, UNKNOWN = 0, 1, 2


@dataclass
class Happenings:
    """Parallel arrays, one element an event. Times in UTC seconds; persons are true persons, -1 for nobody."""

    occurred: Ints
    reported: Ints
    recorded: Ints
    kind: Ints
    domestic: Ints
    key: Ints  # index into Stage offence names; -1 for none
    a: Ints  # suspect
    b: Ints  # victim
    third: Ints  # another victim in the same event; -1 for none
    counter: Bools
    breach: Bools
    phase: Ints
    cid: Ints
    slot: Ints
    row: Ints  # row of the mechanism's event log; -1 for none
    proactive: Bools
    late: Bools

    def __len__(self) -> int:
        return len(self.occurred)

    def take(self, index: Ints | Bools) -> Happenings:
        """A selection, in the given order."""
        return Happenings(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    @staticmethod
    def join(parts: list[Happenings]) -> Happenings:
        """One after the other."""
        return Happenings(
            **{f.name: np.concatenate([getattr(x, f.name) for x in parts]) for f in fields(Happenings)}
        )


def offence_names(stage: Stage) -> list[str]:
    """Names of offences by index: the mechanism's kinds first, then the other keys of the harm table."""
    own = list(stage.p.keys)
    return own + [k for k in sorted(stage.kinds) if k not in own]


def empty_like(n: int) -> dict[str, Ints | Bools]:
    """Columns of n events with nothing filled in."""
    out: dict[str, Ints | Bools] = {
        k: np.full(n, -1, dtype=np.int64) for k in ("key", "a", "b", "third", "cid", "slot", "row")
    }
    out |= {k: np.zeros(n, dtype=bool) for k in ("counter", "breach", "proactive", "late")}
    return out | {"phase": np.zeros(n, dtype=np.int64)}


def domestic(stage: Stage) -> Happenings:
    """Recorded domestic events of every slot, police-proactive records included."""
    log, p, doc = stage.log.table("event"), stage.p, stage.doc
    rng = stage.rng("domestic")
    keep = np.flatnonzero(log["reported"])
    n = len(keep)
    col = {k: v[keep] for k, v in log.items()}
    back = col["back"]
    occurred = stage.clock(col["day"], rng)
    late = col["late"]
    lag = prompt_lag(stage, rng, n)
    rule = p.doc["late"]
    slow = rule["median_days"] * DAY * np.exp(rule["sigma"] * rng.standard_normal(n))
    reported = occurred + np.where(late, slow.astype(np.int64), lag)
    recorded = reported + exponential(rng, doc["lags"]["recording_hours"] * HOUR, n)
    crime = (col["kind"] > 0) | col["breach"]
    unsure = ~crime & (rng.random(n) < doc["noted"]["domestic_unknown"])
    base = empty_like(n) | {
        "key": col["kind"],
        "a": np.where(back, col["other"], col["person"]),
        "b": np.where(back, col["person"], col["other"]),
        "counter": col["counter"],
        "breach": col["breach"],
        "phase": col["phase"],
        "cid": col["cid"],
        "slot": col["slot"],
        "row": keep,
        "late": late,
    }
    events = Happenings(
        occurred=occurred,
        reported=reported,
        recorded=recorded,
        kind=np.where(crime, CRIME, NON_CRIME),
        domestic=np.where(unsure, UNKNOWN, YES),
        **base,
    )
    return Happenings.join([events, _proactive(stage, events)])


def prompt_lag(stage: Stage, rng: np.random.Generator, n: int) -> Ints:
    """Seconds from event to report when it is not late: hours for most, days for some, never over the limit."""
    lags = stage.doc["lags"]
    days = rng.random(n) < lags["reporting_days_share"]
    lag = np.where(
        days,
        rng.exponential(lags["reporting_days"] * DAY, n),
        rng.exponential(lags["reporting_hours"] * HOUR, n),
    )
    return np.asarray(np.minimum(lag, lags["reporting_max_days"] * DAY)).astype(np.int64)


def _proactive(stage: Stage, events: Happenings) -> Happenings:
    """Police-proactive records: a few found on patrol or at bail checks, and all visits of the list world."""
    rng = stage.rng("proactive")
    chosen = np.flatnonzero(rng.random(len(events)) < stage.doc["proactive"]["share"])
    found = events.take(chosen)
    n = len(found)
    found.occurred = found.occurred + (rng.exponential(45, n) * DAY).astype(np.int64) + DAY
    visits = stage.log.table("visit")
    if visits:
        m = len(visits["day"])
        live = visits["phase"] != EMPTY
        more = Happenings(
            occurred=stage.clock(visits["day"], rng),
            reported=np.zeros(m, dtype=np.int64),
            recorded=np.zeros(m, dtype=np.int64),
            kind=np.full(m, NON_CRIME),
            domestic=np.full(m, YES),
            **(
                empty_like(m)
                | {
                    "a": visits["person"],
                    "b": visits["other"],
                    "phase": visits["phase"],
                    "cid": visits["cid"],
                    "slot": visits["slot"],
                }
            ),
        ).take(live)
        found = Happenings.join([found, more])
        n = len(found)
    crime = rng.random(n) < 0.35
    found.kind = np.where(crime, CRIME, NON_CRIME)
    names = offence_names(stage)
    lesser = np.array([names.index(k) for k in ("public_order_4a", "common_assault", "harassment")])
    found.key = np.where(crime, lesser[pick(rng, [0.5, 0.3, 0.2], n)], 0)
    found.reported = found.occurred.copy()
    found.recorded = found.occurred + exponential(rng, 3 * HOUR, n)
    found.counter, found.breach = np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)
    found.late, found.row = np.zeros(n, dtype=bool), np.full(n, -1)
    found.domestic, found.proactive = np.full(n, YES), np.ones(n, dtype=bool)
    return found


def cut_to_volume(
    stage: Stage, events: Happenings, per_year: int, years: int, slots: int
) -> tuple[Happenings, Bools]:
    """Keep whole households, in random order, until the yearly volume is met; returns events and kept slots."""
    here = (events.recorded >= stage.start_at) & (events.recorded <= stage.end_at) & (events.domestic == YES)
    count = np.bincount(events.slot[here], minlength=slots)
    order = stage.rng("households").permutation(slots)
    total = np.cumsum(count[order])
    k = int(np.searchsorted(total, per_year * years, "left")) + 1
    kept = np.zeros(slots, dtype=bool)
    kept[order[:k]] = True
    return events.take(kept[events.slot]), kept


def other_offending(stage: Stage, persons: Ints, cls: Ints, since: Ints) -> Happenings:
    """Non-domestic crime by persons known as domestic suspects; none while they are held.

    ``since`` is the day each person entered the mechanism; his rate runs from a while before.
    """
    rng, doc = stage.rng("other offending"), stage.doc["other_offending"]
    rate = np.array([doc["rate"][c] for c in stage.p.class_names])[cls] * rng.gamma(
        doc["shape"], 1 / doc["shape"], len(persons)
    )
    days = (stage.last - stage.first_day).days
    n = rng.poisson(rate * days / 365.0)
    who = np.repeat(persons, n)
    m = len(who)
    day = rng.integers(0, days, m)
    free = ~held(stage, who, day)
    who, day = who[free], day[free]
    m = len(who)
    names = offence_names(stage)
    keys = list(doc["kinds"])
    key = np.array([names.index(k) for k in keys])[pick(rng, list(doc["kinds"].values()), m)]
    occurred = stage.clock(day, rng)
    reported = occurred + prompt_lag(stage, rng, m)
    out = Happenings(
        occurred=occurred,
        reported=reported,
        recorded=reported + exponential(rng, 6 * HOUR, m),
        kind=np.full(m, CRIME),
        domestic=np.full(m, NO),
        **(empty_like(m) | {"a": who, "key": key}),
    )
    personal = np.isin(
        key,
        [
            names.index(k)
            for k in (
                "common_assault",
                "abh",
                "robbery",
                "burglary_dwelling",
                "other_theft",
                "public_order_4a",
                "damage_other",
            )
        ],
    )
    hurt = np.flatnonzero(personal & (rng.random(m) < doc["stranger_victim"]))
    out.b[hurt] = strangers(stage, rng, len(hurt), day[hurt])
    return out


def strangers(stage: Stage, rng: np.random.Generator, n: int, day: Ints, female: float = 0.5) -> Ints:
    """New persons without offending: victims of others, witnesses, reporters."""
    r = stage.register
    group = rng.choice(len(r.group_shares), n, p=r.group_shares)
    district = 1 + rng.choice(len(r.district_shares), n, p=r.district_shares)
    birth = day - (rng.integers(18, 80, n) * 365.25).astype(np.int64) - rng.integers(0, 365, n)
    sex = (rng.random(n) >= female).astype(np.int64)
    return r.add_persons(sex, group, district, birth, np.zeros(n, dtype=np.int64))


def held(stage: Stage, person: Ints, day: Ints) -> Bools:
    """Whether each person is in prison or on remand on the day, from the log of spells."""
    spells = stage.log.table("spell")
    if not spells:
        return np.zeros(len(person), dtype=bool)
    order = np.lexsort((spells["day"], spells["person"]))
    big = 1 << 20
    start = spells["person"][order] * big + spells["day"][order]
    i = np.searchsorted(start, person * big + day, "right") - 1
    ok = i >= 0
    j = np.where(ok, i, 0)
    same = ok & (spells["person"][order][j] == person)
    return np.asarray(same & (day < spells["until"][order][j]))


def add_thirds(stage: Stage, events: Happenings) -> Ints:
    """Events in which another person was harmed too: a relative or friend, the same one for most of a couple's events.

    Returns, for every event, whether it carries a second offence (1) and whether that is against the third (2).
    """
    rng, rule = stage.rng("thirds"), stage.p.doc["second_offence"]
    n = len(events)
    own = events.row >= 0
    crime = own & (events.kind == CRIME) & (events.key > 0)
    again = crime & (rng.random(n) < rule["share"])
    other = again & (rng.random(n) < rule["against_another"])
    beside = own & ~crime & (rng.random(n) < rule["another_in_non_crime"])
    at = np.flatnonzero(other | beside)
    same = rng.random(len(at)) < 0.6
    group = np.where(same, events.cid[at] * 2, events.row[at] * 2 + 1)
    _, first, inverse = np.unique(group, return_index=True, return_inverse=True)
    day = (events.occurred[at[first]] - stage.base[0]) // DAY
    events.third[at] = strangers(stage, rng, len(first), day, rule["another_female"])[inverse]
    return np.where(other, 2, np.where(again, 1, 0))


def corrections(stage: Stage, events: Happenings) -> tuple[Ints, Ints]:
    """When an event is withdrawn, or its class changed, in UTC seconds (NAT for neither): prompt records only."""
    rng, fix = stage.rng("corrections"), stage.p.doc["correction"]
    n = len(events)
    wait = rng.integers(fix["days"][0] * DAY, fix["days"][1] * DAY, n)
    able = (events.row >= 0) & ~events.late & (events.domestic != NO)
    gone = able & (rng.random(n) < stage.p.withdrawn)
    withdrawn = np.where(gone, events.recorded + wait, NAT)
    chance = np.zeros(len(offence_names(stage)))
    for key, (_, share) in fix["reclassified"].items():
        chance[stage.p.index[key]] = share
    moved = able & ~gone & (rng.random(n) < np.where(events.key >= 0, chance[events.key], 0.0))
    return withdrawn, np.where(moved, events.recorded + wait, NAT)
