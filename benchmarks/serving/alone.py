"""What one answer costs: the service asked by one officer at a time, in seconds of its processor, not of the clock.

On a busy machine these figures say more than waiting times do.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from benchmarks.serving.load import Ask, Connections


class Asked(Protocol):
    """The service, as far as this needs to know."""

    port: int

    def cpu(self) -> float:
        """Seconds of processor time so far."""
        ...


def settle(service: Asked, quiet: float = 3.0, most: float = 900.0) -> None:
    """Wait until the service has made everything ready: hardly any work for a while."""
    until = time.monotonic() + most
    while time.monotonic() < until:
        before = service.cpu()
        time.sleep(quiet)
        if service.cpu() - before < 0.05 * quiet:
            return


def cost(service: Asked, asks: Sequence[Ask]) -> tuple[float, float]:
    """Mean milliseconds of processor time, and the median wait, of one answer. RuntimeError for one that is none."""
    waits = []

    async def all_of_them() -> None:
        connections = Connections(service.port)
        for ask in asks:
            begun = time.perf_counter()
            status, body = await connections.ask(ask)
            waits.append((time.perf_counter() - begun) * 1e3)
            if status not in (200, 303, 404):
                raise RuntimeError(f"{ask.path} is answered with {status}: {body[-300:]!r}")
        connections.close()

    before = service.cpu()
    asyncio.run(all_of_them())
    return (service.cpu() - before) * 1e3 / len(asks), sorted(waits)[len(waits) // 2]


def told(
    service: Asked, routes: Sequence[tuple[str, Callable[[], list[Ask]]]]
) -> dict[str, dict[str, float]]:
    """Print what an answer of each route costs; returns the figures."""
    print(f"{'one at a time':<34}{'answers':>8}{'cpu ms':>9}{'p50 ms':>9}")
    out = {}
    for name, make in routes:
        asks = make()
        cpu, wait = cost(service, asks)
        print(f"{name:<34}{len(asks):>8}{cpu:>9.1f}{wait:>9.1f}", flush=True)
        out[name] = {"answers": len(asks), "cpu ms": cpu, "p50 ms": wait}
    return out
