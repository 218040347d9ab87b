"""The Broward County files as a records extract: a worked example of mapping a foreign system.

What maps: persons, arrests and charges as events with offences, jail and prison stays as spells. What does not:
there is no victim, no address, no outcome and no hour of the day in these files, so those tables and columns are
left out; the undated count of prior offences is not turned into rows with invented dates. docs/converting-a-foreign-
system.md walks through every choice; the choices themselves are data (features/data/broward.toml).
"""

from __future__ import annotations

import json
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl

from features.errors import InputError

MAPPING = Path(__file__).parent.parent / "data" / "broward.toml"
NO_DEGREE = "US-NONE"
_DOMESTIC_ORDER = {"Y": 2, "U": 1, "N": 0}


@cache
def mapping() -> dict[str, Any]:
    """The converter's choices: files and columns read, codes by text and degree, states of spells."""
    with MAPPING.open("rb") as file:
        return tomllib.load(file)


def convert(source: Path, out: Path) -> dict[str, Any]:
    """Write the extract of the Broward folder ``source`` to ``out`` and return what was done.

    Writes person, event, offence, involvement, custody, spell and breach as Parquet, and ``extract.json`` with
    nature "public". The summary has ``rows`` by table and ``notes``: how many rows were merged or left out, and
    why. Raises InputError when a file or a column is missing, or ``out`` is not a folder.
    """
    raw = {name: _read(source, name, columns) for name, columns in mapping()["files"].items()}
    notes: dict[str, int] = {}
    offence = _offences(raw["charge"], raw["arrest_relinked"], notes)
    tables = {
        "person": _persons(raw["person"]),
        "event": _events(offence),
        "offence": offence.select("offence_id", "event_id", "ho_code", "description", suspect_id="person_id"),
        "involvement": offence.select("event_id", "person_id", role=pl.lit("suspect")).unique(),
        "custody": _custody(offence),
        "spell": _spells(raw, notes),
        "breach": _breaches(offence),
    }
    _write(tables, out)
    return {
        "system": "broward",
        "nature": "public",
        "out": str(out),
        "rows": {name: table.height for name, table in tables.items()},
        "notes": notes,
    }


def text_code(description: str | None) -> str | None:
    """The pseudo code a charge text gives, None when no pattern matches (the degree then decides)."""
    codes = pl.DataFrame({"charge_desc": [description]}, schema={"charge_desc": pl.String}).select(
        _text_code()
    )
    return codes.item()


def _read(source: Path, name: str, columns: list[str]) -> pl.DataFrame:
    path = source / f"{name}.parquet"
    try:
        frame = pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as fault:
        raise InputError(
            f"a file of the Broward data cannot be read: {fault}",
            where=str(path),
            cure="give the folder that holds it",
        ) from fault
    if lacking := [c for c in columns if c not in frame.columns]:
        raise InputError(
            f"{name} lacks {', '.join(lacking)}", where=str(path), cure="use the files as published"
        )
    return frame.select(columns).with_columns(pl.col("person_id").cast(pl.String))


def _persons(person: pl.DataFrame) -> pl.DataFrame:
    """Birth is known to the month: the first of it stands for the day, so ages run up to a month ahead."""
    return person.select(
        "person_id",
        (pl.col("birth_year_month") + "-01").alias("date_of_birth"),
        pl.col("sex").replace_strict(mapping()["sex"], default="U").alias("sex"),
    ).sort("person_id")


