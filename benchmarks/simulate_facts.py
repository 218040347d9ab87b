"""The simulated force beside the published figures: facts counted on the written records, seed by seed.

    python benchmarks/simulate_facts.py --events-per-year 40000 --years 6 --seeds 1 2 3 4 5 --write

prints the table and, with --write, writes docs/simulated-force.md. Published figures live in
benchmarks/published_facts.toml with their sources; every simulated figure is counted on the extract (and, where one
person must be one person, through truth/clusters.parquet), never read from a parameter.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

import polars as pl

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from features.harm import load_scheme, price  # noqa: E402
from features.simulate import WORLDS, simulate  # noqa: E402

VIOLENCE = (
    "violence",
    "homicide",
    "harassment",
    "stalking",
    "coercive",
    "threats",
    "strangulation",
    "detention",
    "child",
)


def latest(frame: pl.DataFrame, key: list[str]) -> pl.DataFrame:
    """The newest version of each key that has not been withdrawn."""
    frame = frame.sort("recorded_at", maintain_order=True).group_by(key, maintain_order=True).last()
    return frame.filter(~pl.col("withdrawn"))


def auc(score: pl.Series, label: pl.Series) -> float:
    """Area under the curve with ties counted half."""
    rank = score.rank()
    n1 = int(label.sum())
    n0 = len(label) - n1
    return (float(rank.filter(label).sum()) - n1 * (n1 + 1) / 2) / (n1 * n0) if n1 and n0 else float("nan")


class Force:
    """The tables the facts are counted on."""

    def __init__(self, folder: Path, years: int) -> None:
        def read(name: str) -> pl.DataFrame:
            return pl.read_parquet(folder / "extract" / f"{name}.parquet")

        self.years, self.read = years, read
        self.clusters = pl.read_parquet(folder / "truth" / "clusters.parquet")
        self.unreported = pl.read_parquet(folder / "truth" / "unreported.parquet")
        self.event = latest(read("event"), ["event_id"])
        self.da = self.event.filter((pl.col("domestic") == "Y") & (pl.col("source") != "police_proactive"))
        self.crimes = self.da.filter(pl.col("kind") == "crime")
        offence = latest(read("offence"), ["offence_id"])
        self.offence = price(
            offence.join(self.da.select("event_id", "occurred_at"), on="event_id"), load_scheme()
        )
        involvement = latest(read("involvement"), ["event_id", "person_id", "role", "victim_id"])
        self.part = involvement.join(self.da.select("event_id", "occurred_at", "abuse"), on="event_id")
        self.suspect = (
            self.part.filter(pl.col("role") == "suspect")
            .select("event_id", "person_id", "victim_id", "relationship_to_victim", "occurred_at")
            .unique(maintain_order=True)
        )
        self.person = read("person")

    def facts(self) -> dict[str, float]:
        """Every fact of the table by name."""
        return {
            **self.volume(),
            **self.justice(),
            **self.people(),
            **self.repeats(),
            **self.harm(),
            **self.dash(),
            **self.quality(),
        }

    def volume(self) -> dict[str, float]:
        """Counts of records and their mix."""
        da, crimes = self.da, self.crimes
        all_da = self.event.filter(pl.col("domestic") == "Y")
        principal = (
            self.offence.filter(pl.col("event_id").is_in(crimes["event_id"].implode()))
            .sort("harm_cd", "offence_id", descending=[True, False])
            .group_by("event_id", maintain_order=True)
            .first()
        )
        violent = principal.select(pl.col("tags").list.set_intersection(sorted(VIOLENCE)).list.len() > 0)[
            "tags"
        ]
        proactive = all_da.filter(pl.col("source") == "police_proactive")
        other = self.event.filter(pl.col("domestic") == "N")
        true = self.unreported.select(pl.col("recorded").sum() / pl.col("true").sum()).item()
        homicide = self.offence.filter(pl.col("description").is_in(["Murder", "Manslaughter"]))[
            "event_id"
        ].n_unique()
        return {
            "events_per_year": len(all_da) / self.years,
            "non_crime_share": 1 - len(crimes) / len(da),
            "violence_share": float(violent.mean() or 0),
            "serious_share": float(principal["serious"].mean() or 0),
            "homicides_per_year": homicide / self.years,
            "proactive_share": len(proactive) / len(all_da),
            "other_share": len(other) / len(da),
            "reported_share": float(true),
            "children_share": (da["children_present"] > 0).mean(),
            "alcohol_share": float(da["alcohol"].mean() or 0),
        }

    def justice(self) -> dict[str, float]:
        """Arrest, charge, conviction per 100 crimes; outcomes; MARAC."""
        n = len(self.crimes) / 100
        custody = self.read("custody").join(self.da.select("event_id"), on="event_id")
        charged = custody.filter(pl.col("release").is_in(["charged_bail", "charged_remand"]))
        link = self.clusters
        verdict = (
            self.read("conviction")
            .filter(pl.col("disposal") != "caution")
            .join(link, on="person_id")
            .select("true_person", "convicted_on")
            .sort("convicted_on", "true_person")
        )
        tried = (
            charged.join(link, on="person_id")
            .select("true_person", "released_at")
            .sort("released_at", "true_person")
        )
        met = tried.join_asof(
            verdict,
            left_on="released_at",
            right_on="convicted_on",
            by="true_person",
            strategy="forward",
            tolerance="700d",
            check_sortedness=False,
        )
        outcome = self.offence.filter(pl.col("outcome_code").is_not_null())["outcome_code"]
        marac = self.read("intervention").filter(pl.col("scheme") == "MARAC")
        return {
            "arrests_per_100": len(custody) / n,
            "charges_per_100": len(charged) / n,
            "convictions_per_100": met["convicted_on"].is_not_null().sum() / n,
            "outcome_16": (outcome == "16").mean(),
            "outcome_15": (outcome == "15").mean(),
            "marac_per_year": len(marac) / self.years,
        }

    def people(self) -> dict[str, float]:
        """Who the victims and suspects are."""
        sex = self.person.select("person_id", "sex")
        victims = (
            self.part.filter(pl.col("role") == "victim")
            .join(self.crimes.select("event_id"), on="event_id")
            .join(sex, on="person_id")
        )
        suspects = self.suspect.join(sex, on="person_id").unique("person_id", maintain_order=True)
        mix = self.da.filter(pl.col("abuse").is_in(["intimate_current", "intimate_former", "familial"]))[
            "abuse"
        ]
        last = self.da.select(pl.col("occurred_at").max()).item()
        recent = (
            self.part.filter(pl.col("occurred_at") > last - pl.duration(days=1095)) if last else self.part
        )
        recent = recent.join(self.clusters, on="person_id")
        as_suspect = set(recent.filter(pl.col("role") == "suspect")["true_person"])
        as_victim = set(recent.filter(pl.col("role") == "victim")["true_person"])
        couple = mix.filter(mix != "familial")
        return {
            "victims_female": (victims["sex"] == "F").sum() / max(1, (victims["sex"] != "U").sum()),
            "suspects_male": (suspects["sex"] == "M").sum() / max(1, (suspects["sex"] != "U").sum()),
            "partner_share": len(couple) / len(mix),
            "former_share": (couple == "intimate_former").mean(),
            "dual_role_share": len(as_suspect & as_victim) / max(1, len(as_suspect | as_victim)),
        }

    def repeats(self) -> dict[str, float]:
        """How often dyads and suspects come back."""
        dyad = (
            self.suspect.filter(pl.col("victim_id").is_not_null())
            .group_by("person_id", "victim_id")
            .agg(n=pl.col("event_id").n_unique())
        )
        per = self.suspect.group_by("person_id").agg(
            n=pl.col("event_id").n_unique(), v=pl.col("victim_id").n_unique()
        )
        last = self.da.select(pl.col("occurred_at").max()).item()
        three = self.suspect.filter(pl.col("occurred_at") > last - pl.duration(days=1095))
        serial = three.group_by("person_id").agg(v=pl.col("victim_id").n_unique())
        crime = self.suspect.join(self.crimes.select("event_id"), on="event_id").sort(
            "occurred_at", "event_id"
        )
        first = (
            self.suspect.group_by("person_id")
            .agg(first=pl.col("occurred_at").min())
            .filter(pl.col("first") <= last - pl.duration(days=731))
        )
        later = (
            crime.join(first, on="person_id")
            .filter(
                (pl.col("occurred_at") > pl.col("first"))
                & (pl.col("occurred_at") <= pl.col("first") + pl.duration(days=731))
            )["person_id"]
            .n_unique()
        )
        return {
            "dyads_never_repeat": (dyad["n"] == 1).mean(),
            "dyads_five_or_more": (dyad["n"] >= 5).mean(),
            "events_per_suspect": float(per["n"].mean() or 0),
            "victims_per_suspect": float(per["v"].mean() or 0),
            "serial_share": (serial["v"] >= 2).mean(),
            "no_later_crime": 1 - later / max(1, len(first)),
        }

    def harm(self) -> dict[str, float]:
        """How harm is spread over suspects and dyads."""
        named = self.suspect.select("person_id").unique(maintain_order=True)
        per = self.offence.group_by("suspect_id").agg(h=pl.col("harm_cd").sum())
        all_h = named.join(per, left_on="person_id", right_on="suspect_id", how="left")["h"].fill_null(0)
        all_h = all_h.sort(descending=True)
        pairs = (
            self.suspect.filter(pl.col("victim_id").is_not_null())
            .select("person_id", "victim_id")
            .unique(maintain_order=True)
        )
        by_pair = self.offence.group_by("suspect_id", "victim_id").agg(
            h=pl.col("harm_cd").sum(), worst=pl.col("occurred_at").sort_by("harm_cd", descending=True).first()
        )
        pair = pairs.join(
            by_pair, left_on=["person_id", "victim_id"], right_on=["suspect_id", "victim_id"], how="left"
        )
        pair = pair.with_columns(pl.col("h").fill_null(0)).sort(
            "h", "person_id", "victim_id", descending=[True, False, False]
        )
        first = self.suspect.group_by("person_id", "victim_id").agg(first=pl.col("occurred_at").min())
        top = pair.head(max(1, round(0.02 * len(pair)))).join(first, on=["person_id", "victim_id"])
        total = max(1, int(all_h.sum()))
        return {
            "top_3_suspects": float(all_h.head(round(0.03 * len(all_h))).sum()) / total,
            "top_5_dyads": float(pair["h"].head(round(0.05 * len(pair))).sum())
            / max(1, int(pair["h"].sum())),
            "top_2_dyads": float(top["h"].sum()) / max(1, int(pair["h"].sum())),
            "top_dyads_unseen": (top["worst"] <= top["first"]).mean(),
        }

    def dash(self) -> dict[str, float]:
        """Does the grade tell who will be recorded for serious harm against anyone in the next year?"""
        grade = self.read("risk_assessment").join(self.da.select("event_id", "occurred_at"), on="event_id")
        last = self.da.select(pl.col("occurred_at").max()).item()
        seen = grade.filter(pl.col("completed_at") <= last - pl.duration(days=365)).sort(
            "completed_at", "assessment_id"
        )
        serious = (
            self.offence.filter(pl.col("serious"))
            .select(pl.col("suspect_id"), at=pl.col("occurred_at"))
            .sort("at")
        )
        seen = seen.select("assessment_id", "suspect_id", "completed_at", "grade")
        nxt = seen.join_asof(
            serious,
            left_on="completed_at",
            right_on="at",
            by="suspect_id",
            strategy="forward",
            tolerance="365d",
            check_sortedness=False,
            allow_exact_matches=False,
        )
        value = nxt["grade"].replace_strict({"standard": 1, "medium": 2, "high": 3}, return_dtype=pl.Int64)
        graded = len(self.read("risk_assessment")) / max(1, len(self.da))
        return {
            "dash_auc": auc(value, nxt["at"].is_not_null()),
            "dash_high": (grade["grade"] == "high").mean(),
            "dash_medium": (grade["grade"] == "medium").mean(),
            "dash_done": graded,
        }

    def quality(self) -> dict[str, float]:
        """Faults of the records."""
        lag = (self.da["recorded_at"] - self.da["occurred_at"]).dt.total_days()
        per = self.clusters.group_by("true_person").len()
        return {
            "duplicate_persons": (per["len"] > 1).mean(),
            "late_share": (lag > 30).mean(),
            "birth_missing": self.person["date_of_birth"].is_null().mean(),
            "ethnicity_self_missing": self.person["ethnicity_self"].is_null().mean(),
            "relationship_unknown": (self.suspect["relationship_to_victim"] == "unknown").mean(),
        }


def shown(value: float, unit: str) -> str:
    """A figure in the unit of its row."""
    if unit == "%":
        return f"{100 * value:.1f}"
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}" if value < 20 else f"{value:.1f}"


def table(results: dict[int, dict[str, float]], doc: dict[str, Any], scale: float) -> list[str]:
    """The rows of the page: published, bound, mean over seeds, each seed, and whether the bound holds."""
    seeds = sorted(results)
    lines = [
        "| fact | published | source | held to | simulated, mean | "
        + " | ".join(f"seed {s}" for s in seeds)
        + " | |",
        "|---|---|---|---|---:|" + "---:|" * len(seeds) + "---|",
    ]
    for row in doc["fact"]:
        values = [results[s][row["key"]] * (scale if row.get("scaled") else 1.0) for s in seeds]
        unit = row["unit"]
        low, high = row.get("bound", [None, None])
        verdict = "" if low is None else "holds" if all(low <= v <= high for v in values) else "**differs**"
        bound = "" if low is None else f"{shown(low, unit)} to {shown(high, unit)}"
        lines.append(
            f"| {row['title']}{', %' if unit == '%' else ''} | {row.get('published', '')} | "
            f"{row.get('source', '')} | {bound} | {shown(sum(values) / len(values), unit)} | "
            + " | ".join(shown(v, unit) for v in values)
            + f" | {verdict} |"
        )
    return lines


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events-per-year", type=int, default=40_000)
    parser.add_argument("--years", type=int, default=6)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--world", choices=WORLDS, default="base")
    parser.add_argument("--write", action="store_true", help="write docs/simulated-force.md")
    args = parser.parse_args()
    doc = tomllib.loads((ROOT / "benchmarks" / "published_facts.toml").read_text(encoding="utf-8"))
    results, summaries = {}, {}
    for seed in args.seeds:
        folder = Path(tempfile.mkdtemp())
        try:
            summaries[seed] = simulate(folder, args.events_per_year, args.years, seed, args.world)
            results[seed] = Force(folder, args.years).facts()
        finally:
            shutil.rmtree(folder)
        print(f"seed {seed}: {summaries[seed]['seconds']}", file=sys.stderr)
    lines = table(results, doc, 40_000 / args.events_per_year)
    print("\n".join(lines))
    if args.write:
        write_page(lines, doc, args, summaries)
    return 0


def write_page(
    lines: list[str], doc: dict[str, Any], args: argparse.Namespace, summaries: dict[int, Any]
) -> None:
    """docs/simulated-force.md."""
    any_summary = next(iter(summaries.values()))
    page = [
        "# The simulated force beside the published figures",
        "",
        f"Version `{any_summary['made_by']}`, hash `{any_summary['hash'][:16]}`. "
        f"{args.events_per_year:,} recorded domestic events a year for {args.years} years, "
        f"world `{args.world}`, seeds {', '.join(str(s) for s in sorted(summaries))}. "
        f"Made by `python benchmarks/simulate_facts.py --events-per-year {args.events_per_year} --years {args.years} "
        "--seeds " + " ".join(str(s) for s in sorted(summaries)) + " --write`.",
        "",
        doc["intro"].strip(),
        "",
        *lines,
        "",
        "## Where the two differ",
        "",
        doc["differs"].strip(),
        "",
        "## Sources",
        "",
        *[f"- **{k}**: {v}" for k, v in doc["sources"].items()],
        "",
    ]
    (ROOT / "docs" / "simulated-force.md").write_text("\n".join(page), encoding="utf-8")


if __name__ == "__main__":
    raise SystemExit(main())
