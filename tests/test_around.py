"""The rows around a person say of them what the whole force's records say: before and after rows are added."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from features import asof
from features.append import append
from features.home import Home
from features.linkage import store
from features.near_apart import Apart
from features.nominals import PAIRS, PERSON_COLUMNS
from features.schema import spec_of
from features.simulate.run import simulate
from features.slices import POINTERS
from features.stores import IDENTITY_TABLES
from risk.history import history
from risk.network import network
from risk.published import names
from risk.sheet import sheet
from risk.state import states
from risk.teams import districts
from risk.view import CloseView, View
from risk.who import identity

T = datetime(2025, 6, 1, 5, tzinfo=UTC)
IDENTITY = ("person", "event_place", *(name for name in IDENTITY_TABLES if name not in ("address", "team")))


@pytest.fixture(scope="module")
def force(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A simulated force of some hundred persons, some of them with two records."""
    from features.ingest import ingest

    folder = tmp_path_factory.mktemp("around")
    simulate(folder, 50, 3, seed=5)
    home = Home(folder / "home")
    ingest(folder / "extract", home)
    load = home.require()
    people = load.records().table("person")["person_id"].unique().sort().to_list()
    two = random.Random(3).sample(people, 24)
    pairs = [tuple(sorted(two[i : i + 2])) for i in range(0, 24, 2)]
    both = pl.DataFrame(
        [(*pair, 0.97, T - timedelta(days=400)) for pair in pairs], schema=PAIRS, orient="row"
    )
    first = load.records().table("person").group_by("person_id").agg(pl.col("known_from").min())
    frames = {"pairs": both, "apart": pl.DataFrame(), "persons": first.sort("person_id"), "shown": both}
    store.write_run(home.path, load.load_id, frames, {"run_id": "k-1", "threshold": 0.9})
    return home


def rows_about(view: View, person: str) -> Iterator[tuple[str, pl.DataFrame]]:
    """Every row of every table that points to a person, or to an event they are in."""
    me = view.who(person)
    events: set[str] = set()

    def mine(frame: pl.DataFrame) -> pl.DataFrame:
        tests = [pl.col(c) == me for c in frame.columns if c in PERSON_COLUMNS]
        if "event_id" in frame.columns:
            tests.append(pl.col("event_id").is_in(sorted(events)))
        return frame.filter(pl.any_horizontal(tests)).sort(pl.all(), nulls_last=True)

    for name in ("involvement", "offence", "event"):
        found = mine(view.whole(name))
        events |= set(found["event_id"].to_list())
    for name in POINTERS:
        yield f"records/{name}", mine(view.whole(name))
    for name in IDENTITY:
        yield f"identity/{name}", mine(view.identity(name))
    yield "audit/intervention", mine(view.audit("intervention"))
    yield "audit/person_protected", mine(view.audit("person_protected"))


def as_whole(close: View, whole: View, person: str) -> None:
    """What is shown of a person, by both."""
    assert close.who(person) == whole.who(person)
    person = whole.who(person)
    assert identity(close, person) == identity(whole, person)
    assert history(close, person) == history(whole, person)
    assert states(close, [person])[person].as_dict() == states(whole, [person])[person].as_dict()
    asked = pl.DataFrame({"person_id": [person]})
    assert districts(close, asked).equals(districts(whole, asked))
    for steps in (1, 2):
        assert network(close, person, steps).as_dict() == network(whole, person, steps).as_dict()
    assert sheet(close, person, {}) == sheet(whole, person, {})
    others = [p for one in history(whole, person) for p in (*one.against, *one.accused_by, *one.co_suspects)]
    assert names(close, [person, *others]) == names(whole, [person, *others])


def persons_of(whole: View) -> list[str]:
    return sorted(whole.everyone())


def same_rows(close: View, whole: View, person: str) -> None:
    both = zip(rows_about(close, person), rows_about(whole, person), strict=True)
    for (name, near), (_, every) in both:
        assert near.equals(every), (person, name)


def check(force: Home, rows_of: list[str], pages_of: list[str]) -> None:
    load = force.require()
    apart, whole = Apart(load), View(force.require(), T)
    for person in rows_of:
        same_rows(CloseView(load, apart.around([person], T), T), whole, person)
    for person in pages_of:
        as_whole(CloseView(load, apart.around([person], T), T), whole, person)


def busiest(whole: View, most: int) -> list[str]:
    part = whole.whole("involvement").filter(pl.col("role") == "suspect")
    counted = part.group_by("person_id").len().sort("len", "person_id", descending=[True, False])
    return counted["person_id"].head(most).to_list()


def test_the_rows_around_a_person_say_what_the_whole_says(force: Home) -> None:
    whole = View(force.require(), T)
    joined = whole.clusters["person_id"].to_list()
    check(force, [*persons_of(whole)[::12], *joined[:6]], [*busiest(whole, 3), *joined[:4]])


@pytest.mark.slow
def test_of_every_person(force: Home) -> None:
    whole = View(force.require(), T)
    joined = whole.clusters["person_id"].to_list()
    check(force, persons_of(whole), [*busiest(whole, 20), *joined, *persons_of(whole)[::10]])


def test_of_several_persons_at_once(force: Home) -> None:
    load = force.require()
    apart, whole = Apart(load), View(force.require(), T)
    some = random.Random(2).sample(persons_of(whole), 30)
    close = CloseView(load, apart.around(some, T, steps=1), T)
    wanted = sorted({whole.who(person) for person in some})
    assert {p: s.as_dict() for p, s in states(close, wanted).items()} == {
        p: s.as_dict() for p, s in states(whole, wanted).items()
    }
    asked = pl.DataFrame({"person_id": wanted})
    assert districts(close, asked).equals(districts(whole, asked))
    assert names(close, some) == names(whole, some)
    assert close.ever([*some, "nobody"]) == set(some)


