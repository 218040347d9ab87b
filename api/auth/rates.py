"""How many requests a minute: a bucket for each account and each address, in this process's memory."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from threading import Lock

from api.auth.table import table

KEPT = 20_000  # buckets; the one unused longest goes first, by then long full again


class Rates:
    """Buckets by kind and key. ``kind`` names two limits of the table: ``<kind>_burst`` and ``<kind>_a_minute``."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, *, scale: float = 1.0) -> None:
        self._clock, self._scale = clock, scale
        self._lock = Lock()
        self._buckets: OrderedDict[tuple[str, str], tuple[float, float]] = OrderedDict()

    def take(self, kind: str, key: str) -> int:
        """Take one: 0 when it is there, else how many seconds until it is."""
        return self._look(kind, key, take=True)

    def left(self, kind: str, key: str) -> int:
        """The same, without taking one."""
        return self._look(kind, key, take=False)

    def _look(self, kind: str, key: str, *, take: bool) -> int:
        limits = table()
        burst = max(1.0, limits.limit("rates", f"{kind}_burst") * self._scale)
        a_second = limits.limit("rates", f"{kind}_a_minute") * self._scale / 60
        now = self._clock()
        with self._lock:
            left, at = self._buckets.pop((kind, key), (burst, now))
            left = min(burst, left + (now - at) * a_second)
            if not take:
                self._buckets[kind, key] = (left, now)
                return 0 if left >= 1 else max(1, int((1 - left) / a_second + 1))
            taken = left >= 1
            self._buckets[kind, key] = (left - 1 if taken else left, now)
            while len(self._buckets) > KEPT:
                self._buckets.popitem(last=False)
        return 0 if taken else max(1, int((1 - left) / a_second + 1))
