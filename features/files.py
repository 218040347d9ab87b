"""From a folder to raw tables: which file is which table, and can it be read at all.

Nothing is judged here but the file: its encoding, its delimiter, its header, whether it is whole. A file that
fails stops the load with one message; cells and rows are judged later (``features.cells``, ``features.front``).
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from features.errors import InputError
from features.schema import REQUIRED_TABLES, SPECS, WRAPPING, Row, TableSpec

NATURES = ("simulated", "public", "operational")
LINE = "source_line"
MANIFEST = "extract.json"
FORMATS = (".parquet", ".csv")
_CHUNK = 50_000
_CELL_LIMIT = 1_000_000
_PLAIN_LIMIT = 1 << 30
_OTHER_DELIMITERS = {";": "semicolons", "\t": "tabs", "|": "bars"}
_READ_ERRORS = (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException)


@dataclass(frozen=True)
class RawTable:
    """One table as the file holds it.

    ``frame``: ``source_line`` (CSV: the line a record starts on, header = 1; Parquet: the row number from 1) and
    the contract columns found, as text (CSV) or as the file's types. ``ragged``: line -> the cells of a CSV
    record whose count of cells is not the header's.
    """

    name: str
    file: str
    sha256: str
    frame: pl.DataFrame
    unknown_columns: tuple[str, ...]
    ragged: dict[int, list[str]]

    @property
    def columns(self) -> set[str]:
        """Contract columns the file has."""
        return set(self.frame.columns) - {LINE}


@dataclass(frozen=True)
class RawExtract:
    """A folder read: raw tables by contract name, what it says of itself, and what was not read."""

    folder: Path
    nature: str
    made_by: str
    tables: dict[str, RawTable]
    unknown_files: tuple[str, ...]

    def missing(self) -> frozenset[str]:
        """ "table" or "table.column" of the contract that the extract lacks (never a required one)."""
        tables = {name for name in SPECS if name not in self.tables}
        columns = {
            f"{name}.{column}"
            for name, raw in self.tables.items()
            for column in SPECS[name].dtypes
            if column not in raw.columns
        }
        return frozenset(tables | columns)


def read_extract(folder: Path, *, whole: bool = True) -> RawExtract:
    """Read every contract table of a folder; InputError when one cannot be read or something required is missing.

    ``whole``: the required tables must be there; rows to be added to a load may be of any tables.
    """
    files, unknown = find_files(folder, whole=whole)
    nature, made_by = _read_manifest(folder)
    tables = {name: _read_table(SPECS[name], path) for name, path in files.items()}
    return RawExtract(folder, nature, made_by, tables, unknown)


def find_files(folder: Path, *, whole: bool = True) -> tuple[dict[str, Path], tuple[str, ...]]:
    """Contract table -> its file, and the names of what is none (folders and hidden files aside)."""
    if not folder.is_dir():
        raise InputError(
            "The extract is not a folder.",
            where=str(folder),
            cure="Name the folder that holds one file a table (person.csv, event.parquet …).",
        )
    files: dict[str, Path] = {}
    unknown: list[str] = []
    for path in sorted(folder.iterdir()):
        if path.name == MANIFEST or path.name.startswith("."):
            continue
        name = path.stem
        if not path.is_file() or path.suffix not in FORMATS or name not in SPECS:
            unknown.append(path.name + ("/" if path.is_dir() else ""))
            continue
        if name in files:
            raise InputError(
                f"Table {name} is there twice: {files[name].name} and {path.name}.",
                where=f"table {name}",
                cure="Keep one of the two.",
            )
        files[name] = path
    lacking = [name for name in REQUIRED_TABLES if name not in files]
    if lacking and whole:
        inside = folder / "extract"
        hint = f" The tables may be in {inside.name}/ inside it." if inside.is_dir() else ""
        raise InputError(
            f"Required table {', '.join(lacking)} is missing.",
            where=str(folder),
            cure=f"Add {lacking[0]}.parquet or {lacking[0]}.csv to the folder.{hint}",
        )
    return files, tuple(unknown)


def raw_table(name: str, frame: pl.DataFrame) -> RawTable:
    """A frame of rows as a raw table, as if it had been read from a file; InputError when a required column is
    missing. Columns without a single value are taken as text."""
    spec = SPECS[name]
    wanted = _wanted(spec, frame.columns, "the rows given", "")
    plain = frame.select(wanted).with_columns(
        pl.col(c).cast(pl.String) for c in wanted if frame.schema[c] == pl.Null
    )
    lines = pl.int_range(1, frame.height + 1, dtype=pl.Int64, eager=True).alias(LINE)
    unknown = tuple(c for c in frame.columns if c not in wanted)
    return RawTable(name, name, "", _blank_is_null(plain.select(lines, *wanted)), unknown, {})


def _read_manifest(folder: Path) -> tuple[str, str]:
    path = folder / MANIFEST
    if not path.exists():
        return "operational", ""
    try:
        said = json.loads(path.read_text(encoding="utf-8-sig"))
        nature, made_by = said.get("nature", "operational"), said.get("made_by", "")
    except (OSError, ValueError, AttributeError) as problem:
        raise InputError(
            f"{MANIFEST} cannot be read: {problem}.",
            where=MANIFEST,
            cure='Write {"nature": "simulated"}, "public" or "operational", or delete the file.',
        ) from problem
    if nature not in NATURES:
        raise InputError(
            f"The nature {nature!r} of the extract is not known.",
            where=f"{MANIFEST}, nature",
            cure=f"Write one of {', '.join(NATURES)}.",
        )
    return nature, str(made_by)


def _read_table(spec: TableSpec, path: Path) -> RawTable:
    digest = _sha256(path)
    ragged: dict[int, list[str]] = {}
    if path.suffix == ".csv":
        found, frame, ragged = _read_csv(spec, path)
    else:
        found, frame = _read_parquet(spec, path)
    unknown = tuple(c for c in found if c not in spec.dtypes and c not in WRAPPING)
    return RawTable(spec.name, path.name, digest, frame, unknown, ragged)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    except OSError as problem:
        raise InputError(
            f"{path.name} cannot be opened: {problem.strerror}.",
            where=f"table {path.stem}",
            cure="Check that the file is there and may be read.",
        ) from problem
    return digest.hexdigest()


def _wanted(spec: TableSpec, found: list[str], file: str, line: str) -> list[str]:
    """The contract columns among those found; InputError when one is there twice or a required one is not."""
    twice = sorted({c for c in found if found.count(c) > 1 and (c in spec.dtypes or c in WRAPPING)})
    if twice:
        raise InputError(
            f"Column {twice[0]} is there twice.",
            where=f"table {spec.name}, {line}column {twice[0]}",
            cure="Keep one of the two columns.",
        )
    lacking = [c for c in spec.required if c not in found]
    if lacking:
        shown = ", ".join(found[:8]) + (" …" if len(found) > 8 else "")
        raise InputError(
            f"Required column {', '.join(lacking)} of table {spec.name} is missing; {file} has {shown or 'none'}.",
            where=f"table {spec.name}, {line}column {lacking[0]}",
            cure="Export the column, or leave out the whole table if it is not a required one.",
        )
    return [c for c in found if c in spec.dtypes or c in WRAPPING]


# --- CSV ---------------------------------------------------------------------------------------------------


def _read_csv(spec: TableSpec, path: Path) -> tuple[list[str], pl.DataFrame, dict[int, list[str]]]:
    if (plain := _read_plain_csv(spec, path)) is not None:
        return (*plain, {})
    csv.field_size_limit(_CELL_LIMIT)
    at = f"table {spec.name}"
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            header = _header(spec, path, reader)
            columns = _wanted(spec, header, path.name, "line 1, ")
            places = [header.index(c) for c in columns]
            ragged: dict[int, list[str]] = {}
            parts: list[pl.DataFrame] = []
            while chunk := list(islice(_records(reader, len(header), ragged), _CHUNK)):
                lines, rows = zip(*chunk, strict=True)
                cells = list(zip(*rows, strict=True))
                data = {
                    c: pl.Series(c, cells[place], dtype=pl.String)
                    for c, place in zip(columns, places, strict=True)
                }
                parts.append(pl.DataFrame({LINE: pl.Series(lines, dtype=pl.Int64), **data}))
    except UnicodeDecodeError as problem:
        raise _not_utf8(spec, path) from problem
    except csv.Error as problem:
        raise InputError(
            f"{path.name} cannot be read past here: {problem}.",
            where=f"{at}, line {reader.line_num}",
            cure='Export again: a cell with a comma, quote or line break stands in "quotes", quotes in it doubled.',
        ) from problem
    except OSError as problem:
        raise InputError(
            f"{path.name} cannot be read: {problem.strerror}.", where=at, cure="Check the file and the disk."
        ) from problem
    empty = pl.DataFrame(schema={LINE: pl.Int64, **dict.fromkeys(columns, pl.String)})
    frame = pl.concat(parts) if parts else empty
    return header, _blank_is_null(frame), ragged


def _read_plain_csv(spec: TableSpec, path: Path) -> tuple[list[str], pl.DataFrame] | None:
    """The quick way for a file of the plainest form: no quotes, no blank lines, as many cells in every line as in
    the header. None for any other, which the careful reader then takes (or refuses, naming the line)."""
    if not 0 < path.stat().st_size <= _PLAIN_LIMIT:
        return None
    data = path.read_bytes().removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").rstrip(b"\n") + b"\n"
    if b'"' in data or b"\r" in data or b"\n\n" in data or data.startswith(b"\n"):
        return None
    try:
        first = data[: data.index(b"\n")].decode("utf-8")
        buffer = np.frombuffer(data, dtype=np.uint8)
        ends = np.flatnonzero(buffer == ord("\n"))
        commas = np.searchsorted(np.flatnonzero(buffer == ord(",")), ends)
        if (np.diff(commas, prepend=0) != first.count(",")).any() or "," not in first:
            return None
        header = [name.strip() for name in first.split(",")]
        columns = _wanted(spec, header, path.name, "line 1, ")
        frame = (
            pl.read_csv(
                data,
                has_header=False,
                skip_rows=1,
                new_columns=[f"c{place}" for place in range(len(header))],
                columns=[header.index(c) for c in columns],
                infer_schema=False,
                quote_char=None,
            )
            if len(ends) > 1
            else None
        )
    except (UnicodeDecodeError, pl.exceptions.PolarsError):
        return None
    if frame is None:
        return None
    places = sorted(header.index(c) for c in columns)
    frame = frame.rename({old: header[place] for old, place in zip(frame.columns, places, strict=True)})
    if frame.height != len(ends) - 1:
        return None
    lines = pl.int_range(2, frame.height + 2, dtype=pl.Int64, eager=True).alias(LINE)
    return header, _blank_is_null(frame.select(lines, *columns))


def _header(spec: TableSpec, path: Path, reader: Any) -> list[str]:
    header = [name.strip() for name in next(reader, [])]
    if not any(header):
        raise InputError(
            f"{path.name} has no header row.",
            where=f"table {spec.name}, line 1",
            cure=f"The first line names the columns, for instance {','.join(spec.required)}.",
        )
    if len(header) == 1 and (other := [d for d in _OTHER_DELIMITERS if d in header[0]]):
        raise InputError(
            f"{path.name} is separated by {_OTHER_DELIMITERS[other[0]]}, not commas.",
            where=f"table {spec.name}, line 1, value {header[0][:60]!r}",
            cure="Export it with commas, or as Parquet.",
        )
    return header


def _records(reader: Any, width: int, ragged: dict[int, list[str]]) -> Iterator[tuple[int, list[str]]]:
    """(line the record starts on, its cells); a record of another width is noted and cut or filled up."""
    start = reader.line_num + 1
    for cells in reader:
        line, start = start, reader.line_num + 1
        if not cells:
            continue
        if len(cells) != width:
            if any(cells[width:]) or len(cells) < width:
                ragged[line] = cells
            cells = (cells + [""] * width)[:width]
        yield line, cells


def _blank_is_null(frame: pl.DataFrame) -> pl.DataFrame:
    texts = [c for c, dtype in frame.schema.items() if dtype == pl.String]
    return frame.with_columns(pl.when(pl.col(c) != "").then(pl.col(c)).alias(c) for c in texts)


def _column_at(path: Path, position: int) -> str:
    """The header's column at a position counted in commas; the position itself where the header is shorter."""
    with path.open("rb") as stream:
        names = stream.readline().decode("utf-8", errors="replace").lstrip("\ufeff").strip().split(",")
    return names[position].strip('"') if position < len(names) else str(position + 1)


