"""What a load means for the audit trail: a collection, and an erasure for whoever is restricted or gone since."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl

from features.before import Before
from features.errors import InputError
from features.home import Home, Load

Write = Callable[..., int]


class Collecting:
    """Notes who is in a home before rows are taken in, to tell afterwards what the rows did."""

    def __init__(self, home: Home) -> None:
        self.home = home
        try:
            before = home.current()
        except InputError:  # damaged, and about to be mended by ingesting again
            before = None
        self._persons, self._restricted = _people(before)

    def tell(self, write: Write, changed: bool, rows: str) -> None:
        """Write the collection down, and the erasure if there was one; nothing when nothing changed.

        ``write(act, page, persons=, detail=)`` appends a row; ``rows`` says in words how many came.
        """
        load = self.home.current()
        if load is None or not changed:
            return
        write("collection", "load", detail=f"load {load.load_id} ({load.nature}): {rows}")
        persons, restricted = _people(load)
        newly = sorted(restricted - self._restricted)
        if newly:
            write(
                "erasure",
                "load",
                persons=newly,
                detail=f"load {load.load_id}: restricted, in no list or search",
            )
        gone = sorted(self._persons - persons - restricted)
        if gone:
            write("erasure", "load", persons=gone, detail=f"load {load.load_id}: no longer in the extract")


def _people(load: Load | None) -> tuple[set[str], set[str]]:
    """The persons of a load, and those restricted by law in it and in what was added to it."""
    if load is None:
        return set(), set()
    file: Path = load.path / "records" / "person.parquet"
    persons = (
        set(pl.read_parquet(file, columns=["person_id"])["person_id"].to_list()) if file.exists() else set()
    )
    try:
        restricted = set(Before(load.path, load.manifest).restricted.to_list())
    except InputError:  # a load of an earlier version does not say
        restricted = set()
    return persons, restricted
