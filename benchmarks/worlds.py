"""The claims on four simulated forces: what the families add to the simple rules, and how near the truth they come.

    python -m benchmarks.worlds FOLDER                       # all four worlds
    python -m benchmarks.worlds FOLDER --worlds base --families elastic_net,ebm --origins 4

Each force (6,000 events a year for 8 years by default) is simulated, loaded and linked once; models are made at past
origins from what was known then and judged on the months that followed, on the same persons as every rule. The oracle
is the simulation's own expected recorded harm at the first T of each origin. A run that was stopped takes up where it
was. Figures are results, never targets: no world was tuned to a model.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from features.home import Home
from features.ingest import ingest
from features.linkage.run import link
from features.simulate import simulate
from models.backtest import backtest, spans
from models.dataset import Source
from models.training import last_known

WORLDS = ("base", "no_escalation", "biased_recording", "list_drives_recording")
RULES = ("last_dash", "count_365", "harm_365", "v100", "rfgv", "ogrs3", "age_priors")


def prepared(folder: Path, world: str, events: int, years: int, seed: int, origins: int, months: int) -> Home:
    """The world's force in a home, linked; with the oracle's scores at the first T of each origin."""
    place = folder / world
    home = Home(place / "home")
    if not (place / "ready").is_file():
        simulate(place / "force", events_per_year=events, years=years, seed=seed, world=world)
        ingest(place / "force" / "extract", home)
        records = home.require().records()
        end = last_known(records)
        assert end is not None
        source = Source.of(records, end)
        dates = [f"{chunk[0]:%Y-%m-%d}" for chunk in spans(records, end, source.delay_days, origins, months)]
        simulate(place / "force", events_per_year=events, years=years, seed=seed, world=world, oracle=dates)
        link(home)
        (place / "ready").write_text("simulated, loaded, linked", encoding="utf-8")
    return home


def claims(world: str, tables: Mapping[str, Any], families: list[str]) -> dict[str, Any]:
    """The figures that the page of results quotes."""
    pooled = {r["score"]: r for r in tables["ranking"] if r["t"] == "pooled" and r["cohort"] == "all"}
    active = {r["score"]: r for r in tables["ranking"] if r["t"] == "pooled" and r["cohort"] == "active_365"}
    oracle = {r["score"]: r for r in tables["oracle"] if r["t"] == "pooled"}
    rules = [r for r in RULES if r in pooled]
    best = max(rules, key=lambda r: pooled[r]["auc"] or 0.0)
    gap = next(r for r in tables["difference"] if r["rule"] == best and r["figure"] == "auc")
    caught = max(rules, key=lambda r: pooled[r]["capture_1pc"] or 0.0)
    p = next(r for r in tables["probability"] if r["t"] == "pooled" and r["cohort"] == "all")
    named = {"model": families[0], **{f: f for f in families[1:]}}
    return {
        "world": world,
        "auc": {named.get(s, s): pooled[s]["auc"] for s in [*named, best]},
        "auc_active": {named.get(s, s): active[s]["auc"] for s in [*named, best] if s in active},
        "best_rule": best,
        "auc_gain": [gap["difference"], gap["low"], gap["high"]],
        "capture_1pc": {named.get(s, s): pooled[s]["capture_1pc"] for s in [*named, caught]},
        "capture_best_rule": caught,
        "oracle_100": {named.get(s, s): oracle[s]["ratio_100"] for s in [*named, *rules] if s in oracle},
        "slope": p["slope"],
        "harm": {r["part"]: r["observed_over_expected"] for r in tables["harm"]},
        "leak_suspect": tables["leak_suspect"],
    }


def told(found: Mapping[str, Any]) -> str:
    """One world in a few lines."""

    def row(name: str) -> str:
        return ", ".join(f"{k} {v:.3f}" for k, v in found[name].items() if v is not None)

    gain = "{:+.3f} [{:+.3f}, {:+.3f}]".format(*found["auc_gain"])
    return "\n".join(
        [
            f"{found['world']}",
            f"  AUC, everyone: {row('auc')}; gain over the best rule ({found['best_rule']}) {gain}",
            f"  AUC, active in 365 days: {row('auc_active')}",
            f"  harm captured by the first 1 %: {row('capture_1pc')}",
            f"  ratio to the oracle at 100: {row('oracle_100')}",
            f"  calibration slope {found['slope']:.2f}; harm recorded over expected: {row('harm')}"
            + ("; LEAK-SUSPECT" if found["leak_suspect"] else ""),
        ]
    )


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.worlds", description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--worlds", default=",".join(WORLDS))
    parser.add_argument("--families", default="elastic_net,scorecard,ebm,boosted")
    parser.add_argument("--events-per-year", type=int, default=6000)
    parser.add_argument("--years", type=int, default=8)
    parser.add_argument("--seed", type=int, default=21)
    parser.add_argument("--origins", type=int, default=4)
    parser.add_argument("--months", type=int, default=6)
    options = parser.parse_args()
    families = options.families.split(",")
    out = []
    for world in options.worlds.split(","):
        begun, cpu = time.perf_counter(), time.process_time()
        home = prepared(
            options.folder,
            world,
            options.events_per_year,
            options.years,
            options.seed,
            options.origins,
            options.months,
        )
        truth = options.folder / world / "force" / "truth"
        found = backtest(home, families, options.origins, months=options.months, truth=truth)
        row = claims(world, found.tables, families)
        out.append(row)
        print(told(row))
        print(
            f"  {time.perf_counter() - begun:.0f} s by the clock, {time.process_time() - cpu:.0f} CPU-s",
            flush=True,
        )
        (options.folder / "claims.json").write_text(json.dumps(out, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
