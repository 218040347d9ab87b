"""How the list moves when the records are otherwise: reported less by one group, or with more or less police in them.

Three questions no figure of a model answers, because a model only knows what was recorded:

* *reported less*: had a fifth of the domestic events of one group's members never been reported, how many of its
  places on the list would it lose? The model is held as it is, the events are taken out of the records, histories are
  computed again. Read backwards: who is reported a fifth less than others today is short of that many places.
* *outcomes reported less*: the same of what is counted afterwards. Were a fifth of the group's harm unrecorded, its
  share of the harm, and what came true of what was expected, would be that much higher. No records are needed.
* *police attention*: the same list without rows that police action makes (arrests, bail, circulations, markers), and
  with the police-initiated events that the record store never holds put back.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from features.records import Records
from models import settings, withheld
from models.dataset import Source
from models.groups import order_of
from models.places import number, places_of
from models.scorer import Scorer

if TYPE_CHECKING:
    from models.compare import Occasion
    from models.fairness_book import Book

Array = npt.NDArray[np.float64]
FEW = "places withheld: too few stand behind them, or behind what they would give away"
NOT_RANKED = -1.0
"""List order of someone who would not be in the cohort: after everyone who is."""

EDITION = 1
"""Of what this module does to records: histories kept for later are of one edition."""
LESS, UNSEEN = "reported less", "outcomes reported less"
WITHOUT, WITH = "without police action", "with police-initiated records"
TITLES = {
    LESS: "a fifth of the group's domestic events never reported",
    UNSEEN: "a fifth of the group's harm never reported",
    WITHOUT: "without arrests, bail, circulations, markers and breaches nobody reported",
    WITH: "with the events that police set going themselves put back",
}


@dataclass(frozen=True)
class Scene:
    """Scores of one date's persons (in their order) had the records been otherwise.

    ``thinned``: list orders with a share of everyone's domestic events gone, one for each drawing; ``others``: what
    -> list order. A person who would not be in the cohort has :data:`NOT_RANKED`.
    """

    thinned: list[Array]
    others: dict[str, Array]


def scene_of(
    doc: Mapping[str, Any],
    records: Records,
    audit: Mapping[str, pl.DataFrame],
    seed: int = 1,
    cache: Path | None = None,
) -> Callable[[Occasion], Scene]:
    """A function of an occasion that computes its :class:`Scene` with the model ``doc``: histories of the whole cohort,
    ``times`` + 2 of them. ``audit``: tables of the audit store, for the police-initiated rows alone. ``cache``: the
    folder where histories of these ``records`` are kept (``Source.cache``); those made here go into folders of it."""

    def at(o: Occasion) -> Scene:
        rule = settings.load("fairness")
        less = rule["under_reporting"]
        thinned = [
            ordered(doc, thin(records, o.t, float(less["share"]), [seed, k]), o, cache)
            for k in range(int(less["times"]))
        ]
        others = {
            WITHOUT: ordered(doc, without_action(records, rule["attention"]), o, cache),
            WITH: ordered(doc, with_initiated(records, audit), o, cache),
        }
        return Scene(thinned, others)

    return at


def ordered(doc: Mapping[str, Any], records: Records, o: Occasion, cache: Path | None = None) -> Array:
    """List order (expected harm) of the persons of ``o`` on other records; ``cache``: of the records they came from."""
    kept = None if cache is None else cache / f"otherwise-{EDITION}-{records.load_id.rsplit('/', 1)[-1]}"
    rows = Source(records, kept).features_at(o.t).filter(pl.col("in_scope"))
    scored = Scorer(doc).score(rows).select("person_id", "expected_harm")
    found = pl.DataFrame({"person_id": o.persons.cast(pl.String)}).join(
        scored, on="person_id", how="left", maintain_order="left"
    )
    return found["expected_harm"].fill_null(NOT_RANKED).to_numpy()


def thin(records: Records, t: datetime, part: float, seed: list[int]) -> Records:
    """The records with ``part`` of the domestic events known by T gone, and every row that hangs on one.

    Which events go depends on their ids and the seed alone. ``part`` is between 0 and 1.
    """
    event = records.table("event").filter(pl.col("domestic") == "Y", pl.col("known_from") <= t)
    ids = event["event_id"].unique().sort().to_list()
    drawn = [event_id for event_id in ids if _drawn(event_id, seed) < part]
    gone: dict[str, pl.Series] = {"event_id": pl.Series(drawn, dtype=pl.String)}
    tables = {}
    for name, frame in records.tables.items():
        kept = frame
        for column, keys in gone.items():
            if column in kept.columns:
                kept = kept.filter(~pl.col(column).is_in(keys.implode()).fill_null(False))
        tables[name] = kept
        if name in ("custody", "bail"):  # an arrest goes with its event, bail and its breach with the arrest
            gone[f"{name}_id"] = _lost(frame, kept, f"{name}_id")
    return replace(records, load_id=f"{records.load_id}/thinned-{_mark(t, part, seed)}", tables=tables)


def _mark(*said: object) -> str:
    return hashlib.sha256(repr(said).encode()).hexdigest()[:8]


def _lost(frame: pl.DataFrame, kept: pl.DataFrame, key: str) -> pl.Series:
    return frame.select(key).join(kept.select(key), on=key, how="anti")[key].unique()


def _drawn(event_id: str, seed: list[int]) -> float:
    digest = hashlib.sha256(f"{seed} {event_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def without_action(records: Records, rule: Mapping[str, Any]) -> Records:
    """The records without the tables that police action fills, and without breaches that nobody reported."""
    tables = {
        name: frame.clear() if name in rule["tables"] else frame for name, frame in records.tables.items()
    }
    reported = pl.col("source").is_in(list(rule["breach_sources"])).fill_null(False)
    tables["breach"] = tables["breach"].filter(reported)
    return replace(records, load_id=f"{records.load_id}/without-{_mark(rule)}", tables=tables)


def with_initiated(records: Records, audit: Mapping[str, pl.DataFrame]) -> Records:
    """The records with the rows that police set going put back, from the audit store: for this question alone, the
    store that models learn from never holds them."""
    tables = dict(records.tables)
    for name, frame in records.tables.items():
        found = audit.get(f"proactive_{name}")
        if found is not None and found.height:
            tables[name] = pl.concat([frame, found.select(frame.columns)])
    return replace(records, load_id=f"{records.load_id}/with-initiated", tables=tables)


# --- rows ----------------------------------------------------------------------------------------------------


def rows(
    book: Book, fairness: Sequence[Mapping[str, Any]], scene: Callable[[Occasion], Scene] | None
) -> list[dict[str, Any]]:
    """The ``fairness_sensitivity`` table; ``fairness``: the rows of that table, which say what is not shown.

    Of the newest date with outcomes: ``what`` (reported less, without police action, with police-initiated records),
    grouping, group, ``places`` on the list, ``places_then``, ``list_share`` and ``list_share_then``; for everyone
    ``overlap``, the share of the list that stays. Of all dates: ``what`` = outcomes reported less, with
    ``list_over_harm`` and the observed-over-expected ratios ``_then``. A group without a figure in ``fairness`` has
    none here, nor one with fewer than 10 places on either list (``models.withheld``).
    """
    out = [_unseen(row) for row in fairness if row["grouping"] in book.names]
    if scene is None or not book.dates:
        return out
    date = book.dates[-1]
    o, made = date.o, scene(date.o)
    t = o.t.strftime("%Y-%m-%dT%H:%M:%SZ")
    before = places_of(o.scores["model"][0], book.places)
    others = {what: places_of(order, book.places) for what, order in made.others.items()}
    for what, after in others.items():
        stays = float(np.minimum(before, after).sum() / before.sum())
        row = {"what": what, "t": t, "grouping": "everyone", "group": "everyone"}
        out.append(row | _moved(before, after, np.ones(o.n, dtype=bool)) | {"overlap": number(stays)})
    lines: list[dict[str, Any]] = []
    for grouping in book.names:
        masks = {
            group: (date.groups[grouping] == group).to_numpy()
            for group in order_of(grouping, date.groups[grouping].to_list())
        }
        afters = {g: {**others, LESS: _less(o, made, mask, book.places)} for g, mask in masks.items()}
        not_shown = _shut(grouping, fairness, before, masks, afters)
        for group, mask in masks.items():
            for what, after in afters[group].items():
                row = {"what": what, "t": t, "grouping": grouping, "group": group}
                row |= _moved(before, after, mask)
                if group in not_shown:
                    withheld.hide(row, _PLACES, FEW)
                lines.append(row)
    return out + [row for what in (*others, LESS) for row in lines if row["what"] == what]


_PLACES = ("places", "places_then", "list_share", "list_share_then")


def _less(o: Occasion, made: Scene, mask: npt.NDArray[np.bool_], places: float) -> Array:
    """Places on the list when the members of one group alone were reported less, in the mean over the drawings."""
    orders = [np.where(mask, order, o.scores["model"][0]) for order in made.thinned]
    return np.asarray(np.mean([places_of(order, places) for order in orders], axis=0))


def _shut(
    grouping: str,
    fairness: Sequence[Mapping[str, Any]],
    before: Array,
    masks: Mapping[str, npt.NDArray[np.bool_]],
    afters: Mapping[str, Mapping[str, Array]],
) -> frozenset[str]:
    """Groups whose places are not shown on any of the lists: what one question shows, another could be solved with."""
    least = int(settings.load("fairness")["counts"]["least"])
    also = {r["group"] for r in fairness if r["grouping"] == grouping and r["list_share"] is None}
    cells = {}
    for group, mask in masks.items():
        size, lists = float(mask.sum()), [before, *afters[group].values()]
        taken = [float(places[mask].sum()) for places in lists]
        people = [float((places[mask] > 0).sum()) for places in lists]
        cells[group] = [size, *taken, *people, *(size - places for places in taken)]
    return withheld.closed(cells, least, also)


def _moved(before: Array, after: Array, mask: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """What a group holds of the list and what it would hold."""
    now, then, total = float(before[mask].sum()), float(after[mask].sum()), float(before.sum())
    return {
        "places": number(now),
        "places_then": number(then),
        "list_share": number(now / total),
        "list_share_then": number(then / total),
        "suppressed": None,
    }


def _unseen(row: Mapping[str, Any]) -> dict[str, Any]:
    """A group, were ``share`` of its harm unrecorded while the others' is all there: from its row of ``fairness``."""
    kept = 1.0 - float(settings.load("fairness")["under_reporting"]["share"])
    out = {"what": UNSEEN, "t": "pooled", "grouping": row["grouping"], "group": row["group"]}
    share = row["harm_share"]
    if row["list_over_harm"] is None or share is None:
        out |= {"list_over_harm": None, "list_over_harm_then": None}
    else:  # the share then is (h / kept) / (1 - h + h / kept)
        raised = kept * (1.0 - share) + share
        out |= {"list_over_harm": row["list_over_harm"]}
        out |= {"list_over_harm_then": number(row["list_over_harm"] * raised)}
    for name in ("observed_over_expected", "serious_observed_over_expected"):
        out |= {name: row[name], f"{name}_then": None if row[name] is None else number(row[name] / kept)}
    return out | {"suppressed": row["suppressed"]}
