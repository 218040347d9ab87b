"""What officers wait for: the service on a large force at an open rate, while lists are published and rows come in.

    python -m benchmarks.serving HOME [--minutes 10] [--rate 50] [--seed 7] [--json FILE]

HOME is a home to work in with a load, a model in use and a published list; **accounts, audit rows, lists and an event a
minute are added to it**, so give it a copy. Everything runs on the machine at hand at the same time: the service (one
process, ``benchmarks.serving.served``), this load generator, one ``doorstep publish`` a minute and one append a minute,
each a process of its own.

The mix (``MIX``) is of pages and their JSON, by officers of three roles, each signed in with a task of their own. Half
of the persons opened are on the latest list, half are suspects of the newest events (``RECENT`` of them: those for whom
calls come in). Times are from the moment a request should have left. Afterwards every answered request is looked for in
the audit trail, and the trail is verified. Then the list's JSON and a guarded route that writes the same row and
returns {} are asked by turns, as fast as they answer.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import polars as pl
import sqlalchemy as sa

from api.auth import accounts, sessions
from benchmarks.serving.alone import settle, told
from benchmarks.serving.day import Day, append_event
from benchmarks.serving.load import Ask, Connections, Seen, closed_loop, open_loop
from benchmarks.serving.served import EMPTY
from features.home import Home, Load
from risk.audit import rows, verify
from risk.published import read_list
from risk.store import Database
from risk.store.tables_audit import AUDIT

BARS = {"list": 100.0, "person": 100.0, "sheet": 200.0, "search": 150.0}
"""p95 in milliseconds of the routes whose names begin so."""
OFFICERS = {"proactive": 12, "dalo": 12, "supervisor": 6}
PURPOSE = {"proactive": "investigation", "dalo": "attending", "supervisor": "investigation"}
MIX = (
    (0.24, "list page", ("proactive", "supervisor")),
    (0.06, "list JSON", ("proactive", "supervisor")),
    (0.22, "person page", ("proactive", "dalo", "supervisor")),
    (0.04, "person JSON", ("supervisor",)),
    (0.18, "sheet page", ("dalo", "supervisor")),
    (0.02, "sheet JSON", ("dalo",)),
    (0.14, "search JSON", ("dalo", "proactive")),
    (0.10, "home page", ("proactive", "dalo", "supervisor")),
)
PAGES = {
    "list page": "/lists/latest",
    "list JSON": "/api/v1/lists/latest",
    "person page": "/persons/{person}",
    "person JSON": "/api/v1/persons/{person}",
    "sheet page": "/persons/{person}/sheet",
    "sheet JSON": "/api/v1/persons/{person}/sheet",
    "search JSON": "/api/v1/search",
    "home page": "/",
}
RECENT = 500
WARM = 120.0


@dataclass(frozen=True)
class Officer:
    """Somebody signed in: what their browser sends."""

    name: str
    headers: tuple[tuple[str, str], ...]


def sign_in(home: Path, prefix: str) -> dict[str, list[Officer]]:
    """Accounts of each role, each with a session and a task."""
    db = Database.of(home)
    found: dict[str, list[Officer]] = {}
    for role, many in OFFICERS.items():
        for number in range(many):
            name = f"{prefix}.{role}.{number}"
            account = accounts.add(db, name, role=role, by="benchmark", name=name)
            secret = sessions.start(db, account, method="password", source="127.0.0.1")
            session = sessions.find(db, secret)
            assert session is not None
            sessions.set_task(db, session.digest, account, PURPOSE[role], "BENCH")
            headers = (
                ("Cookie", f"doorstep={secret}"),
                ("X-CSRF-Token", session.csrf),
                ("Content-Type", "application/json"),
            )
            found.setdefault(role, []).append(Officer(name, headers))
    db.close()
    return found


def drawing(home: Home, officers: dict[str, list[Officer]]) -> Callable[[Random], Ask]:
    """Draws one request of the mix."""
    load, latest = home.require(), read_list(home)
    listed = latest.rows.filter("listed")["person_id"].to_list()
    people = recent(load)
    named = _names(load.path, people)

    def draw(chance: Random) -> Ask:
        _, route, roles = chance.choices(MIX, [share for share, _, _ in MIX])[0]
        officer = chance.choice(officers[chance.choice(roles)])
        path = PAGES[route]
        if "{person}" in path:
            path = path.format(person=chance.choice(listed if chance.random() < 0.5 else people))
        if route == "search JSON":
            body = json.dumps({"text": chance.choice(named), "born": "", "district": "", "address": ""})
            return Ask(route, "POST", path, officer.headers, body.encode())
        return Ask(route, "GET", path, officer.headers)

    return draw


def recent(load: Load) -> list[str]:
    """The suspects of the newest events, for whom calls come in: as many as ``RECENT``, restricted persons aside."""
    events = load.records().table("event").sort("known_from", descending=True).select("event_id")
    part = load.records().table("involvement").filter(pl.col("role") == "suspect")
    shut = load.records().table("person").filter(pl.col("access") == "named_users")
    found = events.join(part, on="event_id", maintain_order="left").join(shut, on="person_id", how="anti")
    return found["person_id"].unique(maintain_order=True).head(RECENT).to_list()


def _names(load: Path, people: list[str]) -> list[str]:
    """Names and birth years of some persons, as an officer types them."""
    rows_ = pl.read_parquet(load / "identity" / "person.parquet").filter(pl.col("person_id").is_in(people))
    rows_ = rows_.drop_nulls(["given_names", "family_name"]).unique("person_id", maintain_order=True)
    made = []
    for row in rows_.iter_rows(named=True):
        born = f" {row['date_of_birth'].year}" if row["date_of_birth"] else ""
        made.append(f"{row['given_names']} {row['family_name']}{born}")
    return made


class Service:
    """The service in a process of its own."""

    def __init__(self, home: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        command = [sys.executable, "-m", "benchmarks.serving.served", str(home), str(self.port)]
        self._process = subprocess.Popen(command)

    def memory(self) -> float:
        """Resident memory in MB."""
        pages = int(Path(f"/proc/{self._process.pid}/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGESIZE") / 1e6

    def cpu(self) -> float:
        """Seconds of processor time so far."""
        parts = Path(f"/proc/{self._process.pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
        return (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")

    def wait(self, ask: Ask, most: float = 600.0) -> float:
        """Until it answers; the seconds that took."""
        begun = time.perf_counter()
        while time.perf_counter() - begun < most:
            if self._process.poll() is not None:
                raise RuntimeError("the service has stopped")
            try:
                status, body = asyncio.run(Connections(self.port, most).ask(ask))
            except OSError:
                time.sleep(0.5)
                continue
            if status == 200:
                return time.perf_counter() - begun
            raise RuntimeError(
                f"{ask.path} is answered with {status}: {body.decode('utf-8', 'replace')[-1500:]}"
            )
        raise RuntimeError("the service does not answer")

    def stop(self) -> None:
        """End it as Ctrl+C does."""
        self._process.terminate()
        self._process.wait(60)


async def loaded(
    service: Service, day: Day | None, draw: Callable[[Random], Ask], rate: float, seconds: float, seed: int
) -> tuple[list[Seen], list[tuple[float, float]]]:
    """The load beside the day's other work: everything seen, and memory by second."""
    begun, memory = time.perf_counter(), []

    async def watch() -> None:
        while True:
            memory.append((time.perf_counter() - begun, service.memory()))
            await asyncio.sleep(2)

    others = [asyncio.create_task(watch())] + ([asyncio.create_task(day.run())] if day else [])
    seen = await open_loop(service.port, draw, rate=rate, seconds=seconds, seed=seed)
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    return seen, memory


