"""The audit trail in trouble: a process killed while it writes, a server that drops its connections under load."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import sqlalchemy as sa

from risk.audit import Who, record, rows, verify
from risk.store import Database, StoreAwayError

pytest_plugins = ("tests.databases",)

OFFICER = Who("jsmith", "dalo", "api", "10.0.0.7")
WRITES = """
import sys
from pathlib import Path
from risk.audit import Who, record
from risk.store import Database
home = Path(sys.argv[2])
database = Database.of(home, sys.argv[1])
for n in range(100_000):
    print(record(database, home, Who("a", "dalo", "api", "x"), "consultation", "p", persons=[f"P{n}"]), flush=True)
"""


def test_what_was_told_as_written_is_there_after_a_kill(
    database: Database, database_url: str, home_path: Path
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WRITES, database_url, str(home_path)], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        told = [int(writer.stdout.readline()) for _ in range(30)]
        writer.kill()
        told += [int(line) for line in writer.stdout if line.endswith("\n")]
    kept = [row["seq"] for row in rows(database, limit=100_000)]
    assert set(told) <= set(kept)
    assert len(kept) <= len(told) + 1, "at most the row that was being written"
    assert record(database, home_path, OFFICER, "consultation", "p") == len(kept) + 1
    assert verify(database, home_path) == []


def test_connections_dropped_under_load_lose_no_row_and_break_no_chain(
    database: Database, home_path: Path
) -> None:
    """Every look was either written or refused with a cure; a file has no connections to drop, and refuses none."""
    written: list[int] = []
    refused: list[StoreAwayError] = []
    over = threading.Event()

    def looks(who: int) -> None:
        for n in range(25):
            try:
                written.append(
                    record(database, home_path, OFFICER, "consultation", "p", persons=[f"P{who}-{n}"])
                )
            except StoreAwayError as away:
                refused.append(away)

    def drop() -> None:
        engine = sa.create_engine(database.url, isolation_level="AUTOCOMMIT")
        others = "from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
        while database.dialect == "postgresql" and not over.wait(0.05):
            with engine.connect() as connection:
                connection.execute(sa.text(f"select pg_terminate_backend(pid) {others}"))
        engine.dispose()

    dropping = threading.Thread(target=drop)
    dropping.start()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(looks, range(4)))
    over.set()
    dropping.join()
    assert len(written) + len(refused) == 100
    assert all("try again" in one.cure for one in refused)
    kept = [row["seq"] for row in rows(database, limit=1000)]
    assert set(written) <= set(kept)
    assert len(kept) <= 100, "one dropped between its commit and the answer may be there as well, once"
    assert verify(database, home_path) == []
