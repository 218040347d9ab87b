"""Harm of an offence: a weight in days, how it was found, and whether the offence is serious harm.

The weight comes from the first identifier that matches: Athena URN; CJS code; Home Office code with the
description; class. Where several weights share an identifier the lowest is taken and the row is marked
``harm_shared``. A code that matches nothing takes the lowest weight of its Home Office number, is marked
``harm_assumed`` and never counts as serious. Nothing known at all is 0 days, marked assumed. No weight is
ever an average or a median over a sheet's rows.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import polars as pl

from features.errors import InputError
from features.harm_weights import (
    SERIOUS,
    SUPPLEMENTS,
    TABLE,
    Weight,
    family,
    foreign_weights,
    merge_css,
    merge_sheet,
    normalise_code,
    own_weights,
    read_sheet,
    read_toml,
)

__all__ = [
    "SERIOUS",
    "TABLE",
    "HarmScheme",
    "Price",
    "Weight",
    "coverage",
    "family",
    "load_scheme",
    "normalise_code",
    "price",
    "serious_keys",
]

SCHEMES = ("cchi", "css")

PRICED: dict[str, pl.DataType] = {
    "harm_cd": pl.Int64(),
    "harm_assumed": pl.Boolean(),
    "serious": pl.Boolean(),
    "harm_basis": pl.String(),
    "harm_shared": pl.Boolean(),
    "tags": pl.List(pl.String()),
}
_ID_COLUMNS = ("athena_urn", "cjs_code", "ho_code")


@dataclass(frozen=True)
class Price:
    """What one combination of identifiers costs, and on what basis."""

    harm_cd: int
    assumed: bool
    serious: bool
    basis: str
    shared: bool
    tags: tuple[str, ...]


NOTHING_KNOWN = Price(0, True, False, "nothing known", False, ())


@dataclass(frozen=True)
class HarmScheme:
    """A loaded set of weights; build one with :func:`load_scheme`."""

    scheme: str
    edition: str
    source: str
    sha256: str
    weights: tuple[Weight, ...]
    serious_classes: frozenset[str]
    serious_name: str
    patterns: tuple[str, ...] = field(init=False)
    titles: Mapping[str, int] = field(init=False)
    _by: Mapping[str, Mapping[str, tuple[Weight, ...]]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        index: dict[str, dict[str, list[Weight]]] = {
            k: {} for k in ("urn", "cjs", "code", "class", "wild", "family", "key")
        }
        for weight in self.weights:
            for kind, values in (
                ("urn", weight.urns),
                ("cjs", weight.cjs),
                ("code", [c for c in weight.codes if not c.endswith("/*")]),
                ("wild", [family(c) or "" for c in weight.codes if c.endswith("/*")]),
                ("class", [weight.klass]),
                ("family", weight.families),
                ("key", [weight.key]),
            ):
                for value in values:
                    index[kind].setdefault(value, []).append(weight)
        frozen = {kind: {value: tuple(rows) for value, rows in of.items()} for kind, of in index.items()}
        object.__setattr__(self, "_by", frozen)
        object.__setattr__(self, "patterns", tuple(sorted({w.match for w in self.weights if w.match})))
        titles = sorted({w.title.lower() for w in self.weights if w.title})
        object.__setattr__(self, "titles", {title: i for i, title in enumerate(titles)})

    def provenance(self) -> dict[str, str]:
        """What a score carries to be reproduced: scheme, edition, source, data digest, serious harm."""
        return {
            "scheme": self.scheme,
            "edition": self.edition,
            "source": self.source,
            "sha256": self.sha256,
            "serious": self.serious_name,
        }

    def find(
        self,
        urn: str | None,
        cjs: str | None,
        code: str | None,
        description: str | None,
        attempt: bool = False,
    ) -> Price:
        """Price one offence; ``code`` may be raw. See the module's text for the order of identifiers."""
        text = (description or "").strip().lower()
        hits = frozenset(p for p in self.patterns if re.search(p, text)) if text else frozenset()
        return self._find(urn, cjs, normalise_code(code), hits, text, attempt)

    def _find(
        self,
        urn: str | None,
        cjs: str | None,
        code: str | None,
        hits: frozenset[str],
        title: str,
        attempt: bool,
    ) -> Price:
        if urn and (rows := self._by["urn"].get(urn.strip())):
            return self._price(rows, "athena_urn", attempt)
        if cjs and (rows := self._by["cjs"].get(cjs.strip().upper())):
            return self._price(_narrow(rows, hits, title), "cjs_code", attempt)
        if code is None:
            return NOTHING_KNOWN
        if rows := self._by["code"].get(code):
            return self._price(_narrow(rows, hits, title), "ho_code", attempt)
        wild = self._by["wild"].get(family(code) or "", ()) if "/" in code else ()
        if named := tuple(w for w in wild if w.match in hits):
            return self._price(named, "ho_code", attempt)
        if rows := self._by["class"].get(code):
            return self._price_class(code, rows, hits, title, attempt)
        return self._lowest_of_family(code)

    def _price_class(
        self, code: str, rows: tuple[Weight, ...], hits: frozenset[str], title: str, attempt: bool
    ) -> Price:
        named = tuple(w for w in rows if w.match in hits or (title and w.title.lower() == title))
        if named:
            return self._price(named, "class with description", attempt)
        commonest = tuple(w for w in rows if w.commonest)
        found = self._price(commonest or rows, "class" if commonest else "class, lowest", attempt)
        serious = code in self.serious_classes and bool(commonest)
        assumed = found.assumed or not commonest
        return Price(found.harm_cd, assumed, serious, found.basis, found.shared, found.tags)

    def _lowest_of_family(self, code: str) -> Price:
        known = [w.days_cd for w in self._by["family"].get(family(code) or "", ()) if w.days_cd is not None]
        if not known:
            return NOTHING_KNOWN
        return Price(min(known), True, False, "lowest of its number", len(set(known)) > 1, ())

    def _price(self, rows: tuple[Weight, ...], basis: str, attempt: bool) -> Price:
        """Lowest weight of rows that share an identifier; serious only when every one of them is."""
        if attempt:
            rows = tuple(self._by["key"][w.attempt_key][0] if w.attempt_key else w for w in rows)
        serious = all(w.serious for w in rows)
        tags = tuple(sorted(set.intersection(*(set(w.tags) for w in rows))))
        known = {w.days_cd for w in rows if w.days_cd is not None}
        if not known:
            families = set.union(*(w.families for w in rows))
            near = [self._lowest_of_family(f) for f in sorted(families)]
            days = min((p.harm_cd for p in near if p.basis != NOTHING_KNOWN.basis), default=0)
            return Price(days, True, serious, f"{basis}, no weight in this scheme", False, tags)
        assumed = any(w.assumed for w in rows if w.days_cd == min(known))
        return Price(min(known), assumed, serious, basis, len(known) > 1, tags)


