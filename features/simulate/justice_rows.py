"""Rows of custody, bail, conviction, spell, order, breach, wanted and marker."""

from __future__ import annotations

import numpy as np
import polars as pl

from features.simulate.event_rows import Written, sexed
from features.simulate.happenings import CRIME, NO, offence_names
from features.simulate.nominals import Nominals
from features.simulate.parameters import Ints
from features.simulate.stage import (
    DAY,
    HOUR,
    NAT,
    Bools,
    Stage,
    exponential,
    ids,
    midnights,
    pick,
    times,
    words,
)
from features.simulate.state import BAIL, DVPO, NMO, RELEASES, RESTRAINING

CONDITIONS = (
    ["no_contact"],
    ["no_contact", "exclusion"],
    ["no_contact", "exclusion", "reside"],
    ["no_contact", "curfew"],
    ["no_contact", "exclusion", "report"],
)
DISPOSALS = ("caution", "discharge", "fine", "community", "suspended", "custody", "other")


def lists(choices: tuple[list[str], ...], index: Ints) -> pl.Series:
    """A list cell by index."""
    table = pl.Series(list(choices), dtype=pl.List(pl.Utf8))
    return table.gather(np.asarray(index, dtype=np.int64))


def capped(values: Ints, end_at: int) -> Ints:
    """What lies after the extract's end is not on record yet."""
    return np.where(values > end_at, NAT, values)


def write_custody(stage: Stage, w: Written) -> tuple[Ints, Ints]:
    """Custody and bail rows; returns the event of each bail row and its number, for breaches."""
    e, rng, log = w.events, stage.rng("custody"), stage.log.table("event")
    at = np.flatnonzero((e.row >= 0) & log["arrested"][np.maximum(e.row, 0)])
    release = log["release"][e.row[at]]
    until_day = log["release_until"][e.row[at]]
    other = np.flatnonzero((e.domestic == NO) & (e.kind == CRIME) & (w.a >= 0) & (rng.random(len(e)) < 0.24))
    m = len(other)
    released_other = pick(rng, [0.08, 0.02, 0.25, 0.30, 0.27, 0.08], m)
    at = np.concatenate([at, other])
    release = np.concatenate([release, released_other])
    n = len(at)
    kin = np.concatenate([until_day, np.full(m, -1)])
    wait = np.where(
        rng.random(n) < stage.doc["wanted"]["share"],
        rng.exponential(stage.doc["wanted"]["days"] * DAY, n),
        rng.exponential(5 * HOUR, n),
    )
    arrested = e.reported[at] + wait.astype(np.int64) + 600
    freed = arrested + exponential(rng, 6 * HOUR, n) + 8 * HOUR
    voluntary = (release >= 3) & (rng.random(n) < 0.10)
    code = np.where(voluntary, 5, release)
    number = np.arange(n)
    gone = freed > stage.end_at
    frame = pl.DataFrame(
        {
            "custody_id": ids("K", number),
            "person_id": ids("P", w.a[at]),
            "event_id": ids("E", at),
            "arrested_at": times(arrested),
            "released_at": times(np.where(gone, NAT, freed)),
            "release": words((*RELEASES, "voluntary"), np.where(gone, -1, code)),
            "recorded_at": times(arrested),
        }
    )
    shown = arrested <= stage.end_at
    stage.put("custody", frame.filter(pl.Series(shown)))
    _wanted(stage, w, at, arrested, wait)
    bailed = np.flatnonzero(((code == 0) | (code == 2)) & (freed <= stage.end_at) & shown)
    until = np.where(
        kin[bailed] >= 0, stage.at_day(np.maximum(kin[bailed], 0), rng, 9, 10), freed[bailed] + 40 * DAY
    )
    until = np.maximum(until, freed[bailed] + DAY)
    k = len(bailed)
    cancelled = (code[bailed] == 2) & (rng.random(k) < 0.12)
    stop = freed[bailed] + (rng.random(k) * (until - freed[bailed])).astype(np.int64)
    stage.put(
        "bail",
        pl.DataFrame(
            {
                "bail_id": ids("B", np.arange(k)),
                "person_id": ids("P", w.a[at[bailed]]),
                "custody_id": ids("K", number[bailed]),
                "event_id": ids("E", at[bailed]),
                "from_at": times(freed[bailed]),
                "until_at": times(until),
                "conditions": lists(CONDITIONS, pick(rng, [0.3, 0.4, 0.1, 0.08, 0.12], k)),
                "cancelled_at": times(np.where(cancelled & (stop <= stage.end_at), stop, NAT)),
                "recorded_at": times(freed[bailed]),
            }
        ),
    )
    return at[bailed], np.arange(k)


