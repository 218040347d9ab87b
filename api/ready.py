"""What is made ready before anybody asks: today's list, and the pages of those on it.

At 08:00 a whole team opens the list and then, one after another, the people on it. So while the service runs it keeps
these at hand, one at a time and never for more than half of the time, again whenever a list is published or rows come.
Nothing is shown to anybody here, so nothing is written down.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from threading import Event, Thread

from api.days import Days
from api.desk import Desk
from api.person_facts import facts_of
from features.errors import DoorstepError

LOOK_SECONDS = 2.0
"""How often to see whether anything has changed."""


class Ready:
    """Keeps a desk's pages ready in a thread of its own, from :meth:`start` to :meth:`stop`."""

    def __init__(self, desk: Desk, days: Days) -> None:
        self._desk, self._days = desk, days
        self._over = Event()
        self._thread = Thread(target=self._run, name="ready", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, when the page being made is done."""
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        seen: tuple[str, str] | None = None
        while not self._over.is_set():
            with suppress(DoorstepError):  # whoever asks is told what is wrong
                if (now := self._stands()) != seen and now is not None:
                    self.work(now)
                    seen = now
            self._over.wait(LOOK_SECONDS)

    def _stands(self) -> tuple[str, str] | None:
        """The records and the latest list as they are; None without either."""
        latest = self._desk.latest()
        return None if latest is None else (self._desk.state(), latest.list_id)

    def work(self, now: tuple[str, str]) -> None:
        """Make everything ready that is not; something newer that comes meanwhile ends it."""
        for make in self._parts():
            begun = time.perf_counter()
            with suppress(
                Exception
            ):  # somebody whom nobody may open, say: whoever asks is told, and it is logged
                make()
            if self._over.wait(time.perf_counter() - begun) or self._stands() != now:
                return

    def _parts(self) -> Iterator[Callable[[], object]]:
        yield partial(self._days.ready, "latest")
        latest = self._desk.latest()
        if latest is not None:
            for person in latest.rows.filter("listed")["person_id"]:
                yield partial(facts_of, self._desk, person, latest)