def _narrow(rows: tuple[Weight, ...], hits: frozenset[str], title: str) -> tuple[Weight, ...]:
    """Of rows that share a code, those the description names, else those that need none, else all."""
    if title and (same := tuple(w for w in rows if w.title.lower() == title)):
        return same
    if hits and (named := tuple(w for w in rows if w.match in hits)):
        return named
    return tuple(w for w in rows if not w.match) or rows


def price(offence: pl.DataFrame, scheme: HarmScheme) -> pl.DataFrame:
    """Price every row of an offence frame; the rows, their order and their columns stay.

    ``offence`` has ``ho_code`` and may have ``athena_urn``, ``cjs_code``, ``description``, ``attempt``; any
    may be null. Adds ``harm_cd`` (Int64, hundredths of a day), ``harm_assumed``, ``serious``,
    ``harm_basis``, ``harm_shared`` and ``tags``. Each distinct combination is looked up once, so a million
    offences take about a second. Raises InputError when ``ho_code`` is missing.
    """
    if "ho_code" not in offence.columns:
        raise InputError(
            "offences cannot be priced", where="offence.ho_code", cure="give the column, null where unknown"
        )
    lacking = [c for c in ("athena_urn", "cjs_code", "description") if c not in offence.columns]
    frame = offence.drop([c for c in PRICED if c in offence.columns]).with_columns(
        pl.lit(None, pl.String).alias(c) for c in lacking
    )
    attempt = pl.col("attempt").fill_null(False) if "attempt" in frame.columns else pl.lit(False)
    keyed = frame.with_columns(attempt.alias("_attempt")).pipe(_describe, scheme)
    key = [*_ID_COLUMNS, "_attempt", "_hits", "_title"]
    combos = keyed.select(key).unique(maintain_order=True)
    found = _look_up(combos, scheme)
    return keyed.join(found, on=key, how="left", nulls_equal=True, maintain_order="left").drop(
        "_attempt", "_hits", "_title", *lacking
    )


def _describe(frame: pl.DataFrame, scheme: HarmScheme) -> pl.DataFrame:
    """Add ``_hits`` (patterns the description matches, as bits) and ``_title`` (known title it equals)."""
    texts = frame.select(pl.col("description").unique()).with_columns(
        pl.col("description").str.strip_chars().str.to_lowercase().fill_null("").alias("_text")
    )
    bits = [pl.col("_text").str.contains(p).cast(pl.Int64) * (1 << i) for i, p in enumerate(scheme.patterns)]
    titles = pl.DataFrame(
        {"_text": list(scheme.titles), "_title": list(scheme.titles.values())},
        schema={"_text": pl.String, "_title": pl.Int64},
    )
    texts = texts.with_columns(
        pl.sum_horizontal(bits).alias("_hits") if bits else pl.lit(0, pl.Int64).alias("_hits")
    )
    texts = (
        texts.join(titles, on="_text", how="left").with_columns(pl.col("_title").fill_null(-1)).drop("_text")
    )
    return frame.join(texts, on="description", how="left", nulls_equal=True, maintain_order="left")


