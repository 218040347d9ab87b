"""The demonstration: a force that never was, from records to pages, each step done once."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from api.commands.shared import write_down
from api.console import write
from features.clocks import parse_as_of
from features.errors import InputError
from features.home import Home

LAST_DAY = "2026-01-01"  # simulated records end with 2025
WEEK = timedelta(days=7)
STAMP = "demo.json"


class Demo:
    """A simulated force in ``out`` (extract, truth) with its home beside it.

    Two lists are published a week apart, so that the page shows who is new, who moved and who is gone; the model
    uses nothing recorded after the first of them.
    """

    def __init__(
        self, out: Path, *, events_per_year: int, years: int, seed: int, say: Callable[[str], None]
    ) -> None:
        self.out, self.say = out, say
        self.home = Home(out / "home")
        self.asked = {"events_per_year": events_per_year, "years": years, "seed": seed}
        self.t = parse_as_of(LAST_DAY)

    def build(self, *, fresh: bool = False) -> dict[str, Any]:
        """Do what is not yet done; returns seconds by step and the list that is served.

        Raises InputError when ``out`` holds something that is not such a demonstration, or one of other settings.
        """
        self._claim(fresh)
        took: dict[str, float] = {}
        for name, step in (
            ("simulate", self._simulate),
            ("ingest", self._ingest),
            ("link", self._link),
            ("train", self._train),
            ("score", self._score),
            ("publish", self._publish),
        ):
            began = time.perf_counter()
            said = step()
            took[name] = round(time.perf_counter() - began, 1)
            self.say(f"{name:<9} {took[name]:6.1f} s  {said}")
        return {"home": str(self.home.path), "seconds": took, "list_id": self._latest()}

    def _claim(self, fresh: bool) -> None:
        """Make the folder ours, or refuse to touch what is not."""
        stamp = self.out / STAMP
        made = json.loads(stamp.read_text(encoding="utf-8")) if stamp.is_file() else None
        if self.out.exists() and made is None and any(self.out.iterdir()):
            raise InputError(
                f"{self.out} is not empty and holds no demonstration.",
                where="--out",
                cure="Choose another folder.",
            )
        if made is not None and made != self.asked and not fresh:
            raise InputError(
                f"{self.out} holds a demonstration of other settings ({made}).",
                where="--out",
                cure="Add --fresh to make it again, or choose another folder.",
            )
        if made is not None and fresh:
            shutil.rmtree(self.out)
        self.out.mkdir(parents=True, exist_ok=True)
        stamp.write_text(json.dumps(self.asked) + "\n", encoding="utf-8")

    def _simulate(self) -> str:
        if (self.out / "extract" / "extract.json").is_file() and (self.out / "truth").is_dir():
            return "the simulated force is there already"
        from features.simulate import simulate

        half = self.out / "half-made"
        shutil.rmtree(half, ignore_errors=True)
        asked = self.asked
        simulate(half, events_per_year=asked["events_per_year"], years=asked["years"], seed=asked["seed"])
        for part in ("truth", "extract"):  # the extract last: its presence says that all of it is there
            shutil.rmtree(self.out / part, ignore_errors=True)
            (half / part).rename(self.out / part)
        shutil.rmtree(half)
        return f"{self.asked['events_per_year']:,} events a year for {self.asked['years']} years, nobody real"

    def _ingest(self) -> str:
        from features.ingest import ingest

        report = ingest(self.out / "extract", self.home)
        if report.changed:
            write_down(
                self.home, "collection", "ingest", detail=f"load {report.load.load_id}: the demonstration"
            )
        return f"load {report.load.load_id}" + ("" if report.changed else " is there already")

    def _link(self) -> str:
        from importlib.util import find_spec

        if find_spec("splink") is None:
            return "left out: the er extra is not installed, so every record is its own person"
        from features.linkage.run import link

        found = link(self.home)
        write_down(self.home, "combination", "link", purpose="review", detail=f"run {found.run['run_id']}")
        return f"{found.counts['clusters']:,} persons with more than one record, nothing merged"

    def _train(self) -> str:
        from models.store import champion_version

        version = champion_version(self.home.path)
        if version is not None:
            return f"model {version} is there already"
        from models.training import train

        made = train(self.home, self._first())
        until = made.doc["training"]["until"][:10]
        return f"model {made.doc['version']}, nothing recorded after {until}; on trial, approved by nobody"

    def _score(self) -> str:
        from models.store import champion
        from risk.score import FILE_COLUMNS, score_cohort

        out = self.out / "scores.parquet"
        if out.is_file():
            return f"{out} is there already"
        scored = score_cohort(self.home.require(), champion(self.home.path), self.t)
        persons = scored.frame["person_id"].to_list()
        write_down(self.home, "disclosure", "scores", persons=persons, purpose="review", detail=out.name)
        write(scored.frame.select(FILE_COLUMNS), out)
        return f"{scored.frame.height:,} persons in {out}"

    def _publish(self) -> str:
        from risk.priority import publish

        publish(self.home, self._first())
        made = publish(self.home, self.t)
        counts = made.facts["counts"]
        return f"list {made.list_id}: {counts['listed']:,} listed of {counts['ranked']:,} scored and ranked"

    def accounts(self) -> list[str]:
        """An account of each role with a fresh password for all, as lines to print."""
        from api.auth.first import demo_accounts
        from risk.store import Database

        db = Database.of(self.home.path)
        password, made = demo_accounts(db)
        db.close()
        width = max(len(username) for username, _ in made)
        rows = [f"  {username:<{width}}  {role}" for username, role in made]
        return ["Sign in as one of these, nobody real:", *rows, f"all with the password {password}"]

    def _first(self) -> datetime:
        return self.t - WEEK

    def _latest(self) -> str:
        from risk.published import read_list

        return read_list(self.home).list_id
