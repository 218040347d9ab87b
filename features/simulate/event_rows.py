"""Rows of event, offence, involvement, call and risk_assessment."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from features.simulate.happenings import (
    CONTACT,
    CRIME,
    NO,
    YES,
    Happenings,
    add_thirds,
    corrections,
    offence_names,
    strangers,
)
from features.simulate.nominals import Nominals
from features.simulate.parameters import Floats, Ints
from features.simulate.stage import DAY, HOUR, NAT, Bools, Stage, exponential, flags, ids, pick, times, words
from features.simulate.state import CURRENT, FAMILIAL, FORMER

ABUSE = ("intimate_current", "intimate_former", "familial", "other", "unknown")
SOURCES = ("victim", "witness", "third_party", "partner_agency", "police_proactive")
KINDS = ("contact", "crime", "non_crime")
RELATIONS = (
    "spouse",
    "partner",
    "ex_partner",
    "parent",
    "child",
    "sibling",
    "other_family",
    "other",
    "unknown",
)
OPPOSITE = {"child": "parent", "parent": "child"}


@dataclass
class Written:
    """What later writers need of the events: the events, their records' persons, and what was noted."""

    events: Happenings
    a: Ints  # record numbers of suspects
    b: Ints  # record numbers of victims
    third: Ints  # record numbers of further victims
    second: Ints  # 1 a second offence, 2 one against the third person
    withdrawn: Ints
    moved: Ints
    names: list[str]
    place: Ints  # address numbers
    district: Ints
    children: Ints


def relation_words(stage: Stage, cid: Ints, phase: Ints, forward: Bools) -> Ints:
    """Index into RELATIONS of what the suspect is to the victim; -1 without a couple."""
    kin = stage.register.pair("kin")[np.maximum(cid, 0)].astype(np.int64)
    # kin: 0 partner, 1 spouse, 2 child, 3 parent, 4 sibling, 5 other family
    ahead = np.array([1, 0, 4, 3, 5, 6])[kin]
    behind = np.array([1, 0, 3, 4, 5, 6])[kin]
    word = np.where(forward, ahead, behind)
    word = np.where(phase == FORMER, 2, word)
    return np.where(cid < 0, -1, word)


def write_events(
    stage: Stage, events: Happenings, nominals: Nominals, place: Ints, district: Ints, response: Ints
) -> Written:
    """Write event, offence and involvement; returns what the other writers need."""
    second = add_thirds(stage, events)
    names = offence_names(stage)
    withdrawn, moved = corrections(stage, events)
    a = nominals.of(events.a, events.recorded)
    b = nominals.of(events.b, events.recorded)
    third = nominals.of(events.third, events.recorded)
    done = Written(
        events, a, b, third, second, withdrawn, moved, names, place, district, _children(stage, events)
    )
    _event_table(stage, done, response)
    _offence_table(stage, done)
    _involvement_table(stage, done, nominals)
    return done


def _children(stage: Stage, events: Happenings) -> Ints:
    rng = stage.rng("children present")
    born = np.where(events.cid >= 0, stage.register.pair("children")[np.maximum(events.cid, 0)], 0)
    there = (events.domestic != NO) & (born > 0) & (rng.random(len(events)) < stage.doc["noted"]["children"])
    return np.where(there, rng.integers(1, np.maximum(born, 1) + 1), 0).astype(np.int64)


def _with_withdrawals(frame: pl.DataFrame, withdrawn: Ints, row: Ints, end_at: int) -> pl.DataFrame:
    """Add a closing row for each row whose event was withdrawn within the extract."""
    when = np.asarray(withdrawn)[row]
    gone = (when != NAT) & (when <= end_at)
    closing = frame.filter(pl.Series(gone)).with_columns(
        recorded_at=times(when[gone]), withdrawn=pl.lit(True)
    )
    return pl.concat([frame.with_columns(withdrawn=pl.lit(False)), closing])


