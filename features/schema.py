"""Every table of the records extract, declared once.

A column says what it holds, whether it must be there, what it points to and which clock it runs on; reading,
checking, the two clocks and the split of the stores are all driven by these declarations. The rules on cells
(values, ranges, missing) are dataframely's; :data:`SPECS` is read off the same classes.

Three kinds of fault follow from the declaration: in an optional column the cell is blanked, in a key or required
column the row is quarantined, and a row whose pointer leads to a quarantined row waits with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import dataframely as dy
import polars as pl

from features.columns import (
    FIRST_YEAR,
    LAST_YEAR,
    UTC_TIME,
    code,
    codes,
    day,
    degrees,
    flag,
    ident,
    moment,
    pattern,
    text,
    whole,
)

__all__ = [
    "DERIVED", "FIRST_YEAR", "LAST_YEAR", "SCHEMAS", "SPECS", "UTC_TIME", "TableSpec", "parents_first", "spec_of",
]  # fmt: skip

SCHEMA_VERSION = "records.v1"
REQUIRED_TABLES = ("person", "event", "involvement")
WRAPPING = ("recorded_at", "withdrawn")
"""Columns every table may carry; they become ``known_from`` and ``known_to`` (see ``features.clocks``)."""

RELATIONSHIP_KINDS = (
    "spouse", "partner", "ex_partner", "parent", "child", "sibling", "other_family", "other", "unknown",
)  # fmt: skip
SOURCES = ("victim", "witness", "third_party", "partner_agency", "police_proactive")
YES_NO_UNKNOWN = ("Y", "N", "U")

PERSON, EVENT = "person.person_id", "event.event_id"


# --- the tables --------------------------------------------------------------------------------------------


class Row(dy.Schema):
    """What every row carries while it is read: where it stood, when it was entered, whether it was taken back."""

    source_line = dy.Int64(nullable=False)
    recorded_at = moment()
    withdrawn = flag()


class Person(Row):
    """A nominal record; one person may have several."""

    person_id = ident(required=True, key=True)
    family_name = text()
    given_names = text()
    date_of_birth = day()
    sex = code("F", "M", "X", "U")
    ethnicity_self = pattern(r"^([WMABO][1-9]|N[1-3S])$", "a 16+1 ethnicity code such as W1, A9 or NS")
    ethnicity_observed = code("0", "1", "2", "3", "4", "5", "6", "9")
    address_id = ident(to="address.address_id", soft=True)
    deceased_on = moment(later="deceased_on")
    # An unreadable restriction is honoured until it is mended: blank would lift it.
    no_processing = flag(when_faulty=True)
    access = code("normal", "named_users", when_faulty="named_users")
    review_due = moment()


class Alias(Row):
    """Another name or birth date a person has used."""

    person_id = ident(required=True, key=True, to=PERSON, subject=True)
    family_name = text(key=True)
    given_names = text(key=True)
    date_of_birth = day(key=True)


class Address(Row):
    """A place."""

    address_id = ident(required=True, key=True)
    line = text()
    postcode = text()
    lsoa = text()
    district = text()
    beat = text()
    kind = code("dwelling", "public", "work", "licensed", "custody", "other")
    latitude = degrees(90)
    longitude = degrees(180)


class Residence(Row):
    """A person lived there."""

    person_id = ident(required=True, key=True, to=PERSON, subject=True)
    address_id = ident(required=True, key=True, to="address.address_id")
    started_on = moment(key=True, own=True)
    ended_on = moment(later="ended_on")


class Team(Row):
    """A team's area, one row a district."""

    team_id = ident(required=True, key=True)
    name = text()
    district = ident(required=True, key=True)


class Call(Row):
    """A call for service."""

    call_id = ident(required=True, key=True)
    reference = ident(required=True)
    received_at = moment(required=True, own=True)
    grade = whole(1, 4)
    caller_role = code("victim", "third_party", "professional", "suspect", "unknown")
    victim_id = ident(to=PERSON)
    suspect_id = ident(to=PERSON, subject=True)
    address_id = ident(to="address.address_id", soft=True)
    district = text()
    event_id = ident(to=EVENT)