def _look_up(combos: pl.DataFrame, scheme: HarmScheme) -> pl.DataFrame:
    names = {i: title for title, i in scheme.titles.items()}
    prices = [
        scheme._find(
            row["athena_urn"],
            row["cjs_code"],
            normalise_code(row["ho_code"]),
            frozenset(p for i, p in enumerate(scheme.patterns) if row["_hits"] >> i & 1),
            names.get(row["_title"], ""),
            row["_attempt"],
        )
        for row in combos.iter_rows(named=True)
    ]
    columns: dict[str, list[Any]] = {
        "harm_cd": [p.harm_cd for p in prices],
        "harm_assumed": [p.assumed for p in prices],
        "serious": [p.serious for p in prices],
        "harm_basis": [p.basis for p in prices],
        "harm_shared": [p.shared for p in prices],
        "tags": [list(p.tags) for p in prices],
    }
    return combos.with_columns(
        pl.Series(name, values, dtype=PRICED[name]) for name, values in columns.items()
    )


def coverage(priced: pl.DataFrame) -> pl.DataFrame:
    """What pricing had to assume, for ``check``: harm_basis, ho_code, offences, harm_assumed, harm_shared.

    One row a basis and code among the rows whose weight was assumed or shared, most offences first.
    """
    return (
        priced.filter(pl.col("harm_assumed") | pl.col("harm_shared"))
        .group_by("harm_basis", "ho_code", "harm_assumed", "harm_shared")
        .agg(pl.len().alias("offences"))
        .sort(
            ["offences", "harm_basis", "ho_code", "harm_assumed", "harm_shared"],
            descending=[True] + [False] * 4,
        )
    )


def load_scheme(name: str = "cchi", sheet: Path | None = None) -> HarmScheme:
    """Load a set of harm weights.

    ``cchi``: our cited table of domestic-abuse offences (days of the Cambridge Crime Harm Index 2020). With
    ``sheet``, the official sheet as a CSV (columns ``athena_urn``, ``full_offence_title``, ``cchi_days``,
    ``classification_code``, ``home_office_classification``, ``cjs_codes``) prices every offence it holds; our
    table then adds only what the sheet lacks and says which offence stands for a bare class.
    ``css``: ONS Crime Severity Score where a labelled weight is known; with ``sheet``, a CSV of ``ho_code``
    and ``weight``. Raises InputError for an unknown name, an unreadable sheet or a missing column.
    """
    return _load_scheme(name, str(sheet) if sheet is not None else None)


@lru_cache(maxsize=8)
def _load_scheme(name: str, sheet: str | None) -> HarmScheme:
    if name not in SCHEMES:
        raise InputError(
            f"unknown harm scheme {name!r}", where="harm scheme", cure=f"use one of {', '.join(SCHEMES)}"
        )
    table = read_toml(TABLE)
    serious = read_toml(SERIOUS)
    keys = {k for group in serious["group"] for k in group["keys"]}
    own = tuple(own_weights(table["offence"], keys, "css" if name == "css" else "days"))
    extra = tuple(
        w for path in SUPPLEMENTS if name == "cchi" for w in foreign_weights(read_toml(path)["offence"], own)
    )
    digest = [TABLE, *SUPPLEMENTS, SERIOUS] if name == "cchi" else [TABLE, SERIOUS]
    edition, source = (
        (table["edition"], table["cite"]) if name == "cchi" else (table["css_edition"], table["css_cite"])
    )
    if sheet is not None:
        rows = read_sheet(Path(sheet), name)
        own = merge_css(rows, own) if name == "css" else merge_sheet(rows, own)
        digest = [*digest, Path(sheet)]
        edition = f"sheet {Path(sheet).name}, completed by {edition}"
    return HarmScheme(
        scheme=name,
        edition=edition,
        source=source,
        sha256=hashlib.sha256(b"\0".join(p.read_bytes() for p in digest)).hexdigest(),
        weights=own + extra,
        serious_classes=frozenset(c for group in serious["group"] for c in group["classes"])
        | {w.klass for w in extra if w.serious},
        serious_name=serious["name"],
    )


def serious_keys() -> frozenset[str]:
    """Keys of the offences that serious.v1 counts as serious harm."""
    return frozenset(k for group in read_toml(SERIOUS)["group"] for k in group["keys"])