def _wanted(stage: Stage, w: Written, at: Ints, arrested: Ints, wait: Ints) -> None:
    rng = stage.rng("wanted")
    slow = np.flatnonzero(wait > 1.5 * DAY)
    since = w.events.recorded[at[slow]] + exponential(rng, 8 * HOUR, len(slow)) + HOUR
    ok = (since < arrested[slow]) & (since <= stage.end_at)
    slow, since = slow[ok], since[ok]
    frame = pl.DataFrame(
        {
            "person_id": ids("P", w.a[at[slow]]),
            "event_id": ids("E", at[slow]),
            "circulated_at": times(since),
            "cleared_at": times(capped(arrested[slow], stage.end_at)),
            "reason": words(
                ("arrest for domestic offence", "arrest on suspicion", "failed to answer bail"),
                pick(rng, [0.7, 0.22, 0.08], len(slow)),
            ),
            "recorded_at": times(since),
        }
    )
    stage.put(
        "wanted", frame.unique(subset=["person_id", "circulated_at"], keep="first", maintain_order=True)
    )


def write_courts(
    stage: Stage, w: Written, nominals: Nominals, offenders: Ints, cls: Ints, kept: Bools
) -> None:
    """Convictions (those from before the extract too) and spells in prison, on remand and on licence."""
    rng, court, p = stage.rng("courts"), stage.log.table("court"), stage.p
    kinds: list[tuple[Ints, ...]] = []
    if court:
        sure = np.flatnonzero(court["guilty"] & kept[court["person"]])
        when = stage.at_day(court["day"][sure], rng, 10, 16)
        jail = court["jail"][sure]
        soft = pick(rng, [0, 0.10, 0.16, 0.46, 0.26, 0, 0.02], len(sure))
        key = court["kind"][sure]
        key = np.where(key == 0, p.index["harassment"], key)
        kinds.append(
            (
                court["person"][sure],
                when,
                key,
                np.where(jail, 5, soft),
                np.where(jail, 2 * court["served"][sure], -1),
            )
        )
    kinds.append(_cautions(w, rng))
    kinds.append(_other_convictions(stage, w, rng))
    kinds.append(_history(stage, offenders, cls, rng))
    who, when, key, disposal, days = (np.concatenate(x) for x in zip(*kinds, strict=True))
    ok = when <= stage.end_at
    who, when, key, disposal, days = who[ok], when[ok], key[ok], disposal[ok], days[ok]
    names = offence_names(stage)
    code = np.array(
        [
            stage.kinds[k].ho_code if k in stage.kinds else ""
            for k in sexed(stage, names, np.arange(len(names)), np.zeros(len(names), dtype=bool))
        ]
    )[key]
    recorded = np.maximum(when, stage.start_at - 1)
    stage.put(
        "conviction",
        pl.DataFrame(
            {
                "conviction_id": ids("V", np.arange(len(who))),
                "person_id": ids("P", nominals.of(who, recorded)),
                "convicted_on": times(midnights(when)),
                "ho_code": pl.Series(code.astype(object), dtype=pl.Utf8),
                "disposal": words(DISPOSALS, disposal),
                "custody_days": pl.Series(days).replace(-1, None),
                "recorded_at": times(midnights(when)),
            }
        ),
    )
    _spells(stage, nominals, kept, rng)