class Event(Row):
    """A crime, a domestic-abuse non-crime incident, or other contact."""

    event_id = ident(required=True, key=True)
    reference = text()
    kind = code("crime", "non_crime", "contact", required=True)
    occurred_at = moment(required=True, own=True)
    reported_at = moment()
    domestic = code(*YES_NO_UNKNOWN, required=True)
    abuse = code("intimate_current", "intimate_former", "familial", "other", "unknown")
    address_id = ident(to="address.address_id", soft=True)
    district = text()
    source = code(*SOURCES)
    alcohol = flag()
    drugs = flag()
    strangulation = flag()
    counter_allegation = flag()
    weapon = code("none", "blade", "firearm", "other")
    injury = code("none", "minor", "serious", "fatal")
    children_present = whole(0, 99)
    primary_aggressor_id = ident(to=PERSON)
    first_reporter_id = ident(to=PERSON)
    officer_in_charge = text()
    response = code("visit", "video", "phone", "station", "online")


class Offence(Row):
    """An offence recorded within an event."""

    offence_id = ident(required=True, key=True)
    event_id = ident(required=True, to=EVENT)
    ho_code = ident(required=True)
    athena_urn = text()
    cjs_code = text()
    attempt = flag()
    description = text()
    suspect_id = ident(to=PERSON, subject=True)
    victim_id = ident(to=PERSON)
    outcome_code = pattern(r"^([1-9]|1[0-9]|2[0-2])[A-Z]?$", "an outcome code 1 to 22", later="outcome_at")
    outcome_at = moment(later="outcome_at")


class Involvement(Row):
    """A person's part in an event; a suspect has one row a victim."""

    event_id = ident(required=True, key=True, to=EVENT)
    person_id = ident(required=True, key=True, to=PERSON, subject=True)
    role = code("suspect", "victim", "witness", "reporter", "child", "other", required=True, key=True)
    victim_id = ident(key=True, to=PERSON)
    relationship_to_victim = code(*RELATIONSHIP_KINDS)
    named_by = code("victim", "witness", "officer", "other")


class Relationship(Row):
    """One person is something to another: "a is … of b"."""

    person_id_a = ident(required=True, key=True, to=PERSON, subject=True)
    person_id_b = ident(required=True, key=True, to=PERSON, subject=True)
    kind = code(*RELATIONSHIP_KINDS, required=True, key=True)
    started_on = moment(key=True, own=True)
    ended_on = moment(later="ended_on")
    shared_child = flag()


class RiskAssessment(Row):
    """A DASH or DARA. q01 … q27 are added below: twenty-seven like columns."""

    assessment_id = ident(required=True, key=True)
    event_id = ident(required=True, to=EVENT)
    victim_id = ident(required=True, to=PERSON)
    suspect_id = ident(to=PERSON, subject=True)
    tool = code("DASH", "DARA", "other", required=True)
    grade = code("standard", "medium", "high")
    grade_reviewed = code("standard", "medium", "high", later="reviewed_at")
    reviewed_at = moment(later="reviewed_at")
    completed_at = moment(required=True, own=True)


class Custody(Row):
    """An arrest or voluntary attendance."""

    custody_id = ident(required=True, key=True)
    person_id = ident(required=True, to=PERSON, subject=True)
    event_id = ident(to=EVENT)
    arrested_at = moment(required=True, own=True)
    released_at = moment(later="released_at")
    release = code(
        "charged_bail", "charged_remand", "precharge_bail", "under_investigation", "nfa", "voluntary",
        later="released_at",
    )  # fmt: skip


class Bail(Row):
    """Bail with conditions."""

    bail_id = ident(required=True, key=True)
    person_id = ident(required=True, to=PERSON, subject=True)
    custody_id = ident(to="custody.custody_id")
    event_id = ident(to=EVENT)
    from_at = moment(required=True, own=True)
    until_at = moment()
    conditions = codes("no_contact", "exclusion", "report", "curfew", "reside", "other")
    cancelled_at = moment(later="cancelled_at")


class Conviction(Row):
    """A conviction or caution."""

    conviction_id = ident(required=True, key=True)
    person_id = ident(required=True, to=PERSON, subject=True)
    convicted_on = moment(required=True, own=True)
    ho_code = ident(required=True)
    disposal = code("caution", "discharge", "fine", "community", "suspended", "custody", "other")
    custody_days = whole(0, 36_525)


