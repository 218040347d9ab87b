"""The catalogue: every feature as data, checked when it is read, compiled by the engines.

``features/data/catalogue*.toml`` declare each feature once (subject, stream of facts, filter, aggregate, windows,
unit, plain-English name, expected direction, family, worked example) and each family with its flags; an analyst's own
files (``features.own``) are read the same way after them. ``features.declarations`` says what one declaration means;
here they become one catalogue and are checked together. Nothing in this module computes a feature.
``python -m features.catalogue`` counts the declarations and writes ``docs/data-dictionary.md``.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from features.declarations import (
    AGGREGATES,
    EVER,
    FLAGS,
    FORMULAS,
    KEYS,
    SUBJECTS,
    Column,
    Condition,
    Example,
    Family,
    Feature,
    Sensitive,
    check_example,
    fault,
    meant,
    read_family,
    read_feature,
    read_sensitive,
    window_name,
    window_phrase,
)
from features.errors import InputError

__all__ = [
    "AGGREGATES", "CATALOGUE_FILE", "CATALOGUE_FILES", "EVER", "FLAGS", "FORMULAS", "KEYS", "SUBJECTS", "Catalogue",
    "Column", "Condition", "Example", "Family", "Feature", "load_catalogue", "window_name", "window_phrase",
]  # fmt: skip

CATALOGUE_FILE = Path(__file__).parent / "data" / "catalogue.toml"
#: The package's own files: catalogue.toml first, then the others by name.
CATALOGUE_FILES = (CATALOGUE_FILE, *sorted(CATALOGUE_FILE.parent.glob("catalogue_*.toml")))

#: Names that columns beside the histories already have (keys, cohort, outcomes, weights).
RESERVED = frozenset(
    (
        "person_id", "suspect_id", "victim_id", "as_of", "weight", "in_scope", "active_365", "first_time",
        "age_unknown",
        "last_at", "release_due", "out_of_scope_reason", "serious", "other", "any_event", "harm_days", "harm_cd",
        "max_harm_cd", "learnt_cd", "winsor_days", "serious_182", "serious_10", "serious_within_90d",
        "p_serious", "p_any", "expected_harm", "rank", "ogrs3",
    )
)  # fmt: skip


@dataclass(frozen=True)
class Catalogue:
    """All declared features in file order and their families, with the edition of the package's files.

    ``files``: name and sha256 of each of an analyst's own files.
    """

    edition: str
    all: tuple[Feature, ...]
    families: tuple[Family, ...] = ()
    sensitive: tuple[Sensitive, ...] = ()
    files: tuple[tuple[str, str], ...] = ()

    def __hash__(self) -> int:
        return hash((self.edition, len(self.all), self.digest))

    def features(self, subject: str | None = None) -> list[Feature]:
        """The features of one subject (offender, victim, dyad), or all of them."""
        if subject is not None:
            check_subject(subject)
        return [f for f in self.all if subject in (None, f.subject)]

    def columns(self, subject: str) -> list[Column]:
        """Every column of one subject, windows multiplied out, in catalogue order."""
        self.features(subject)
        check_subject(subject)
        return list(self._columns[subject].values())

    def column(self, subject: str, name: str) -> Column:
        """One column by name; InputError when the catalogue has none of that name for that subject."""
        self.features(subject)
        check_subject(subject)
        if name not in self._columns[subject]:
            raise InputError(
                f"the catalogue has no {subject} column {name!r}{meant(name, self._columns[subject])}",
                where="columns",
                cure="docs/data-dictionary.md lists them all; doorstep features list too.",
            )
        return self._columns[subject][name]

    @cached_property
    def _columns(self) -> dict[str, dict[str, Column]]:
        return {s: {c.name: c for f in self.features(s) for c in f.columns} for s in SUBJECTS}

    @cached_property
    def _families(self) -> dict[str, Family]:
        return {family.name: family for family in self.families}

    def family(self, feature: Feature) -> Family:
        """The family a feature belongs to."""
        return self._families[feature.family]

    def refused(self, feature: Feature) -> str | None:
        """Why no model may take the feature (its family is flagged), in words; None when one may."""
        flags = self.family(feature).flags
        if not flags:
            return None
        return f"family {feature.family} is flagged {', '.join(flags)}: no model may take it"

    @cached_property
    def own(self) -> tuple[Feature, ...]:
        """The features that came with files of an analyst's own."""
        return tuple(feature for feature in self.all if feature.origin)

    @cached_property
    def digest(self) -> str:
        """Twelve hex digits that change when an own feature comes, goes or means something else; "" without any."""
        if not self.own:
            return ""
        said = "\n".join(meaning(feature) for feature in self.own)
        return hashlib.sha256(said.encode()).hexdigest()[:12]

    def left_out(self, subject: str, missing: Iterable[str]) -> dict[str, str]:
        """Features that an extract cannot feed: name -> the table or column it lacks.

        ``missing`` holds "table" and "table.column" names absent from the extract. A formula is left out with
        any of its inputs.
        """
        absent = frozenset(missing)
        out: dict[str, str] = {}
        by_column = {column.name: column.feature.name for column in self.columns(subject)}
        for feature in self.features(subject):
            lacks = next((need for need in feature.needs if not _has(need, absent)), None)
            lost = [by_column[name] for column in feature.columns for name in column.inputs]
            lacks = lacks or next((out[name] for name in lost if name in out), None)
            if lacks:
                out[feature.name] = lacks
        return out

    def extended(self, files: Mapping[str, bytes]) -> Catalogue:
        """This catalogue with own files after it: file name -> content. InputError names the file at fault."""
        whole = _assembled(self, [(name, _document(name, files[name])) for name in sorted(files)])
        digests = tuple((name, hashlib.sha256(files[name]).hexdigest()) for name in sorted(files))
        return replace(whole, files=self.files + digests)