def _cautions(w: Written, rng: np.random.Generator) -> tuple[Ints, ...]:
    e = w.events
    at = np.flatnonzero(
        (e.domestic != NO) & (e.kind == CRIME) & (e.row >= 0) & (e.key > 0) & (rng.random(len(e)) < 0.012)
    )
    n = len(at)
    return (
        e.a[at],
        e.recorded[at] + exponential(rng, 20 * DAY, n),
        e.key[at],
        np.zeros(n, dtype=np.int64),
        np.full(n, -1),
    )


def _other_convictions(stage: Stage, w: Written, rng: np.random.Generator) -> tuple[Ints, ...]:
    e = w.events
    at = np.flatnonzero((e.domestic == NO) & (e.kind == CRIME) & (e.a >= 0) & (rng.random(len(e)) < 0.11))
    n = len(at)
    disposal = pick(rng, [0.14, 0.14, 0.34, 0.26, 0.10, 0.0, 0.02], n)
    return (
        e.a[at],
        e.recorded[at] + exponential(rng, 120 * DAY, n) + 20 * DAY,
        e.key[at],
        disposal,
        np.full(n, -1),
    )


def _history(stage: Stage, offenders: Ints, cls: Ints, rng: np.random.Generator) -> tuple[Ints, ...]:
    """Convictions from before the extract opens, spread over earlier years; not for anything the run itself holds."""
    doc = stage.doc["before"]
    mean = np.array([doc["convictions"][c] for c in stage.p.class_names])[cls]
    n = rng.poisson(mean * rng.gamma(0.6, 1 / 0.6, len(offenders)))
    who = np.repeat(offenders, n)
    m = len(who)
    back = (rng.random(m) ** 1.3 * doc["years"] * 365 * DAY).astype(np.int64)
    when = stage.start_at - DAY - back
    grown = when - (stage.register.of("birth")[who].astype(np.int64) * DAY + stage.base[0]) > 15 * 365 * DAY
    who, when = who[grown], when[grown]
    names = offence_names(stage)
    keys = (
        "common_assault",
        "abh",
        "shoplifting",
        "other_theft",
        "public_order_4a",
        "drug_possession",
        "damage_other",
        "harassment",
        "burglary_dwelling",
        "assault_emergency_worker",
    )
    key = np.array([names.index(k) for k in keys])[pick(rng, [16, 8, 20, 12, 14, 12, 8, 3, 3, 4], len(who))]
    disposal = pick(rng, [0.2, 0.14, 0.28, 0.24, 0.08, 0.05, 0.01], len(who))
    return who, when, key, disposal, np.where(disposal == 5, rng.integers(14, 240, len(who)), -1)


def _spells(stage: Stage, nominals: Nominals, kept: Bools, rng: np.random.Generator) -> None:
    spells = stage.log.table("spell")
    if not spells:
        return
    mine = np.flatnonzero(kept[spells["person"]])
    who, state = spells["person"][mine], spells["state"][mine]
    start = midnights(stage.at_day(spells["day"][mine], rng))
    until = midnights(stage.at_day(spells["until"][mine], rng))
    lic = np.flatnonzero(state == 0)
    after = until[lic] + np.minimum(until[lic] - start[lic], 365 * DAY)
    who = np.concatenate([who, who[lic]])
    state = np.concatenate([state, np.full(len(lic), 2)])
    start, until = np.concatenate([start, until[lic]]), np.concatenate([until, after])
    ok = (start <= stage.end_at) & (until >= stage.start_at)
    who, state, start, until = who[ok], state[ok], start[ok], until[ok]
    frame = pl.DataFrame(
        {
            "person_id": ids("P", nominals.of(who, np.maximum(start, stage.start_at))),
            "state": words(("prison", "remand", "licence"), state),
            "started_on": times(start),
            "ended_on": times(capped(until, stage.end_at)),
            "expected_end": times(until),
            "recorded_at": times(start),
        }
    )
    stage.put(
        "spell", frame.unique(subset=["person_id", "state", "started_on"], keep="first", maintain_order=True)
    )


