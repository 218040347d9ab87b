"""Who is who, measured: two public sets with truth, the simulated force, speed, and what linkage does to the list.

    python -m benchmarks.linkage FORCE             # a folder with extract/ and truth/ (doorstep simulate FORCE ...)
    python -m benchmarks.linkage FORCE --copies 9  # also so many forces' nominals at once, for time and memory
    python -m benchmarks.linkage FORCE --first 350000  # only: its nominals first known, time, memory and curve

Prints, for every threshold, precision, recall and F1 of pairs after clustering, and the bars at the one threshold of
``features/data/linkage.toml``. ``--data DIR`` holds er/febrl_dataset1.parquet and er/rldata500.parquet; without them
the two sets are left out and that is said.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from features.apart import open_identity
from features.clocks import parse_as_of
from features.cohort import cohort
from features.histories import histories
from features.home import Home
from features.ingest import ingest
from features.linkage import store
from features.linkage.fields import VARIANT, settings, spelt, variants
from features.linkage.model import learn, scored
from features.linkage.pairs import staircase
from features.linkage.run import link
from features.nominals import PAIRS, Links, clusters_at, onto

THRESHOLDS = (0.05, 0.2, 0.5, 0.7, 0.8, 0.9, 0.93, 0.95, 0.97, 0.99, 0.999)
SINCE = datetime(2000, 1, 1, tzinfo=UTC)
EVER = datetime(2100, 1, 1, tzinfo=UTC)
DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def febrl(folder: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Variants and truth (person_id, entity) of febrl_dataset1; the social security number is not used."""
    raw = _numbered(pl.read_parquet(folder / "er" / "febrl_dataset1.parquet"))
    line = pl.concat_str("street_number", "address_1", separator=" ", ignore_nulls=True)
    rows = raw.select(
        "person_id",
        "date_of_birth",
        "postcode",
        given_names="given_name",
        family_name="surname",
        line=line,
        area="suburb",
    )
    return _one_way(rows.with_columns(address=pl.col("line") + pl.col("postcode"))), _truth(raw)


