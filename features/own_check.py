"""Checking, keeping and taking out an analyst's own files of features.

A file is accepted when the catalogue with it is whole (every rule of ``features.catalogue``) and every worked example
comes out as written on each engine. What is kept is documented at once: HOME/features/dictionary.md.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

from features import disk
from features.catalogue import Catalogue, Feature, load_catalogue
from features.dictionary import render_own
from features.errors import InputError, NotFoundError
from features.examples import as_of_time, key_frame, records_of
from features.histories import histories
from features.own import folder, own_files, with_files

#: The engines an example must come out right on.
ENGINES = ("reference", "fast", "single")
DICTIONARY = "dictionary.md"


@dataclass(frozen=True)
class Checked:
    """A file that passed: its name, the digest of its content, the features it declares, the catalogue with it."""

    name: str
    sha256: str
    features: tuple[Feature, ...]
    catalogue: Catalogue

    @property
    def columns(self) -> list[str]:
        """Every column the file adds."""
        return [column.name for feature in self.features for column in feature.columns]


def check(file: Path, home: Path) -> Checked:
    """Check a file beside the home's other own files, and run its examples on every engine.

    Raises InputError that names the file and the declaration: unreadable, a name that is taken, a rule broken, or an
    example that comes out otherwise than written (with what each engine gave). Writes nothing.
    """
    content = _content(file)
    others = {name: held for name, held in own_files(home).items() if name != file.name}
    beside = with_files(others) if others else load_catalogue()
    beside.extended({file.name: content})  # read after the others: what is at fault is this file's
    catalogue = with_files({**others, file.name: content})
    features = tuple(feature for feature in catalogue.own if feature.origin == file.name)
    if not features:
        raise InputError(
            "The file declares families alone.", where=file.name, cure="Declare a feature; see docs."
        )
    wrong = [said for feature in features for said in differences(feature, catalogue)]
    if wrong:
        raise InputError("; ".join(wrong[:5]), where=file.name, cure="Mend the declaration or its example.")
    return Checked(file.name, hashlib.sha256(content).hexdigest(), features, catalogue)


def differences(feature: Feature, catalogue: Catalogue) -> list[str]:
    """Where the worked example does not come out as written, in words; empty when it does, on every engine."""
    if not any(value for _, value in feature.example.expect):
        return [
            f"feature {feature.name}: its example never expects anything but nothing, which proves nothing"
        ]
    try:
        records = replace(records_of(feature.example.given), catalogue=catalogue)
        t = as_of_time(feature.example)
    except InputError as problem:
        where = f" ({problem.where})" if problem.where else ""
        return [f"feature {feature.name}: its example cannot be read: {problem.what}{where}"]
    wanted = dict(feature.example.expect)
    out = []
    for engine in ENGINES:
        keys = key_frame(feature.subject)
        row = histories(records, feature.subject, t, subjects=keys, engine=engine, columns=list(wanted))
        got = row.select(list(wanted)).row(0, named=True)
        out += [
            f"feature {feature.name}: its example expects {name} = {_shown(wanted[name])}, the {engine} engine gives "
            f"{_shown(got[name])}"
            for name in wanted
            if not _same(got[name], wanted[name])
        ]
    return out


def _same(got: float | int | None, wanted: float | int | None) -> bool:
    """Whether a cell is what the example says; a fraction may be written to four places."""
    if got is None or wanted is None or isinstance(got, int):
        return got == wanted
    return abs(got - wanted) <= 5e-5


def _shown(value: float | int | None) -> str:
    return "null" if value is None else str(value)


def add(file: Path, home: Path) -> tuple[Checked, str]:
    """Check a file and keep it: the second part says "added", "replaced" or "unchanged"."""
    place = folder(home)
    try:
        with disk.locked(place / ".lock"):
            checked = check(file, home)
            kept = place / file.name
            before = kept.read_bytes() if kept.exists() else None
            content = _content(file)
            if before != content:
                disk.replace_text(kept, content.decode())
            _document(home)
    except OSError as problem:
        raise _unwritable(home, problem) from problem
    return checked, "added" if before is None else "unchanged" if before == content else "replaced"


def remove(name: str, home: Path) -> tuple[str, tuple[str, ...]]:
    """Take out a file by its name (with or without .toml): its name and the features that went with it.

    Works when the file no longer reads, so that a home can always be mended. NotFoundError when there is none.
    """
    files = own_files(home)
    wanted = name if name in files else f"{name}.toml"
    if wanted not in files:
        holder = _holder(name, files)
        held = ", ".join(files) or "none"
        raise NotFoundError(
            f"There is no own file of features {name!r}"
            + (f"; {name} is declared in {holder}." if holder else "."),
            where=str(folder(home)),
            cure=f"Own files here: {held}.",
        )
    gone: tuple[str, ...] = ()
    try:
        gone = tuple(f.name for f in with_files(files).own if f.origin == wanted)
        with_files({kept: content for kept, content in files.items() if kept != wanted})
    except InputError as problem:
        if gone and problem.where != wanted:  # another file builds on this one
            raise InputError(
                f"{problem.where} needs {wanted}: {problem.what}.",
                where=str(folder(home)),
                cure=f"Take {problem.where} out first.",
            ) from problem
    try:
        with disk.locked(folder(home) / ".lock"):
            (folder(home) / wanted).unlink(missing_ok=True)
            disk.sync(folder(home))
            _document(home)
    except OSError as problem:
        raise _unwritable(home, problem) from problem
    return wanted, gone


def _holder(feature: str, files: dict[str, bytes]) -> str:
    try:
        return next((f.origin for f in with_files(files).own if f.name == feature), "")
    except InputError:
        return ""


def _document(home: Path) -> None:
    """Write the dictionary of the own features, or take it away with the last of them."""
    files, page = own_files(home), folder(home) / DICTIONARY
    try:
        catalogue = with_files(files) if files else None
    except InputError:  # another file is at fault: every command says so; the page waits until it is mended
        return
    if catalogue is None:
        page.unlink(missing_ok=True)
    else:
        disk.replace_text(page, render_own(catalogue))


def _content(file: Path) -> bytes:
    if file.suffix != ".toml":
        raise InputError(
            "A file of features is a TOML file.", where=str(file), cure="Name a file that ends in .toml."
        )
    try:
        return file.read_bytes().decode("utf-8-sig").encode()
    except OSError as problem:
        raise InputError(
            f"The file cannot be read: {problem.strerror}.",
            where=str(file),
            cure="Name a file that is there.",
        ) from problem
    except UnicodeDecodeError as problem:
        raise InputError(
            f"The file is not UTF-8: {problem}.", where=str(file), cure="Save it as UTF-8."
        ) from problem


def _unwritable(home: Path, problem: OSError) -> InputError:
    return InputError(
        f"The home folder cannot be written: {problem.strerror}.",
        where=str(folder(home)),
        cure="Free space or mend the rights, or choose another --home.",
    )
