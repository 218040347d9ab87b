"""Who is on record as suspect and victim of the same person: the likely victim waits for a person's review."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from features.clocks import parse_as_of
from features.home import Home
from models import dual


def both_ways(small_extract_tables: dict[str, pl.DataFrame], more: list[tuple[str, str, str, bool]]) -> Any:
    """The hand-made force with further events: (event, suspect, victim, counter-allegation)."""
    tables = dict(small_extract_tables)
    event, involvement = tables["event"].to_dicts(), tables["involvement"].to_dicts()
    offence = tables["offence"].to_dicts()
    for i, (name, suspect, victim, counter) in enumerate(more):
        at = f"2025-04-{10 + i:02d}T12:00:00Z"
        facts = {"event_id": name, "reference": name, "kind": "crime", "occurred_at": at, "reported_at": at}
        event.append(
            event[0]
            | facts
            | {"source": "victim", "counter_allegation": counter, "district": "D1", "children_present": None}
        )
        row = {
            "offence_id": name,
            "event_id": name,
            "ho_code": "105A",
            "suspect_id": suspect,
            "victim_id": victim,
        }
        offence.append(offence[0] | row)
        seen = {
            "event_id": name,
            "person_id": suspect,
            "role": "suspect",
            "victim_id": victim,
            "relationship_to_victim": None,
        }
        involvement += [
            seen,
            {**seen, "person_id": victim, "role": "victim", "victim_id": None},
        ]
    return {
        "event": pl.DataFrame(event, infer_schema_length=None),
        "offence": pl.DataFrame(offence, infer_schema_length=None),
        "involvement": pl.DataFrame(involvement, infer_schema_length=None),
    }


def test_a_likely_victim_is_held_for_review_and_counted(
    small_home_maker: Callable[..., Path], small_extract_tables: dict[str, pl.DataFrame]
) -> None:
    # V2 hit back once at P8, who is recorded against V2 once before and once more here; V1 hit P1 once, P1 hit V1 often
    changed = both_ways(
        small_extract_tables,
        [("X1", "V2", "P8", False), ("X2", "P8", "V2", False), ("X3", "V1", "P1", False)],
    )
    records = Home(small_home_maker("dual", model=False, **changed)).require().records()
    t = parse_as_of("2025-06-01")
    pairs = {(r["suspect_id"], r["victim_id"]): r for r in dual.dual_pairs(records, t).iter_rows(named=True)}
    assert (pairs["V2", "P8"]["events"], pairs["V2", "P8"]["reverse"]) == (1, 2)
    assert "far more often as the victim" in pairs["V2", "P8"]["why"]
    assert pairs["P8", "V2"]["why"] is None
    assert pairs["V1", "P1"]["why"] is not None
    assert pairs["P1", "V1"]["why"] is None
    roles = {r["person_id"]: r for r in dual.dual_roles(records, t).iter_rows(named=True)}
    assert roles["V2"]["held"]
    assert not roles["P8"]["held"]
    assert not roles["P1"]["held"]


def test_only_answering_allegations_are_held_and_other_pairs_keep_a_place(
    small_home_maker: Callable[..., Path], small_extract_tables: dict[str, pl.DataFrame]
) -> None:
    records = Home(small_home_maker("plain", model=False)).require().records()
    t = parse_as_of("2025-06-01")
    roles = {r["person_id"]: r for r in dual.dual_roles(records, t).iter_rows(named=True)}
    assert roles["V3"]["held"]  # P7 was suspected a day before; V3 only in the answering allegation
    assert not roles["P7"]["held"]
    other = both_ways(small_extract_tables, [("X1", "V3", "V1", False)])
    records = Home(small_home_maker("other", model=False, **other)).require().records()
    roles = {r["person_id"]: r for r in dual.dual_roles(records, t).iter_rows(named=True)}
    assert roles["V3"]["likely"] == 1
    assert not roles["V3"]["held"]  # also suspected of harming V1, who never hit back


def test_who_only_answered_is_held_also_when_the_other_has_been_taken_out_by_law(
    small_home_maker: Callable[..., Path], small_extract_tables: dict[str, pl.DataFrame]
) -> None:
    person = small_extract_tables["person"].with_columns(
        no_processing=pl.when(pl.col("person_id") == "P7").then(True).otherwise("no_processing")
    )
    both = Home(small_home_maker("both", model=False)).require().records()
    alone = Home(small_home_maker("alone", model=False, person=person)).require().records()
    t = parse_as_of("2025-06-01")
    assert dual.held(both, t) == ["V3"], "held while both are in the records"
    assert dual.held(alone, t) == ["V3"], "his erasure makes no suspect to be ranked of her"
    answered = both_ways(small_extract_tables, [("X1", "P2", "V1", True)])
    found = dual.dual_roles(Home(small_home_maker("one", model=False, **answered)).require().records(), t)
    assert "P2" not in found.filter("held")["person_id"].to_list(), "another pair is there to be ranked on"
