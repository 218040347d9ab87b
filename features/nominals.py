"""Who is who: which nominal records are one person, as of T.

A force often has several records of one person. Linkage (``features.linkage``) says how likely two of them are the
same; nothing is ever merged. This module holds what came of it, without a name in it, and answers one question: which
records stand for one person at T. A link counts from the moment the fields that carried it were known, a reviewer's
decision from its own time, so nothing recorded after T changes who was who at T.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from dataclasses import dataclass, field
from datetime import UTC, datetime

import polars as pl

from features.lazily import lazily
from features.schema import SPECS, UTC_TIME

CLUSTERS = {"person_id": pl.String(), "cluster_id": pl.String(), "certainty": pl.Float64()}
"""Columns of :func:`clusters_at`."""
PAIRS = {
    "person_id_a": pl.String(),
    "person_id_b": pl.String(),
    "probability": pl.Float64(),
    "known_from": UTC_TIME,
}
APART = {
    "person_id_a": pl.String(),
    "person_id_b": pl.String(),
    "known_from": UTC_TIME,
    "known_to": UTC_TIME,
}
DECISIONS = {"person_id_a": pl.String(), "person_id_b": pl.String(), "same": pl.Boolean(), "at": UTC_TIME}
PERSONS = {"person_id": pl.String(), "known_from": UTC_TIME}
PERSON_COLUMNS = frozenset({"person_id"}) | {
    column for spec in SPECS.values() for column, (table, _) in spec.parents.items() if table == "person"
}
"""Every column, in whatever table, that points to a person."""

_FEW = 400  # rows up to which a look at each costs less than a step of Polars
_KEPT = 8  # moments whose clusters are remembered
_LATE = datetime(9999, 1, 1, tzinfo=UTC)


def _none(schema: dict[str, pl.DataType]) -> pl.DataFrame:
    return pl.DataFrame(schema=schema)


_ALONE = _none(CLUSTERS)


@dataclass(frozen=True, eq=False)
class Links:
    """What a link run found, as feature code sees it: references, probabilities and clocks, no name.

    ``pairs``: person_id_a < person_id_b, probability, known_from. Several rows of a pair are a staircase: each says
    what was known from then on, and the highest known by T holds. Only pairs at or above ``threshold`` join anyone.
    ``apart``: two records that the force has as two people (suspect and victim of one event, or related), from
    known_from to known_to: they are not joined in between. ``decisions``: what a reviewer said of a pair, same or
    not, and when; the newest by T holds, over any probability and any ``apart``. ``persons``: every nominal the run
    saw, and when it was first known.
    """

    pairs: pl.DataFrame
    threshold: float
    decisions: pl.DataFrame = field(default_factory=lambda: _none(DECISIONS))
    run_id: str = "links"
    apart: pl.DataFrame = field(default_factory=lambda: _none(APART))
    persons: pl.DataFrame = field(default_factory=lambda: _none(PERSONS))

    @lazily
    def digest(self) -> str:
        """Of everything that decides a cluster: two links with one digest give the same clusters at every T."""
        said = [
            f"{row['person_id_a']} {row['person_id_b']} {row['same']} {row['at'].isoformat()}"
            for row in self.decisions.sort("at", "person_id_a", "person_id_b").iter_rows(named=True)
        ]
        two = sorted(str(row) for row in self.apart.iter_rows())
        text = "\n".join([self.run_id, repr(self.threshold), str(self.pairs.height), *said, *two])
        return hashlib.sha256(text.encode()).hexdigest()[:10]

    @lazily
    def known(self) -> frozenset[str]:
        """Every nominal that was compared; who is not among them arrived after the run."""
        return frozenset(self.persons["person_id"].to_list())

    @lazily
    def _moments(self) -> list[datetime]:
        """Every moment at which clusters can change, ascending."""
        clocks = [
            self.pairs.filter(pl.col("probability") >= self.threshold)["known_from"],
            self.apart["known_from"],
            self.apart["known_to"],
            self.decisions["at"],
        ]
        return (
            pl.concat([clock.cast(UTC_TIME).rename("at") for clock in clocks])
            .drop_nulls()
            .unique()
            .sort()
            .to_list()
        )

    @lazily
    def _remembered(self) -> dict[int, pl.DataFrame]:
        return {}

    @lazily
    def first_known(self) -> dict[str, datetime]:
        """When each nominal that was compared was first known."""
        return dict(self.persons.select("person_id", "known_from").iter_rows())


def clusters_at(links: Links | None, t: datetime) -> pl.DataFrame:
    """Which nominal records stand for one person as known at T.

    Returns person_id, cluster_id, certainty, sorted by person_id: only records that share a person with another one;
    everyone else is alone under their own person_id. ``cluster_id`` is the person_id of the record first known (of
    equals the smallest). ``certainty`` is the weakest link on the best chain from the record to that one (1.0 for that
    record itself, and for what a reviewer joined). Records are joined strongest link first, and never when that would
    put two into one person whom the force, or a reviewer, has as two people.
    """
    if links is None:
        return _ALONE
    epoch = bisect_right(links._moments, t)  # between two clocks nothing changes: one answer for all such T
    known = links._remembered
    found = known.get(epoch)
    if found is None:
        found = known[epoch] = _clusters(links, t)
        for old in list(known)[:-_KEPT]:  # the oldest goes; another thread may have been quicker
            known.pop(old, None)
    return found


def onto(
    frame: pl.DataFrame, clusters: pl.DataFrame, columns: frozenset[str] = PERSON_COLUMNS
) -> pl.DataFrame:
    """A frame with every person in it replaced by the cluster's id (see :func:`clusters_at`)."""
    if frame.is_empty() or clusters.is_empty():
        return frame
    there = [c for c in frame.columns if c in columns]
    if (
        clusters.height <= _FEW and frame.height <= _FEW
    ):  # of a few rows most name nobody who goes by another id
        others = {p for p, c, _ in clusters.iter_rows() if p != c}
        there = [c for c in there if not others.isdisjoint(frame[c].to_list())]
    if not there:
        return frame
    moved = clusters.filter(pl.col("person_id") != pl.col("cluster_id"))
    return frame.with_columns(pl.col(c).replace(moved["person_id"], moved["cluster_id"]) for c in there)