def _event_table(stage: Stage, w: Written, response: Ints) -> None:
    e, noted, rng = w.events, stage.doc["noted"], stage.rng("event rows")
    n = len(e)
    da = e.domestic != NO
    abuse = np.select([~da, e.phase == CURRENT, e.phase == FORMER, e.phase == FAMILIAL], [-1, 0, 1, 2], 4)
    abuse = np.where(da & (rng.random(n) < 0.02), 4, abuse)
    serious = (
        stage.p.serious[np.clip(e.key, 0, len(stage.p.keys) - 1)] & (e.key >= 0) & (e.key < len(stage.p.keys))
    )
    source = pick(
        rng, [noted["victim_source"], noted["witness_source"], noted["third_party_source"], 0.11], n
    )
    source = np.where(e.proactive, 4, source)
    code = {k: i for i, k in enumerate(w.names)}

    def one_of(*keys: str) -> Bools:
        return np.isin(e.key, [code[k] for k in keys])

    fatal = one_of("murder", "manslaughter")
    grave = one_of("gbh_with_intent", "gbh_without_intent_serious", "attempted_murder")
    minor = one_of("abh", "gbh_without_intent_minor", "strangulation") | (rng.random(n) < 0.01)
    injury = np.select([fatal, grave, minor], [3, 2, 1], 0)
    choked = one_of("strangulation") | (da & (rng.random(n) < noted["strangulation_noted"] * (0.4 + serious)))
    arms = noted["weapon"]
    weapon = pick(rng, [1 - sum(arms.values()), arms["blade"], arms["firearm"], arms["other"]], n)
    weapon = np.where((grave | fatal | one_of("blade")) & (rng.random(n) < 0.45), 1, weapon)
    seen = rng.random(n) >= noted["alcohol_missing"]
    drunk = rng.random(n) < noted["alcohol"] * np.where(e.cid >= 0, 0.6 + 0.8 * ((e.cid % 7) < 4), 0.6)
    aggressor = np.where(e.counter | (rng.random(n) < noted["primary_aggressor"]), w.a, -1)
    first = np.where((source == 0) & da, np.where(e.counter & (rng.random(n) < 0.3), w.a, w.b), -1)
    frame = pl.DataFrame(
        {
            "event_id": ids("E", np.arange(n)),
            "reference": _references(stage, e.recorded, n),
            "kind": words(KINDS, e.kind),
            "occurred_at": times(e.occurred),
            "reported_at": times(e.reported),
            "domestic": words(("Y", "N", "U"), e.domestic),
            "abuse": words(ABUSE, abuse),
            "address_id": stage.address_ids(w.place),
            "district": words([f"D{i}" for i in range(9)], w.district),
            "source": words(SOURCES, source),
            "alcohol": flags(drunk, seen),
            "drugs": flags(rng.random(n) < noted["drugs"], rng.random(n) > 0.15),
            "strangulation": flags(choked),
            "counter_allegation": flags(e.counter),
            "weapon": words(("none", "blade", "firearm", "other"), weapon),
            "injury": words(("none", "minor", "serious", "fatal"), injury),
            "children_present": w.children,
            "primary_aggressor_id": ids("P", aggressor),
            "first_reporter_id": ids("P", first),
            "officer_in_charge": pl.Series(rng.integers(1000, 1900, n)).cast(pl.Utf8),
            "response": words(("visit", "video", "phone", "station", "online"), response),
            "recorded_at": times(e.recorded),
        }
    )
    stage.put("event", _with_withdrawals(frame, w.withdrawn, np.arange(n), stage.end_at))


def _references(stage: Stage, recorded: Ints, n: int) -> pl.Series:
    year = times(recorded).dt.year().cast(pl.Utf8)
    return pl.select(
        pl.concat_str([pl.lit("42/"), pl.Series(np.arange(n)).cast(pl.Utf8).str.zfill(7), pl.lit("/"), year])
    ).to_series()


def _offence_keys(stage: Stage, w: Written) -> tuple[Ints, Ints, Ints, Ints]:
    """One row an offence: event number, offence name, suspect, victim; second offences, breaches, counters after."""
    e, p, rng = w.events, stage.p, stage.rng("offences")
    crime = np.flatnonzero((e.kind == CRIME) & (e.key > 0))
    second = p.doc["second_offence"]
    again = crime[w.second[crime] > 0]
    lesser = np.array([w.names.index(k) for k in second["keys"]])[pick(rng, second["weights"], len(again))]
    broke = np.flatnonzero(e.breach & (e.row >= 0))
    order = stage.log.table("event")["order"][np.maximum(e.row[broke], 0)]
    which = np.where(order == 4, w.names.index("breach_restraining"), w.names.index("breach_non_molestation"))
    ctr = np.flatnonzero(e.counter)
    answer = np.full(len(ctr), w.names.index(p.doc["counter"]["key"]))
    event = np.concatenate([crime, again, broke, ctr])
    key = np.concatenate([e.key[crime], lesser, which, answer])
    suspect = np.concatenate([w.a[crime], w.a[again], w.a[broke], w.b[ctr]])
    hurt = np.where(w.second[again] == 2, w.third[again], w.b[again])
    victim = np.concatenate([w.b[crime], hurt, w.b[broke], w.a[ctr]])
    sorting = np.argsort(event, kind="stable")
    return event[sorting], key[sorting], suspect[sorting], victim[sorting]


