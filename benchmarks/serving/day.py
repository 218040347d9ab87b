"""What else a force does while officers read: a list published and an event appended every minute, each by a process
of its own on the same processors."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from datetime import timedelta
from pathlib import Path

from features.append import append
from features.clocks import parse_as_of
from features.home import Home
from risk.published import read_list


class Day:
    """The other work of the day; ``told``: what was done, in words."""

    def __init__(self, home: Path, *, every: float, publishes: bool, appends: bool) -> None:
        self._home, self._every = home, every
        self._publishes, self._appends = publishes, appends
        self._took: dict[str, list[float]] = {"publish": [], "append": []}
        self._failed: list[str] = []
        self._going: list[asyncio.Task[None]] = []
        self._at = read_list(Home(home)).as_of

    @property
    def told(self) -> list[str]:
        """How often each was done, and how long it took."""
        said = [
            f"{len(took)} x {what}, {max(took):.0f} s at most" for what, took in self._took.items() if took
        ]
        return [*said, *self._failed]

    async def run(self) -> None:
        """Until cancelled: an append at each full minute, a list half a minute later; then see what runs to its end."""
        try:
            await self._minutes()
        finally:
            await asyncio.gather(*self._going)

    async def _minutes(self) -> None:
        number = 0
        while True:
            number += 1
            if self._appends:
                await self._do("append", "-m", "benchmarks.serving", str(self._home), "--append", str(number))
            await asyncio.sleep(self._every / 2)
            if self._publishes:
                t = self._at + timedelta(minutes=number)
                command = ("publish", "--as-of", t.isoformat(), "--home", str(self._home))
                await self._do("publish", "-c", "from api.cli import main; main()", *command)
            await asyncio.sleep(self._every / 2)

    async def _do(self, what: str, *arguments: str) -> None:
        """Start a process, and see to its end beside whatever comes next."""

        async def done() -> None:
            begun = time.perf_counter()
            process = await asyncio.create_subprocess_exec(
                sys.executable, *arguments, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
            )
            _, said = await process.communicate()
            if process.returncode:
                self._failed.append(f"{what} FAILED: {said.decode()[-300:]}")
            else:
                self._took[what].append(time.perf_counter() - begun)

        self._going.append(asyncio.create_task(done()))


def append_event(path: Path, number: int) -> None:
    """Add one domestic assault, of somebody on the latest list, known a minute after the last."""
    os.nice(10)  # as every command of doorstep does that does not serve
    home = Home(path)
    latest = read_list(home)
    listed = latest.rows.filter("listed")["person_id"].to_list()
    at = (parse_as_of(latest.as_of.isoformat()) + timedelta(seconds=number)).isoformat()
    event = f"BENCH-{int(time.time())}-{number}"
    append(
        home,
        {
            "event": [{"event_id": event, "reference": f"{event}/25", "kind": "crime", "occurred_at": at,
                       "domestic": "Y", "source": "victim", "recorded_at": at}],
            "involvement": [{"event_id": event, "person_id": listed[number % len(listed)], "role": "suspect",
                             "victim_id": None, "recorded_at": at}],
            "offence": [{"offence_id": event, "event_id": event, "ho_code": "8N",
                         "suspect_id": listed[number % len(listed)], "recorded_at": at}],
        },
    )  # fmt: skip