def table(seen: list[Seen]) -> dict[str, dict[str, float]]:
    """Print times by route; returns them."""
    print(
        f"{'route':<14}{'asked':>8}{'errors':>8}{'p50':>8}{'p95':>8}{'p99':>8}{'max ms':>9}  {'KB':>6}  bar"
    )
    out: dict[str, dict[str, float]] = {}
    for route in [*dict.fromkeys(route for _, route, _ in MIX), "all"]:
        mine = [one for one in seen if route in ("all", one.route)]
        if not mine:
            continue
        times = np.array([one.ms for one in mine])
        p50, p95, p99 = np.percentile(times, [50, 95, 99])
        errors = sum(one.status not in (200, 303) for one in mine)
        bar = next((ms for name, ms in BARS.items() if route.startswith(name)), None)
        said = "" if bar is None else f"{bar:g} ms: {'met' if p95 < bar else 'MISSED'}"
        size = float(np.mean([one.size for one in mine])) / 1e3
        print(f"{route:<14}{len(mine):>8,}{errors:>8}{p50:>8.1f}{p95:>8.1f}{p99:>8.1f}{times.max():>9.1f}"
              f"  {size:>6.1f}  {said}")  # fmt: skip
        out[route] = {"asked": len(mine), "errors": errors, "p50": p50, "p95": p95, "p99": p99}
    wrong = Counter((one.route, one.status, one.note) for one in seen if one.status not in (200, 303))
    for (route, status, note), many in wrong.most_common(5):
        print(f"  {many} x {route}: {status} {note}")
    return out