def sexed(stage: Stage, names: list[str], key: Ints, victim_male: Bools) -> list[str]:
    """Offence keys of the harm table: sexual offences are split by the victim's sex."""
    split = {
        "rape": ("rape_female", "rape_male"),
        "penetration": ("penetration_female", "penetration_male"),
        "sexual_assault": ("sexual_assault_female", "sexual_assault_male"),
    }
    table = np.array([split.get(k, (k, k)) for k in names], dtype=object)
    return list(table[key, victim_male.astype(np.int64)])


def _offence_table(stage: Stage, w: Written) -> None:
    e, rng = w.events, stage.rng("offence rows")
    event, key, suspect, victim = _offence_keys(stage, w)
    n = len(event)
    sex = stage.register.of("sex")
    male = (e.b[event] >= 0) & (sex[np.maximum(e.b[event], 0)] == 1)
    kinds = [stage.kinds[k] for k in sexed(stage, w.names, key, male)]
    outcome, outcome_at = _outcomes(stage, w, event, rng)
    frame = pl.DataFrame(
        {
            "offence_id": ids("O", np.arange(n)),
            "event_id": ids("E", event),
            "ho_code": [k.ho_code for k in kinds],
            "athena_urn": pl.Series([None] * n, dtype=pl.Utf8),
            "cjs_code": pl.Series([None] * n, dtype=pl.Utf8),
            "attempt": [k.key.startswith("attempted") for k in kinds],
            "description": [k.description for k in kinds],
            "suspect_id": ids("P", suspect),
            "victim_id": ids("P", victim),
            "outcome_code": outcome,
            "outcome_at": times(outcome_at),
            "recorded_at": times(e.recorded[event]),
        }
    )
    frame = _with_withdrawals(frame, w.withdrawn, event, stage.end_at)
    stage.put("offence", pl.concat([frame, _reclassified(stage, w, frame.head(n), event, key)]))


def _reclassified(stage: Stage, w: Written, rows: pl.DataFrame, event: Ints, key: Ints) -> pl.DataFrame:
    """A later row under the same id for offences whose class was changed."""
    table = stage.p.doc["correction"]["reclassified"]
    main = np.asarray(key == w.events.key[event])
    moved = w.moved[event]
    hit = main & (moved != NAT) & (moved <= stage.end_at)
    # An event's own offence, not a second one of the same kind, is what was reclassified.
    first = np.concatenate([[True], event[1:] != event[:-1]])
    hit &= first
    to = {w.names.index(k): stage.kinds[v[0]] for k, v in table.items()}
    kinds = [to[int(k)] for k in key[hit]]
    return rows.filter(pl.Series(hit)).with_columns(
        ho_code=pl.Series([k.ho_code for k in kinds], dtype=pl.Utf8),
        description=pl.Series([k.description for k in kinds], dtype=pl.Utf8),
        recorded_at=times(moved[hit]),
    )


def _outcomes(stage: Stage, w: Written, event: Ints, rng: np.random.Generator) -> tuple[pl.Series, Ints]:
    """Outcome codes and their times; null while open at the extract's end."""
    e, doc = w.events, stage.doc["outcome"]
    log = stage.log.table("event")
    row = e.row[event]
    charged = (row >= 0) & np.isin(log["release"][np.maximum(row, 0)], [0, 1])
    codes = list(doc["shares"])
    n = len(event)
    drawn = pick(rng, list(doc["shares"].values()), n)
    at = e.recorded[event] + np.where(
        charged, exponential(rng, 2 * DAY, n) + DAY, exponential(rng, doc["none_yet_days"] * DAY, n) + 2 * DAY
    )
    known = at <= stage.end_at
    text = words(["1", *codes], np.where(known, np.where(charged, 0, 1 + drawn), -1))
    return text, np.where(known, at, NAT)


