"""``doorstep network``: the look first, then words and a picture; plain refusals."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree

import networkx as nx
import polars as pl
import pytest

from api.cli import run_command
from risk.network import Network
from risk.network_picture import KINDS, WIDTH
from tests.databases import trail_of

AS_OF = ("--as-of", "2025-06-01", "--purpose", "investigation")


def test_ties_in_words_a_picture_and_a_look(
    small_home_maker: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home, out = small_home_maker(), tmp_path / "p1.svg"
    assert run_command(["network", "P1", *AS_OF, "--steps", "2", "--out", str(out), "--home", str(home)]) == 0
    said = capsys.readouterr().out
    assert "P1  suspect of harm to  V1" in said
    root = ElementTree.parse(out).getroot()
    assert root.get("role") == "img"
    assert "Casey" not in out.read_text()
    (look,) = trail_of(home)
    assert (look["act"], look["page"], look["face"]) == ("disclosure", "network", "command line")
    assert {"P1", "V1"} <= set(look["persons"])
    assert run_command(["network", "P1", *AS_OF, "--json", "--home", str(home)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["person_id"] == "P1"
    assert {edge["kind"] for edge in told["edges"]} <= set(KINDS)
    assert told["nodes"][0]["self"]


def test_whoever_is_for_named_users_is_in_nobodys_picture(
    small_home_maker: Callable[..., Path],
    small_extract_tables: dict[str, pl.DataFrame],
    capsys: pytest.CaptureFixture[str],
) -> None:
    person = small_extract_tables["person"]
    kept = pl.when(pl.col("person_id") == "V1").then(pl.lit("named_users"))
    old = pl.col("access") if "access" in person.columns else pl.lit(None, dtype=pl.String)
    home = small_home_maker(model=False, person=person.with_columns(access=kept.otherwise(old)))
    assert run_command(["network", "P1", *AS_OF, "--steps", "2", "--home", str(home)]) == 0
    said = capsys.readouterr().out
    assert "V1" not in said
    assert "not shown" in said
    assert run_command(["network", "P1", *AS_OF, "--json", "--home", str(home)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["not_shown"] == 1
    assert "V1" not in json.dumps(told)
    assert all("V1" not in look["persons"] for look in trail_of(home))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["network", "nobody", *AS_OF], "no person"),
        (["network", "V1", *AS_OF], "no person"),
        (["network", "P1", *AS_OF, "--since", "2025-07-01"], "not before --as-of"),
        (["network", "P1", *AS_OF, "--steps", "3"], "--steps"),
        (["network", "P1", "--as-of", "yesterday", "--purpose", "review"], "yesterday"),
        (["network", "P1", "--as-of", "2025-06-01"], "--purpose"),
        (["network", "P1", "--as-of", "2025-06-01", "--purpose", "curiosity"], "No purpose 'curiosity'"),
        (["network", "P1", *AS_OF, "--out", "/nowhere/at/all.svg"], "cannot be written"),
    ],
)
def test_refusals_are_one_message(
    small_home_maker: Callable[..., Path], words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    home = small_home_maker()
    assert run_command([*words, "--home", str(home)]) == 2
    assert says in capsys.readouterr().err
    assert bool(trail_of(home)) == ("--out" in words), (
        "nothing is shown, so nothing is looked at, save a picture refused"
    )


def crowd(people: int, far: int) -> Network:
    """P with so many people around, some of them two steps away."""
    graph: nx.MultiDiGraph = nx.MultiDiGraph()
    near = [f"N{n:08d}" for n in range(people - far)]
    beyond = [f"B{n:08d}" for n in range(far)]
    when = datetime(2024, 5, 1, tzinfo=UTC)
    for n, node in enumerate([*near, *beyond]):
        kind = list(KINDS)[n % len(KINDS)]
        start = "P" if node in near else near[n % len(near)]
        detail = {"kind": kind, "detail": "as recorded", "events": n % 5, "new": n % 7 == 0}
        graph.add_edge(start, node, **detail, first=when, last=when + timedelta(days=n))
    return Network("P", graph, 0, {node: float(n * n) for n, node in enumerate(near)}, "1 May 2024")


@pytest.mark.parametrize(("people", "far"), [(1, 0), (5, 0), (5, 2), (40, 0), (40, 14)])
def test_no_label_meets_another_or_leaves_the_picture(people: int, far: int) -> None:
    drawn = ElementTree.fromstring(crowd(people, far).svg(alone=True))
    space = "{http://www.w3.org/2000/svg}"
    height = float(str(drawn.get("viewBox")).split()[3])
    boxes = []
    for text in drawn.iter(f"{space}text"):
        wide = len(text.text or "") * (6.9 if "detail" not in str(text.get("class")) else 5.3)
        x, y = float(str(text.get("x"))), float(str(text.get("y")))
        left = {"start": x, "end": x - wide, "middle": x - wide / 2, None: x}[text.get("text-anchor")]
        boxes.append((left, y - 10, left + wide, y + 2, text.text))
    assert len(boxes) >= 2 * people
    for box in boxes:
        assert box[0] >= 0, box
        assert box[2] <= WIDTH, box
        assert box[1] >= 0, box
        assert box[3] <= height, box
    for n, a in enumerate(boxes):
        for b in boxes[n + 1 :]:
            assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1], (a, b)
    circles = [c for c in drawn.iter(f"{space}circle") if c.get("class")]
    assert len(circles) == people + 1
