"""How often a search finds the right person among a force's, and how fast.

    python -m benchmarks.search HOME --truth FORCE/truth [--persons 350000] [--seed 99] [--queries 2000]

HOME holds a simulated force (``doorstep simulate`` and ``ingest``; ``doorstep link`` for who is who), FORCE/truth says
which records are one true person. Queries are made of persons drawn evenly: a fifth as recorded, three tenths with one
slip of the pen, a tenth turned round, a quarter by an alias or a nickname of the simulation's own list, the rest with
the family name begun; half carry the year of birth, a quarter the district, the rest the name alone. A query is right
when the cluster of the record it was made of is among the first three. Printed by kind and by what it carries, for
names in full (every given name, as recorded), for the first given name alone with the family name, and for queries
in which both names are only begun. ``--persons``: as of the moment the force knew that many. Beside it: what no search
could tell apart (more than three persons of that name, and that year or district).
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from features.home import Home
from features.simulate.parameters import read_data
from risk.search import Search
from risk.search_text import Asked, read
from risk.teams import UNASSIGNED, districts
from risk.view import View

KINDS = {
    "as recorded": 0.20,
    "one slip": 0.30,
    "turned round": 0.10,
    "alias or nickname": 0.25,
    "begun": 0.15,
}
CARRIED = {"year of birth": 0.50, "district": 0.25, "name alone": 0.25}
BARS = {"year of birth": 0.97, "district": 0.90}
FIRST = 3
LETTERS = "abcdefghijklmnopqrstuvwxyz"
HOW_COMMON = ((1, "1"), (3, "2-3"), (10, "4-10"), (30, "11-30"), (1 << 31, "over 30"))
"""Persons of one first given name and family name, for the searches by name alone."""


@dataclass(frozen=True)
class Query:
    """One search: what is typed, and the record it was made of."""

    kind: str
    carries: str
    given: str
    family: str
    born: str
    district: str
    person_id: str
    common: int

    def asked(self) -> Asked:
        """As the service would read it."""
        name = f"{self.family} {self.given}" if self.kind == "turned round" else f"{self.given} {self.family}"
        return read(name, self.born, self.district)


def drawn(view: View, truth: pl.DataFrame, many: int, seed: int) -> list[Query]:
    """Queries made of the persons of a force, in a shuffled order; the same for the same arguments."""
    rng = np.random.default_rng(seed)
    people = _people(view, truth)
    nick = read_data("simulate/names.toml")["nickname"]
    first = pl.col("given_names").str.split(" ").list.first()
    short = people.filter(first.is_in(list(nick)))
    alias = view.identity("alias").select("person_id", other_given="given_names", other_family="family_name")
    other = people.join(alias.unique("person_id", maintain_order=True), on="person_id")
    kinds = _shuffled(KINDS, many, rng)
    carries = _shuffled(CARRIED, many, rng)
    out = []
    for kind, carried in zip(kinds, carries, strict=True):
        by_alias = kind == "alias or nickname" and rng.random() < 0.5
        pool = other if by_alias else short if kind == "alias or nickname" else people
        while True:
            row = pool.row(int(rng.integers(pool.height)), named=True)
            if carried == "year of birth" and row["date_of_birth"] is None:
                continue
            if carried == "district" and row["district"] == UNASSIGNED:
                continue
            break
        given, family = row["given_names"], row["family_name"]
        if by_alias:
            given, family = row["other_given"], row["other_family"]
        elif kind == "alias or nickname":
            head, _, rest = given.partition(" ")
            given = f"{nick[head]} {rest}".strip()
        elif kind == "one slip":
            given, family = _with_slip(given, family, rng)
        elif kind == "begun":
            family = _begun(family)
        born = str(row["date_of_birth"].year) if carried == "year of birth" else ""
        district = row["district"] if carried == "district" else ""
        out.append(Query(kind, carried, given, family, born, district, row["person_id"], row["common"]))
    return out


def _people(view: View, truth: pl.DataFrame) -> pl.DataFrame:
    """One row a true person who may be found: the record known first, the district and how many bear the name."""
    person = view.identity("person").filter(pl.col("access") != "named_users")
    rows = (
        person.join(truth, on="person_id")
        .sort("since", "person_id")
        .unique("true_person", keep="first", maintain_order=True)
        .drop_nulls(["given_names", "family_name"])
        .sort("person_id")
    )
    heads = rows.select("person_id").join(view.clusters, on="person_id", how="left")
    heads = heads.select("person_id", head=pl.coalesce("cluster_id", "person_id"))
    where = districts(view, heads.select(person_id="head"))
    rows = rows.join(heads, on="person_id").join(where, left_on="head", right_on="person_id")
    name = pl.concat_str(pl.col("given_names").str.split(" ").list.first(), "family_name", separator=" ")
    return rows.with_columns(common=pl.len().over(name.str.to_lowercase()).cast(pl.Int64)).sort("person_id")


def _shuffled(shares: dict[str, float], many: int, rng: np.random.Generator) -> list[str]:
    counts = {name: round(share * many) for name, share in shares.items()}
    every = [name for name, count in counts.items() for _ in range(count)]
    return [every[i] for i in rng.permutation(len(every))]


def _with_slip(given: str, family: str, rng: np.random.Generator) -> tuple[str, str]:
    """One letter left out, added, changed or two turned round, in a word of three letters or more."""
    words = [*given.split(" "), family]
    long = [i for i, word in enumerate(words) if len(word) >= 3]
    at = int(rng.choice(long))
    while True:
        word = _slip(words[at].lower(), rng)
        if word != words[at].lower():
            break
    words[at] = word
    return " ".join(words[:-1]), words[-1]


def _slip(word: str, rng: np.random.Generator) -> str:
    at, letter = int(rng.integers(len(word))), LETTERS[int(rng.integers(26))]
    kind = int(rng.integers(4))
    if kind == 0:
        return word[:at] + word[at + 1 :]
    if kind == 1:
        return word[:at] + letter + word[at:]
    if kind == 2:
        return word[:at] + letter + word[at + 1 :]
    at = min(at, len(word) - 2)
    return word[:at] + word[at + 1] + word[at] + word[at + 2 :]


def _begun(word: str) -> str:
    """The first half of a word, of three letters at least."""
    return word[: max(3, (len(word) + 1) // 2)]


def in_full(query: Query) -> Query:
    """As drawn."""
    return query


def first_name(query: Query) -> Query:
    """With the first given name alone."""
    return replace(query, given=query.given.split(" ")[0])


def both_begun(query: Query) -> Query:
    """The first given name begun too, where the family name is."""
    one = first_name(query)
    return replace(one, given=_begun(one.given)) if query.kind == "begun" else one


WRITTEN: dict[str, Callable[[Query], Query]] = {
    "names in full": in_full,
    "first given name and family name": first_name,
    "the same, and of those begun both names begun": both_begun,
}


def run(
    search: Search, queries: list[Query], heads: dict[str, str]
) -> tuple[list[bool], list[float], list[float]]:
    """Whether each was answered rightly, and the milliseconds it took by the clock and of processor."""
    right, took, worked = [], [], []
    for query in queries:
        began, busy = time.perf_counter(), time.process_time()
        found = search.find(query.asked(), everyone=True)
        took.append((time.perf_counter() - began) * 1000)
        worked.append((time.process_time() - busy) * 1000)
        wanted = heads.get(query.person_id, query.person_id)
        right.append(wanted in [hit.person_id for hit in found.hits[:FIRST]])
    return right, took, worked


def shown(queries: list[Query], right: list[bool]) -> None:
    """Print the share found by kind and by what the query carries."""
    table = pl.DataFrame(
        {
            "kind": [q.kind for q in queries],
            "carries": [q.carries for q in queries],
            "common": [q.common for q in queries],
            "right": right,
        }
    )
    print(f"  {'':22}" + "".join(f"{name:>22}" for name in CARRIED) + f"{'all':>22}")
    for kind in [*KINDS, "all"]:
        rows = table if kind == "all" else table.filter(pl.col("kind") == kind)
        cells = [rows.filter(pl.col("carries") == carried) for carried in CARRIED] + [rows]
        print(f"  {kind:22}" + "".join(f"{_share(cell):>22}" for cell in cells))
    for carried, bar in BARS.items():
        share = float(table.filter(pl.col("carries") == carried).select(pl.col("right").mean()).item())
        print(f"  with {carried}: {share:.1%} (bar {bar:.0%}): {'held' if share >= bar else 'MISSED'}")
    low = 0
    print("  by name alone, by how many persons have that first given name and family name:")
    for most, name in HOW_COMMON:
        rows = table.filter(
            pl.col("carries") == "name alone", pl.col("common") > low, pl.col("common") <= most
        )
        low = most
        print(f"    {name:>8}: {_share(rows)}")


def _share(rows: pl.DataFrame) -> str:
    return f"{rows.select(pl.col('right').mean()).item():.1%} of {rows.height}" if rows.height else "-"


def ceiling(view: View, queries: list[Query], truth: pl.DataFrame) -> None:
    """What no search could tell apart were the right name known: of more than three persons alike, three."""
    people = _people(view, truth).with_columns(year=pl.col("date_of_birth").dt.year())
    first = pl.col("given_names").str.split(" ").list.first()
    for name, given in (("names in full", pl.col("given_names")), ("the first given name", first)):
        alike = people.with_columns(
            name=pl.concat_str(given, "family_name", separator=" ").str.to_lowercase()
        )
        for carried, more in {"year of birth": ["year"], "district": ["district"], "name alone": []}.items():
            counts = alike.group_by("name", *more).len()
            asked = pl.DataFrame({"person_id": [q.person_id for q in queries if q.carries == carried]})
            same = asked.join(alike, on="person_id").join(counts, on=["name", *more], nulls_equal=True)
            best = same.select((FIRST / pl.col("len")).clip(upper_bound=1.0).mean()).item()
            print(f"  the most that could be found with {carried} by {name}, rightly spelt: {best:.1%}")


def moment(home: Home, persons: int | None) -> datetime:
    """The moment by which so many persons were known; without a number, the end of the records."""
    known = home.require().records().table("person").group_by("person_id").agg(pl.col("known_from").min())
    firsts = known["known_from"].sort()
    at = firsts[min(persons, firsts.len()) - 1] if persons else firsts[-1]
    assert isinstance(at, datetime)
    return at if persons else max(at, datetime(2026, 1, 1, tzinfo=UTC)) + timedelta(days=1)


def main() -> None:
    """Draw, ask, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("home", type=Path)
    parser.add_argument("--truth", type=Path, required=True)
    parser.add_argument("--persons", type=int)
    parser.add_argument("--seed", type=int, default=99)
    parser.add_argument("--queries", type=int, default=2000)
    args = parser.parse_args()
    home = Home(args.home)
    load, t = home.require(), moment(home, args.persons)
    truth = pl.read_parquet(args.truth / "clusters.parquet")
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    clock = time.perf_counter()
    search = Search(load, t)
    print(
        f"{search.count:,} records as of {t:%Y-%m-%d}; index built in {time.perf_counter() - clock:.1f} s "
        f"({time.process_time() - began:.1f} s of processor), {search.bytes() / 1e6:.0f} MB; peak of the process "
        f"{before / 1e3:.0f} MB before, {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3:.0f} MB after"
    )
    view = View(load, t)
    queries = drawn(view, truth, args.queries, args.seed)
    heads = dict(view.clusters.select("person_id", "cluster_id").iter_rows())
    for name, written in WRITTEN.items():
        mine = [written(query) for query in queries]
        right, took, worked = run(search, mine, heads)
        print(f"\n{name}: {len(mine):,} queries, seed {args.seed}")
        shown(mine, right)
        p50, p95, p99 = np.percentile(took, [50, 95, 99])
        busy50, busy95 = np.percentile(worked, [50, 95])
        print(
            f"  in process: p50 {p50:.1f} ms, p95 {p95:.1f} ms, p99 {p99:.1f} ms, longest {max(took):.1f} ms; "
            f"of processor p50 {busy50:.1f} ms, p95 {busy95:.1f} ms"
        )
    print()
    ceiling(view, queries, truth)


if __name__ == "__main__":
    main()