def settled(memory: list[tuple[float, float]], minute: int) -> float | None:
    """Mean memory within a minute (the first is 1); None when it was not reached."""
    found = [mb for at, mb in memory if 60 * (minute - 1) <= at < 60 * minute]
    return float(np.mean(found)) if found else None


def throughput(port: int, officers: dict[str, list[Officer]], seconds: float) -> tuple[float, float]:
    """Answers a second of the list's JSON and of the empty route, asked by turns within one run."""
    everyone = officers["supervisor"] + officers["proactive"]
    done, took = Counter[str](), Counter[str]()
    for _ in range(3):
        for path in ("/api/v1/lists/latest", EMPTY):
            asks = [Ask(path, "GET", path, one.headers) for one in everyone]
            begun = time.perf_counter()
            good, wrong = asyncio.run(closed_loop(port, asks, workers=8, seconds=seconds))
            if wrong:
                raise RuntimeError(f"{wrong} answers of {path} were errors")
            done[path] += good
            took[path] += time.perf_counter() - begun  # type: ignore[assignment]
    return tuple(done[path] / took[path] for path in ("/api/v1/lists/latest", EMPTY))  # type: ignore[return-value]


def audited(home: Path, after: int, prefix: str) -> tuple[Counter[str], list[str]]:
    """Rows written for the benchmark's officers by account, and what is wrong with the trail."""
    db, counted = Database.of(home), Counter[str]()
    while part := rows(db, after=after, limit=5_000):
        counted.update(row["username"] for row in part if row["username"].startswith(f"{prefix}."))
        after = part[-1]["seq"]
    wrong = verify(db, home)
    db.close()
    return counted, wrong


def _last_row(home: Path) -> int:
    db = Database.of(home)
    with db.read() as connection:
        last = connection.execute(sa.select(sa.func.max(AUDIT.c.seq))).scalar()
    db.close()
    return int(last or 0)


def one_at_a_time(home: Home, service: Service, officers: dict[str, list[Officer]]) -> dict[str, Any]:
    """What an answer of each route costs, whoever asks first and whoever asks next."""
    turns = cycle(officers["supervisor"])  # one alone would soon be told to ask less often
    listed = read_list(home).rows.filter("listed")["person_id"].to_list()
    calls = recent(home.require())
    new = [person for person in calls if person not in set(listed)]

    def gets(path: str, persons: list[str] | int) -> Callable[[], list[Ask]]:
        paths = [path] * persons if isinstance(persons, int) else [path.format(person=p) for p in persons]
        return lambda: [Ask(path, "GET", one, next(turns).headers) for one in paths]

    settle(service)
    return told(
        service,
        [
            ("guarded, audited, empty", gets(EMPTY, 200)),
            ("list JSON", gets("/api/v1/lists/latest", 200)),
            ("list page", gets("/lists/latest", 200)),
            ("home page", gets("/", 200)),
            ("person page, listed", gets("/persons/{person}", listed[:100])),
            ("person page, another, first time", gets("/persons/{person}", new[:60])),
            ("person page, another, again", gets("/persons/{person}", new[:60])),
            ("sheet, listed, first time", gets("/persons/{person}/sheet", listed[:60])),
            ("sheet, listed, again", gets("/persons/{person}/sheet", listed[:60])),
            ("sheet, another, first time", gets("/persons/{person}/sheet", new[60:120])),
            ("sheet, another, again", gets("/persons/{person}/sheet", new[60:120])),
        ],
    )