def members_at(links: Links | None, persons: pl.Series, t: datetime) -> pl.DataFrame:
    """The records behind some persons at T: cluster_id (as asked), person_id, one row a record, sorted.

    Someone with a single record has one row; an id that is not a cluster's own at T is a record of nobody asked for,
    and gives its own row alone.
    """
    asked = pl.DataFrame({"cluster_id": persons.cast(pl.String).drop_nulls().unique()})
    found = clusters_at(links, t).select("cluster_id", "person_id").join(asked, on="cluster_id", how="semi")
    alone = asked.join(found, on="cluster_id", how="anti").with_columns(person_id="cluster_id")
    return pl.concat([found, alone.select(found.columns)]).sort("cluster_id", "person_id")


def one_row_a_person(person: pl.DataFrame, entered: str) -> pl.DataFrame:
    """The person table after :func:`onto`: one row a person, at the place of their first row.

    ``entered`` names the column saying when each row was entered. The birth date is the commonest of the records',
    of equals the most recently entered, then the earliest date; dead when any record says so (the earliest date);
    restricted to named users when any record is. Any other column comes from the row most recently entered.
    """
    doubled = person["person_id"].is_duplicated()
    if not doubled.any():
        return person
    single, several = (
        person.with_row_index("_place").filter(~doubled),
        person.with_row_index("_place").filter(doubled),
    )
    births = (
        several.drop_nulls("date_of_birth")
        .group_by("person_id", "date_of_birth")
        .agg(pl.len().alias("votes"), pl.col(entered).max().alias("latest"))
        .sort(["person_id", "votes", "latest", "date_of_birth"], descending=[False, True, True, False])
        .unique("person_id", keep="first", maintain_order=True)
        .select("person_id", "date_of_birth")
    )
    special = {
        "_place": pl.col("_place").min(),
        "deceased_on": pl.col("deceased_on").min(),
        "access": pl.when((pl.col("access") == "named_users").any())
        .then(pl.lit("named_users"))
        .otherwise(pl.col("access").first()),
    }
    rest = [c for c in several.columns if c not in ("person_id", "date_of_birth")]
    made = (
        several.sort([entered, "_place"], descending=[True, False])
        .group_by("person_id", maintain_order=True)
        .agg(special[c].alias(c) if c in special else pl.col(c).first() for c in rest)
        .join(births, on="person_id", how="left")
    )
    return pl.concat([single, made.select(single.columns)]).sort("_place").drop("_place")