def rldata(folder: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Variants and truth of rldata500: names and birth dates are all there is."""
    raw = _numbered(pl.read_parquet(folder / "er" / "rldata500.parquet"))
    rows = raw.select(
        "person_id",
        given_names=pl.concat_str("fname_c1", "fname_c2", separator=" ", ignore_nulls=True),
        family_name=pl.concat_str("lname_c1", "lname_c2", separator=" ", ignore_nulls=True),
        date_of_birth=pl.concat_str("by", pl.col("bm").str.zfill(2), pl.col("bd").str.zfill(2)),
        **{name: pl.lit(None, dtype=pl.String) for name in ("address", "line", "postcode", "area")},
    )
    return _one_way(rows), _truth(raw)


def _numbered(raw: pl.DataFrame) -> pl.DataFrame:
    number = pl.int_range(pl.len()).cast(pl.String).str.zfill(6)
    return raw.with_columns(person_id="N" + number)


def _truth(raw: pl.DataFrame) -> pl.DataFrame:
    return raw.select("person_id", entity=pl.col("entity_id").cast(pl.String))


def _one_way(rows: pl.DataFrame) -> pl.DataFrame:
    made = spelt(rows.with_columns(sex=pl.lit(None, dtype=pl.String))).with_columns(
        unique_id=pl.col("person_id") + "#0", known_from=pl.lit(SINCE).cast(pl.Datetime("us", "UTC"))
    )
    return made.select(VARIANT.keys())


def curve(name: str, ways: pl.DataFrame, pairs: pl.DataFrame, truth: pl.DataFrame) -> dict[str, float]:
    """Print precision, recall and F1 by threshold; returns them at the one in use."""
    real = _pairs(truth.group_by("entity").len())
    chosen = float(settings()["threshold"]["same_person"])
    first = ways.group_by("person_id").agg(pl.col("known_from").min())
    print(f"\n{name}: {truth.height:,} records, {real:,} true pairs")
    print(" threshold   pairs  precision  recall      F1")
    out: dict[str, float] = {}
    for threshold in sorted({*THRESHOLDS, chosen}):
        links = Links(pairs.filter(pl.col("probability") >= threshold), threshold, persons=first)
        found = clusters_at(links, EVER).join(truth, on="person_id")
        said, right = (
            _pairs(found.group_by("cluster_id").len()),
            _pairs(found.group_by("cluster_id", "entity").len()),
        )
        precision, recall = right / max(said, 1), right / max(real, 1)
        f1 = 2 * precision * recall / max(precision + recall, 1e-9)
        mark = "  <- in use" if threshold == chosen else ""
        print(f"{threshold:10.3f} {said:7,} {precision:10.4f} {recall:7.4f} {f1:7.4f}{mark}")
        if threshold == chosen:
            out = {"precision": precision, "recall": recall, "f1": f1}
    return out


def _pairs(groups: pl.DataFrame) -> int:
    return int((groups["len"].cast(pl.Int64) * (groups["len"].cast(pl.Int64) - 1) // 2).sum())


def public(name: str, ways: pl.DataFrame, truth: pl.DataFrame) -> dict[str, float]:
    """Learn, compare and print the curve of one public set."""
    steps = staircase(scored(ways, learn(ways), 0.01), ways)
    return curve(name, ways, steps.select(PAIRS.keys()), truth)


def effect(home: Home, t: datetime) -> None:
    """The list with and without links: cohort, the first 100 by harm and by count, and why somebody entered."""
    linked = home.require().records()
    clusters = clusters_at(linked.links, t)
    several = clusters["cluster_id"].unique().implode()
    columns = {
        "harm_days_730d": "harm recorded in two years",
        "domestic_events_365d": "domestic events in a year",
    }
    rows = {}
    for name, records in (("without", replace(linked, links=None)), ("with", linked)):
        people = cohort(records, t).filter("in_scope").select("person_id")
        rows[name] = histories(records, "offender", t, people, columns=list(columns))
    sizes = {name: frame.height for name, frame in rows.items()}
    print(
        f"\nThe list as of {t:%Y-%m-%d}: in scope {sizes['without']:,} records without links, "
        f"{sizes['with']:,} persons with"
    )
    for column, said in columns.items():
        first = {
            name: frame.sort([column, "person_id"], descending=[True, False]).head(100)["person_id"]
            for name, frame in rows.items()
        }
        before = onto(first["without"].to_frame(), clusters)["person_id"].unique()
        entered = first["with"].filter(~first["with"].is_in(before.implode()))
        added_up = int(entered.is_in(several).sum())
        print(
            f"  first 100 by {said}: {100 - len(entered)} there without links too; {len(entered)} entered, "
            f"{added_up} as their records were added up, {len(entered) - added_up} by a free place or a tie;\n"
            f"    {100 - len(before)} places without links were a second place of one person; "
            f"{int(first['with'].is_in(several).sum())} of the 100 have more than one record"
        )


def large(home: Home, copies: int) -> None:
    """Time and memory of a many times larger force: its nominals over and over, told apart by other names and days."""
    load = home.require()
    tables = dict(open_identity(load)) | {"involvement": load.records().table("involvement")}
    ways, _ = variants(tables)
    rows = []
    for number in range(copies):
        letters = chr(97 + number % 26) + chr(97 + number // 26)
        tell = pl.lit(f"~{number}")
        rows.append(
            ways.with_columns(
                person_id=pl.col("person_id") + tell,
                unique_id=pl.col("person_id") + tell + "#" + pl.col("unique_id").str.split("#").list.last(),
                family=pl.when(pl.col("family").hash(number) % 2 == 0)
                .then("family")
                .otherwise(pl.col("family") + letters),
                address=pl.col("address") + tell,
                postcode=pl.col("postcode") + tell,
                born=pl.concat_str(
                    (pl.col("born").str.slice(0, 4).cast(pl.Int32) - number % 7).cast(pl.String),
                    pl.col("born").str.slice(4),
                ),
            )
        )
    timed(pl.concat(rows))


def first(home: Home, number: int, truth: pl.DataFrame) -> None:
    """Time, memory and curve of so many nominals of a force, those first known; nothing is written."""
    load = home.require()
    tables = dict(open_identity(load)) | {"involvement": load.records().table("involvement")}
    known = tables["person"].group_by("person_id").agg(pl.col("known_from").min())
    kept = known.sort("known_from", "person_id").head(number).select("person_id")
    for name in ("person", "alias", "residence", "involvement"):
        tables[name] = tables[name].join(kept, on="person_id", how="semi")
    ways, _ = variants(tables)
    curve("simulated force", ways, timed(ways), truth.join(kept, on="person_id", how="semi"))


def timed(many: pl.DataFrame) -> pl.DataFrame:
    """Learn, compare and cluster; print seconds by the clock and of the processor, and peak memory; returns pairs."""
    busy, began = time.process_time(), time.perf_counter()
    model = learn(many)
    learnt = time.perf_counter()
    pairs = staircase(scored(many, model, settings()["learning"]["keep_from"]), many)
    done = time.perf_counter()
    links = Links(pairs.select(PAIRS.keys()), float(settings()["threshold"]["same_person"]))
    found = clusters_at(links, EVER).height
    ended = time.perf_counter()
    busy = time.process_time() - busy
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    print(
        f"\n{many['person_id'].n_unique():,} nominals known in {many.height:,} ways: learn {learnt - began:.0f} s, "
        f"compare {done - learnt:.0f} s, clusters {ended - done:.1f} s ({found:,} records joined): "
        f"{ended - began:.0f} s in all, {busy:.0f} s of processor, {memory:.1f} GB at the peak"
    )
    return pairs.select(PAIRS.keys())


def main() -> None:
    """Run what was asked for and print the bars."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("force", type=Path)
    asked.add_argument("--data", type=Path, default=DATA)
    asked.add_argument("--as-of", default="2025-06-01")
    asked.add_argument("--home", type=Path, help="a home that holds the force already, linked or not")
    asked.add_argument("--copies", type=int, default=0)
    asked.add_argument("--first", type=int, default=0)
    args = asked.parse_args()
    truth = pl.read_parquet(args.force / "truth" / "clusters.parquet").rename({"true_person": "entity"})
    if args.first:
        with tempfile.TemporaryDirectory() as place:
            home = Home(args.home or Path(place) / "home")
            if args.home is None:
                ingest(args.force / "extract", home)
            first(home, args.first, truth)
        return
    bars: list[tuple[str, float, float]] = []
    for name, read, least in (("febrl_dataset1", febrl, 0.99), ("rldata500", rldata, 0.95)):
        if not (args.data / "er" / f"{name}.parquet").is_file():
            print(f"{name}: not in {args.data}, left out")
            continue
        bars.append((f"{name} F1", public(name, *read(args.data))["f1"], least))
    with tempfile.TemporaryDirectory() as place:
        home = Home(args.home or Path(place) / "home")
        if args.home is None:
            ingest(args.force / "extract", home)
        began = time.perf_counter()
        run = link(home)
        print(f"\ndoorstep link: {time.perf_counter() - began:.0f} s\n{run.render()}")
        load = home.require()
        person = load.records().table("person")
        truth = truth.join(person.select("person_id").unique(), on="person_id")
        ways = store.table(home.path, load.load_id, "persons")
        found = curve("simulated force", ways, store.table(home.path, load.load_id, "pairs"), truth)
        bars += [
            ("simulated precision", found["precision"], 0.995),
            ("simulated recall", found["recall"], 0.93),
        ]
        effect(home, parse_as_of(args.as_of))
        if args.copies:
            large(home, args.copies)
    print("\nBars at one threshold, unchanged:")
    for name, value, least in bars:
        print(f"  {name:<22} {value:.4f}  at least {least}  {'met' if value >= least else 'MISSED'}")


if __name__ == "__main__":
    main()