def write_orders(
    stage: Stage, w: Written, nominals: Nominals, kept: Bools, bail_event: Ints, bail: Ints
) -> None:
    """Protective orders, one row a protected person, and breaches of orders and of bail."""
    rng, log = stage.rng("orders"), stage.log.table("order")
    day, kind = log["day"], log["kind"]
    mine = np.flatnonzero(kept[log["person"]] & (log["other"] >= 0))
    day, kind = day[mine], kind[mine]
    who, other, cid = log["person"][mine], log["other"][mine], log["cid"][mine]
    made = stage.at_day(day, rng, 12, 18)
    last = midnights(stage.at_day(log["until"][mine], rng))
    a = nominals.of(who, np.maximum(made, stage.start_at))
    b = nominals.of(other, np.maximum(made, stage.start_at))
    notice = kind == DVPO
    # A notice of two days comes first; the court then usually makes the order.
    made_order = np.where(notice, made + 2 * DAY - 4 * HOUR, made)
    granted = ~notice | (rng.random(len(mine)) < 0.9)
    rows = [
        (np.flatnonzero(notice), np.zeros(int(notice.sum()), dtype=np.int64), made, made + 2 * DAY),
        (
            np.flatnonzero(granted),
            np.select([kind == DVPO, kind == NMO, kind == RESTRAINING], [1, 2, 3])[granted],
            made_order,
            last,
        ),
    ]
    index = np.concatenate([r[0] for r in rows])
    word = np.concatenate([r[1] for r in rows])
    begin = np.concatenate([rows[0][2][rows[0][0]], rows[1][2][rows[1][0]]])
    end = np.concatenate([rows[0][3][rows[0][0]], rows[1][3][rows[1][0]]])
    n = len(index)
    served = begin + exponential(rng, np.float64(20 * HOUR), n)
    lifted = (word >= 2) & (rng.random(n) < 0.04)
    lift_at = begin + (rng.random(n) * (end - begin)).astype(np.int64)
    text = np.array(
        [
            "not to contact, directly or through others",
            "not to come within 100 metres of the home",
            "not to contact or approach; to leave the address",
        ],
        dtype=object,
    )
    frame = pl.DataFrame(
        {
            "order_id": ids("W", np.arange(n)),
            "kind": words(("DVPN", "DVPO", "NMO", "RO"), word),
            "respondent_id": ids("P", a[index]),
            "protected_id": ids("P", b[index]),
            "made_on": times(begin),
            "served_at": times(capped(served, stage.end_at)),
            "starts_on": times(begin),
            "expires_on": times(end),
            "discharged_on": times(np.where(lifted & (lift_at <= stage.end_at), lift_at, NAT)),
            "conditions": lists(CONDITIONS[:2], pick(rng, [0.45, 0.55], n)),
            "conditions_text": pl.Series(text[rng.integers(0, 3, n)], dtype=pl.Utf8),
            "court_reference": ids("CT", np.arange(n)),
            "recorded_at": times(begin),
        }
    )
    shown = (begin <= stage.end_at) & (end >= stage.start_at)
    stage.put("order", frame.filter(pl.Series(shown)))
    _breaches(stage, w, rng, (cid[index], begin, np.where(shown, np.arange(n), -1)), bail_event, bail)


