"""An open-loop load generator over bare asyncio: requests leave at their own times, however long answers take.

Each request has its moment beforehand (exponential gaps, one seed) and is timed from that moment, so that a service
that stalls is charged for everyone who would have come meanwhile. Connections are kept open and reused, as browsers do.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random


@dataclass(frozen=True)
class Ask:
    """One request: the route it counts for, and what is sent."""

    route: str
    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""


@dataclass(frozen=True)
class Seen:
    """What came of it: ``at`` seconds after the start, ``ms`` from the moment it should have left, status (0: none)."""

    route: str
    at: float
    ms: float
    status: int
    size: int
    note: str = ""


@dataclass
class Connections:
    """Idle connections to one port."""

    port: int
    timeout: float = 30.0
    _idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = field(default_factory=list)

    async def ask(self, ask: Ask) -> tuple[int, bytes]:
        """Send one request; (status, body). A connection the server has closed meanwhile is replaced once."""
        for fresh in (False, True):
            if self._idle and not fresh:
                pair = self._idle.pop()
            else:
                pair = await asyncio.open_connection("127.0.0.1", self.port)
            try:
                status, body, again = await asyncio.wait_for(_exchange(*pair, ask, self.port), self.timeout)
            except (ConnectionError, asyncio.IncompleteReadError):
                pair[1].close()
                if fresh:
                    raise
                continue
            if again:
                self._idle.append(pair)
            else:
                pair[1].close()
            return status, body
        raise ConnectionError("no connection")

    def close(self) -> None:
        """Hang up."""
        for _, writer in self._idle:
            writer.close()


async def _exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, ask: Ask, port: int
) -> tuple[int, bytes, bool]:
    head = [f"{ask.method} {ask.path} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Accept-Encoding: gzip"]
    head += [f"{name}: {value}" for name, value in ask.headers]
    if ask.body or ask.method != "GET":
        head.append(f"Content-Length: {len(ask.body)}")
    writer.write("\r\n".join([*head, "", ""]).encode() + ask.body)
    await writer.drain()
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    status = int(lines[0].split(" ")[1])
    said = {
        name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])
    }
    if said.get("transfer-encoding") == "chunked":
        body = b""
        while size := int((await reader.readline()).split(b";")[0], 16):
            body += await reader.readexactly(size)
            await reader.readexactly(2)
        await reader.readexactly(2)
    else:
        body = await reader.readexactly(int(said.get("content-length", 0)))
    return status, body, said.get("connection", "").lower() != "close"


async def open_loop(
    port: int, draw: Callable[[Random], Ask], *, rate: float, seconds: float, seed: int
) -> list[Seen]:
    """Requests at ``rate`` a second for ``seconds``; everything seen, in the order it should have left."""
    chance, connections = Random(seed), Connections(port)
    begun, at, going = time.perf_counter(), 0.0, []

    async def one(ask: Ask, when: float) -> Seen:
        try:
            status, body = await connections.ask(ask)
            note = "" if status < 400 else body[:200].decode("utf-8", "replace")
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as fault:
            status, body, note = 0, b"", type(fault).__name__
        taken = (time.perf_counter() - begun - when) * 1e3
        return Seen(ask.route, when, taken, status, len(body), note)

    while (at := at + chance.expovariate(rate)) < seconds:
        ask = draw(chance)
        await asyncio.sleep(max(0.0, at - (time.perf_counter() - begun)))
        going.append(asyncio.create_task(one(ask, at)))
    found = await asyncio.gather(*going)
    connections.close()
    return list(found)


async def closed_loop(port: int, asks: Sequence[Ask], *, workers: int, seconds: float) -> tuple[int, int]:
    """Requests as fast as they are answered, by so many workers at once: (answered, gone wrong)."""
    connections, until = Connections(port), time.perf_counter() + seconds
    done = [0, 0]

    async def work(number: int) -> None:
        while time.perf_counter() < until:
            status, _ = await connections.ask(asks[number % len(asks)])
            done[status != 200] += 1

    await asyncio.gather(*(work(number) for number in range(workers)))
    connections.close()
    return done[0], done[1]
