"""Where harm weights come from: our cited table, a foreign mapping, the official sheet, a force's own CSV."""

from __future__ import annotations

import csv
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from features.errors import InputError

DATA = Path(__file__).parent / "data"
TABLE = DATA / "harm" / "offences-da.toml"
SUPPLEMENTS = (DATA / "harm" / "broward.toml",)
SERIOUS = DATA / "serious.v1.toml"

_SHEET_COLUMNS: dict[str, tuple[str, ...]] = {
    "cchi": (
        "athena_urn",
        "full_offence_title",
        "cchi_days",
        "classification_code",
        "home_office_classification",
        "cjs_codes",
    ),
    "css": ("ho_code", "weight"),
}


def normalise_code(raw: str | None) -> str | None:
    """A Home Office code as this project compares it: ``NNN/NN``, or a class such as ``8N`` or ``4.1``.

    ``8/6``, ``008/06`` and ``00806`` are one code. ``4/1`` is read as sub-code 1 of number 4, as a records
    system writes it. Text of neither form is returned upper-cased; null and blank give None.
    """
    text = (raw or "").strip().upper()
    if not text:
        return None
    if found := re.fullmatch(r"(\d{1,3})/(\d{1,2})", text):
        return f"{int(found[1]):03d}/{int(found[2]):02d}"
    if re.fullmatch(r"\d{5}", text):
        return f"{text[:3]}/{text[3:]}"
    if found := re.fullmatch(r"0*(\d{1,3}(?:\.\d{1,2})?[A-Z]?)", text):
        return found[1]
    return text


def family(code: str | None) -> str | None:
    """The Home Office number a code or class belongs to (8 for ``008/06`` and ``8N``); None without."""
    found = re.match(r"\d{1,3}", code or "")
    return str(int(found[0])) if found else None


@dataclass(frozen=True)
class Weight:
    """One row that can price an offence; ``days_cd`` in hundredths of a day, None without a weight here."""

    key: str
    klass: str
    days_cd: int | None
    serious: bool
    tags: tuple[str, ...]
    codes: tuple[str, ...] = ()
    urns: tuple[str, ...] = ()
    cjs: tuple[str, ...] = ()
    match: str | None = None
    title: str = ""
    commonest: bool = False
    assumed: bool = False
    attempt_key: str | None = None

    @property
    def families(self) -> set[str]:
        return {f for f in map(family, (self.klass, *self.codes)) if f}


def read_toml(path: Path) -> dict[str, Any]:
    """A data file of ours."""
    with path.open("rb") as file:
        return tomllib.load(file)


def foreign_weights(rows: Iterable[Mapping[str, Any]], own: Sequence[Weight]) -> Iterator[Weight]:
    """Pseudo codes of a converted foreign system: the weight of the offence each is like, marked assumed."""
    by_key = {weight.key: weight for weight in own}
    for row in rows:
        like = by_key.get(row.get("like", ""))
        yield Weight(
            key=row["key"],
            klass=row["class"],
            days_cd=like.days_cd if like else round(row["days"] * 100),
            serious=like.serious if like else False,
            tags=like.tags if like else tuple(row["tags"]),
            title=like.title if like else row["title"],
            commonest=True,
            assumed=True,
        )


def own_weights(rows: Iterable[Mapping[str, Any]], serious: set[str], value: str) -> Iterator[Weight]:
    """Rows of our table; ``value`` is the column that weighs ("days" or "css"), ``serious`` the keys on the list."""
    for row in rows:
        days = row.get(value)
        yield Weight(
            key=row["key"],
            klass=row["class"],
            days_cd=None if days is None else round(days * 100),
            serious=row["key"] in serious,
            tags=tuple(row["tags"]),
            codes=tuple(row["codes"]),
            urns=tuple(row.get("urns", ())),
            cjs=tuple(row.get("cjs", ())),
            match=row.get("match"),
            title=row["title"],
            commonest=bool(row.get("commonest")),
            attempt_key=row.get("attempt_key"),
        )