def _not_utf8(spec: TableSpec, path: Path) -> InputError:
    """Say on which line the text stops being UTF-8."""
    cure = "Save it as UTF-8 (in Excel: CSV UTF-8), or export Parquet."
    with path.open("rb") as stream:
        if stream.read(2) in (b"\xff\xfe", b"\xfe\xff"):
            return InputError(
                f"{path.name} is UTF-16, not UTF-8.", where=f"table {spec.name}, line 1", cure=cure
            )
        stream.seek(0)
        for number, line in enumerate(stream, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as problem:
                bad = line[problem.start : problem.start + 1]
                column = _column_at(path, line[: problem.start].count(b","))
                # The neighbours of the byte may be a person's name: they are not shown.
                where = f"table {spec.name}, line {number}, column {column}, value {bad!r}"
                return InputError(f"{path.name} is not UTF-8 (byte {bad!r}).", where=where, cure=cure)
    return InputError(f"{path.name} is not UTF-8.", where=f"table {spec.name}", cure=cure)


# --- Parquet -----------------------------------------------------------------------------------------------


def _read_parquet(spec: TableSpec, path: Path) -> tuple[list[str], pl.DataFrame]:
    try:
        found = list(pl.read_parquet_schema(path))
        columns = _wanted(spec, found, path.name, "")
        frame = pl.read_parquet(path, columns=columns) if columns else pl.DataFrame()
    except InputError:
        raise
    except _READ_ERRORS as problem:
        raise InputError(
            f"{path.name} is not a whole Parquet file ({str(problem).splitlines()[0][:120]}).",
            where=f"table {spec.name}",
            cure="Export or copy it again; it may have been cut short.",
        ) from problem
    lines = pl.int_range(1, frame.height + 1, dtype=pl.Int64, eager=True).alias(LINE)
    return found, _blank_is_null(frame.select(lines, *columns))


assert LINE in Row.columns(), "the schemas carry the line under this name"
