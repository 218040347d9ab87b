"""Who is found only beside somebody whose record is for named users: her child, who lives with her or is in her events.

A child or a member of the household leads to her as surely as her own name: to the events, the suspect and the place.
"""

from __future__ import annotations

from collections.abc import Collection

import polars as pl

from risk.view import View

_PAIR = ["person_id", "other"]


def beside_shut(view: View, closed: Collection[str]) -> dict[str, frozenset[str]]:
    """Persons never recorded as a suspect, whose ties (events they are in, relationships) lead to victims and relatives
    of whom every one has a closed record: person -> those. Suspects are no tie, for everybody in an event has them."""
    if not closed:
        return {}
    in_events = pl.concat(
        [
            view.whole("involvement").select("event_id", "person_id", acting=pl.col("role") == "suspect"),
            view.whole("involvement").select("event_id", person_id="victim_id", acting=pl.lit(False)),
            view.whole("offence").select("event_id", person_id="suspect_id", acting=pl.lit(True)),
            view.whole("offence").select("event_id", person_id="victim_id", acting=pl.lit(False)),
        ]
    ).drop_nulls("person_id")
    acting = in_events.filter(pl.col("acting").fill_null(False)).select("person_id").unique()
    known = view.table("relationship").select(person_id="person_id_a", other="person_id_b")
    kin = pl.concat([known, known.select(person_id="other", other="person_id")])
    shut = pl.Series("other", sorted(closed), dtype=pl.String)
    suspects = in_events.filter(pl.col("acting").fill_null(False)).select("event_id", "person_id").unique()
    others = in_events.join(suspects, on=["event_id", "person_id"], how="anti")
    others = others.select("event_id", other="person_id")
    events = others.filter(pl.col("other").is_in(shut.implode())).select("event_id").unique()
    near = pl.concat(
        [
            in_events.join(events, on="event_id", how="semi").select("person_id"),
            kin.filter(pl.col("other").is_in(shut.implode())).select("person_id"),
        ]
    ).unique()
    near = near.join(acting, on="person_id", how="anti").filter(~pl.col("person_id").is_in(shut.implode()))
    mine = in_events.join(near, on="person_id", how="semi").select("person_id", "event_id").unique()
    kin = kin.join(near, on="person_id", how="semi").join(
        acting.rename({"person_id": "other"}), on="other", how="anti"
    )
    ties = pl.concat([mine.join(others, on="event_id").select(_PAIR), kin])
    # Two children of hers are no tie for one another: each is found beside her alone.
    ties = ties.join(near.rename({"person_id": "other"}), on="other", how="anti").unique()
    found = ties.group_by("person_id").agg("other", kept=pl.col("other").is_in(shut.implode()).all())
    return {person: frozenset(whom) for person, whom, kept in found.iter_rows() if kept}
