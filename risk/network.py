"""The people around one person as of T, drawn from the records: who is suspected of harming whom, who acted
together, who is related, who shares a child or an address, and whom an order protects.

An ego network of a few dozen nodes (NetworkX), as data, as a picture (``risk.network_picture``) and as a table that
says the same in words. Persons are references here, never names. It is for eyes and shows what police found by
themselves too; the features of relationships come from ``features.engines`` and see less.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import networkx as nx
import polars as pl

from features.graph.settings import load_settings
from risk.history import events_of, pairs, priced
from risk.network_picture import draw
from risk.view import View
from risk.who import restricted
from risk.words import LONDON, count, day, plain

TWO = (
    ("relationship", "person_id_a", "person_id_b"),
    ("order", "respondent_id", "protected_id"),
    ("household", "person_id_a", "person_id_b"),
)
"""Tables a row of which ties two people."""
MOST = 40  # people drawn; the table says how many more there are


@dataclass(frozen=True)
class Network:
    """The ego network of a person. ``harm``: person -> harm days of the domestic crimes they are suspect of.
    ``left_out``: neighbours beyond the most connected ``MOST``. ``since``: the day after which a tie is new, in words.
    ``not_shown``: people restricted to named users, and those tied to the person through them alone.
    """

    person_id: str
    graph: nx.MultiDiGraph
    left_out: int
    harm: dict[str, float] = field(default_factory=dict)
    since: str = ""
    not_shown: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Nodes and edges for a machine, in a fixed order."""
        nodes = [
            {
                "person_id": node,
                "self": node == self.person_id,
                "step": self._steps()[node],
                "harm_days": self.harm.get(node, 0.0),
            }
            for node in self.order()
        ]
        return {
            "person_id": self.person_id,
            "nodes": nodes,
            "edges": self.edges(),
            "left_out": self.left_out,
            "not_shown": self.not_shown,
        }

    def edges(self) -> list[dict[str, Any]]:
        """Every tie: from, to, kind, detail in words, events (count), the first and the last day, new or not."""
        found = [
            {"from": a, "to": b, **{name: data[name] for name in ("kind", "detail", "events", "first", "last", "new")}}
            for a, b, data in self.graph.edges(data=True)
        ]  # fmt: skip
        return sorted(
            found, key=lambda e: (self.person_id not in (e["from"], e["to"]), e["from"], e["to"], e["kind"])
        )

    def _steps(self) -> dict[str, int]:
        return dict(
            nx.single_source_shortest_path_length(self.graph.to_undirected(as_view=True), self.person_id)
        )

    def order(self) -> list[str]:
        """The person, then the others: nearer first, then the more connected."""
        steps = self._steps()
        rest = (n for n in self.graph if n != self.person_id)
        return [self.person_id, *sorted(rest, key=lambda n: (steps[n], -self.graph.degree(n), n))]

    def families(self) -> list[tuple[str, list[str]]]:
        """Everyone one step away, with those two steps away who are tied to them (each with the first such)."""
        steps = self._steps()
        near = [n for n in self.order() if steps[n] == 1]
        beyond: dict[str, list[str]] = {n: [] for n in near}
        flat = self.graph.to_undirected(as_view=True)
        for node in (n for n in self.order() if steps[n] == 2):
            beyond[next(n for n in near if flat.has_edge(n, node))].append(node)
        return list(beyond.items())

    def label(self, node: str) -> str:
        """The chief tie of a person in a few words, with its month: harm before an order, an order before the rest."""
        steps = self._steps()
        ties = [
            e
            for e in self.edges()
            if node in (e["from"], e["to"])
            and steps[e["to"] if e["from"] == node else e["from"]] < steps[node]
        ]
        chief = min(ties, key=lambda e: (list(_SHORT).index(e["kind"]), e["from"] == node))
        word = _SHORT[chief["kind"]]
        if chief["kind"] == "suspect of harm to":
            word = "suspect" if chief["from"] == node else "victim"
            word += f" ×{chief['events']}" if chief["events"] > 1 else ""
        when = chief["last"] or chief["first"]
        return word + (f", {when.astimezone(LONDON):%b %Y}" if when else "")

    def is_new(self, node: str) -> bool:
        """Whether every tie of a person came about after ``since``."""
        return all(e["new"] for e in self.edges() if node in (e["from"], e["to"]))

    def summary(self) -> str:
        """The picture in one sentence, for those who cannot see it."""
        others = self.graph.number_of_nodes() - 1
        harm = [e for e in self.edges() if e["kind"] == "suspect of harm to"]
        parts = [count(others, "person", "people") + " in the records around this person"]
        parts.append(f"suspected of harm to {sum(e['from'] == self.person_id for e in harm)}")
        if by := sum(e["to"] == self.person_id for e in harm):
            parts.append(f"said to have been harmed by {by}")
        if self.since:
            parts.append(f"{count(sum(e['new'] for e in self.edges()), 'tie')} new since {self.since}")
        if self.not_shown:
            parts.append(f"{count(self.not_shown, 'person', 'people')} not shown")
        return "; ".join(parts) + "."

    def svg(self, alone: bool = False, links: Mapping[str, str] | None = None) -> str:
        """The picture as SVG with a title and a description; ``alone``: a file of its own, with styles and a key;
        ``links``: person -> the address their circle and label lead to."""
        return draw(self, alone, links or {})