# -- joining records, strongest link first --------------------------------------------------------------------


def _clusters(links: Links, t: datetime) -> pl.DataFrame:
    """:func:`clusters_at`, computed."""
    said = _decided(links, t)
    now = pl.lit(t).cast(UTC_TIME)
    evidence = (
        links.pairs.filter((pl.col("known_from") <= now) & (pl.col("probability") >= links.threshold))
        .group_by("person_id_a", "person_id_b")
        .agg(pl.col("probability").max())
        .sort(["probability", "person_id_a", "person_id_b"], descending=[True, False, False])
    )
    held = links.apart.filter(
        (pl.col("known_from") <= now) & (pl.col("known_to").is_null() | (pl.col("known_to") > now))
    )
    forbidden = set(held.select("person_id_a", "person_id_b").iter_rows())
    forbidden = {pair for pair in forbidden if not said.get(pair)} | {
        pair for pair, same in said.items() if not same
    }
    joined = [(a, b, 1.0) for (a, b), same in said.items() if same]
    joined += [row for row in evidence.iter_rows() if (row[0], row[1]) not in said]
    return _described(links, _forest(joined, forbidden))


def _decided(links: Links, t: datetime) -> dict[tuple[str, str], bool]:
    """What reviewers had said of each pair by T, the newest decision first; of one pair the newest holds."""
    rows = links.decisions.filter(pl.col("at") <= pl.lit(t).cast(UTC_TIME)).sort(
        ["at", "person_id_a", "person_id_b"], descending=[True, False, False], maintain_order=True
    )
    said: dict[tuple[str, str], bool] = {}
    for a, b, same in rows.select("person_id_a", "person_id_b", "same").iter_rows():
        said.setdefault((min(a, b), max(a, b)), same)
    return said


def _forest(
    joined: list[tuple[str, str, float]], forbidden: set[tuple[str, str]]
) -> dict[str, list[tuple[str, float]]]:
    """The links that join records into persons: a tree for each person, as neighbours with probabilities.

    ``joined`` is taken in order, so the tree holds the strongest links (Kruskal); a link that would put a forbidden
    pair into one person is left out.
    """
    parent: dict[str, str] = {}
    foes: dict[str, set[str]] = {}  # of a whole tree, by its root: records that must stay out of it
    for a, b in forbidden:
        foes.setdefault(a, set()).add(b)
        foes.setdefault(b, set()).add(a)

    def root(record: str) -> str:
        while (up := parent.get(record, record)) != record:
            parent[record] = parent.get(up, up)  # halve the path on the way
            record = up
        return record

    tree: dict[str, list[tuple[str, float]]] = {}
    for a, b, probability in joined:
        top_a, top_b = root(a), root(b)
        if top_a == top_b or any(root(foe) == top_b for foe in foes.get(top_a, ())):
            continue
        parent[top_b] = top_a
        if top_b in foes:
            foes.setdefault(top_a, set()).update(foes.pop(top_b))
        tree.setdefault(a, []).append((b, probability))
        tree.setdefault(b, []).append((a, probability))
    return tree


def _described(links: Links, tree: dict[str, list[tuple[str, float]]]) -> pl.DataFrame:
    """Each record of a tree with its cluster's id and how surely it belongs to it."""
    first = links.first_known
    rows: list[tuple[str, str, float]] = []
    seen: set[str] = set()
    for record in sorted(tree, key=lambda one: (first.get(one, _LATE), one)):
        if record in seen:
            continue
        seen.add(record)
        rows.append((record, record, 1.0))
        reach = [(record, 1.0)]
        while reach:
            here, certainty = reach.pop()
            for other, probability in tree[here]:
                if other not in seen:
                    seen.add(other)
                    weakest = min(certainty, probability)
                    rows.append((other, record, weakest))
                    reach.append((other, weakest))
    return pl.DataFrame(rows, schema=CLUSTERS, orient="row").sort("person_id")
