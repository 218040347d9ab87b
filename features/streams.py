"""The streams of facts that histories are made of: which facts there are, whose they are, what each one says.

A *stream* is a list of facts; a fact belongs to one subject (a person, or an ordered pair suspect -> victim), has
one time of its own (``at``) and named fields. Both engines build the same streams from the records as of T, each
in its own way; a declared feature only says which stream, which facts, and what to do with them.

The rules both engines keep
---------------------------
**Suspects of an event**: persons with role ``suspect`` in an involvement, and persons named by
``offence.suspect_id``. **Victims of an event**: persons with role ``victim``, persons named by
``offence.victim_id``, and persons named by a suspect's ``involvement.victim_id``.

**Pairs of an event**, suspect by suspect, from the first of these that names anyone: (1) offences naming both this
suspect and a victim; (2) this suspect's involvements naming a victim; (3) every victim of the event, counted as
*inferred*. Nobody is paired with themselves. Going suspect by suspect keeps the second of two suspects whose
offence happens to name no one. From an event with more parties (suspects and victims) than ``most_persons``
(features/data/network.toml) nothing is inferred: it keeps the pairs that rows name, and to everyone in it it stays an
event of theirs as suspect or victim.

**Harm of an event** for a suspect: the sum over the event's offences known at T that name this suspect, or name no
suspect at all. Several suspects of one unattributed offence each carry all of it (it is not divided: each is
reported for it). For a victim likewise by ``offence.victim_id``; for a pair an offence counts when neither of its
two names contradicts the pair. Several victims of one event do not multiply a suspect's harm: the event is one
fact of the suspect, and one fact of each pair.

**Ties** (features/data/network.toml has the numbers): two persons are tied when they are a pair of an event, suspects
of one event, related by a row of ``relationship``, respondent and protected of an order, or parties (suspects or
victims) of events in which the same child took part. An event with more parties than ``most_persons``, or a child
around whom there are more, ties nobody. A tie came about at the earliest time of a row that makes it (a child's tie
when the second of the two was in an event with the child). A shared address is kept apart, in streams of its own: it
says where people live. **Two steps**: tied to someone who is tied; came about when the later of the two ties did (the
earliest such way counts).

**Partners**: the other side of a ``relationship`` row of kind spouse or partner, or of a suspect's involvement that
names a victim and such a relationship, from either side. First named: the earliest such row, rows as ex-partner
included. *Current* unless a later (or as late) row ends the relationship or names an ex-partner. *New*: first named
after the latest domestic event of the person, as suspect, with somebody else (and there is one).

**Existence**: an event that is not known at T takes its offences, involvements and pairs with it; an assessment
without a named suspect belongs to every suspect of its event, if that event is known.

**Times**: ``at`` is the row's own time; a row whose own time is not given (undated markers and relationships)
takes the moment it was entered. The bounds of time are open at the past: a window of w days holds
T - w*86,400 s < at <= T.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

BOOL, INT, TEXT = "bool", "int", "text"

#: Offence tags (features/data/harm) that become fields of an event, by field name.
TAG_FIELDS: dict[str, tuple[str, ...]] = {
    "violence": ("violence",),
    "strangulation": ("strangulation",),
    "stalking": ("stalking",),
    "harassment": ("harassment",),
    "coercive": ("coercive",),
    "sexual": ("sexual",),
    "rape": ("rape",),
    "threats": ("threats",),
    "weapon": ("weapon",),
    "detention": ("detention",),
    "damage": ("damage",),
    "breach_offence": ("breach",),
    "child_offence": ("child",),
    "acquisitive": ("acquisitive",),
    "drug_offence": ("drugs",),
}

#: Injury as recorded, in order of gravity.
INJURY_LEVEL = {"none": 0, "minor": 1, "serious": 2, "fatal": 3}
#: Grades of an assessment as numbers.
GRADE_LEVEL = {"standard": 1, "medium": 2, "high": 3}
WEAPONS = ("blade", "firearm", "other")
#: Home Office outcome codes: charged or summonsed; victim does not support, suspect identified.
CHARGED = ("1", "1A")
NOT_SUPPORTED = ("16",)
PARTNER_KINDS = ("spouse", "partner")
PARTNERS_EVER = (*PARTNER_KINDS, "ex_partner")
DASH_QUESTIONS = tuple(f"q{n:02d}" for n in range(1, 28))

EVENT_FIELDS: dict[str, str] = {
    "kind": TEXT,  # crime, non_crime, contact
    "domestic": TEXT,  # Y, N, U
    "abuse": TEXT,
    "source": TEXT,
    "alcohol": BOOL,
    "drugs": BOOL,
    "counter_allegation": BOOL,
    "injury_level": INT,
    "children_present": INT,
    "primary": BOOL,  # this suspect is recorded as the primary aggressor
    "told_by_suspect": BOOL,  # this suspect was the first to report the event
    "told_by_victim": BOOL,  # this victim was the first to report the event
    "harm_cd": INT,  # hundredths of a harm day, summed over the offences that count
    "max_harm_cd": INT,  # the gravest of them
    "offences": INT,
    "serious": BOOL,  # at least one offence of serious.v1
    "charged": BOOL,  # at least one offence charged or summonsed, as known at T
    "not_supported": BOOL,  # at least one offence closed because the victim did not support
    **dict.fromkeys(TAG_FIELDS, BOOL),
}
PAIR_FIELDS: dict[str, str] = {**EVENT_FIELDS, "other": TEXT, "inferred": BOOL}

#: Event fields that come from offences (and are empty without the offence table).
OFFENCE_FIELDS = frozenset(
    ("harm_cd", "max_harm_cd", "offences", "serious", "charged", "not_supported", *TAG_FIELDS)
)

#: What an extract must have before a field can be read; "a|b": either will do.
_EVENT_NEEDS: dict[str, str] = {
    **dict.fromkeys(OFFENCE_FIELDS, "offence"),
    "charged": "offence.outcome_code",
    "not_supported": "offence.outcome_code",
    "strangulation": "event.strangulation|offence",
    "weapon": "event.weapon|offence",
    "injury_level": "event.injury",
    "primary": "event.primary_aggressor_id",
    "told_by_suspect": "event.first_reporter_id",
    "told_by_victim": "event.first_reporter_id",
    **{
        name: f"event.{name}"
        for name in ("abuse", "source", "alcohol", "drugs", "counter_allegation", "children_present")
    },
}
_FIELD_NEEDS: dict[str, dict[str, str]] = {
    "risk_assessment": {"grade": "risk_assessment.grade", "yes": "risk_assessment.q01"},
    "custody": {"release": "custody.release", "released": "custody.released_at"},
    "bail": {"no_contact": "bail.conditions", "in_force": "bail.until_at|bail.cancelled_at"},
    "order": {"in_force": "order.expires_on|order.discharged_on"},
    "breach": {"of_order": "breach.order_id", "of_bail": "breach.bail_id"},
    "conviction": {"disposal": "conviction.disposal", "custody_days": "conviction.custody_days"},
    "wanted": {"current": "wanted.cleared_at"},
    "spell": {"current": "spell.ended_on"},
    "call": {"grade": "call.grade", "caller_role": "call.caller_role"},
    "relationship": {"current": "relationship.ended_on", "shared_child": "relationship.shared_child"},
    "person": {"age": "person.date_of_birth"},
}
_PAIR_NEEDS = "involvement.victim_id|offence.victim_id"
_STREAM_NEEDS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("pair_as_suspect", "pair_as_victim", "pair_event", "reverse_event"), (_PAIR_NEEDS,)),
    "order_as_protected": ("order.protected_id",),
    "pair_order": ("order.protected_id",),
    "pair_breach": ("breach.order_id", "order.protected_id"),
    "release": ("spell.ended_on",),
    "call_as_suspect": ("call.suspect_id",),
    "call_as_victim": ("call.victim_id",),
    "separation": ("relationship.ended_on",),
    "pair_separation": ("relationship.ended_on",),
    **dict.fromkeys(("dyad_as_suspect", "dyad_as_victim", "dyad", "rival", "other_victim"), (_PAIR_NEEDS,)),
    **dict.fromkeys(("household_person", "pair_household"), ("residence|person.address_id", "address.kind")),
}


@dataclass(frozen=True)
class Stream:
    """One kind of fact: its name, its subjects, the fields a feature may use, and what a fact is, in words."""

    name: str
    subjects: tuple[str, ...]
    fields: dict[str, str]
    says: str
    evidence: str  # what the reference of a fact names: "event_id", "order_id", ...
    table: str = "event"

    def needs(self, fields: Iterable[str]) -> tuple[str, ...]:
        """What an extract must have for the stream and these fields, in a fixed order."""
        own = _EVENT_NEEDS if self.table == "event" else _FIELD_NEEDS.get(self.table, {})
        table = () if self.table == "event" else (self.table,)
        stream = (*table, *_STREAM_NEEDS.get(self.name, ()))
        return tuple(dict.fromkeys([*stream, *(own[field] for field in fields if field in own)]))


#: What a person near the subject was lately suspected of in domestic-abuse events: harm of the last 730 days that
#: fades (hundredths of a day x thousandths), events of 365 days, whether one of those was serious.
_ACTS: dict[str, str] = {"recent_harm": INT, "recent_events": INT, "serious": BOOL}
_PARTNER: dict[str, str] = {"current": BOOL, "new": BOOL, "harmed": BOOL, "children": BOOL}

_PERSON, _PAIR = ("offender", "victim"), ("dyad",)

STREAMS: dict[str, Stream] = {
    s.name: s
    for s in (
        Stream(
            "suspect_event", _PERSON, EVENT_FIELDS, "an event in which the person is a suspect", "event_id"
        ),
        Stream("victim_event", _PERSON, EVENT_FIELDS, "an event in which the person is a victim", "event_id"),
        Stream(
            "pair_as_suspect",
            _PERSON,
            PAIR_FIELDS,
            "an event and one victim of the person in it (field other)",
            "event_id",
        ),
        Stream(
            "pair_as_victim",
            _PERSON,
            PAIR_FIELDS,
            "an event and one suspect against the person in it (field other)",
            "event_id",
        ),
        Stream(
            "pair_event", _PAIR, PAIR_FIELDS, "an event in which suspect and victim are a pair", "event_id"
        ),
        Stream(
            "reverse_event",
            _PAIR,
            PAIR_FIELDS,
            "an event in which the pair's victim is the suspect against the pair's suspect",
            "event_id",
        ),
        Stream(
            "assessment_as_suspect",
            _PERSON,
            {"tool": TEXT, "grade": INT, "yes": INT},
            "a risk assessment of a victim of the person",
            "event_id",
            "risk_assessment",
        ),
        Stream(
            "assessment_as_victim",
            _PERSON,
            {"tool": TEXT, "grade": INT, "yes": INT},
            "a risk assessment of the person",
            "event_id",
            "risk_assessment",
        ),
        Stream(
            "pair_assessment",
            _PAIR,
            {"tool": TEXT, "grade": INT, "yes": INT},
            "a risk assessment of the victim about the suspect",
            "event_id",
            "risk_assessment",
        ),
        Stream(
            "custody",
            _PERSON,
            {"release": TEXT, "released": BOOL},
            "an arrest or attendance",
            "custody_id",
            "custody",
        ),
        Stream(
            "bail", _PERSON, {"in_force": BOOL, "no_contact": BOOL}, "bail with conditions", "bail_id", "bail"
        ),
        Stream(
            "order_as_respondent",
            _PERSON,
            {"kind": TEXT, "in_force": BOOL, "order_id": TEXT},
            "a protective order against the person, one fact a protected person",
            "order_id",
            "order",
        ),
        Stream(
            "order_as_protected",
            _PERSON,
            {"kind": TEXT, "in_force": BOOL, "order_id": TEXT},
            "a protective order that protects the person",
            "order_id",
            "order",
        ),
        Stream(
            "pair_order",
            _PAIR,
            {"kind": TEXT, "in_force": BOOL, "order_id": TEXT},
            "a protective order against the suspect that protects the victim",
            "order_id",
            "order",
        ),
        Stream(
            "breach",
            _PERSON,
            {"of_order": BOOL, "of_bail": BOOL},
            "a breach by the person",
            "breach_id",
            "breach",
        ),
        Stream(
            "pair_breach",
            _PAIR,
            {"of_order": BOOL, "of_bail": BOOL},
            "a breach by the suspect of an order that protects the victim",
            "breach_id",
            "breach",
        ),
        Stream("marker", _PERSON, {"code": TEXT, "in_force": BOOL}, "a warning marker", "code", "marker"),
        Stream(
            "conviction",
            _PERSON,
            {"disposal": TEXT, "custody_days": INT, "serious": BOOL, **dict.fromkeys(TAG_FIELDS, BOOL)},
            "a conviction or caution",
            "conviction_id",
            "conviction",
        ),
        Stream("wanted", _PERSON, {"current": BOOL}, "a circulation as wanted", "circulated_at", "wanted"),
        Stream("spell", _PERSON, {"state": TEXT, "current": BOOL}, "a period in a state", "state", "spell"),
        Stream(
            "release",
            _PERSON,
            {"state": TEXT},
            "an end of a spell in prison or on remand (at = the day it ended)",
            "state",
            "spell",
        ),
        Stream(
            "call_as_suspect",
            _PERSON,
            {"grade": INT, "caller_role": TEXT},
            "a call naming the person as suspect",
            "call_id",
            "call",
        ),
        Stream(
            "call_as_victim",
            _PERSON,
            {"grade": INT, "caller_role": TEXT},
            "a call naming the person as victim",
            "call_id",
            "call",
        ),
        Stream(
            "relationship",
            _PERSON,
            {"kind": TEXT, "current": BOOL, "shared_child": BOOL, "partner": BOOL, "other": TEXT},
            "a recorded relationship of the person, from either side",
            "other",
            "relationship",
        ),
        Stream(
            "pair_relationship",
            _PAIR,
            {"kind": TEXT, "current": BOOL, "shared_child": BOOL, "partner": BOOL, "other": TEXT},
            "a recorded relationship between suspect and victim, from either side",
            "kind",
            "relationship",
        ),
        Stream(
            "separation",
            _PERSON,
            {"other": TEXT},
            "the recorded end of a relationship as spouse or partner (at = the day it ended)",
            "other",
            "relationship",
        ),
        Stream(
            "pair_separation",
            _PAIR,
            {"other": TEXT},
            "the recorded end of the pair's relationship as spouses or partners (at = the day it ended)",
            "other",
            "relationship",
        ),
        Stream(
            "dyad_as_suspect",
            ("offender",),
            {"other": TEXT, "events": INT, "shared": BOOL, "both": BOOL, "began": TEXT},
            "a person whom this one is suspected of abusing (at = the first event)",
            "other",
        ),
        Stream(
            "dyad_as_victim",
            ("victim",),
            {"other": TEXT, "events": INT, "shared": BOOL, "both": BOOL, "began": TEXT},
            "a person suspected of abusing this one (at = the first event)",
            "other",
        ),
        Stream(
            "dyad",
            _PAIR,
            {"both": BOOL, "began": TEXT},
            "the two as suspect and victim of domestic abuse, either way round (at = the first event)",
            "began",
        ),
        Stream(
            "rival",
            _PAIR,
            {"other": TEXT, "events": INT, **_ACTS},
            "another person suspected of abusing the victim (at = the first event)",
            "other",
        ),
        Stream(
            "other_victim",
            _PAIR,
            {"other": TEXT, "events": INT, **_ACTS},
            "another person whom the suspect is suspected of abusing (at = the first event)",
            "other",
        ),
        Stream(
            "partner",
            ("offender",),
            {"other": TEXT, **_PARTNER},
            "a person named as spouse or partner (at = first named as that, or as former partner)",
            "other",
            "relationship",
        ),
        Stream(
            "pair_partner",
            _PAIR,
            _PARTNER,
            "the victim named as the suspect's spouse or partner (at = first named as that, or as former partner)",
            "other",
            "relationship",
        ),
        Stream(
            "near",
            _PERSON,
            {"other": TEXT, "step": INT, **_ACTS},
            "a person tied to this one (step 1), or tied to someone who is (step 2)",
            "other",
        ),
        Stream(
            "household_person",
            _PERSON,
            {"other": TEXT, "current": BOOL, **_ACTS},
            "a person who shared an address with this one",
            "other",
            "household",
        ),
        Stream(
            "pair_household",
            _PAIR,
            {"current": BOOL},
            "suspect and victim sharing an address",
            "other",
            "household",
        ),
        Stream(
            "person",
            _PERSON,
            {"age": INT},
            "the person, with age in completed years on T's London date",
            "person_id",
            "person",
        ),
    )
}
