"""How fast a search is answered through HTTP, with sign-in, purpose and audit on.

    python -m benchmarks.search_http HOME --truth FORCE/truth [--queries 2000] [--rate 10] [--first]

Serves HOME (one process, as ``doorstep serve`` does), makes an officer's account with a token and a session, and asks
the queries of ``benchmarks.search`` (names in full): one after the other through POST /api/v1/search; the first 200 as
the page does, POST /search and the answer it leads to; then at an open rate, each at its own time whether or not the
ones before are answered. Prints p50, p95 and the slowest, errors, memory, and counts the rows of the audit trail: one
a request that showed a person. On a machine shared with other work ``--first`` lets service and client run before it
once the service is up. **An account and rows are added to HOME**: give it a copy.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx2 as httpx
import numpy as np
import polars as pl
import psutil  # type: ignore[import-untyped]
import sqlalchemy as sa

from api.auth import accounts, sessions, tokens
from benchmarks.search import Query, drawn, moment
from features.home import Home
from risk.store import Database
from risk.store.tables_audit import AUDIT
from risk.view import View

BAR = 150.0
PORT = 8431
BASE = f"http://127.0.0.1:{PORT}"
PAGES_ASKED = 200
MEGA = 1e6


@dataclass(frozen=True)
class Officer:
    """Who asks: a token for programs, and a session for pages."""

    token: str
    secret: str
    csrf: str


def officer(db: Database) -> Officer:
    """A new account with a task."""
    name = f"bench.{int(time.time())}"
    account = accounts.add(db, name, role="dalo", by="benchmark", name="Benchmark")
    token = tokens.make(
        db, name, scopes=["search", "sheet.read"], purpose="attending", reference="BENCH", by="benchmark"
    )
    secret = sessions.start(db, account, method="password", source="benchmark")
    session = sessions.find(db, secret)
    assert session is not None
    sessions.set_task(db, session.digest, account, "attending", "BENCH")
    return Officer(token, secret, session.csrf)


def typed(query: Query) -> dict[str, str]:
    """The fields of a query."""
    return {name: str(value) for name, value in query.asked().said.items()}


def body(who: Officer) -> dict[str, str]:
    """The headers of a program."""
    return {"Authorization": f"Bearer {who.token}"}


def timed(ask: Callable[[], httpx.Response]) -> tuple[float, int]:
    """Milliseconds and status of one request."""
    began = time.perf_counter()
    answer = ask()
    return (time.perf_counter() - began) * 1000, answer.status_code


def told(name: str, took: list[tuple[float, int]]) -> None:
    """Print the times of some requests."""
    times = [ms for ms, _ in took]
    errors = sum(status != 200 for _, status in took)
    p50, p95, p99 = np.percentile(times, [50, 95, 99])
    held = "held" if p95 < BAR else "MISSED"
    print(
        f"  {name}: {len(times):,} requests, p50 {p50:.1f} ms, p95 {p95:.1f} ms (bar {BAR:.0f}: {held}), "
        f"p99 {p99:.1f} ms, slowest {max(times):.0f} ms, errors {errors}",
        flush=True,
    )


async def at_rate(who: Officer, queries: list[Query], rate: float, seconds: float) -> list[tuple[float, int]]:
    """Searches begun at a steady rate, whether or not those before are answered; times count from when each was due."""
    due = np.arange(0, seconds, 1 / rate)
    async with httpx.AsyncClient(base_url=BASE, headers=body(who), timeout=60) as client:
        began = time.perf_counter()

        async def one(number: int) -> tuple[float, int]:
            await asyncio.sleep(max(0.0, began + due[number] - time.perf_counter()))
            answer = await client.post("/api/v1/search", json=typed(queries[number % len(queries)]))
            return (time.perf_counter() - began - due[number]) * 1000, answer.status_code

        return list(await asyncio.gather(*(one(number) for number in range(due.size))))


def serve(home: Path) -> subprocess.Popen[bytes]:
    """The service on a port of its own."""
    command = [sys.executable, "-m", "api.cli", "serve", "--home", str(home), "--port", str(PORT)]
    return subprocess.Popen(command, env=os.environ | {"DOORSTEP_RATE_SCALE": "1000"})


def memory(process: subprocess.Popen[bytes]) -> float:
    """Resident memory of the service in MB."""
    return float(psutil.Process(process.pid).memory_info().rss / MEGA)


def worked(process: subprocess.Popen[bytes]) -> float:
    """Seconds of processor the service has used."""
    times = psutil.Process(process.pid).cpu_times()
    return float(times.user + times.system)


def go_first(*processes: int) -> None:
    """Let processes run before all other work of the machine."""
    for process in processes:
        for thread in psutil.Process(process).threads():
            os.sched_setscheduler(thread.id, os.SCHED_RR, os.sched_param(1))


def first_answer(process: subprocess.Popen[bytes], client: httpx.Client, query: Query) -> None:
    """Wait until the service answers; print how long that took."""
    began = time.perf_counter()
    while True:
        try:
            answer = client.post("/api/v1/search", json=typed(query))
            break
        except httpx.ConnectError:
            time.sleep(0.5)
    print(
        f"first answer ({answer.status_code}) {time.perf_counter() - began:.1f} s after start "
        f"({worked(process):.1f} s of processor); memory {memory(process):.0f} MB",
        flush=True,
    )


def run(home: Home, truth: pl.DataFrame, args: argparse.Namespace) -> None:
    """Draw, serve, ask, print."""
    queries = drawn(View(home.require(), moment(home, None)), truth, args.queries, args.seed)
    db = Database.of(home.path)
    who = officer(db)
    process = serve(home.path)

    def asked(name: str, ask: Callable[[], list[tuple[float, int]]]) -> None:
        before, busy = _rows(db), worked(process)
        took = ask()
        told(name, took)
        each = (worked(process) - busy) / len(took) * 1000
        rows = _rows(db) - before
        print(
            f"    processor of the service {each:.1f} ms a search; rows of the audit trail {rows:,}; "
            f"memory {memory(process):.0f} MB",
            flush=True,
        )

    try:
        with httpx.Client(base_url=BASE, headers=body(who), timeout=900) as client:
            first_answer(process, client, queries[0])
            if args.first:
                go_first(process.pid, os.getpid())

            def one_by_one() -> list[tuple[float, int]]:
                return [timed(partial(client.post, "/api/v1/search", json=typed(one))) for one in queries]

            asked("one after the other", one_by_one)
        cookies, headers = {"doorstep": who.secret}, {"X-CSRF-Token": who.csrf}
        with httpx.Client(
            base_url=BASE, cookies=cookies, headers=headers, timeout=60, follow_redirects=True
        ) as page:

            def by_page() -> list[tuple[float, int]]:
                some = queries[:PAGES_ASKED]
                return [timed(partial(page.post, "/search", data=typed(one))) for one in some]

            asked("the page, post and answer together", by_page)
        asked(
            f"{args.rate:g} a second, open",
            lambda: asyncio.run(at_rate(who, queries, args.rate, args.seconds)),
        )
    finally:
        process.terminate()
        process.wait(120)
        db.close()


def _rows(db: Database) -> int:
    with db.read() as store:
        query = (
            sa.select(sa.func.count())
            .select_from(AUDIT)
            .where(AUDIT.c.page == "/search", AUDIT.c.persons_count > 0)
        )
        return int(store.execute(query).scalar_one())


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("home", type=Path)
    parser.add_argument("--truth", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=99)
    parser.add_argument("--queries", type=int, default=2000)
    parser.add_argument("--rate", type=float, default=10)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--first", action="store_true", help="before other work (root alone)")
    args = parser.parse_args()
    run(Home(args.home), pl.read_parquet(args.truth / "clusters.parquet"), args)


if __name__ == "__main__":
    main()