def _involvement_table(stage: Stage, w: Written, nominals: Nominals) -> None:
    e, rng = w.events, stage.rng("involvement")
    own = np.flatnonzero(w.a >= 0)
    named = np.flatnonzero(w.b >= 0)
    ctr = np.flatnonzero(e.counter & (w.b >= 0))
    log = stage.log.table("event")
    forward = np.where(e.row >= 0, ~log["back"][np.maximum(e.row, 0)], True)
    word = relation_words(stage, e.cid, e.phase, forward)
    unsure = rng.random(len(e)) < stage.doc["noted"]["relationship_unknown"]
    word = np.where((word >= 0) & unsure, 8, word)
    back = relation_words(stage, e.cid, e.phase, ~forward)
    more = np.flatnonzero((w.third >= 0) & (w.a >= 0))
    none = np.full(len(more), -1)
    parts = [
        _rows(more, w.a[more], 0, w.third[more], np.full(len(more), 7), None, rng),
        _rows(more, w.third[more], 1, none, none, None, rng),
        _rows(own, w.a[own], 0, w.b[own], np.where(w.b[own] >= 0, word[own], -1), e.proactive[own], rng),
        _rows(named, w.b[named], 1, np.full(len(named), -1), np.full(len(named), -1), None, rng),
        _rows(ctr, w.b[ctr], 0, w.a[ctr], np.where(unsure[ctr], 8, back[ctr]), None, rng),
        _rows(ctr, w.a[ctr], 1, np.full(len(ctr), -1), np.full(len(ctr), -1), None, rng),
        *_bystanders(stage, w, nominals, rng),
    ]
    event = np.concatenate([x[0] for x in parts])
    frame = pl.concat([x[1] for x in parts]).with_columns(recorded_at=times(e.recorded[event]))
    frame = frame.with_columns(pl.Series("_n", event))
    frame = _with_withdrawals(frame, w.withdrawn, event, stage.end_at).sort(
        ["_n", "role", "person_id", "victim_id", "withdrawn"], nulls_last=True
    )
    stage.put(
        "involvement",
        frame.drop("_n").unique(
            subset=["event_id", "person_id", "role", "victim_id", "withdrawn"],
            keep="first",
            maintain_order=True,
        ),
    )


def _rows(
    event: Ints,
    person: Ints,
    role: int,
    victim: Ints,
    word: Ints,
    proactive: Bools | None,
    rng: np.random.Generator,
) -> tuple[Ints, pl.DataFrame]:
    n = len(event)
    by = pick(rng, [0.78, 0.08, 0.10, 0.04], n) if role == 0 else np.full(n, -1)
    if proactive is not None:
        by = np.where(proactive, 2, by)
    roles = ("suspect", "victim", "witness", "reporter", "child", "other")
    return event, pl.DataFrame(
        {
            "event_id": ids("E", event),
            "person_id": ids("P", person),
            "role": words(roles, np.full(n, role)),
            "victim_id": ids("P", victim),
            "relationship_to_victim": words(RELATIONS, word),
            "named_by": words(("victim", "witness", "officer", "other"), by),
        }
    )


def _bystanders(
    stage: Stage, w: Written, nominals: Nominals, rng: np.random.Generator
) -> list[tuple[Ints, pl.DataFrame]]:
    """Witnesses, reporters from outside, and the children of the home."""
    e, noted = w.events, stage.doc["noted"]
    da = (e.domestic != NO) & (e.kind != CONTACT)
    out = []
    for role, share in ((2, noted["witness_present"]), (3, noted["third_party_source"] * 0.5)):
        at = np.flatnonzero(da & (rng.random(len(e)) < share))
        day = (e.occurred[at] - stage.base[0]) // DAY
        who = nominals.of(strangers(stage, rng, len(at), day), e.recorded[at])
        out.append(_rows(at, who, role, np.full(len(at), -1), np.full(len(at), -1), None, rng))
    with_children = np.flatnonzero((w.children > 0) & (rng.random(len(e)) < noted["child_recorded"]))
    event = np.repeat(with_children, w.children[with_children])
    nth = np.arange(len(event)) - np.repeat(
        np.concatenate([[0], np.cumsum(w.children[with_children])[:-1]]).astype(np.int64),
        w.children[with_children],
    )
    couple_child = e.cid[event] * 8 + nth
    unique, first, inverse = np.unique(couple_child, return_index=True, return_inverse=True)
    day = (e.occurred[event[first]] - stage.base[0]) // DAY
    r = stage.register
    parent = e.b[event[first]]
    young = r.add_persons(
        rng.integers(0, 2, len(unique)),
        r.of("group")[parent],
        r.of("district")[parent],
        day - (rng.random(len(unique)) ** 1.2 * 15.5 * 365.25).astype(np.int64) - 60,
        np.zeros(len(unique), dtype=np.int64),
    )
    who = nominals.of(young[inverse], e.recorded[event])
    out.append(_rows(event, who, 4, np.full(len(event), -1), np.full(len(event), -1), None, rng))
    return out