def measure(given: argparse.Namespace) -> dict[str, Any]:
    """All of it; the figures by name."""
    home, prefix = Home(given.home), f"bench{int(time.time())}"
    officers = sign_in(home.path, prefix)
    draw, before = drawing(home, officers), _last_row(home.path)
    service = Service(home.path)
    try:
        first = Ask("warm", "GET", "/lists/latest", officers["proactive"][0].headers)
        print(f"ready in {service.wait(first):.0f} s, {service.memory():,.0f} MB", flush=True)
        if given.alone:
            return {"one at a time": one_at_a_time(home, service, officers)}
        asyncio.run(loaded(service, None, draw, given.rate / 2, given.warm, given.seed + 1))
        sent = _last_row(home.path)
        cpu, begun = service.cpu(), time.perf_counter()
        day = Day(home.path, every=60.0, publishes=not given.still, appends=not given.still)
        seen, memory = asyncio.run(loaded(service, day, draw, given.rate, 60 * given.minutes, given.seed))
        spent = time.perf_counter() - begun
        figures: dict[str, Any] = {"routes": table(seen), "day": day.told}
        print(f"service: {service.cpu() - cpu:.0f} s of processor in {spent:.0f} s; load average "
              f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")  # fmt: skip
        print("; ".join(day.told) or "nothing was published or appended")
        last = min(10, int(given.minutes))
        second, tenth = settled(memory, 2), settled(memory, last)
        if second and tenth and last > 2:
            grown = 100 * (tenth / second - 1)
            figures["memory"] = {"minute 2": second, f"minute {last}": tenth}
            print(f"memory: minute 2 {second:,.0f} MB, minute {last} {tenth:,.0f} MB, "
                  f"{grown:+.1f} % (bar 5 %: {'met' if grown <= 5 else 'MISSED'})")  # fmt: skip
        counted, _ = audited(home.path, sent, prefix)
        answered = sum(one.status in (200, 303) for one in seen)
        figures["audit"] = {"answered": answered, "rows": sum(counted.values())}
        print(f"audit: {answered:,} answered, {sum(counted.values()):,} rows of these officers "
              f"({'met' if sum(counted.values()) >= answered else 'MISSED'})")  # fmt: skip
        listed, nothing = throughput(service.port, officers, given.turn)
        figures["throughput"] = {"list JSON": listed, "empty": nothing}
        print(f"throughput: list JSON {listed:.0f} a second, empty guarded route {nothing:.0f}, share "
              f"{listed / nothing:.2f} (bar 0.5: {'met' if listed >= nothing / 2 else 'MISSED'})")  # fmt: skip
    finally:
        service.stop()
    _, wrong = audited(home.path, before, prefix)
    print(f"audit trail verified: {'; '.join(wrong) or 'nothing wrong'}")
    return figures


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("home", type=Path)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--rate", type=float, default=50, help="requests a second")
    parser.add_argument("--warm", type=float, default=WARM, help="seconds at half the rate before measuring")
    parser.add_argument("--turn", type=float, default=5, help="seconds of each turn of the throughput")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--alone", action="store_true", help="only what one answer costs, one at a time")
    parser.add_argument("--still", action="store_true", help="publish and append nothing meanwhile")
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    parser.add_argument("--append", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.append is not None:
        append_event(given.home, given.append)
        return
    figures = measure(given)
    if given.json:
        given.json.write_text(json.dumps(figures, indent=1, default=str), encoding="utf-8")


if __name__ == "__main__":
    main()