_SHORT = {
    "suspect of harm to": "victim", "order protects": "order", "suspect together with": "co-suspect",
    "recorded relationship": "related", "same child": "same child", "shared address": "address",
}  # fmt: skip


def network(
    view: View,
    person_id: str,
    steps: int = 1,
    since: datetime | None = None,
    opened: frozenset[str] = frozenset(),
) -> Network:
    """The ego network of a person as of the view's T.

    ``steps``: 1 shows everyone tied to the person, 2 also everyone tied to those. ``since``: ties that first came
    about after it are marked new. ``opened``: people of restricted records who may be shown all the same.
    """
    graph: nx.MultiDiGraph = nx.MultiDiGraph()
    graph.add_node(person_id)
    for tie in _ties(view, person_id, steps):
        a, b = tie.pop("a"), tie.pop("b")
        new = since is not None and tie["first"] is not None and tie["first"] > since
        graph.add_edge(a, b, **tie, new=new)
    whole = _away(graph, person_id, steps)
    graph.remove_nodes_from(restricted(view, opened) - {person_id})
    away = _away(graph, person_id, steps)
    graph = graph.subgraph(away)
    around = sorted((n for n in graph if n != person_id), key=lambda n: (away[n], -graph.degree(n), n))
    graph = graph.subgraph({person_id, *around[:MOST]})
    kept = graph.subgraph(_away(graph, person_id, steps)).copy()
    told = day(since) if since is not None else ""
    left_out, hidden = len(around[MOST:]), len(whole) - len(away)
    return Network(person_id, kept, left_out, _harm(view, list(kept)), told, hidden)


def _away(graph: nx.MultiDiGraph, person: str, steps: int) -> dict[str, int]:
    """Everyone within ``steps`` ties of a person, with how many ties away they are."""
    flat = graph.to_undirected(as_view=True)
    return dict(nx.single_source_shortest_path_length(flat, person, cutoff=steps))


def _ties(view: View, person: str, steps: int) -> list[dict[str, Any]]:
    """Ties of everyone within ``steps`` of the person, among themselves; some of people a little further away."""
    ids = _company(view, {person}, steps)
    while True:
        tables = [(rows.filter(pl.col(a) != pl.col(b)), a, b) for rows, a, b in _tables(view, sorted(ids))]
        near = _reached(tables, person, steps)
        if near <= ids:
            break
        ids |= near  # a child in events of each ties two who never met
    harm, together, child, kin, orders, home = (
        rows.filter(pl.col(a).is_in(ids), pl.col(b).is_in(ids)) for rows, a, b in tables
    )
    return [
        *_harm_ties(harm),
        *_event_ties(together, "suspect together with", "in which both are suspects"),
        *_event_ties(child, "same child", "with a child who is in events of both"),
        *_kin_ties(kin),
        *_order_ties(orders),
        *_home_ties(home),
    ]


