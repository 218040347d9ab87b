"""Rows of relationship, intervention, disclosure, victim_plan, promise and contact: what is kept beside the crimes."""

from __future__ import annotations

import numpy as np
import polars as pl

from features.simulate.event_rows import RELATIONS, Written
from features.simulate.happenings import NO
from features.simulate.parameters import Ints
from features.simulate.stage import (
    DAY,
    HOUR,
    NAT,
    Stage,
    exponential,
    flags,
    ids,
    midnights,
    pick,
    times,
    words,
)
from features.simulate.state import CURRENT


def write_relationships(stage: Stage, w: Written) -> None:
    """One row a couple on record; a second one, as former partners, once they have parted."""
    e, r, rng = w.events, stage.register, stage.rng("relationship")
    at = np.flatnonzero((e.cid >= 0) & (e.domestic != NO) & (w.b >= 0))
    cid, first = np.unique(e.cid[at], return_index=True)
    at = at[first]
    forward = e.a[at] == r.pair("a")[cid]
    a = np.where(forward, w.a[at], w.b[at])
    b = np.where(forward, w.b[at], w.a[at])
    kin = np.array([1, 0, 4, 3, 5, 6])[r.pair("kin")[cid].astype(np.int64)]
    began = midnights(stage.base[0] + r.pair("start")[cid].astype(np.int64) * DAY)
    parted = np.full(len(r.pair("a")), NAT)
    split = stage.log.table("separate")
    if split:
        parted[split["cid"]] = midnights(stage.at_day(split["day"], rng))
    end = parted[cid]
    end = np.where(end > stage.end_at, NAT, end)
    child = r.pair("children")[cid] > 0
    known = e.recorded[at]
    told = rng.random(len(cid)) < 0.85
    over = np.flatnonzero((end != NAT) & told)
    parts = [
        (a, b, kin, began, np.where(told, end, NAT), child, known),
        (
            a[over],
            b[over],
            np.full(len(over), 2),
            end[over],
            np.full(len(over), NAT),
            child[over],
            np.maximum(known[over], end[over]),
        ),
    ]
    a, b, kin, began, end, child, known = (np.concatenate(x) for x in zip(*parts, strict=True))
    frame = pl.DataFrame(
        {
            "person_id_a": ids("P", a),
            "person_id_b": ids("P", b),
            "kind": words(RELATIONS, kin),
            "started_on": times(began),
            "ended_on": times(end),
            "shared_child": flags(child & (kin < 3)),
            "recorded_at": times(known),
        }
    )
    frame = frame.filter(pl.Series(known <= stage.end_at))
    stage.put(
        "relationship",
        frame.unique(
            subset=["person_id_a", "person_id_b", "kind", "started_on"], keep="first", maintain_order=True
        ),
    )


def write_care(stage: Stage, w: Written, grade: Ints) -> None:
    """Programmes, Clare's Law applications, and what was agreed, promised and said to victims."""
    e = w.events
    da = np.flatnonzero((e.domestic != NO) & ~e.proactive & (w.a >= 0) & (w.b >= 0))
    _interventions(stage, w, da, grade)
    _disclosures(stage, w, da)
    _victims(stage, w, da)


def _interventions(stage: Stage, w: Written, da: Ints, grade: Ints) -> None:
    e, doc, rng = w.events, stage.doc["care"], stage.rng("intervention")
    chance = np.where(grade[da] == 2, doc["marac_high"], doc["marac_other"])
    heard = da[rng.random(len(da)) < chance]
    n = len(heard)
    met = e.recorded[heard] + rng.integers(7, 28, n) * DAY
    helped = rng.random(n) < doc["idva"]
    run = da[rng.random(len(da)) < doc["offender_scheme_per_person"]]
    m = len(run)
    begun = e.recorded[run] + exponential(rng, 60 * DAY, m)
    schemes = ("MARAC", "MATAC", "MAPPA", "IOM", "Drive", "DALO", "IDVA", "perpetrator_programme")
    parts = [
        (w.b[heard], w.a[heard], np.zeros(n, dtype=np.int64), np.ones(n, dtype=np.int64), met, met + DAY),
        (
            w.b[heard[helped]],
            w.a[heard[helped]],
            np.full(helped.sum(), 6),
            np.ones(helped.sum(), dtype=np.int64),
            met[helped],
            met[helped] + exponential(rng, 90 * DAY, int(helped.sum())) + 14 * DAY,
        ),
        (
            w.a[run],
            w.b[run],
            np.array([1, 2, 3, 4, 7, 5])[pick(rng, [0.3, 0.12, 0.2, 0.12, 0.16, 0.1], m)],
            np.zeros(m, dtype=np.int64),
            begun,
            begun + exponential(rng, 200 * DAY, m) + 30 * DAY,
        ),
    ]
    who, other, scheme, role, start, end = (np.concatenate(x) for x in zip(*parts, strict=True))
    start, end = midnights(start), midnights(end)
    frame = pl.DataFrame(
        {
            "person_id": ids("P", who),
            "scheme": words(schemes, scheme),
            "role": words(("offender", "victim"), role),
            "with_person_id": ids("P", other),
            "level": words(("1", "2", "3"), np.where(scheme == 2, rng.integers(0, 3, len(who)), -1)),
            "owner": words(
                ("Safeguarding hub", "Offender management", "Partner agency"),
                pick(rng, [0.6, 0.25, 0.15], len(who)),
            ),
            "started_on": times(start),
            "ended_on": times(np.where(end > stage.end_at, NAT, end)),
            "recorded_at": times(start),
        }
    ).filter(pl.Series(start <= stage.end_at))
    stage.put(
        "intervention",
        frame.unique(subset=["person_id", "scheme", "started_on"], keep="first", maintain_order=True),
    )


