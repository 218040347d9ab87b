"""A link run: compare every nominal of a load once, write down the evidence, say what came of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import polars as pl

from features.apart import open_identity
from features.errors import InputError
from features.home import Home
from features.linkage import store
from features.linkage.fields import settings, variants
from features.linkage.model import learn, scored
from features.linkage.pairs import staircase, two_people
from features.nominals import PAIRS, clusters_at

Progress = Callable[[str, int, int], None]
STAGES = 7
"""Reading, three of learning, comparing, what is kept apart, writing."""


@dataclass(frozen=True)
class Linked:
    """What a link run found, in counts; ``changed`` is False when it was all there already."""

    run: dict[str, Any]
    counts: dict[str, Any]
    changed: bool

    def to_dict(self) -> dict[str, Any]:
        """For machines."""
        return {
            "load_id": self.run["load_id"],
            "run_id": self.run["run_id"],
            "changed": self.changed,
        } | self.counts

    def render(self) -> str:
        """For people; no name is in it."""
        c = self.counts
        done = "compared" if self.changed else "compared already; the pairs stand"
        said = [
            f"{c['nominals']:,} nominals, known in {c['variants']:,} ways, {done}.",
            f"  {c['clusters']:,} persons have more than one record ({c['doubled']:,} records); "
            f"{c['persons']:,} persons in all, at a match of {c['threshold']:.2f} or better.",
            f"  {c['uncertain']:,} uncertain pairs to look at: doorstep link review --by NAME --purpose review",
            f"  {c['decisions']:,} decisions of reviewers honoured; {c['below_sure']:,} persons rest on a match "
            f"below {settings()['threshold']['sure']:.1f}.",
        ]
        if c["cut_off"]:
            said.append(f"  {c['cut_off']:,} further ways of being known were left out (limits.variants).")
        return "\n".join(said)


def link(
    home: Home, threshold: float | None = None, again: bool = False, progress: Progress | None = None
) -> Linked:
    """Link the nominals of the current load.

    Pairs are scored once: a second call answers from what is written, with another ``threshold`` if one is given;
    ``again`` scores them anew. Raises InputError for a threshold outside (0, 1] or when there is too little to learn
    from. Everything is written or nothing.
    """
    load = home.require()
    if threshold is not None and not 0.0 < threshold <= 1.0:
        raise InputError(
            f"{threshold} is no probability.", where="--threshold", cure="Give a number above 0, up to 1."
        )
    run = store.run_of(home.path, load.load_id)
    records = load.records()
    base = replace(records, links=None, catalogue=None).state  # the load, and what was added to it since
    if run is not None and not again and run["records"] == base and run["settings"] == settings()["version"]:
        if threshold is not None and threshold != run["threshold"]:
            store.set_threshold(home.path, load.load_id, threshold)
        return _told(home, changed=False)
    tell = _Stages(progress)
    tell("reading names and addresses")
    tables = dict(open_identity(load)) | {"involvement": records.table("involvement")}
    ways, cut_off = variants(tables)
    model = learn(ways, tell)
    tell("comparing pairs")
    steps = staircase(scored(ways, model, settings()["learning"]["keep_from"]), ways)
    tell("what the force itself keeps apart")
    pairs = steps.select(PAIRS.keys())
    person = records.table("person").group_by("person_id").agg(pl.col("known_from").min()).sort("person_id")
    frames = {"pairs": pairs, "apart": two_people(records, pairs), "persons": person, "shown": _best(steps)}
    tell("writing")
    threshold = float(settings()["threshold"]["same_person"] if threshold is None else threshold)
    document = {
        "load_id": load.load_id,
        "records": base,
        "threshold": threshold,
        "settings": settings()["version"],
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {name: _version(name) for name in ("splink", "duckdb", "polars")},
        "weights": model.weights,
        "prior": model.settings["probability_two_random_records_match"],
        "nominals": person.height,
        "variants": ways.height,
        "cut_off": cut_off,
    }
    digest = hashlib.sha256(pairs.hash_rows(1).to_numpy().tobytes())
    digest.update(json.dumps([document["load_id"], base, document["settings"]]).encode())
    document["run_id"] = f"k-{digest.hexdigest()[:12]}"
    store.write_run(home.path, load.load_id, frames, document)
    tell("done")
    return _told(home, changed=True)


class _Stages:
    """Says each stage as it begins, with how many are done; a stage told again is a further round of the same."""

    def __init__(self, progress: Progress | None) -> None:
        self.progress, self.stage, self.done, self.round = progress, "", -1, 1

    def __call__(self, stage: str) -> None:
        again = stage == self.stage
        self.round = self.round + 1 if again else 1
        self.done += 0 if again else 1
        self.stage = stage
        if self.progress is not None:
            self.progress(f"{stage}, round {self.round}" if again else stage, self.done, STAGES)


def uncertain(home: Home, load_id: str) -> pl.DataFrame:
    """Pairs for a person to look at, the likeliest first: what was best known of each, and not yet decided on.

    Columns as ``shown.parquet``: person_id_a, person_id_b, probability, known_from, the two variants and the weights.
    """
    limits = settings()["review"]
    shown = store.table(home.path, load_id, "shown")
    said = {(one["person_id_a"], one["person_id_b"]) for one in store.decisions(home.path)}
    band = shown.filter(pl.col("probability").is_between(limits["lowest"], limits["highest"]))
    done = pl.DataFrame(sorted(said), schema=["person_id_a", "person_id_b"], orient="row") if said else None
    if done is not None:
        band = band.join(done, on=["person_id_a", "person_id_b"], how="anti")
    return band.sort(["probability", "person_id_a", "person_id_b"], descending=[True, False, False])


def _best(steps: pl.DataFrame) -> pl.DataFrame:
    """The last and highest step of every pair."""
    keys = ["person_id_a", "person_id_b"]
    return steps.sort(*keys, "probability").unique(keys, keep="last", maintain_order=True)


def _told(home: Home, changed: bool) -> Linked:
    """Counts of what stands now, from what is written."""
    load = home.require()
    run = store.run_of(home.path, load.load_id)
    assert run is not None
    links = load.records().links
    clusters = clusters_at(links, datetime.now(UTC))
    sizes = clusters.group_by("cluster_id").agg(pl.len().alias("n"), pl.col("certainty").min())
    counts = {
        "nominals": run["nominals"],
        "variants": run["variants"],
        "cut_off": run["cut_off"],
        "threshold": float(run["threshold"]),
        "clusters": sizes.height,
        "doubled": clusters.height,
        "persons": run["nominals"] - clusters.height + sizes.height,
        "uncertain": uncertain(home, load.load_id).height,
        "decisions": len(store.decisions(home.path)),
        "below_sure": sizes.filter(pl.col("certainty") < settings()["threshold"]["sure"]).height,
        "by_size": {str(n): int(k) for n, k in sizes["n"].value_counts().sort("n").iter_rows()},
    }
    return Linked(run, counts, changed)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
