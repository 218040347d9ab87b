"""``check``: what an extract holds, what is at fault in it, and what that costs. Nothing is written."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl

from features.front import Examined, Stamps, examine
from features.schema import REQUIRED_TABLES, SPECS
from features.stores import restricted_persons

SETTINGS_FILE = Path(__file__).parent / "data" / "check.toml"
_CODES = ("ho_code", "athena_urn", "cjs_code", "description")


@cache
def settings() -> dict[str, Any]:
    """Thresholds of check, each with its source in the file."""
    return tomllib.loads(SETTINGS_FILE.read_text(encoding="utf-8"))


@dataclass(frozen=True)
class CheckReport:
    """What check found. ``facts`` is plain data, ready for JSON; see :func:`facts_of` for its names."""

    facts: dict[str, Any]

    @property
    def exit_code(self) -> int:
        """2 when more than the allowed share of a required table, or any serious crime, is quarantined; else 0."""
        return int(self.facts["exit_code"])

    def to_dict(self) -> dict[str, Any]:
        """Plain data for --json."""
        return self.facts

    def render(self) -> str:
        """The report as text for a terminal."""
        return "\n".join(_render(self.facts))


def check(extract: Path) -> CheckReport:
    """Judge the extract in a folder. InputError when a file cannot be read or something required is missing."""
    return CheckReport(facts_of(examine(extract)))


def facts_of(found: Examined) -> dict[str, Any]:
    """The report of a judged extract as plain data.

    tables (rows read, new, corrections, withdrawals, repeats, quarantined, file), faults (by table, column and
    reason, with examples), missing, features_lost (name -> what it lacks), unknown_files, unknown_columns,
    clocks, domestic_unknown, unmatched_codes, restricted_persons, warnings, stops (why exit_code is 2), exit_code.
    """
    missing = found.raw.missing()
    serious = serious_quarantined(found)
    stops = _stops(found, serious)
    return {
        "extract": found.raw.folder.name,
        "nature": found.raw.nature,
        "made_by": found.raw.made_by,
        "tables": {
            name: {**asdict(count), "file": found.raw.tables[name].file}
            for name, count in found.counts.items()
        },
        "faults": _faults(found.faults),
        "missing": {
            "tables": sorted(m for m in missing if "." not in m),
            "columns": sorted(m for m in missing if "." in m),
        },
        "features_lost": features_lost(missing),
        "unknown_files": list(found.raw.unknown_files),
        "unknown_columns": sorted(
            f"{name}.{column}" for name, raw in found.raw.tables.items() for column in raw.unknown_columns
        ),
        "clocks": {
            "autumn_hour": found.autumn_hour,
            "spring_gap": found.spring_gap,
            "later_without_clock": found.later_without_clock,
            "without_clock": found.without_clock,
        },
        "domestic_unknown": _current(found.tables["event"]).filter(pl.col("domestic") == "U").height,
        "unmatched_codes": unmatched_codes(found.tables["offence"]),
        "restricted_persons": restricted_persons(found.tables["person"]).len(),
        "serious_quarantined": serious,
        "warnings": _warnings(found),
        "stops": stops,
        "exit_code": 2 if stops else 0,
    }


# --- what the faults are and cost --------------------------------------------------------------------------


def _faults(faults: pl.DataFrame) -> list[dict[str, Any]]:
    """One entry a table, column and reason: how many, whether they quarantine, the first lines and values."""
    shown = settings()["show"]["examples"]
    groups = (
        faults.sort("table", "line", "column")
        .group_by("table", "column", "reason", "quarantined", maintain_order=True)
        .agg(
            pl.len().alias("count"),
            pl.col("line").head(shown).alias("lines"),
            pl.col("value").head(shown).alias("values"),
        )
    )
    order = {name: place for place, name in enumerate(SPECS)}
    entries = [
        {
            "table": row["table"],
            "column": row["column"],
            "reason": row["reason"],
            "count": row["count"],
            "quarantined": row["quarantined"],
            "examples": [
                {"line": line, "value": value}
                for line, value in zip(row["lines"], row["values"], strict=True)
            ],
        }
        for row in groups.iter_rows(named=True)
    ]
    return sorted(entries, key=lambda e: (order[e["table"]], not e["quarantined"], -e["count"], e["column"]))


def features_lost(missing: Iterable[str]) -> dict[str, str]:
    """ "subject.feature" -> what the extract lacks for it, by the rule the histories go by."""
    from features.catalogue import SUBJECTS, load_catalogue

    absent = frozenset(missing)
    catalogue = load_catalogue()
    return {
        f"{subject}.{name}": lacking
        for subject in SUBJECTS
        for name, lacking in catalogue.left_out(subject, absent).items()
    }


def unmatched_codes(offence: pl.DataFrame) -> dict[str, int]:
    """ho_code -> current offences whose harm had to be assumed, because no weight matches any identifier."""
    current = _current(offence)
    if current.is_empty():
        return {}
    assumed = _priced(current).filter("harm_assumed")
    counted = current.join(assumed, on=_CODES, how="semi", nulls_equal=True)["ho_code"].value_counts(name="n")
    return dict(counted.sort("n", "ho_code", descending=[True, False]).iter_rows())


def serious_quarantined(found: Examined) -> int:
    """Quarantined offences whose code is one of serious harm."""
    offences = found.quarantined_offences
    if offences.is_empty():
        return 0
    serious = _priced(offences).filter("serious")
    return offences.join(serious, on=_CODES, how="semi", nulls_equal=True).height


def _priced(offence: pl.DataFrame) -> pl.DataFrame:
    from features.harm import load_scheme, price

    return price(offence.select(_CODES).unique(maintain_order=True), load_scheme())


def _current(table: pl.DataFrame) -> pl.DataFrame:
    return table.filter(pl.col("known_to").is_null())


def _stops(found: Examined, serious: int) -> list[str]:
    allowed = settings()["quarantine"]["share"]
    stops = []
    for name in REQUIRED_TABLES:
        count = found.counts[name]
        if count.quarantined > allowed * count.read:
            share = 100 * count.quarantined / count.read
            stops.append(
                f"{count.quarantined:,} of {count.read:,} rows of {name} ({share:.1f} %) are quarantined, "
                f"more than {100 * allowed:g} %."
            )
    if serious:
        stops.append(f"{serious:,} offences of serious harm are quarantined.")
    return stops


def _warnings(found: Examined) -> list[str]:
    warnings = [warning for name, stamps in found.stamps.items() for warning in _stamp_warnings(name, stamps)]
    warnings += [
        f"{name}: {count:,} rows have neither recorded_at nor a time of their own; they are kept and feed nothing."
        for name, count in found.without_clock.items()
    ]
    warnings += [
        f"{column}: {count:,} values filled in later have no clock; they feed nothing."
        for column, count in found.later_without_clock.items()
    ]
    unsafe = found.faults.filter((pl.col("table") == "person") & (pl.col("column") == "no_processing")).height
    if unsafe:
        warnings.append(
            f"person.no_processing: {unsafe:,} cells cannot be read and count as restricted until mended."
        )
    return warnings


def _stamp_warnings(name: str, stamps: Stamps) -> list[str]:
    limit = settings()["stamp"]
    cure = "Export when the row was first entered, not when it was last changed or migrated."
    found = []
    lag = None if name in limit["life_facts"] else stamps.median_lag_days
    if lag is not None and lag > limit["median_lag_days"] and stamps.rows >= limit["median_rows"]:
        found.append(
            f"{name}: recorded_at looks like a last-update stamp, its median is {lag:.0f} days after the row's "
            f"own time. {cure}"
        )
    share = stamps.fullest_rows / stamps.rows
    if share > limit["one_day_share"] and stamps.fullest_rows >= limit["one_day_rows"]:
        found.append(
            f"{name}: recorded_at looks like a migration stamp, {100 * share:.0f} % of its rows were entered on "
            f"{stamps.fullest_day}. {cure}"
        )
    return found


# --- as text -----------------------------------------------------------------------------------------------


def _render(facts: dict[str, Any]) -> list[str]:
    heading = f"Extract {facts['extract']} ({facts['nature']})"
    lines = [heading, "", *table_lines(facts["tables"]), ""]
    lines += _fault_lines(facts["faults"])
    missing = facts["missing"]
    if missing["tables"]:
        lines += ["Tables not in the extract: " + ", ".join(missing["tables"]), ""]
    if missing["columns"]:
        lines += ["Columns not in the extract: " + ", ".join(missing["columns"]), ""]
    lines += _lost_lines(facts["features_lost"])
    for what, names in (("files", facts["unknown_files"]), ("columns", facts["unknown_columns"])):
        if names:
            lines += [f"Unknown {what}, ignored: " + ", ".join(names), ""]
    lines += _note_lines(facts)
    lines += [f"Warning: {warning}" for warning in facts["warnings"]]
    lines += [f"Stop: {stop} Mend them or withdraw them, then check again." for stop in facts["stops"]]
    if not facts["stops"]:
        lines += ["Fit to ingest."]
    return lines


def table_lines(tables: dict[str, dict[str, Any]]) -> list[str]:
    """Row counts by table, aligned."""
    names = ("read", "new", "corrections", "withdrawals", "repeats", "quarantined")
    lines = [f"{'table':<16}" + "".join(f"{name:>13}" for name in names)]
    lines += [
        f"{table:<16}" + "".join(f"{counts[name]:>13,}" for name in names) for table, counts in tables.items()
    ]
    return lines


def _fault_lines(faults: list[dict[str, Any]]) -> list[str]:
    if not faults:
        return ["No faults.", ""]
    lines = ["Faults (table.column: reason, how many, what becomes of it; examples):"]
    for fault in faults:
        effect = "row quarantined" if fault["quarantined"] else "cell blanked"
        cell = f"{fault['table']}.{fault['column']}" if fault["column"] else fault["table"]
        seen = "; ".join(
            f"line {example['line']}" + ("" if example["value"] is None else f" {example['value'][:60]!r}")
            for example in fault["examples"]
        )
        lines.append(f"  {cell}: {fault['reason']}, {fault['count']:,}, {effect}; {seen}")
    return [*lines, ""]


def _lost_lines(lost: dict[str, str]) -> list[str]:
    """Features left out, grouped by what they lack."""
    if not lost:
        return []
    by_lack: dict[str, list[str]] = {}
    for feature, lacking in lost.items():
        by_lack.setdefault(lacking, []).append(feature)
    lines = [f"Features left out for that ({len(lost)}):"]
    lines += [f"  without {lacking}: {', '.join(features)}" for lacking, features in sorted(by_lack.items())]
    return [*lines, ""]


def _note_lines(facts: dict[str, Any]) -> list[str]:
    lines = []
    clocks = facts["clocks"]
    if clocks["autumn_hour"]:
        lines.append(f"{clocks['autumn_hour']:,} times fall in the repeated autumn hour: taken as the first.")
    if clocks["spring_gap"]:
        lines.append(f"{clocks['spring_gap']:,} times fall in the hour the spring skips: moved forward.")
    if facts["domestic_unknown"]:
        lines.append(
            f"{facts['domestic_unknown']:,} events have domestic U: in no domestic feature or label."
        )
    if codes := facts["unmatched_codes"]:
        most = settings()["show"]["codes"]
        listed = ", ".join(f"{code} ({count:,})" for code, count in list(codes.items())[:most])
        more = f" and {len(codes) - most} more" if len(codes) > most else ""
        lines.append(f"Codes without a harm weight, priced at the lowest of their class: {listed}{more}.")
    if facts["restricted_persons"]:
        lines.append(
            f"{facts['restricted_persons']:,} persons are restricted: in no feature, list or search."
        )
    return lines
