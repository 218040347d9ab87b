"""What the service keeps between requests, and how it notices that something else has taken its place on the disk."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

from features.errors import NotFoundError
from features.home import Home
from models.approval import Standing, standing
from models.store import CHAMPION, champion, load_model
from risk.published import PublishedList, list_names, order_of, read_list

ROWS_KEPT = 3
"""Lists whose tables stay in memory: the latest is asked for all day, others now and then."""
Made = TypeVar("Made")


class Kept:
    """The last few things worked out, by key; the one used longest ago goes first. For several threads."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = Lock()
        self._made: OrderedDict[Hashable, tuple[Lock, list[Any]]] = OrderedDict()

    def of(self, key: Hashable, make: Callable[[], Made]) -> Made:
        """What was made under this key, else made now: once, however many ask for it at the same time."""
        with self._lock:
            mine, made = self._made.setdefault(key, (Lock(), []))
            self._made.move_to_end(key)
            while len(self._made) > self._most:
                self._made.popitem(last=False)
        with mine:
            if not made:
                made.append(make())
            found: Made = made[0]
            return found

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._made.clear()


class KeptLists:
    """The published lists of a home: each is read once, since none ever changes."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._lock = Lock()
        self._known: dict[str, PublishedList] = {}
        self._order: list[PublishedList] = []
        self._used: OrderedDict[str, PublishedList] = OrderedDict()

    def all(self) -> list[PublishedList]:
        """Every list, oldest T first; of equal T the last published comes last."""
        names = list_names(self._home)
        with self._lock:
            if names != self._known.keys():
                self._known = {name: self._known.get(name) or read_list(self._home, name) for name in names}
                self._order = sorted(self._known.values(), key=order_of)
            return list(self._order)

    def latest(self) -> PublishedList | None:
        """The list of the greatest T, or None before the first."""
        known = self.all()
        return self._kept(known[-1]) if known else None

    def one(self, list_id: str) -> PublishedList:
        """A list by its id; NotFoundError."""
        found = {one.list_id: one for one in self.all()}.get(list_id)
        return self._kept(found if found is not None else read_list(self._home, list_id))

    def _kept(self, one: PublishedList) -> PublishedList:
        """Of a few lists the tables stay in memory; of the others they are read again when asked for."""
        with self._lock:
            self._used[one.list_id] = one
            self._used.move_to_end(one.list_id)
            while len(self._used) > ROWS_KEPT:
                self._used.popitem(last=False)[1].let_go()
        return one


class KeptModels:
    """Model documents of a home, read and checked once for every state of their files."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._docs = Kept(4)
        self._entries = Kept(1)

    def doc(self, version: str) -> Mapping[str, Any]:
        """The document of a version (``models.store.load_model``; NotFoundError, InputError)."""
        stamp = _stamp(self._home / "models" / version / "model.json")
        return self._docs.of((version, stamp), lambda: load_model(self._home, version))

    def in_use(self) -> tuple[str | None, Standing | None]:
        """The version in use, None before the first and while it is switched off, and how it stands; InputError when
        a file is damaged."""
        return self._entries.of(_stamp(self._home / "models" / CHAMPION), self._in_use)

    def _in_use(self) -> tuple[str | None, Standing | None]:
        try:
            return str(champion(self._home)["version"]), standing(self._home)
        except NotFoundError:
            return None, None


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """What changes when a file is replaced: a new file has a new number, even within one tick of the clock."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