def _breaches(
    stage: Stage,
    w: Written,
    rng: np.random.Generator,
    orders: tuple[Ints, Ints, Ints],
    bail_event: Ints,
    bail: Ints,
) -> None:
    e, log = w.events, stage.log.table("event")
    row = np.maximum(e.row, 0)
    order = np.where(e.row >= 0, log["order"][row], 0)
    forward = (e.row >= 0) & ~log["back"][row]
    broke = (
        e.breach
        | ((order == DVPO) & (rng.random(len(e)) < 0.6))
        | ((order == BAIL) & (rng.random(len(e)) < 0.45))
    )
    at = np.flatnonzero(forward & broke & (e.recorded <= stage.end_at))
    cid, begin, number = orders
    found = last_before(cid, begin, number, e.cid[at], e.occurred[at])
    found = np.where(order[at] == BAIL, -1, found)
    from_at = e.recorded[bail_event]
    on_bail = np.where(
        order[at] == BAIL, last_before(e.cid[bail_event], from_at, bail, e.cid[at], e.occurred[at]), -1
    )
    known = (found >= 0) | (on_bail >= 0)
    at, found, on_bail = at[known], found[known], on_bail[known]
    source = np.where(rng.random(len(at)) < 0.06, 4, pick(rng, [0.8, 0.08, 0.12], len(at)))
    stage.put(
        "breach",
        pl.DataFrame(
            {
                "breach_id": ids("X", np.arange(len(at))),
                "person_id": ids("P", w.a[at]),
                "order_id": ids("W", found),
                "bail_id": ids("B", on_bail),
                "occurred_at": times(e.occurred[at]),
                "source": words(
                    ("victim", "witness", "third_party", "partner_agency", "police_proactive"), source
                ),
                "recorded_at": times(e.recorded[at]),
            }
        ),
    )


def last_before(group: Ints, start: Ints, number: Ints, want: Ints, when: Ints) -> Ints:
    """Number of the last row of the wanted group that started before; -1 when there is none."""
    if not len(group) or not len(want):
        return np.full(len(want), -1, dtype=np.int64)
    order = np.lexsort((start, group))
    g, s, k = group[order], start[order], number[order]
    floor = min(int(s.min()), int(when.min()))
    span = max(int(s.max()), int(when.max())) - floor + 1
    i = np.searchsorted(g * span + (s - floor), want * span + (when - floor), "right") - 1
    j = np.maximum(i, 0)
    return np.where((i >= 0) & (g[j] == want), k[j], -1)


def write_markers(
    stage: Stage, nominals: Nominals, offenders: Ints, frailty: np.ndarray, first: Ints
) -> None:
    """Warning markers with their own dates: some from before the extract, most some time after a first record."""
    rng, doc = stage.rng("markers"), stage.doc["markers"]
    parts = []
    for i, code in enumerate(("VI", "WE", "FI", "DR", "AL", "ES", "MN", "SU", "SH", "OC")):
        chance = np.minimum(0.6, doc[code] * (0.5 + 0.5 * np.minimum(frailty, 4.0)))
        hit = np.flatnonzero(rng.random(len(offenders)) < chance)
        old = rng.random(len(hit)) < 0.35
        when = np.where(
            old,
            stage.start_at - (rng.random(len(hit)) * 6 * 365 * DAY).astype(np.int64),
            np.maximum(first[hit], stage.start_at) + exponential(rng, 500 * DAY, len(hit)),
        )
        parts.append((offenders[hit], np.full(len(hit), i), when))
    who, code_index, when = (np.concatenate(x) for x in zip(*parts, strict=True))
    ok = when <= stage.end_at
    who, code_index, when = who[ok], code_index[ok], when[ok]
    lasting = rng.random(len(who)) < 0.5
    stage.put(
        "marker",
        pl.DataFrame(
            {
                "person_id": ids("P", nominals.of(who, np.maximum(when, stage.start_at))),
                "code": words(("VI", "WE", "FI", "DR", "AL", "ES", "MN", "SU", "SH", "OC"), code_index),
                "started_on": times(midnights(when)),
                "expires_on": times(np.where(lasting, midnights(when) + int(doc["years"] * 365) * DAY, NAT)),
                "recorded_at": times(midnights(when)),
            }
        ).filter(pl.col("started_on") <= times(np.array([stage.end_at]))[0]),
    )
