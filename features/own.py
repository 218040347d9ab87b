"""An analyst's own features: declared in files of their own, kept in HOME/features, read after the package's.

Nothing in the package changes. A file is checked before it is kept (:mod:`features.own_check`), and every record store
that a home opens carries the features of its files (``Records.catalogue``), so that histories, training, reasons and
evidence take them like any other.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from features.catalogue import Catalogue, load_catalogue
from features.errors import InputError

FOLDER = "features"


def folder(home: Path) -> Path:
    """Where a home keeps its own files of features, and the dictionary written from them."""
    return home / FOLDER


def own_files(home: Path) -> dict[str, bytes]:
    """File name -> content of a home's own files, by name; InputError for one that cannot be read."""
    place = folder(home)
    try:
        return {path.name: path.read_bytes() for path in sorted(place.glob("*.toml")) if path.is_file()}
    except OSError as problem:
        raise InputError(
            f"A file of features cannot be read: {problem.strerror}.",
            where=str(place),
            cure="Mend the rights of the folder.",
        ) from problem


def catalogue_at(home: Path) -> Catalogue | None:
    """The catalogue with a home's own features; None when it has none. InputError names the file at fault."""
    files = own_files(home)
    return _extended(tuple(files.items())) if files else None


@lru_cache(maxsize=8)
def _extended(files: tuple[tuple[str, bytes], ...]) -> Catalogue:
    return with_files(dict(files))


def with_files(files: dict[str, bytes]) -> Catalogue:
    """The package's catalogue and these files after it; a file that another fails on says how to take it out."""
    try:
        return load_catalogue().extended(files)
    except InputError as problem:
        if problem.where not in files:
            raise
        cure = f"{problem.cure} Or take the file out: doorstep features remove {problem.where}"
        raise InputError(problem.what, where=problem.where, cure=cure) from problem


def catalogue_here(home: Path) -> Catalogue:
    """Every feature there is in this home: the package's, and its own after them."""
    return catalogue_at(home) or load_catalogue()