def _offences(charge: pl.DataFrame, arrest: pl.DataFrame, notes: dict[str, int]) -> pl.DataFrame:
    """Arrest rows and charges as one list, each offence once.

    A charge with text that falls on a day with an arrest row of the same code by degree is that arrest row told
    better: the arrest row gives way, one for one. One charge listed both as first new and first new violent
    charge counts once.
    """
    once = charge.unique(
        ["person_id", "event_date", "charge_degree", "charge_desc"], keep="first", maintain_order=True
    )
    notes["charges listed twice, counted once"] = charge.height - once.height
    charges = once.select(
        "person_id",
        day="event_date",
        offence_id=pl.format("C-{}", "charge_id"),
        degree=_degree_code("charge_degree"),
        ho_code=pl.coalesce(_text_code(), _degree_code("charge_degree")),
        description="charge_desc",
        domestic=pl.col("dv_class").replace_strict(mapping()["domestic"], default="U"),
    )
    arrests = arrest.select(
        "person_id",
        day="arrest_date",
        offence_id=pl.format("A-{}", "arrest_charge_id"),
        degree=_degree_code("degree_class"),
        ho_code=_degree_code("degree_class"),
        description=pl.lit(None, pl.String),
        domestic=pl.lit("U"),
    )
    same = ["person_id", "day", "degree"]
    place = pl.int_range(pl.len()).over(same).alias("place")
    told = (
        arrests.sort("offence_id")
        .with_columns(place)
        .join(
            charges.sort("offence_id").with_columns(place).select(*same, "place"),
            on=[*same, "place"],
            how="anti",
        )
    )
    notes["arrest rows replaced by the charge that tells what they were"] = arrests.height - told.height
    days = arrests.select("person_id", "day").unique().with_columns(arrested=pl.lit(True))
    return (
        pl.concat([charges, told.drop("place")])
        .join(days, on=["person_id", "day"], how="left")
        .with_columns(
            arrested=pl.col("arrested").fill_null(False),
            event_id=pl.format("E-{}-{}", "person_id", pl.col("day").dt.strftime("%Y%m%d")),
        )
        .drop("degree")
        .sort("offence_id")
    )


def _events(offence: pl.DataFrame) -> pl.DataFrame:
    """One event a person and day; domestic when a charge says so, unknown when any part of it is untold."""
    rank = pl.col("domestic").replace_strict(_DOMESTIC_ORDER, return_dtype=pl.Int8).max()
    names = {order: name for name, order in _DOMESTIC_ORDER.items()}
    return (
        offence.group_by("event_id")
        .agg(pl.col("day").first(), rank.alias("rank"))
        .select(
            "event_id",
            kind=pl.lit("crime"),
            occurred_at=pl.col("day").cast(pl.String),
            domestic=pl.col("rank").replace_strict(names, return_dtype=pl.String),
        )
        .sort("event_id")
    )


def _custody(offence: pl.DataFrame) -> pl.DataFrame:
    """One arrest a person and day of the arrest history. The date of a charge is no arrest: whether the files date a
    charge by its offence or by its arrest goes with the outcome, and must not show in a history."""
    return (
        offence.filter("arrested")
        .unique("event_id")
        .select(
            "person_id",
            "event_id",
            custody_id=pl.col("event_id").str.replace("^E-", "K-"),
            arrested_at=pl.col("day").cast(pl.String),
        )
        .sort("custody_id")
    )


def _spells(raw: dict[str, pl.DataFrame], notes: dict[str, int]) -> pl.DataFrame:
    """Jail and prison stays; an open or unknown end stays empty, two stays that begin on one day keep the longer."""
    parts = [
        raw[name].select(
            "person_id",
            state=pl.lit(state),
            started_on=pl.col("in_date").cast(pl.String),
            ended_on=pl.when(~pl.col("open_or_unknown_end")).then(pl.col("out_date").cast(pl.String)),
        )
        for name, state in mapping()["spell"].items()
    ]
    key = ["person_id", "state", "started_on"]
    rows = pl.concat(parts).sort([*key, "ended_on"], descending=[False] * 3 + [True], nulls_last=False)
    kept = rows.unique(key, keep="first", maintain_order=True)
    notes["stays that begin on the day of a longer one, left out"] = rows.height - kept.height
    notes["stays with an open or unknown end"] = kept["ended_on"].null_count()
    return kept


def _breaches(offence: pl.DataFrame) -> pl.DataFrame:
    return (
        offence.filter(pl.col("ho_code").is_in(mapping()["breach"]["codes"]))
        .unique("event_id")
        .select(
            "person_id",
            breach_id=pl.col("event_id").str.replace("^E-", "B-"),
            occurred_at=pl.col("day").cast(pl.String),
        )
        .sort("breach_id")
    )


def _degree_code(column: str) -> pl.Expr:
    return pl.col(column).replace_strict(mapping()["degree"], default=NO_DEGREE)


def _text_code() -> pl.Expr:
    text = pl.col("charge_desc").str.to_lowercase()
    return pl.coalesce(
        *(pl.when(text.str.contains(rule["match"])).then(pl.lit(rule["code"])) for rule in mapping()["text"])
    )


def _write(tables: dict[str, pl.DataFrame], out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, table in tables.items():
            table.write_parquet(out / f"{name}.parquet")
        about = {"nature": "public", "made_by": "doorstep convert broward", "source": mapping()["source"]}
        (out / "extract.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    except OSError as fault:
        raise InputError(
            f"the extract cannot be written: {fault}", where=str(out), cure="give a new folder"
        ) from fault
