"""What relationships mean, on records small enough to check by hand, and what must never break them."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import networkx as nx
import polars as pl
import pytest

from features.clocks import canonical
from features.engines.facts_network import by_subject_and_time
from features.examples import records_of
from features.graph.settings import load_settings
from features.histories import histories, left_out, subjects_at
from features.home import Home
from features.records import Records

T = datetime(2024, 6, 1, 5, tzinfo=UTC)
ENGINES = ("fast", "reference", "single")
BOTH = pytest.mark.parametrize("engine", ENGINES)


def row(
    lines: list[str], subject: str, key: tuple[str, ...], engine: str, *columns: str
) -> tuple[object, ...]:
    """The cells of one subject."""
    names = ("suspect_id", "victim_id") if subject == "dyad" else ("person_id",)
    keys = pl.DataFrame({name: [value] for name, value in zip(names, key, strict=True)})
    found = histories(records_of(lines), subject, T, subjects=keys, engine=engine, columns=columns)
    return found.select(columns).row(0)


@BOTH
def test_a_partner_is_new_only_after_the_last_event_with_somebody_else(engine: str) -> None:
    new = ["event E1 2024-02-01 P>V", "relationship P partner W 2024-05-21T06:00"]
    asked = ("new_partner", "days_since_new_partner", "new_partner_unharmed")
    assert row(new, "offender", ("P",), engine, *asked) == (1, 11, 1)
    # An event with the new partner leaves them new; one with anybody else does not.
    assert row([*new, "event E2 2024-05-25 P>W"], "offender", ("P",), engine, *asked) == (1, 11, 0)
    assert row([*new, "event E2 2024-05-25 P>V"], "offender", ("P",), engine, *asked) == (0, None, 0)
    # Somebody who was once named as ex-partner is no newcomer; without an earlier event there is no "since".
    known = [*new, "relationship W ex_partner P 2019-01-01"]
    assert row(known, "offender", ("P",), engine, *asked) == (0, None, 0)
    assert row(new[1:], "offender", ("P",), engine, *asked) == (0, None, 0)
    # An involvement names a partner as well as a relationship does.
    told = [
        "event E1 2024-02-01 P>V",
        "event E2 2024-05-21T06:00",
        "role E2 P suspect victim_id=W relationship_to_victim=partner",
        "role E2 W victim",
    ]
    assert row(told, "offender", ("P",), engine, *asked) == (1, 11, 0)


@BOTH
def test_contradictory_and_circular_relationships_have_one_answer(engine: str) -> None:
    lines = [
        "event E1 2024-05-20 P>V",
        "relationship P partner V 2020-01-01",
        "relationship V ex_partner P 2024-05-01",  # at odds with the row before, and later
        "relationship P parent V 2001-01-01",
        "relationship V parent P 2001-01-01",  # each the other's parent
        "relationship V parent V 2001-01-01",  # one's own parent
        "relationship P sibling P 2001-01-01",
    ]
    asked = ("ties_ever", "within_two_steps_ever", "partner_with_children")
    assert row(lines, "offender", ("P",), engine, *asked) == (1, 1, 0)
    assert row(lines[:2] + lines[3:], "offender", ("P",), engine, *asked) == (1, 1, 1)


@BOTH
def test_suspect_and_victim_in_one_event_at_one_instant(engine: str) -> None:
    lines = ["event E1 2024-05-20 P>V", "role E1 V suspect victim_id=P", "role E1 P victim"]
    asked = ("victims_both_ways", "both_ways_began", "both_ways_followed", "who_first_balance", "ties_ever")
    assert row(lines, "offender", ("P",), engine, *asked) == (1, 0, 0, None, 1)
    assert row(lines, "dyad", ("P", "V"), engine, "pair_both_ways", "pair_began", "pair_followed") == (
        1,
        0,
        0,
    )
    assert row(lines, "dyad", ("V", "P"), engine, "pair_both_ways", "pair_began", "pair_followed") == (
        1,
        0,
        0,
    )


@BOTH
def test_a_group_too_large_ties_nobody_and_one_person_fewer_ties_all(engine: str) -> None:
    most = load_settings().most_persons
    crowd = [f"role E1 X{n:02d} victim" for n in range(most)]
    lines = ["event E1 2024-05-20 P>V", *crowd]  # P, V and the crowd: two too many
    assert row(lines, "offender", ("P",), engine, "ties_ever", "new_victims_90d") == (0, 1)
    assert row(lines[:-2], "offender", ("P",), engine, "ties_ever", "new_victims_90d") == (1, 1)
    child = ["event E0 2024-05-01 P>V", "role E0 K child"]
    others = [line for n in range(most) for line in (f"event F{n} 2024-05-02 Y{n}>", f"role F{n} K child")]
    assert row([*child, *others], "offender", ("P",), engine, "ties_ever") == (1,)
    fewer = child + others[: 2 * (most - 2)]
    assert row(fewer, "offender", ("P",), engine, "ties_ever") == (most - 1,)


@BOTH
def test_nobody_is_inferred_to_be_whose_victim_in_a_crowd_but_named_pairs_stand(engine: str) -> None:
    most = load_settings().most_persons
    crowd = [
        "event E1 2024-05-20 P>V",
        "role E1 Q suspect",
        *(f"role E1 X{n} victim" for n in range(most - 2)),
    ]
    asked = ("distinct_victims_ever", "domestic_events_ever")
    assert row(crowd, "offender", ("Q",), engine, *asked) == (0, 1), "one party too many; the event stays Q's"
    assert row(crowd, "offender", ("P",), engine, *asked) == (1, 1), "V is named"
    assert row(crowd, "victim", ("V",), engine, "distinct_suspects_ever") == (1,)
    assert row(crowd, "victim", ("X0",), engine, "distinct_suspects_ever") == (0,)
    assert row(crowd[:-1], "offender", ("Q",), engine, *asked) == (most - 2, 1)
    assert row(crowd[:-1], "victim", ("X0",), engine, "distinct_suspects_ever") == (1,)


def test_a_crowd_of_suspects_victims_and_children_costs_no_square() -> None:
    people = [f"Q{n:04d}" for n in range(6_000)]
    roles = [("suspect", "victim", "child")[n % 3] for n in range(6_000)]
    frames = {
        "person": pl.DataFrame({"person_id": people}),
        "event": pl.DataFrame(
            {"event_id": ["E"], "kind": ["crime"], "domestic": ["Y"], "occurred_at": [T - timedelta(days=3)]}
        ),
        "involvement": pl.DataFrame({"event_id": "E", "person_id": people, "role": roles}),
    }
    records = Records.from_canonical(canonical(frames))
    assert subjects_at(records, "dyad", T).is_empty()
    one = pl.DataFrame({"person_id": ["Q0000"]})
    columns = ["domestic_events_ever", "distinct_victims_ever", "ties_ever"]
    for engine in ("fast", "single", "reference"):
        found = histories(records, "offender", T, subjects=one, columns=columns, engine=engine)
        assert found.rows() == [("Q0000", 1, 0, 0)], engine


def test_ten_thousand_in_one_event_are_answered_at_once() -> None:
    people = [f"X{n:05d}" for n in range(10_000)]
    involvement = pl.DataFrame({"event_id": "E1", "person_id": people, "role": "victim"})
    suspect = pl.DataFrame({"event_id": ["E1"], "person_id": ["P"], "role": ["suspect"]})
    event = pl.DataFrame(
        {"event_id": ["E1"], "kind": ["crime"], "domestic": ["Y"], "occurred_at": [T - timedelta(days=3)]}
    )
    person = pl.DataFrame({"person_id": ["P", *people]})
    frames = {"person": person, "event": event, "involvement": pl.concat([suspect, involvement])}
    records = Records.from_canonical(canonical(frames))
    columns = ["distinct_victims_ever", "new_victims_90d", "ties_ever", "within_two_steps_ever"]
    found = histories(records, "offender", T, columns=columns)
    assert found.rows() == [("P", 0, 0, 0, 0)], "nobody says whose victims they are"
    victims = histories(records, "victim", T, columns=["new_suspects_90d", "victim_ties_ever"])
    assert victims.height == 10_000
    assert victims["new_suspects_90d"].unique().to_list() == [0]
    assert victims["victim_ties_ever"].unique().to_list() == [0]


@BOTH
def test_a_child_in_an_event_of_each_ties_two_who_never_met(engine: str) -> None:
    lines = [
        "event E1 2024-05-29 P>V",
        "role E1 K child",
        "event E2 2020-05-20 Q>W",
        "role E2 K child",
    ]
    # Tied to V by the event, to Q and W through the child since the later of the two events.
    assert row(lines, "offender", ("P",), engine, "ties_28d", "ties_ever") == (3, 3)


@BOTH
def test_households_share_time_and_knowledge_and_say_no_place(engine: str) -> None:
    base = ["event E1 2024-05-20 P>V", "address A1 dwelling", "address A2 work"]
    asked = ("live_together", "lived_together")
    both = ["residence P A1 2024-01-01", "residence V A1 2023-01-01"]
    assert row(base + both, "dyad", ("P", "V"), engine, *asked) == (1, 1)
    left = ["residence P A1 2024-01-01", "residence V A1 2023-01-01 ended_on=2024-03-01"]
    assert row(base + left, "dyad", ("P", "V"), engine, *asked) == (0, 1)
    missed = ["residence P A1 2024-01-01", "residence V A1 2023-01-01 ended_on=2023-12-01"]
    assert row(base + missed, "dyad", ("P", "V"), engine, *asked) == (0, 0)
    later = ["residence P A1 2024-01-01 recorded_at=2024-07-01", "residence V A1 2023-01-01"]
    assert row(base + later, "dyad", ("P", "V"), engine, *asked) == (0, 0), "not yet entered at T"
    work = ["residence P A2 2024-01-01", "residence V A2 2023-01-01"]
    assert row(base + work, "dyad", ("P", "V"), engine, *asked) == (0, 0), "only dwellings are homes"
    table = records_of(base + both).table("household")
    assert table.height == 1
    assert not {"address_id", "postcode", "kind"} & set(table.columns)


def test_a_hostel_is_no_household_from_the_moment_it_is_one_too_many() -> None:
    most = load_settings().most_persons
    people = [f"X{n:02d}" for n in range(most + 1)]
    lines = ["event E1 2024-01-20 X00>X01", "address A1 dwelling"]
    lines += [f"residence {who} A1 2023-{1 + n // 28:02d}-{1 + n % 28:02d}" for n, who in enumerate(people)]
    records = records_of(lines)
    keys = pl.DataFrame({"person_id": ["X00"]})

    def together(t: datetime) -> object:
        return histories(records, "offender", t, subjects=keys, columns=["household_now"]).item(0, 1)

    full = datetime(2023, 1 + most // 28, 1 + most % 28, tzinfo=UTC)
    assert together(full) == most - 1
    assert together(full + timedelta(days=1)) == 0
    assert together(T) == 0


def test_no_person_under_restriction_is_left_in_anybodys_relationships() -> None:
    lines = ["event E1 2024-05-20 P>V", "relationship P partner W 2024-05-21", "event E2 2024-05-22 P>W"]
    lines += ["address A1 dwelling", "residence P A1 2024-01-01", "residence W A1 2024-01-01"]
    before = row(lines, "offender", ("P",), "fast", "ties_ever", "household_now", "partners_named_ever")
    assert before == (2, 1, 1)
    gone = [*lines, "person W no_processing=true"]
    after = row(gone, "offender", ("P",), "fast", "ties_ever", "household_now", "partners_named_ever")
    assert after == (1, 0, 0)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_steps_and_their_harm_are_those_of_networkx(seed: int) -> None:
    """The bulk computation against NetworkX on a graph drawn from the same lines, nothing of ours in between."""
    draw = random.Random(seed)
    seen: nx.Graph = nx.Graph()
    lines, harm = [], {f"X{n:02d}": 0 for n in range(40)}
    weight = load_settings().weights[0]
    for n in range(30):
        a, b = draw.sample(sorted(harm), 2)
        seen.add_edge(a, b)
        lines.append(
            draw.choice(
                [
                    f"event E{n} 2024-05-20 {a}>{b}",
                    f"relationship {a} sibling {b} 2020-01-01",
                    f"order O{n} NMO {a} {b} 2024-01-01",
                ]
            )
        )
        if lines[-1].startswith("event"):
            lines.append(f"offence E{n} 008/06")
            harm[a] += 1_000 * weight
    keys = pl.DataFrame({"person_id": sorted(seen)})
    asked = ["ties_ever", "within_two_steps_ever", "tied_harm", "two_step_harm"]
    found = histories(records_of(lines), "offender", T, subjects=keys, columns=asked)
    assert found["two_step_harm"].max() > 0
    for person, *cells in found.iter_rows():
        away = nx.single_source_shortest_path_length(seen, person, cutoff=2)
        sums = [sum(harm[n] for n, d in away.items() if d == step) / 100_000 for step in (1, 2)]
        assert cells == [sum(d == 1 for d in away.values()), len(away) - 1, *sums]


def test_facts_in_order_of_subject_and_time_whatever_the_times() -> None:
    import numpy as np

    rng = np.random.default_rng(4)
    subject = rng.integers(0, 50, 2_000)
    for at in (rng.integers(-(10**9), 10**9, 2_000) * 1_000_000, rng.integers(-(10**15), 10**15, 2_000)):
        order = by_subject_and_time(subject, at)
        again = np.lexsort((at, subject))
        assert (subject[order] == subject[again]).all()
        assert (at[order] == at[again]).all()


def test_weights_of_decay_are_those_of_the_settings() -> None:
    from features.catalogue import load_catalogue

    settings = load_settings()
    faded = [f for f in load_catalogue().all if f.formula == "decay"]
    assert faded
    for feature in faded:
        assert feature.parameters[:-1] == settings.weights
        assert [int(c.rsplit("_", 1)[1].rstrip("d")) for c in feature.of] == list(settings.rings)
    middles = [(a + b) / 2 for a, b in zip((0, *settings.rings), settings.rings, strict=False)]
    assert [round(1000 * 2 ** (-m / 180)) for m in middles] == list(settings.weights)


def test_household_features_are_kept_from_models() -> None:
    from features.catalogue import load_catalogue

    catalogue = load_catalogue()
    theirs = [f for f in catalogue.all if f.source in ("household_person", "pair_household")]
    assert theirs
    assert all("proxy_risk" in catalogue.family(f).flags for f in theirs)


def test_a_load_from_before_there_were_households_does_without_them(
    small_home_maker: Callable[..., Path],
) -> None:
    home = Home(small_home_maker())
    load = home.require()
    (load.path / "records" / "household.parquet").unlink()
    records = Records.open(load.path)
    assert records.table("household").is_empty()
    lost = left_out(records, "offender")
    assert lost["household_now"] == "household"
    assert "ties" not in lost
    columns = histories(records, "offender", datetime(2025, 6, 1, tzinfo=UTC)).columns
    assert "ties_ever" in columns
    assert "household_now" not in columns
