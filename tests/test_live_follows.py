"""What is added to a running load is as if it had been there: several appends at once, and who is who after each."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from features.append import append
from features.histories import histories, subjects_at
from features.home import Home, Load
from features.linkage import store
from features.nominals import PAIRS, clusters_at

NOW = datetime(2025, 6, 1, 5, tzinfo=UTC)
LONG_AGO = datetime(2015, 1, 1, tzinfo=UTC)
EVENT = {
    "event_id": "N1", "kind": "crime", "occurred_at": "2025-05-30T20:00Z", "domestic": "Y", "source": "victim",
    "recorded_at": "2025-05-30T21:00Z",
}  # fmt: skip


def named(event: str, suspect: str, victim: str) -> list[dict[str, Any]]:
    return [
        {"event_id": event, "person_id": suspect, "role": "suspect", "victim_id": victim},
        {"event_id": event, "person_id": victim, "role": "victim", "victim_id": None},
    ]


def running(home: Home) -> Load:
    load = home.require()
    load.ready()
    return load


def as_fresh(load: Load, home: Home) -> None:
    """The running load, one person's slice of it, and the load opened anew give the same bits."""
    fresh = home.require().records()
    assert load.records().state == fresh.state
    assert clusters_at(load.records().links, NOW).equals(clusters_at(fresh.links, NOW))
    for subject in ("offender", "victim", "dyad"):
        batch = histories(fresh, subject, NOW)
        assert histories(load.records(), subject, NOW).equals(batch, null_equal=True)
        asked = subjects_at(fresh, subject, NOW)
        for number in range(asked.height):
            near = load.near(list(asked.row(number)), NOW)
            alone = histories(near, subject, NOW, subjects=asked[number], engine="auto")
            assert alone.equals(batch[number], null_equal=True)


@pytest.mark.parametrize(
    "later",
    [
        {"domestic": "N", "recorded_at": "2025-05-31T04:00Z"},
        {"withdrawn": True, "recorded_at": "2025-05-31T04:00Z"},
    ],
    ids=["corrected", "withdrawn"],
)
@pytest.mark.parametrize("at_once", [True, False])
def test_a_row_taken_in_together_with_its_correction(
    small_home_maker: Any, later: dict[str, Any], at_once: bool
) -> None:
    home = Home(small_home_maker(model=False))
    load = running(home)
    append(home, {"event": [EVENT], "involvement": named("N1", "P2", "V2")})
    if not at_once:
        load.refresh()
    append(home, {"event": [EVENT | later]})
    home_row = {"person_id": "P2", "address_id": "A2", "recorded_at": "2025-05-30T00:00Z"}
    append(home, {"person": [home_row]})
    append(home, {"person": [home_row | {"address_id": "A1", "recorded_at": "2025-05-31T00:00Z"}]})
    assert load.refresh()
    rows = load.near(["P2"], NOW).table("event").filter(pl.col("event_id") == "N1").sort("known_from")
    assert rows["known_to"][0] == datetime(2025, 5, 31, 4, tzinfo=UTC)
    as_fresh(load, home)


def linked(home: Home, *pairs: tuple[str, str]) -> None:
    """What a link run would leave that finds these pairs."""
    load = home.require()
    both = pl.DataFrame([(*pair, 0.99, LONG_AGO) for pair in pairs], schema=PAIRS, orient="row")
    person = load.records().table("person").group_by("person_id").agg(pl.col("known_from").min())
    frames = {"pairs": both, "apart": pl.DataFrame(), "persons": person.sort("person_id"), "shown": both}
    store.write_run(home.path, load.load_id, frames, {"run_id": "k-1", "threshold": 0.9})


def test_a_restricted_person_stands_for_nobody(small_home_maker: Any) -> None:
    home = Home(small_home_maker(model=False))
    linked(home, ("P1", "P2"))
    load = running(home)
    assert set(clusters_at(load.records().links, NOW)["person_id"]) == {"P1", "P2"}
    head = clusters_at(load.records().links, NOW)["cluster_id"][0]
    other = {"P1": "P2", "P2": "P1"}[head]
    append(home, {"person": [{"person_id": head, "no_processing": True, "recorded_at": "2025-05-31T00:00Z"}]})
    assert load.refresh()
    links = load.records().links
    assert links is not None
    assert head not in links.known
    assert head not in links.pairs["person_id_a"].to_list() + links.pairs["person_id_b"].to_list()
    found = subjects_at(load.records(), "offender", NOW)["person_id"].to_list()
    assert head not in found
    assert other in found
    assert load.near([other], NOW).links is not None
    as_fresh(load, home)


def test_a_suspect_and_his_victim_are_two_people_from_the_moment_it_is_known(small_home_maker: Any) -> None:
    home = Home(small_home_maker(model=False))
    linked(home, ("P2", "V1"))
    load = running(home)
    assert clusters_at(load.records().links, NOW).height == 2
    append(home, {"event": [EVENT], "involvement": named("N1", "P2", "V1")})
    assert load.refresh()
    for records in (load.records(), home.require().records()):
        assert clusters_at(records.links, NOW).is_empty()
        assert clusters_at(records.links, datetime(2025, 5, 30, 20, tzinfo=UTC)).height == 2, "not yet known"
    as_fresh(load, home)
    store.decide(home.path, ("P2", "V1"), same=True, by="a reviewer", reason="the same tattoo")
    later = datetime.now(UTC)
    assert clusters_at(load.records().links, later).height == 2, "a reviewer says otherwise"
    append(home, {"event": [EVENT | {"withdrawn": True, "recorded_at": "2025-05-31T00:00Z"}]})
    load.refresh()
    assert clusters_at(load.records().links, later).equals(clusters_at(home.require().records().links, later))


def test_an_event_withdrawn_in_full_keeps_nobody_apart(small_home_maker: Any, tmp_path: Path) -> None:
    home = Home(small_home_maker(model=False))
    linked(home, ("P2", "V1"))
    load = running(home)
    rows = named("N1", "P2", "V1")
    append(home, {"event": [EVENT], "involvement": rows})
    gone = [row | {"withdrawn": True, "recorded_at": "2025-05-31T00:00Z"} for row in rows]
    append(home, {"involvement": gone})
    load.refresh()
    assert clusters_at(load.records().links, datetime(2025, 5, 30, 22, tzinfo=UTC)).is_empty()
    assert clusters_at(load.records().links, NOW).height == 2
    as_fresh(load, home)
