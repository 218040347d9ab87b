"""Writing that survives a kill: a file or folder is there whole, or not at all.

Everything is written beside its place, flushed to the disk, and renamed; a rename within one file system is
atomic. A lock file keeps two writers apart, and the system lets go of it when its holder dies.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def sync(path: Path) -> None:
    """Flush a file or a folder's list of names to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_text(path: Path, text: str) -> None:
    """Write a file and flush it (not atomic: for files inside a folder that is renamed into place)."""
    path.write_text(text, encoding="utf-8")
    sync(path)


def replace_text(path: Path, text: str) -> None:
    """Put a file in place atomically: readers see the old text or the new."""
    beside = path.with_name(f".{path.name}.new")
    write_text(beside, text)
    beside.replace(path)
    sync(path.parent)


def move_into_place(made: Path, place: Path) -> None:
    """Rename a finished folder to its final name, which must be free."""
    sync(made)
    made.rename(place)
    sync(place.parent)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file at ``path``, waiting for whoever holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