def _disclosures(stage: Stage, w: Written, da: Ints) -> None:
    e, rng = w.events, stage.rng("disclosure")
    at = da[
        rng.random(len(da))
        < stage.doc["care"]["disclosure_per_event"] * np.where(e.phase[da] == CURRENT, 1.4, 0.5)
    ]
    n = len(at)
    opened = e.recorded[at] + exponential(rng, 25 * DAY, n)
    decided = opened + exponential(rng, 18 * DAY, n) + 3 * DAY
    open_still = decided > stage.end_at
    stage.put(
        "disclosure",
        pl.DataFrame(
            {
                "application_id": ids("Q", np.arange(n)),
                "route": words(("right_to_ask", "right_to_know"), pick(rng, [0.52, 0.48], n)),
                "subject_id": ids("P", w.a[at]),
                "protected_id": ids("P", w.b[at]),
                "opened_at": times(opened),
                "decided_at": times(np.where(open_still, NAT, decided)),
                "decision": words(
                    ("disclosed", "not_disclosed", "withdrawn"),
                    np.where(open_still, -1, pick(rng, [0.42, 0.48, 0.10], n)),
                ),
                "recorded_at": times(opened),
            }
        ).filter(pl.Series(opened <= stage.end_at)),
    )


def _victims(stage: Stage, w: Written, da: Ints) -> None:
    e, doc, rng = w.events, stage.doc["care"], stage.rng("victims")
    at = da[rng.random(len(da)) < doc["plan_share"]]
    n = len(at)
    agreed = e.recorded[at] + exponential(rng, 20 * HOUR, n)
    spoken = pick(rng, [0.93, 0.02, 0.02, 0.01, 0.01, 0.01], n)
    plan = pl.DataFrame(
        {
            "person_id": ids("P", w.b[at]),
            "named_contact": words(
                ("a sister", "a friend", "a colleague"),
                np.where(rng.random(n) < 0.4, rng.integers(0, 3, n), -1),
            ),
            "safe_channel": words(
                ("visit", "phone", "text", "email", "none"), pick(rng, [0.12, 0.5, 0.25, 0.1, 0.03], n)
            ),
            "safe_times": words(
                ("weekdays before 15:00", "any morning", "after 19:00", "school hours"), rng.integers(0, 4, n)
            ),
            "do_not": words(
                ("do not call the home number", "do not leave messages"),
                np.where(rng.random(n) < 0.35, rng.integers(0, 2, n), -1),
            ),
            "language": words(("English", "Polish", "Punjabi", "Romanian", "Urdu", "Arabic"), spoken),
            "interpreter": flags(spoken > 0),
            "access_needs": words(
                ("hearing", "mobility", "reading"), np.where(rng.random(n) < 0.06, rng.integers(0, 3, n), -1)
            ),
            "video_consent": words(("Y", "N", "U"), pick(rng, [0.45, 0.25, 0.30], n)),
            "update_every_days": pl.Series(np.array([7, 14, 28])[pick(rng, [0.3, 0.3, 0.4], n)]),
            "idva": words(("yes", "offered"), np.where(rng.random(n) < 0.3, rng.integers(0, 2, n), -1)),
            "agreed_on": times(agreed),
            "recorded_at": times(agreed),
        }
    )
    stage.put(
        "victim_plan",
        plan.filter(pl.Series(agreed <= stage.end_at)).unique(
            subset=["person_id", "agreed_on"], keep="first", maintain_order=True
        ),
    )
    at = da[rng.random(len(da)) < doc["promise_share"]]
    n = len(at)
    made = e.recorded[at] + exponential(rng, 12 * HOUR, n)
    due = made + np.array([2, 7, 14, 28])[pick(rng, [0.2, 0.35, 0.2, 0.25], n)] * DAY
    done = made + (rng.gamma(2.0, 0.45, n) * (due - made)).astype(np.int64)
    never = (rng.random(n) < 0.12) | (done > stage.end_at)
    stage.put(
        "promise",
        pl.DataFrame(
            {
                "promise_id": ids("T", np.arange(n)),
                "person_id": ids("P", w.b[at]),
                "event_id": ids("E", at),
                "what": words(
                    ("update", "callback", "referral", "disclosure", "order", "property", "other"),
                    pick(rng, [0.45, 0.25, 0.15, 0.03, 0.05, 0.04, 0.03], n),
                ),
                "made_on": times(made),
                "due_on": times(due),
                "done_on": times(np.where(never, NAT, done)),
                "made_by": pl.Series(rng.integers(1000, 1900, n)).cast(pl.Utf8),
                "recorded_at": times(made),
            }
        ).filter(pl.Series(made <= stage.end_at)),
    )
    at = da[rng.random(len(da)) < doc["contact_share"]]
    n = len(at)
    when = e.recorded[at] + exponential(rng, 5 * DAY, n)
    stage.put(
        "contact",
        pl.DataFrame(
            {
                "contact_id": ids("N", np.arange(n)),
                "person_id": ids("P", w.b[at]),
                "event_id": ids("E", at),
                "at": times(when),
                "channel": words(
                    ("visit", "phone", "video", "text", "email"), pick(rng, [0.2, 0.55, 0.07, 0.12, 0.06], n)
                ),
                "by": pl.Series(rng.integers(1000, 1900, n)).cast(pl.Utf8),
                "summary_code": words(
                    ("update given", "no answer", "statement", "safety advice"),
                    pick(rng, [0.45, 0.25, 0.1, 0.2], n),
                ),
                "recorded_at": times(when),
            }
        ).filter(pl.Series(when <= stage.end_at)),
    )
