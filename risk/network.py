"""The people around one person as of T, drawn from the records: who is suspected of harming whom, who acted
together, who is related and whom an order protects.

An ego network of a few dozen nodes (NetworkX), as data, as a picture made on the server and as a table that says
the same in words. Persons are references here, never names.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import Any

import networkx as nx
import polars as pl

from risk.history import events_of, pairs
from risk.view import View
from risk.words import count, day, plain

MOST = 24  # neighbours drawn; the table says how many more there are
KINDS = {
    "suspect of harm to": "harm",
    "suspect together with": "together",
    "recorded relationship": "kin",
    "order protects": "order",
}


@dataclass(frozen=True)
class Network:
    """The ego network of a person. ``left_out``: neighbours beyond the most connected ``MOST``."""

    person_id: str
    graph: nx.MultiDiGraph
    left_out: int

    def as_dict(self) -> dict[str, Any]:
        """Nodes and edges for a machine, in a fixed order."""
        nodes = [{"person_id": node, "self": node == self.person_id} for node in self._order()]
        return {"person_id": self.person_id, "nodes": nodes, "edges": self.edges(), "left_out": self.left_out}

    def edges(self) -> list[dict[str, Any]]:
        """Every tie: from, to, kind, detail in words, events (count) and the last day."""
        found = [
            {"from": a, "to": b, "kind": data["kind"], "detail": data["detail"], "events": data["events"],
             "last": data["last"]}
            for a, b, data in self.graph.edges(data=True)
        ]  # fmt: skip
        return sorted(
            found, key=lambda e: (self.person_id not in (e["from"], e["to"]), e["from"], e["to"], e["kind"])
        )

    def _order(self) -> list[str]:
        rest = sorted(
            (n for n in self.graph if n != self.person_id), key=lambda n: (-self.graph.degree(n), n)
        )
        return [self.person_id, *rest]

    def summary(self) -> str:
        """The picture in one sentence, for those who cannot see it."""
        others = self.graph.number_of_nodes() - 1
        harmed = sum(
            1 for e in self.edges() if e["kind"] == "suspect of harm to" and e["from"] == self.person_id
        )
        by = sum(1 for e in self.edges() if e["kind"] == "suspect of harm to" and e["to"] == self.person_id)
        parts = [count(others, "person", "people") + " in the records around this person"]
        parts.append(f"suspected of harm to {harmed}")
        if by:
            parts.append(f"said to have been harmed by {by}")
        return "; ".join(parts) + "."

    def svg(self) -> str:
        """The picture as SVG with a title and a description; no styles inside, so a strict policy allows it."""
        place = self._places()
        width, height = self._size
        lines = [self._edge(e, place) for e in self.edges() if e["kind"] in KINDS]
        dots = [self._node(node, x, y) for node, (x, y) in place.items()]
        head = (
            f'<svg class="network{" crowded" if self.crowded else ""}" viewBox="0 0 {width} {height}" role="img" '
            f'aria-labelledby="network-title network-desc" xmlns="http://www.w3.org/2000/svg">'
            f'<title id="network-title">People around {escape(self.person_id)}</title>'
            f'<desc id="network-desc">{escape(self.summary())} The table below lists every tie.</desc>'
            '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
            'orient="auto-start-reverse"><path d="M0 0L8 4L0 8z" fill="#942514"/></marker></defs>'
        )
        return head + "".join(lines) + "".join(dots) + "</svg>"

    @property
    def _size(self) -> tuple[int, int]:
        """Width and height: few people need little room, and a narrow picture stays legible on a phone."""
        people = self.graph.number_of_nodes()
        return (
            (420, 150)
            if people <= 3
            else (420, 300)
            if people <= 8
            else (420, 420)
            if people <= 13
            else (640, 520)
        )

    @property
    def crowded(self) -> bool:
        """Whether the picture is too wide for a phone."""
        return self._size[0] > 420

    def _places(self) -> dict[str, tuple[float, float]]:
        """The person in the middle, the others on a ring (two rings when there are many)."""
        order = self._order()
        width, height = self._size
        rings = [order[:1], order[1:]] if len(order) <= 13 else [order[:1], order[1:9], order[9:]]
        rings = [ring for ring in rings if ring]
        wide = len(rings) / max(len(rings) - 1, 1)  # the outermost ring at the edge of the picture
        shells = nx.shell_layout(self.graph, nlist=rings, rotate=math.pi / 9, scale=wide)
        return {
            node: (
                width / 2 + shells[node][0] * (width / 2 - 104),
                height / 2 + shells[node][1] * (height / 2 - 34),
            )
            for node in order
        }

    def _edge(self, edge: dict[str, Any], place: dict[str, tuple[float, float]]) -> str:
        (x1, y1), (x2, y2) = place[edge["from"]], place[edge["to"]]
        length = math.hypot(x2 - x1, y2 - y1) or 1.0
        ux, uy = (x2 - x1) / length, (y2 - y1) / length
        # Ties of different kinds between the same two people lie side by side.
        shift = {"harm": 4, "together": -4, "kin": 0, "order": 8}[KINDS[edge["kind"]]]
        sx, sy = -uy * shift, ux * shift
        tip = ' marker-end="url(#tip)"' if edge["kind"] == "suspect of harm to" else ""
        return (
            f'<line class="tie {KINDS[edge["kind"]]}" x1="{x1 + ux * 13 + sx:.1f}" y1="{y1 + uy * 13 + sy:.1f}" '
            f'x2="{x2 - ux * 15 + sx:.1f}" y2="{y2 - uy * 15 + sy:.1f}"{tip}>'
            f"<title>{escape(edge['from'])} {escape(edge['kind'])} {escape(edge['to'])}: "
            f"{escape(edge['detail'])}</title></line>"
        )

    def _node(self, node: str, x: float, y: float) -> str:
        mine = node == self.person_id
        width, height = self._size
        kind = "self" if mine else "other"
        side = "middle" if mine or abs(x - width / 2) < 8 else ("start" if x > width / 2 else "end")
        dx = {"middle": 0, "start": 14, "end": -14}[side]
        dy = 28 if side == "middle" else 5
        if side == "middle" and not mine and y < height / 2:
            dy = -16
        return (
            f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="{12 if mine else 9}"/>'
            f'<text class="{kind}" x="{x + dx:.1f}" y="{y + dy:.1f}" text-anchor="{side}">{escape(node)}</text>'
        )


def network(view: View, person_id: str) -> Network:
    """The ego network of a person as of the view's T."""
    graph: nx.MultiDiGraph = nx.MultiDiGraph()
    graph.add_node(person_id)
    for tie in _ties(view, person_id):
        a, b = tie.pop("a"), tie.pop("b")
        graph.add_edge(a, b, **tie)
    around = sorted((n for n in graph if n != person_id), key=lambda n: (-graph.degree(n), n))
    graph.remove_nodes_from(around[MOST:])
    return Network(person_id, nx.ego_graph(graph, person_id, radius=1, undirected=True), len(around[MOST:]))


