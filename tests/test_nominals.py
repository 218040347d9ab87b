"""Clusters as of T: right by brute force, blind to the future, and the same in every engine."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from features.asof import as_of
from features.assurance import TABLES, random_extract, tamper
from features.clocks import canonical
from features.cohort import cohort
from features.engines.reference import World
from features.histories import histories, subjects_at
from features.labels import exposure_days, outcomes
from features.nominals import (
    APART,
    DECISIONS,
    PAIRS,
    PERSONS,
    Links,
    clusters_at,
    members_at,
    one_row_a_person,
)
from features.records import Records

T = datetime(2024, 6, 1, 5, tzinfo=UTC)
DAY = timedelta(days=1)
LETTERS = "ABCDEFGH"
FULL = {table: 40 if table in ("event", "involvement", "offence") else 12 for table in TABLES}


def links(
    pairs: list[tuple[str, str, float, datetime]],
    apart: list[tuple[str, str, datetime, datetime | None]] = (),  # type: ignore[assignment]
    said: list[tuple[str, str, bool, datetime]] = (),  # type: ignore[assignment]
    first: dict[str, datetime] | None = None,
    threshold: float = 0.9,
) -> Links:
    """Links from plain rows."""
    persons = first if first is not None else dict.fromkeys(LETTERS, T - 1000 * DAY)
    return Links(
        pairs=pl.DataFrame(pairs, schema=PAIRS, orient="row"),
        threshold=threshold,
        decisions=pl.DataFrame(list(said), schema=DECISIONS, orient="row"),
        apart=pl.DataFrame(list(apart), schema=APART, orient="row"),
        persons=pl.DataFrame(list(persons.items()), schema=PERSONS, orient="row"),
    )


def who(found: pl.DataFrame) -> dict[str, str]:
    """person_id -> cluster_id."""
    return dict(found.select("person_id", "cluster_id").iter_rows())


def test_a_link_counts_from_when_it_was_known_and_its_id_is_the_record_first_known() -> None:
    first = {"A": T - 5 * DAY, "B": T - 9 * DAY, "C": T - 9 * DAY}
    made = links([("A", "B", 0.95, T - 2 * DAY), ("A", "C", 0.97, T)], first=first)
    assert who(clusters_at(made, T - 3 * DAY)) == {}
    assert who(clusters_at(made, T - 2 * DAY)) == {"A": "B", "B": "B"}
    assert who(clusters_at(made, T - timedelta(microseconds=1))) == {"A": "B", "B": "B"}
    assert who(clusters_at(made, T)) == dict.fromkeys("ABC", "B"), "of B and C, known at once, the smaller id"


def test_certainty_is_the_weakest_link_on_the_best_chain() -> None:
    made = links([("A", "B", 0.99, T), ("B", "C", 0.92, T), ("A", "C", 0.95, T), ("C", "D", 0.91, T)])
    sure = dict(clusters_at(made, T).select("person_id", "certainty").iter_rows())
    assert sure == {"A": 1.0, "B": 0.99, "C": 0.95, "D": 0.91}


def test_two_people_of_one_event_are_not_joined_while_the_force_has_them_as_two() -> None:
    pairs = [("A", "B", 0.95, T - 9 * DAY), ("B", "C", 0.93, T - 9 * DAY)]
    made = links(pairs, apart=[("A", "C", T - 5 * DAY, T - 2 * DAY)])
    assert who(clusters_at(made, T - 6 * DAY)) == dict.fromkeys("ABC", "A")
    assert who(clusters_at(made, T - 5 * DAY)) == dict.fromkeys("AB", "A"), "the weaker link gives way"
    assert who(clusters_at(made, T - 2 * DAY)) == dict.fromkeys("ABC", "A"), "the row was withdrawn"


def test_a_decision_holds_from_its_own_time_over_any_match_and_the_newest_holds() -> None:
    pairs = [("A", "B", 0.99, T - 9 * DAY)]
    apart = [("C", "D", T - 9 * DAY, None)]
    said = [
        ("A", "B", False, T - 5 * DAY),
        ("A", "B", True, T - 3 * DAY),
        ("C", "D", True, T - 3 * DAY),
    ]
    made = links(pairs, apart=apart, said=said)
    assert who(clusters_at(made, T - 6 * DAY)) == dict.fromkeys("AB", "A")
    assert who(clusters_at(made, T - 5 * DAY)) == {}
    assert who(clusters_at(made, T)) == {"A": "A", "B": "A", "C": "C", "D": "C"}
    assert set(clusters_at(made, T)["certainty"]) == {1.0}


def test_a_decision_that_two_are_different_holds_through_any_chain() -> None:
    pairs = [("A", "B", 0.99, T - 9 * DAY), ("B", "C", 0.95, T - 9 * DAY)]
    assert who(clusters_at(links(pairs, said=[("A", "C", False, T)]), T)) == dict.fromkeys("AB", "A")


def test_below_the_threshold_nobody_is_joined_and_a_threshold_changes_the_state() -> None:
    made = links([("A", "B", 0.95, T)])
    assert who(clusters_at(replace(made, threshold=0.96), T)) == {}
    records = Records("l", {}, links=made)
    assert records.state != Records("l", {}).state
    assert records.state != Records("l", {}, links=replace(made, threshold=0.96)).state


def test_members_of_a_person_and_of_someone_with_one_record() -> None:
    made = links([("A", "B", 0.95, T)])
    found = members_at(made, pl.Series(["A", "X"]), T)
    assert found.rows() == [("A", "A"), ("A", "B"), ("X", "X")]


def brute(made: Links, t: datetime) -> set[frozenset[str]]:
    """Components by plain reachability; only for links without anything kept apart."""
    near: dict[str, set[str]] = {}
    for a, b, p, since in made.pairs.iter_rows():
        if since <= t and p >= made.threshold:
            near.setdefault(a, set()).add(b)
            near.setdefault(b, set()).add(a)
    groups = set()
    for start in near:
        reached, new = {start}, {start}
        while new:
            new = {other for one in new for other in near[one]} - reached
            reached |= new
        groups.add(frozenset(reached))
    return groups


def test_clusters_are_the_components_of_what_was_known() -> None:
    rng = random.Random(7)
    for _ in range(60):
        pairs = [
            (*sorted(rng.sample(LETTERS, 2)), rng.uniform(0.7, 1.0), T + rng.randint(-5, 5) * DAY)
            for _ in range(rng.randint(0, 10))
        ]
        made = links(pairs)  # type: ignore[arg-type]
        for t in (T - 6 * DAY, T - DAY, T, T + 6 * DAY):
            groups: dict[str, set[str]] = {}
            for person, cluster in who(clusters_at(made, t)).items():
                groups.setdefault(cluster, set()).add(person)
            assert {frozenset(group) for group in groups.values()} == brute(made, t)


def test_one_row_a_person_by_vote() -> None:
    rows = pl.DataFrame(
        {
            "person_id": ["A", "B", "A", "A", "C", "C"],
            "date_of_birth": [
                date(1980, 1, 2),
                None,
                date(1980, 2, 1),
                date(1980, 2, 1),
                date(1991, 1, 1),
                date(1990, 1, 1),
            ],
            "deceased_on": [None, None, T, T - DAY, None, None],
            "access": ["normal", "normal", "named_users", None, "normal", None],
            "since": [T, T, T - DAY, T - 2 * DAY, T - DAY, T],
        }
    )
    found = one_row_a_person(rows, "since")
    assert found["person_id"].to_list() == ["A", "B", "C"]
    assert found["date_of_birth"].to_list() == [date(1980, 2, 1), None, date(1990, 1, 1)], (
        "commonest, else newest"
    )
    assert found["deceased_on"].to_list() == [T - DAY, None, None]
    assert found["access"][0] == "named_users"


# What everything downstream sees ---------------------------------------------------------------------------------


def linked_store(seed: int, raw: dict[str, pl.DataFrame] | None = None) -> Records:
    """A random extract whose five persons are partly one another, at different times."""
    rng = random.Random(seed)
    pairs = [
        (
            *sorted(rng.sample([f"P{n}" for n in range(5)], 2)),
            rng.uniform(0.88, 1.0),
            T - rng.randint(-300, 900) * DAY,
        )
        for _ in range(4)
    ]
    known = {f"P{n}": T - rng.randint(0, 2000) * DAY for n in range(5)}
    records = Records.from_canonical(canonical(raw or random_extract(FULL, seed, T)))
    return replace(records, links=links(pairs, first=known))  # type: ignore[arg-type]


def everyone(subject: str) -> pl.DataFrame:
    people = pl.DataFrame({"person_id": [f"P{n}" for n in range(5)]})
    if subject != "dyad":
        return people
    pairs = people.rename({"person_id": "suspect_id"}).join(
        people.rename({"person_id": "victim_id"}), how="cross"
    )
    return pairs.filter(pl.col("suspect_id") != pl.col("victim_id"))


@pytest.mark.parametrize("subject", ["offender", "victim", "dyad"])
def test_engines_agree_on_clusters(subject: str) -> None:
    for seed in range(4):
        records = linked_store(seed)
        assert clusters_at(records.links, T).height > 1
        slow = histories(records, subject, T, everyone(subject), engine="reference")
        for engine in ("fast", "single"):
            assert histories(records, subject, T, everyone(subject), engine=engine).equals(slow)
        assert subjects_at(records, subject, T).equals(subjects_at(records, subject, T, "reference"))


def test_a_cluster_has_the_history_of_all_its_records() -> None:
    """Joined by links, and joined by hand in the extract: the same numbers."""
    for seed in range(4):
        records = linked_store(seed)
        joined = who(clusters_at(records.links, T))
        names = {"event": ("primary_aggressor_id", "first_reporter_id")}
        by_hand = {}
        for name, frame in records.tables.items():
            columns = [c for c in frame.columns if "person_id" in c or c in ("victim_id", "suspect_id")]
            columns += [
                c for c in ("respondent_id", "protected_id", *names.get(name, ())) if c in frame.columns
            ]
            by_hand[name] = frame.with_columns(pl.col(c).replace(joined) for c in columns)
        del by_hand["person"]  # two rows of a person are joined by vote, tested above
        by_hand["person"] = records.tables["person"].filter(~pl.col("person_id").is_in(list(joined)))
        people = everyone("offender").filter(pl.col("person_id").replace(joined) == pl.col("person_id"))
        columns = [c for c in histories(records, "offender", T, people).columns if "age" not in c][1:]
        linked = histories(records, "offender", T, people, columns=columns)
        assert linked.equals(histories(Records("hand", by_hand), "offender", T, people, columns=columns))


def test_the_person_table_is_one_row_a_cluster_in_both_readings() -> None:
    for seed in range(6):
        records = linked_store(seed)
        fast = as_of(records, "person", T).sort("person_id")
        slow = sorted(World(records, T).known("person"), key=lambda row: row["person_id"])
        assert fast["person_id"].is_unique().all()
        for column in ("person_id", "date_of_birth", "deceased_on", "access"):
            assert fast[column].to_list() == [row[column] for row in slow], column


def test_rows_and_links_of_the_future_change_nothing_at_t() -> None:
    for seed in range(3):
        raw = random_extract(FULL, seed, T)
        before, after = linked_store(seed, raw), linked_store(seed, tamper(raw, T, seed))
        old = after.links
        assert old is not None
        later = [("P0", "P1", 0.999, T + DAY), ("P2", "P4", 0.99, T + timedelta(seconds=1))]
        after = replace(
            after,
            links=replace(
                old,
                pairs=pl.concat([old.pairs, pl.DataFrame(later, schema=PAIRS, orient="row")]),
                decisions=pl.DataFrame([("P0", "P3", True, T + DAY)], schema=DECISIONS, orient="row"),
            ),
        )
        assert clusters_at(before.links, T).equals(clusters_at(after.links, T))
        assert not clusters_at(before.links, T + 2 * DAY).equals(clusters_at(after.links, T + 2 * DAY))
        for subject in ("offender", "dyad"):
            then = histories(before, subject, T, everyone(subject))
            assert then.equals(histories(after, subject, T, everyone(subject)))
        assert cohort(before, T).equals(cohort(after, T))


def story() -> Records:
    """X and Y are two records; X suspect before T, the serious offence after T stands under Y."""
    raw = {
        "person": pl.DataFrame({"person_id": ["X", "Y", "V"], "recorded_at": [T - 900 * DAY] * 3}),
        "event": pl.DataFrame(
            {
                "event_id": ["E1", "E2"],
                "kind": ["crime", "crime"],
                "occurred_at": [T - 20 * DAY, T + 20 * DAY],
                "domestic": ["Y", "Y"],
            }
        ),
        "offence": pl.DataFrame(
            {
                "offence_id": ["O1", "O2"],
                "event_id": ["E1", "E2"],
                "ho_code": ["105/01", "5D"],
                "suspect_id": ["X", "Y"],
                "victim_id": ["V", "V"],
            }
        ),
        "involvement": pl.DataFrame(
            {
                "event_id": ["E1", "E2"],
                "person_id": ["X", "Y"],
                "role": ["suspect", "suspect"],
                "victim_id": ["V", "V"],
            }
        ),
    }
    return Records.from_canonical(canonical(raw))


@pytest.mark.parametrize(
    ("known", "happened"),
    [(T - DAY, True), (T + 30 * DAY, True), (T + 365 * DAY + 91 * DAY, False)],
    ids=["linked by T", "linked before the label is read", "linked too late"],
)
def test_an_outcome_belongs_to_whoever_the_record_turns_out_to_be(known: datetime, happened: bool) -> None:
    records = replace(
        story(), links=links([("X", "Y", 0.95, known)], first={"X": T - 900 * DAY, "Y": T - 900 * DAY})
    )
    people = cohort(records, T).select("person_id")
    assert people["person_id"].to_list() == ["X"]
    found = outcomes(records, people, T, 365, 90)
    assert found["any_event"].to_list() == [happened]
    assert outcomes(story(), people, T, 365, 90)["any_event"].to_list() == [False], (
        "without links nothing is his"
    )
    assert exposure_days(records, people, T, 365, 90).height == 1


def test_a_person_since_found_to_be_two_answers_for_both() -> None:
    """Joined at T, told apart by a reviewer before the label is read."""
    made = links(
        [("X", "Y", 0.95, T - DAY)],
        said=[("X", "Y", False, T + 40 * DAY)],
        first={"X": T - 900 * DAY, "Y": T - 900 * DAY},
    )
    records = replace(story(), links=made)
    found = outcomes(records, pl.DataFrame({"person_id": ["X"]}), T, 365, 90)
    assert found["any_event"].to_list() == [True]