def _company(view: View, persons: set[str], steps: int) -> set[str]:
    """Persons with everyone who is in an event with one of them, related to them, in an order or at one address."""
    known = set(persons)
    for _ in range(steps):
        mine = events_of(view, sorted(known))
        found = [
            view.whole("involvement").join(mine, on="event_id", how="semi").select("person_id", "victim_id"),
            view.whole("offence").join(mine, on="event_id", how="semi").select("suspect_id", "victim_id"),
        ]
        for name, a, b in TWO:
            rows = view.whole(name).select(a, b)
            found.append(rows.filter(pl.col(a).is_in(known) | pl.col(b).is_in(known)))
        known.update(*(frame[column].drop_nulls().to_list() for frame in found for column in frame.columns))
    return known


def _reached(tables: list[tuple[pl.DataFrame, str, str]], person: str, steps: int) -> set[str]:
    """Everyone within ``steps`` of a person by the rows of the tables."""
    flat = nx.Graph()
    flat.add_node(person)
    for rows, a, b in tables:
        flat.add_edges_from(rows.select(a, b).drop_nulls().unique().iter_rows())
    return set(nx.single_source_shortest_path_length(flat, person, cutoff=steps))


def _tables(view: View, ids: list[str]) -> list[tuple[pl.DataFrame, str, str]]:
    """Rows that tie two people, with the names of the two columns, for events in which one of ``ids`` is."""
    mine = events_of(view, ids)
    happened = view.whole("event").select("event_id", "occurred_at")
    who = pairs(view, mine).join(happened, on="event_id")
    part = view.whole("involvement").join(mine, on="event_id", how="semi").join(happened, on="event_id")
    suspects = (
        part.filter(pl.col("role") == "suspect").select("event_id", "occurred_at", a="person_id").unique()
    )
    suspects = _few(suspects, "event_id", "a")
    both = suspects.join(suspects.select("event_id", b="a"), on="event_id").filter(pl.col("a") < pl.col("b"))
    return [
        (who, "suspect_id", "victim_id"),
        (both, "a", "b"),
        (_child_rows(view, part), "a", "b"),
        *((view.whole(name), a, b) for name, a, b in TWO),
    ]


def _child_rows(view: View, part: pl.DataFrame) -> pl.DataFrame:
    """Two people who were parties of different events with the same child: event_id, occurred_at, a < b."""
    children = part.filter(pl.col("role") == "child")["person_id"].unique()
    everything = view.whole("involvement")
    there = everything.filter((pl.col("role") == "child") & pl.col("person_id").is_in(children.implode()))
    there = there.select("event_id", child="person_id").join(
        view.whole("event").select("event_id", "occurred_at"), on="event_id"
    )
    acting = (
        everything.filter(pl.col("role").is_in(["suspect", "victim"]))
        .join(there.select("event_id"), on="event_id", how="semi")
        .select("event_id", a="person_id")
        .unique()
    )
    acting = _few(acting, "event_id", "a")
    stood = there.join(acting, on="event_id").filter(pl.col("child") != pl.col("a"))
    stood = _few(stood, "child", "a")
    first = stood.group_by("child", "a").agg(
        pl.col("event_id", "occurred_at").sort_by("occurred_at", "event_id").first()
    )
    two = first.join(first, on="child", suffix="_b").filter(pl.col("a") < pl.col("a_b"))
    two = two.filter(pl.col("event_id") != pl.col("event_id_b"))
    return two.select(
        event_id="child", occurred_at=pl.max_horizontal("occurred_at", "occurred_at_b"), a="a", b="a_b"
    )


def _few(rows: pl.DataFrame, group: str, person: str) -> pl.DataFrame:
    """Without groups that bring together more people than can know each other (features/data/network.toml)."""
    return rows.filter(pl.col(person).n_unique().over(group) <= load_settings().most_persons)