def _ties(view: View, person: str) -> list[dict[str, Any]]:
    """Ties of the person and between those tied to the person."""
    kin, orders = view.whole("relationship"), view.whole("order")
    own = events_of(view, [person])
    near = {person}
    near |= _others(pairs(view, own), "suspect_id", "victim_id", person)
    near |= _others(_together(view, own), "person_id", "person_id_b", person)
    near |= _others(kin, "person_id_a", "person_id_b", person)
    near |= _others(orders, "respondent_id", "protected_id", person)
    ids = sorted(near)
    events = events_of(view, ids)
    happened = view.whole("event").select("event_id", "occurred_at")
    return [
        *_harm_ties(
            _within(pairs(view, events), "suspect_id", "victim_id", ids).join(happened, on="event_id")
        ),
        *_together_ties(
            _within(_together(view, events), "person_id", "person_id_b", ids).join(happened, on="event_id")
        ),
        *_kin_ties(_within(kin, "person_id_a", "person_id_b", ids)),
        *_order_ties(_within(orders, "respondent_id", "protected_id", ids)),
    ]


def _together(view: View, events: pl.DataFrame) -> pl.DataFrame:
    """Two suspects of one event, each two once."""
    part = (
        view.whole("involvement").join(events, on="event_id", how="semi").filter(pl.col("role") == "suspect")
    )
    part = part.select("event_id", "person_id").unique()
    return part.join(part, on="event_id", suffix="_b").filter(pl.col("person_id") < pl.col("person_id_b"))


def _within(frame: pl.DataFrame, a: str, b: str, ids: list[str]) -> pl.DataFrame:
    return frame.filter(pl.col(a).is_in(ids), pl.col(b).is_in(ids))


def _others(frame: pl.DataFrame, a: str, b: str, person: str) -> set[str]:
    rows = frame.filter((pl.col(a) == person) | (pl.col(b) == person))
    return set(rows[a].drop_nulls()) | set(rows[b].drop_nulls())


def _harm_ties(rows: pl.DataFrame) -> list[dict[str, Any]]:
    grouped = rows.group_by("suspect_id", "victim_id").agg(
        events=pl.col("event_id").n_unique(),
        last=pl.col("occurred_at").max(),
        inferred=pl.col("inferred").all(),
    )
    return [
        {
            "a": row["suspect_id"],
            "b": row["victim_id"],
            "kind": "suspect of harm to",
            "events": row["events"],
            "last": row["last"],
            "detail": f"{count(row['events'], 'event')}, the last on {day(row['last'])}"
            + ("; the records do not pair them, both were in the event" if row["inferred"] else ""),
        }
        for row in grouped.sort("suspect_id", "victim_id").iter_rows(named=True)
    ]


def _together_ties(rows: pl.DataFrame) -> list[dict[str, Any]]:
    grouped = rows.group_by("person_id", "person_id_b").agg(
        events=pl.col("event_id").n_unique(), last=pl.col("occurred_at").max()
    )
    return [
        {
            "a": row["person_id"],
            "b": row["person_id_b"],
            "kind": "suspect together with",
            "events": row["events"],
            "last": row["last"],
            "detail": f"{count(row['events'], 'event')} in which both are suspects, the last on {day(row['last'])}",
        }
        for row in grouped.sort("person_id", "person_id_b").iter_rows(named=True)
    ]


def _kin_ties(rows: pl.DataFrame) -> list[dict[str, Any]]:
    ties = []
    for row in rows.sort("person_id_a", "person_id_b", "at").iter_rows(named=True):
        until = f", ended {day(row['ended_on'])}" if row["ended_on"] else ""
        child = ", with a child together" if row["shared_child"] else ""
        ties.append(
            {
                "a": row["person_id_a"],
                "b": row["person_id_b"],
                "kind": "recorded relationship",
                "events": 0,
                "last": row["started_on"],
                "detail": f"{plain(row['kind'])}{child}, recorded from {day(row['started_on'])}{until}",
            }
        )
    return ties


def _order_ties(rows: pl.DataFrame) -> list[dict[str, Any]]:
    return [
        {
            "a": row["respondent_id"],
            "b": row["protected_id"],
            "kind": "order protects",
            "events": 0,
            "last": row["made_on"],
            "detail": f"{plain(row['kind'])} made {day(row['made_on'])}"
            + (f", expires {day(row['expires_on'])}" if row["expires_on"] else ""),
        }
        for row in rows.sort("respondent_id", "protected_id", "made_on", "order_id").iter_rows(named=True)
    ]