def check_subject(subject: str) -> None:
    """InputError for anything but offender, victim or dyad."""
    if subject not in SUBJECTS:
        raise InputError(
            f"there are no histories of {subject!r}",
            where="subject",
            cure=f"Choose one of {', '.join(SUBJECTS)}.",
        )


def meaning(feature: Feature) -> str:
    """Everything of a declaration that decides a number or who may use it, as one line."""
    said = {f.name: getattr(feature, f.name) for f in fields(feature)}
    for name in ("text", "unit", "example", "origin", "needs"):
        del said[name]
    return repr(said)


def _has(need: str, absent: frozenset[str]) -> bool:
    return any(name not in absent and name.split(".")[0] not in absent for name in need.split("|"))


# ---------------------------------------------------------------------------------------------------------------
# Reading the files


@cache
def load_catalogue(*paths: Path) -> Catalogue:
    """Read and check the catalogue: the package's files, or these. InputError names the declaration at fault."""
    chosen = paths or CATALOGUE_FILES
    documents = [(f"features/data/{path.name}", _document(path.name, path.read_bytes())) for path in chosen]
    edition = str(documents[0][1].pop("edition", "?"))
    return _assembled(Catalogue(edition, ()), documents)


def _document(name: str, content: bytes) -> dict[str, Any]:
    try:
        return tomllib.loads(content.decode("utf-8-sig"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as problem:
        raise InputError(
            f"The file of features cannot be read: {problem}.",
            where=name,
            cure="Mend the line named; docs/your-own-features.md shows a whole file.",
        ) from problem


def _assembled(base: Catalogue, documents: list[tuple[str, dict[str, Any]]]) -> Catalogue:
    """``base`` and what the documents declare, checked together; own files when ``base`` already has features."""
    own = bool(base.all)
    whole = base
    for site, document in documents:
        try:
            families, sensitive, declared = _read(document, site if own else "")
            whole = replace(
                whole,
                all=(*whole.all, *declared),
                families=(*whole.families, *families),
                sensitive=(*whole.sensitive, *sensitive),
            )
            _check_families(whole)
            _check_columns(whole)
            for feature in declared:
                check_example(feature)
                _check_flags(whole, feature)
        except InputError as problem:
            raise InputError(problem.what, where=site, cure=problem.cure) from None
    return whole


def _read(document: Mapping[str, Any], origin: str) -> tuple[list[Family], list[Sensitive], list[Feature]]:
    """The sections of one file. An own file holds families and features alone."""
    sections = ("family", *SUBJECTS) if origin else ("family", "sensitive", *SUBJECTS)
    for section, entries in document.items():
        if section not in sections:
            raise InputError(
                f"there is no section {section!r}{meant(section, sections)}",
                cure=f"A file holds [[{']], [['.join(sections)}]].",
            )
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise InputError(f"{section} is not a list of tables", cure=f"Write [[{section}]], two brackets.")
    if not any(document.get(section) for section in sections):
        raise InputError("the file declares nothing", cure="docs/your-own-features.md shows a whole file.")
    families = [read_family(entry) for entry in document.get("family", ())]
    sensitive = [read_sensitive(entry) for entry in document.get("sensitive", ())]
    features = [
        read_feature(entry, subject, origin) for subject in SUBJECTS for entry in document.get(subject, ())
    ]
    return families, sensitive, features


def _check_families(catalogue: Catalogue) -> None:
    """Families are declared once; features name one that is."""
    names = [family.name for family in catalogue.families]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"family {name}: declared twice", cure="Choose another name.")
    for feature in catalogue.all:
        if feature.family not in names:
            raise fault(
                feature.name,
                f"family {feature.family!r} is none of {', '.join(names)}{meant(feature.family, names)}",
                "Name one of them, or declare a [[family]] with a text and its flags.",
            )


def _check_columns(catalogue: Catalogue) -> None:
    """Names once only; formulas built on counted columns declared before them, held in the same unit."""
    for subject in SUBJECTS:
        named: set[str] = set()
        for feature in catalogue.features(subject):  # a name says what a load lacks, and whom to explain
            if feature.name in named:
                raise fault(feature.name, f"declared twice for one {subject}", "Choose another name.")
            named.add(feature.name)
        seen: dict[str, Column] = {}
        for column in (c for f in catalogue.features(subject) for c in f.columns):
            if column.name in seen:
                raise fault(column.name, "declared twice", "Choose another name.")
            if column.name in RESERVED:
                raise fault(column.name, "the name is kept for something else", "Choose another name.")
            absent = [name for name in column.inputs if name not in seen]
            if absent:
                raise fault(
                    column.name,
                    f"uses {absent}, which no earlier {subject} declaration makes{meant(absent[0], seen)}",
                )
            read = [seen[name].feature for name in column.inputs]
            if any(feature.formula for feature in read):
                raise fault(column.name, "a formula of a formula is not possible", "Name counted columns.")
            scales = {feature.scale for feature in read}
            if len(scales) > 1 or (column.feature.formula == "at_least" and scales - {1}):
                raise fault(
                    column.name,
                    "its columns are not held in the same unit (harm is held in hundredths of a day)",
                    "Combine harm with harm and counts with counts; for a limit on harm write a condition at_least.",
                )
            seen[column.name] = column


def _check_flags(catalogue: Catalogue, feature: Feature) -> None:
    """What a feature reads follows it: a flag or a sensitivity cannot be lost by choosing another family."""
    has = set(catalogue.family(feature).flags)
    read = [catalogue.column(feature.subject, name).feature for c in feature.columns for name in c.inputs]
    for family in catalogue.families:
        if feature.source in family.streams and not set(family.flags) <= has:
            raise fault(
                feature.name,
                f"stream {feature.source} belongs to family {family.name} ({', '.join(family.flags)})",
                f'Write family = "{family.name}".',
            )
    for other in read:
        lost = set(catalogue.family(other).flags) - has
        if lost:
            raise fault(
                feature.name,
                f"reads {other.name} of family {other.family} ({', '.join(sorted(lost))})",
                f'Write family = "{other.family}", or take it out.',
            )
    kinds = {rule.kind for rule in catalogue.sensitive if rule.touches(feature)}
    kinds |= {other.sensitive for other in read if other.sensitive}
    for kind in sorted(kinds - {feature.sensitive}):
        raise fault(
            feature.name, f"reads {kind} data", f'Write sensitive = "{kind}", or leave that data out.'
        )
    if feature.model and catalogue.refused(feature):
        raise fault(feature.name, str(catalogue.refused(feature)), "Take out model = true.")


def main() -> None:
    """Count the declarations and write docs/data-dictionary.md."""
    from features.dictionary import PAGE, render  # the page reads this module

    catalogue = load_catalogue()
    PAGE.write_text(render(catalogue), encoding="utf-8")
    for subject in SUBJECTS:
        print(
            f"{subject}: {len(catalogue.features(subject))} declarations, {len(catalogue.columns(subject))} columns"
        )
    print(f"in all: {len(catalogue.all)} declarations; wrote docs/{PAGE.name}")


if __name__ == "__main__":
    main()