class Spell(Row):
    """A period in a state."""

    person_id = ident(required=True, key=True, to=PERSON, subject=True)
    state = code("prison", "remand", "licence", "tag", "hospital", "abroad", required=True, key=True)
    started_on = moment(required=True, key=True, own=True)
    ended_on = moment(later="ended_on")
    expected_end = moment()


class Order(Row):
    """A protective order, one row a protected person."""

    order_id = ident(required=True, key=True)
    kind = code(
        "DVPN", "DVPO", "DAPN", "DAPO", "NMO", "RO", "SPO", "occupation", "other", required=True
    )  # fmt: skip
    respondent_id = ident(required=True, to=PERSON, subject=True)
    protected_id = ident(key=True, to=PERSON)
    made_on = moment(required=True, own=True)
    served_at = moment(later="served_at")
    starts_on = moment()
    expires_on = moment()
    discharged_on = moment(later="discharged_on")
    conditions = codes("no_contact", "exclusion", "curfew", "tag", "programme", "notify", "other")
    conditions_text = text()
    court_reference = text()


class Breach(Row):
    """A breach of an order or of bail."""

    breach_id = ident(required=True, key=True)
    person_id = ident(required=True, to=PERSON, subject=True)
    order_id = ident(to="order.order_id")
    bail_id = ident(to="bail.bail_id")
    occurred_at = moment(required=True, own=True)
    source = code(*SOURCES)


class Marker(Row):
    """A warning marker."""

    person_id = ident(required=True, key=True, to=PERSON, subject=True)
    code = code(
        "VI", "WE", "FI", "DR", "AL", "ES", "MN", "SU", "SH", "OC", "other", required=True, key=True
    )  # fmt: skip
    started_on = moment(key=True, own=True)
    expires_on = moment()


class Wanted(Row):
    """To be arrested."""

    person_id = ident(required=True, key=True, to=PERSON, subject=True)
    event_id = ident(to=EVENT)
    circulated_at = moment(required=True, key=True, own=True)
    cleared_at = moment(later="cleared_at")
    reason = text()


class Intervention(Row):
    """A programme."""

    person_id = ident(required=True, key=True, to=PERSON, subject=True)
    scheme = code(
        "MARAC", "MATAC", "MAPPA", "IOM", "Drive", "DALO", "IDVA", "perpetrator_programme", "other",
        required=True, key=True,
    )  # fmt: skip
    role = code("offender", "victim")
    with_person_id = ident(to=PERSON)
    level = text()
    owner = text()
    started_on = moment(required=True, key=True, own=True)
    ended_on = moment(later="ended_on")


class Disclosure(Row):
    """A Clare's Law (Domestic Violence Disclosure Scheme) application."""

    application_id = ident(required=True, key=True)
    route = code("right_to_ask", "right_to_know", required=True)
    subject_id = ident(required=True, to=PERSON, subject=True)
    protected_id = ident(to=PERSON)
    opened_at = moment(required=True, own=True)
    decided_at = moment(later="decided_at")
    decision = code("disclosed", "not_disclosed", "withdrawn", later="decided_at")


class VictimPlan(Row):
    """What was agreed with a victim."""

    person_id = ident(required=True, key=True, to=PERSON, subject=True)
    named_contact = text()
    safe_channel = code("visit", "phone", "text", "email", "none")
    safe_times = text()
    do_not = text()
    language = text()
    interpreter = flag()
    access_needs = text()
    video_consent = code(*YES_NO_UNKNOWN)
    update_every_days = whole(0, 3_650)
    idva = text()
    agreed_on = moment(required=True, key=True, own=True)


class Promise(Row):
    """What was promised to a victim."""

    promise_id = ident(required=True, key=True)
    person_id = ident(required=True, to=PERSON, subject=True)
    event_id = ident(to=EVENT)
    what = code("update", "callback", "referral", "disclosure", "order", "property", "other")
    made_on = moment(required=True, own=True)
    due_on = moment(required=True)
    done_on = moment(later="done_on")
    made_by = text()


class Contact(Row):
    """A contact with a victim."""

    contact_id = ident(required=True, key=True)
    person_id = ident(required=True, to=PERSON, subject=True)
    event_id = ident(to=EVENT)
    at = moment(required=True, own=True)
    channel = code("visit", "phone", "video", "text", "email")
    by = text()
    summary_code = text()