def read_sheet(path: Path, name: str) -> list[dict[str, str]]:
    """Rows of a CSV sheet for the scheme ``name``; InputError naming the line when a weight is not a number."""
    needed = _SHEET_COLUMNS[name]
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            header: Sequence[str] = reader.fieldnames or ()
            rows = list(reader)
    except (OSError, UnicodeDecodeError) as fault:
        raise InputError(
            f"the harm sheet cannot be read: {fault}", where=str(path), cure="give a UTF-8 CSV"
        ) from fault
    if lacking := [c for c in needed if c not in header]:
        raise InputError(
            f"the harm sheet lacks {', '.join(lacking)}", where=str(path), cure="export it with those columns"
        )
    number = "cchi_days" if name == "cchi" else "weight"
    for line, row in enumerate(rows, start=2):
        try:
            ok = float(row[number] or "") >= 0
        except ValueError:
            ok = False
        if not ok:
            raise InputError(
                f"{number} is not a number of at least 0: {row[number]!r}",
                where=f"{path}, line {line}",
                cure="mend the cell",
            )
    return rows


def merge_sheet(rows: list[dict[str, str]], own: tuple[Weight, ...]) -> tuple[Weight, ...]:
    """The sheet's rows, each told by our table what it is; our rows stay only for what the sheet lacks."""
    by_code: dict[str, list[Weight]] = {}
    for weight in own:
        for code in weight.codes:
            by_code.setdefault(code, []).append(weight)
    sheet: list[Weight] = []
    for row in rows:
        code = normalise_code(row["home_office_classification"]) or ""
        klass = (row["classification_code"] or "").strip().replace("/", ".").upper()
        title = (row["full_offence_title"] or "").strip()
        like = _same_offence(by_code.get(code, []), row["athena_urn"].strip(), klass, title)
        sheet.append(
            Weight(
                key=f"sheet:{row['athena_urn'].strip()}",
                klass=klass,
                days_cd=round(float(row["cchi_days"]) * 100),
                serious=like is not None and like.serious,
                tags=like.tags if like else (),
                codes=(code,),
                urns=(row["athena_urn"].strip(),),
                cjs=tuple(c.strip().upper() for c in (row["cjs_codes"] or "").split("|") if c.strip()),
                match=like.match if like else None,
                title=title,
            )
        )
    urns = {u for weight in sheet for u in weight.urns}
    days = {u: weight.days_cd for weight in sheet for u in weight.urns}
    kept: list[Weight] = []
    for weight in own:
        present = [d for u in weight.urns if u in urns and (d := days[u]) is not None]
        if not present:
            kept.append(weight)
        else:  # its codes are the sheet's now; it still names its class and stands for an attempt
            kept.append(replace(weight, days_cd=min(present), codes=(), urns=(), cjs=()))
    return (*sheet, *kept)


def _same_offence(candidates: Sequence[Weight], urn: str, klass: str, title: str) -> Weight | None:
    """Which of our offences a row of the sheet is: by its URN, else by code and what the title says."""
    for weight in candidates:
        if urn in weight.urns:
            return weight
    text = title.lower()
    named = [w for w in candidates if w.match and re.search(w.match, text)]
    plain = [w for w in candidates if not w.match]
    found = named or plain
    return min(found, key=lambda w: (w.klass != klass, w.days_cd or 0, w.key)) if found else None


def merge_css(rows: list[dict[str, str]], own: tuple[Weight, ...]) -> tuple[Weight, ...]:
    """Our offences at the weights a CSV gives their codes, and the codes it alone knows."""
    given = {normalise_code(row["ho_code"]): round(float(row["weight"]) * 100) for row in rows}
    known = {code for weight in own for code in (*weight.codes, weight.klass)}
    mine = tuple(
        replace(w, days_cd=min((given[c] for c in (*w.codes, w.klass) if c in given), default=w.days_cd))
        for w in own
    )
    new = tuple(
        Weight(
            f"sheet:{code}",
            code if "/" not in code else "",
            days,
            False,
            (),
            codes=(code,) if "/" in code else (),
            commonest=True,
        )
        for code, days in sorted((c, d) for c, d in given.items() if c is not None and c not in known)
    )
    return mine + new