def write_assessments(stage: Stage, w: Written, latent: Floats) -> Ints:
    """DASH or DARA for nine domestic events in ten; the grade is noisy. Returns the grade (0..2, -1 none) an event."""
    e, doc, rng = w.events, stage.doc["dash"], stage.rng("dash")
    at = np.flatnonzero(
        (e.domestic == YES) & ~e.proactive & (w.a >= 0) & (w.b >= 0) & (rng.random(len(e)) >= doc["refused"])
    )
    n = len(at)
    harm = stage.p.harm_cd[np.clip(e.key[at], 0, len(stage.p.keys) - 1)] / 100
    score = (
        doc["event_weight"] * np.log1p(harm) / 2
        + doc["latent_weight"] * latent[np.maximum(e.a[at], 0)]
        + doc["noise"] * rng.standard_normal(n)
    )
    cut = np.quantile(score, [1 - doc["high"] - doc["medium"], 1 - doc["high"]]) if n else np.zeros(2)
    grade = np.searchsorted(cut, score)
    completed = e.reported[at] + exponential(rng, 10 * HOUR, n)
    completed = np.maximum(completed, e.recorded[at])
    reviewed = (rng.random(n) < doc["reviewed"]) & (completed + 2 * DAY <= stage.end_at)
    to = np.where(reviewed, np.clip(grade + rng.choice([-1, 0, 1], n, p=[0.35, 0.45, 0.20]), 0, 2), -1)
    late_at = np.where(reviewed, completed + rng.integers(HOUR, 2 * DAY, n), NAT)
    grades = ("standard", "medium", "high")
    frame = pl.DataFrame(
        {
            "event_id": ids("E", at),
            "victim_id": ids("P", w.b[at]),
            "suspect_id": ids("P", w.a[at]),
            "tool": words(("DASH", "DARA"), (rng.random(n) < doc["dara_share"]).astype(np.int64)),
            "grade": words(grades, grade),
            "grade_reviewed": words(grades, to),
            "reviewed_at": times(late_at),
            "completed_at": times(completed),
        }
    )
    yes = 1 / (1 + np.exp(-(np.log(doc["item_base"] / (1 - doc["item_base"])) + doc["item_slope"] * score)))
    items = {
        f"q{q:02d}": words(
            ("Y", "N", "U"), np.where(rng.random(n) < 0.05, 2, (rng.random(n) > yes).astype(np.int64))
        )
        for q in range(1, 28)
    }
    frame = pl.DataFrame(
        {"assessment_id": ids("R", np.arange(n)), **frame.to_dict(), **items, "recorded_at": times(completed)}
    )
    stage.put("risk_assessment", frame.filter(pl.Series(completed <= stage.end_at)))
    out = np.full(len(e), -1)
    out[at] = grade
    return out


def write_calls(stage: Stage, w: Written) -> None:
    """Calls for service: most domestic events begin with one, and some calls lead to nothing on record."""
    e, rng = w.events, stage.rng("calls")
    base = np.flatnonzero(
        (e.domestic != NO) & ~e.proactive & ~e.late & (rng.random(len(e)) < stage.doc["noted"]["call_share"])
    )
    idle = base[rng.random(len(base)) < 0.12]
    at = np.concatenate([base, idle])
    n, bare = len(at), np.arange(len(at)) >= len(base)
    received = np.where(bare, e.reported[at] + exponential(rng, 90 * DAY, n), e.reported[at])
    role = pick(rng, [0.62, 0.22, 0.08, 0.05, 0.03], n)
    keep = (received <= stage.end_at) & (received >= stage.start_at)
    frame = pl.DataFrame(
        {
            "call_id": ids("C", np.arange(n)),
            "reference": ids("INC", np.arange(n)),
            "received_at": times(received),
            "grade": 1 + pick(rng, [0.32, 0.44, 0.18, 0.06], n),
            "caller_role": words(("victim", "third_party", "professional", "suspect", "unknown"), role),
            "victim_id": ids("P", np.where(bare & (rng.random(n) < 0.4), -1, w.b[at])),
            "suspect_id": ids("P", np.where(rng.random(n) < 0.25, -1, w.a[at])),
            "address_id": stage.address_ids(w.place[at]),
            "district": words([f"D{i}" for i in range(9)], w.district[at]),
            "event_id": ids("E", np.where(bare, -1, at)),
            "recorded_at": times(received),
        }
    )
    stage.put("call", frame.filter(pl.Series(keep)))