class Household(Row):
    """Two people shared an address (derived: features/households.py says how; it holds no address)."""

    person_id_a = ident(required=True, key=True, to=PERSON, subject=True)
    person_id_b = ident(required=True, key=True, to=PERSON, subject=True)
    started_on = moment(key=True, own=True)
    ended_on = moment(later="ended_on")


QUESTIONS = tuple(f"q{number:02d}" for number in range(1, 28))
_Answered: type[dy.Schema] = type(
    "RiskAssessment",
    (RiskAssessment,),
    {"__doc__": RiskAssessment.__doc__, **{name: code(*YES_NO_UNKNOWN) for name in QUESTIONS}},
)

SCHEMAS: Mapping[str, type[dy.Schema]] = {
    "person": Person,
    "alias": Alias,
    "address": Address,
    "residence": Residence,
    "team": Team,
    "call": Call,
    "event": Event,
    "offence": Offence,
    "involvement": Involvement,
    "relationship": Relationship,
    "risk_assessment": _Answered,
    "custody": Custody,
    "bail": Bail,
    "conviction": Conviction,
    "spell": Spell,
    "order": Order,
    "breach": Breach,
    "marker": Marker,
    "wanted": Wanted,
    "intervention": Intervention,
    "disclosure": Disclosure,
    "victim_plan": VictimPlan,
    "promise": Promise,
    "contact": Contact,
}
"""Contract table -> its declaration."""


# --- read off the declarations -----------------------------------------------------------------------------


@dataclass(frozen=True)
class TableSpec:
    """One table of the contract as plain facts.

    ``later`` maps a column filled in later to the column that clocks it (itself where it is its own clock);
    ``parents`` maps a pointing column to the (table, column) it points to; ``subjects`` are the pointers that
    say whom the row is about; ``soft`` pointers never make a row wait; ``when_faulty`` is what an unreadable
    cell of a column counts as where blank would be unsafe.
    """

    name: str
    key: tuple[str, ...]
    required: tuple[str, ...]
    own_time: str | None
    dtypes: dict[str, pl.DataType]
    later: dict[str, str]
    parents: dict[str, tuple[str, str]]
    subjects: tuple[str, ...]
    soft: frozenset[str]
    when_faulty: dict[str, Any]
    schema: type[dy.Schema]

    def empty(self) -> pl.DataFrame:
        """No rows, every contract column with its type."""
        return pl.DataFrame(schema=self.dtypes)


def _spec(name: str, schema: type[dy.Schema]) -> TableSpec:
    columns = {c: column for c, column in schema.columns().items() if c not in Row.columns()}
    meta = {c: column.metadata or {} for c, column in columns.items()}
    own = [c for c in columns if meta[c].get("own")]
    key = tuple(c for c in columns if meta[c].get("key"))
    return TableSpec(
        name=name,
        key=key,
        required=tuple(c for c, column in columns.items() if not column.nullable),
        own_time=own[0] if own else None,
        dtypes={c: column.dtype for c, column in columns.items()},
        later={c: facts["later"] for c, facts in meta.items() if "later" in facts},
        parents={c: tuple(facts["to"].split(".")) for c, facts in meta.items() if "to" in facts},
        subjects=tuple(c for c, facts in meta.items() if "subject" in facts),
        soft=frozenset(c for c, facts in meta.items() if "soft" in facts),
        when_faulty={c: facts["when_faulty"] for c, facts in meta.items() if "when_faulty" in facts},
        schema=schema,
    )


SPECS: dict[str, TableSpec] = {name: _spec(name, schema) for name, schema in SCHEMAS.items()}
DERIVED: dict[str, TableSpec] = {"household": _spec("household", Household)}
"""Tables of the record store that no extract brings: made from others when the stores are split."""


def spec_of(table: str) -> TableSpec:
    """The declaration of a table of the record store, brought by an extract or derived."""
    return SPECS[table] if table in SPECS else DERIVED[table]


def parents_first() -> list[str]:
    """Table names, every table after the tables it points to (the contract has no circle of pointers)."""
    done: list[str] = []
    while len(done) < len(SPECS):
        done += [
            name
            for name, spec in SPECS.items()
            if name not in done and all(table in done for table, _ in spec.parents.values())
        ]
    return done