NEW = {
    "event_id": "N1", "kind": "crime", "occurred_at": "2025-05-30T20:00Z", "domestic": "Y", "source": "victim",
    "reference": "42/9/25", "district": "D2", "recorded_at": "2025-05-30T21:00Z",
}  # fmt: skip
HIM = {"event_id": "N1", "person_id": "P2", "role": "suspect", "victim_id": "V3"}
LATER = "2025-05-31T04:00Z"
ADDED: dict[str, list[dict[str, list[dict[str, Any]]]]] = {
    "an event": [{"event": [NEW], "involvement": [HIM]}],
    "an event found by police": [
        {"event": [NEW | {"source": "police_proactive"}], "involvement": [HIM]},
    ],
    "an event, then its correction": [
        {"event": [NEW], "involvement": [HIM]},
        {"event": [NEW | {"reference": "42/10/25", "recorded_at": LATER}]},
    ],
    "an event, then its withdrawal": [
        {"event": [NEW], "involvement": [HIM]},
        {"event": [NEW | {"withdrawn": True, "recorded_at": LATER}]},
    ],
    "another name and address": [
        {"person": [{"person_id": "P2", "family_name": "Newfold", "given_names": "Ben", "address_id": "A1",
                     "recorded_at": LATER}],
         "residence": [{"person_id": "P2", "address_id": "A1", "started_on": "2025-05-29T00:00Z",
                        "recorded_at": LATER}]},
    ],
    "a plan changed and a promise kept": [
        {"victim_plan": [{"person_id": "V1", "safe_channel": "phone", "safe_times": "mornings",
                          "agreed_on": "2025-04-16T10:00:00Z", "recorded_at": LATER}],
         "promise": [{"promise_id": "M1", "person_id": "V1", "what": "callback",
                      "made_on": "2025-05-01T10:00:00Z", "due_on": "2025-05-08T10:00:00Z",
                      "done_on": "2025-05-30T10:00:00Z", "recorded_at": LATER}]},
    ],
    "somebody restricted": [
        {"person": [{"person_id": "V1", "no_processing": True, "recorded_at": LATER}]},
    ],
    "a person nobody knew": [
        {"person": [{"person_id": "P77", "family_name": "Stranger", "given_names": "A", "recorded_at": LATER}],
         "event": [NEW], "involvement": [HIM | {"person_id": "P77"}]},
    ],
}  # fmt: skip


@pytest.mark.parametrize("what", list(ADDED))
def test_after_an_append_the_rows_around_everyone_are_the_new_ones(small_home_maker: Any, what: str) -> None:
    home = Home(small_home_maker(model=False))
    load = home.require()
    apart = Apart(load)
    for rows in ADDED[what]:
        append(home, rows)
        assert apart.refresh()
    assert not apart.refresh(), "nothing has come since"
    whole = View(home.require(), T)
    for person in sorted({"P1", "P2", "V1", "V3", "P77"} & set(whole.everyone())):
        close = CloseView(load, apart.around([person], T), T)
        same_rows(close, whole, person)
        if person in ("P2", "P77", "V1"):
            as_whole(close, whole, person)
    gone = {"V1"} if what == "somebody restricted" else set()
    assert {"P1", "P2", "V1"} - View(load, T).ever(["P1", "P2", "V1"]) == gone
    started = Apart(home.require())  # a service started after the append holds the same
    assert started.around(["P2"], T).records.state == apart.around(["P2"], T).records.state


def test_who_is_answering_keeps_the_rows_as_they_were(small_home_maker: Any) -> None:
    home = Home(small_home_maker(model=False))
    load = home.require()
    apart = Apart(load)
    before = CloseView(load, apart.around(["P2"], T), T)
    append(home, {"event": [NEW], "involvement": [HIM]})
    apart.refresh()
    assert "N1" not in [one.event_id for one in history(before, "P2")]
    after = CloseView(load, apart.around(["P2"], T), T)
    assert "N1" in [one.event_id for one in history(after, "P2")]


def test_a_score_is_worked_out_from_the_rows_at_hand(small_home_maker: Any) -> None:
    from models.store import champion
    from risk.score import score_cohort

    path: Path = small_home_maker()
    home = Home(path)
    load, doc = home.require(), champion(path)
    apart = Apart(load)
    batch = score_cohort(home.require(), doc, T).frame.drop("rank", "count_rank")
    for person in batch["person_id"]:
        close = CloseView(load, apart.around([person], T), T)
        assert close.load.near([person], T) is close.records
        alone = score_cohort(close.load, doc, T, [person]).frame.drop("rank", "count_rank")
        assert alone.equals(batch.filter(pl.col("person_id") == person), null_equal=True)


def test_a_few_rows_are_cut_as_many_are(force: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(9)
    for name, frame in force.require().records().tables.items():
        for days in (0, 200, 700, 2_000):
            t = T - timedelta(days=days)
            some = frame[sorted(chance.sample(range(frame.height), min(frame.height, 300)))]
            few = asof.cut(some, spec_of(name), t)
            with monkeypatch.context() as plain:
                plain.setattr(asof, "FEW", -1)
                assert few.equals(asof.cut(some, spec_of(name), t)), (name, t)