def _harm(view: View, persons: list[str]) -> dict[str, float]:
    """Person -> harm days of the domestic crimes they are suspect of, as recorded by T."""
    crimes = view.whole("event").filter(pl.col("domestic") == "Y", pl.col("kind") == "crime")
    mine = events_of(view, persons).join(crimes, on="event_id", how="semi")
    part = view.whole("involvement").join(mine, on="event_id", how="semi")
    offences = priced(view.whole("offence").join(mine, on="event_id", how="semi"))
    suspects = set(part.filter(pl.col("role") == "suspect").select("event_id", "person_id").iter_rows())
    suspects |= {(row["event_id"], row["suspect_id"]) for row in offences if row["suspect_id"]}
    harm: dict[str, int] = {}
    for event, suspect in suspects:
        counted = [
            row for row in offences if row["event_id"] == event and row["suspect_id"] in (None, suspect)
        ]
        if counted and suspect in persons:
            harm[suspect] = harm.get(suspect, 0) + sum(row["harm_cd"] or 0 for row in counted)
    return {person: cd / 100 for person, cd in harm.items()}


def _tie(a: str, b: str, kind: str, detail: str, first: Any, last: Any, events: int = 0) -> dict[str, Any]:
    return {"a": a, "b": b, "kind": kind, "detail": detail, "first": first, "last": last, "events": events}


def _harm_ties(rows: pl.DataFrame) -> list[dict[str, Any]]:
    grouped = rows.group_by("suspect_id", "victim_id").agg(
        events=pl.col("event_id").n_unique(),
        first=pl.col("occurred_at").min(),
        last=pl.col("occurred_at").max(),
        inferred=pl.col("inferred").all(),
    )
    return [
        _tie(
            row["suspect_id"], row["victim_id"], "suspect of harm to",
            f"{count(row['events'], 'event')}, the last on {day(row['last'])}"
            + ("; the records do not pair them, both were in the event" if row["inferred"] else ""),
            row["first"], row["last"], row["events"],
        )
        for row in grouped.sort("suspect_id", "victim_id").iter_rows(named=True)
    ]  # fmt: skip


def _event_ties(rows: pl.DataFrame, kind: str, words: str) -> list[dict[str, Any]]:
    grouped = rows.group_by("a", "b").agg(
        events=pl.col("event_id").n_unique(),
        first=pl.col("occurred_at").min(),
        last=pl.col("occurred_at").max(),
    )
    return [
        _tie(
            row["a"], row["b"], kind,
            f"{count(row['events'], 'event')} {words}, the last on {day(row['last'])}"
            if kind != "same child"
            else f"a child was at events of both, with the second from {day(row['first'])}",
            row["first"], row["last"], row["events"] if kind != "same child" else 0,
        )
        for row in grouped.sort("a", "b").iter_rows(named=True)
    ]  # fmt: skip


def _kin_ties(rows: pl.DataFrame) -> list[dict[str, Any]]:
    ties = []
    for row in rows.sort("person_id_a", "person_id_b", "at").iter_rows(named=True):
        until = f", ended {day(row['ended_on'])}" if row["ended_on"] else ""
        child = ", with a child together" if row["shared_child"] else ""
        detail = f"{plain(row['kind'])}{child}, recorded from {day(row['started_on'])}{until}"
        two = (row["person_id_a"], row["person_id_b"])
        ties.append(_tie(*two, "recorded relationship", detail, row["at"], row["started_on"]))
    return ties


def _order_ties(rows: pl.DataFrame) -> list[dict[str, Any]]:
    return [
        _tie(
            row["respondent_id"], row["protected_id"], "order protects",
            f"{plain(row['kind'])} made {day(row['made_on'])}"
            + (f", expires {day(row['expires_on'])}" if row["expires_on"] else ""),
            row["made_on"], row["made_on"],
        )
        for row in rows.sort("respondent_id", "protected_id", "made_on", "order_id").iter_rows(named=True)
    ]  # fmt: skip


def _home_ties(rows: pl.DataFrame) -> list[dict[str, Any]]:
    grouped = rows.group_by("person_id_a", "person_id_b").agg(
        start=pl.col("started_on").min(),
        since=pl.col("at").min(),
        ended=pl.when(pl.col("ended_on").is_null().any()).then(None).otherwise(pl.col("ended_on").max()),
    )
    return [
        _tie(
            row["person_id_a"], row["person_id_b"], "shared address",
            f"recorded at one address from {day(row['start'])}"
            + (f" to {day(row['ended'])}" if row["ended"] else ""),
            row["since"], row["start"],
        )
        for row in grouped.sort("person_id_a", "person_id_b").iter_rows(named=True)
    ]  # fmt: skip
