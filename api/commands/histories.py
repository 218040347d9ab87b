"""Commands about features: their numbers as of T, what each one means, and an analyst's own."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from api.commands.shared import (
    HomeOption,
    JsonOption,
    Purpose,
    Reference,
    app,
    home_folder,
    moment,
    purpose_of,
    take,
    write_down,
)
from api.console import OPTIONS, note, say, write
from features.errors import InputError

features_app = typer.Typer(help="Histories as of T, and what features there are.")
app.add_typer(features_app, name="features")

Name = Annotated[str, typer.Argument(metavar="NAME", help="A feature, or one of its columns.")]
OwnFile = Annotated[Path, typer.Argument(metavar="FILE", help="A TOML file of features.")]


class Subject(StrEnum):
    """Whose histories."""

    offender = "offender"
    victim = "victim"
    dyad = "dyad"


class Engine(StrEnum):
    """Which engine computes them."""

    fast = "fast"
    reference = "reference"
    spark = "spark"


@features_app.callback(invoke_without_command=True)
def features(
    context: typer.Context,
    as_of: Annotated[
        str | None, typer.Option("--as-of", help="The moment T: a date (06:00 London that day) or a time.")
    ] = None,
    subject: Annotated[Subject | None, typer.Option("--subject", help="Whose histories.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Parquet file to write.")] = None,
    engine: Annotated[
        Engine,
        typer.Option("--engine", help="fast, the slow and obvious reference, or spark (docs/national.md)."),
    ] = Engine.fast,
    purpose: Purpose = None,
    reference: Reference = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Write the histories of offenders, victims or dyads as of T; or say what features there are."""
    take(home, json)
    if context.invoked_subcommand is not None:
        if as_of or subject or out or purpose or reference:
            raise InputError(
                "--as-of, --subject, --out and --purpose are for histories, not for a sub-command.",
                where="command line",
                cure=f"Write: doorstep features {context.invoked_subcommand} …",
            )
        return
    if as_of is None or subject is None or out is None:
        absent = [
            name
            for name, given in (("--as-of", as_of), ("--subject", subject), ("--out", out))
            if given is None
        ]
        raise InputError(
            f"Missing option {', '.join(absent)}.",
            where="command line",
            cure="doorstep features --help lists the options, and the sub-commands list, explain, check, add, remove.",
        )
    _histories(as_of, subject, out, engine, {"purpose": purpose_of(purpose), "reference": reference})


def _histories(
    as_of: str, subject: Subject, out: Path, engine: Engine, why: Mapping[str, str | None]
) -> None:
    from features.histories import histories
    from risk.score import refuse_future

    t, place = moment(as_of), home_folder()
    refuse_future(t)
    frame = histories(place.require().records(), subject.value, t, engine=engine.value)
    keys = [c for c in ("person_id", "suspect_id", "victim_id") if c in frame.columns]
    persons = sorted({person for key in keys for person in frame[key].to_list()})
    detail = f"{subject.value} as of {as_of} in {out.name}"
    write_down(place, "disclosure", "histories", persons=persons, detail=detail, **why)
    write(frame, out)
    answer = {"as_of": t, "subject": subject.value, "rows": frame.height, "columns": frame.width, "out": out}
    say(answer, f"{frame.height:,} rows of {frame.width} columns in {out}.")


@features_app.command()
def explain(name: Name, home: HomeOption = None, json: JsonOption = False) -> None:
    """Say what a feature or column means: unit, tables, window, family and flags, direction, worked example."""
    take(home, json)
    from api.explaining import explained, in_words
    from features.own import catalogue_here

    found = explained(catalogue_here(OPTIONS.home), name)
    say({"features": found}, "\n\n".join(in_words(entry) for entry in found))


@features_app.command("list")
def list_(
    family: Annotated[str | None, typer.Option("--family", help="Only this family.")] = None,
    subject: Annotated[Subject | None, typer.Option("--subject", help="Only these.")] = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """List the features there are, by family, with the flags that keep a family out of models."""
    take(home, json)
    from api.explaining import listed, listed_in_words
    from features.own import catalogue_here

    rows = listed(catalogue_here(OPTIONS.home), family, subject.value if subject else None)
    say({"families": rows}, listed_in_words(rows))


@features_app.command()
def check(file: OwnFile, home: HomeOption = None, json: JsonOption = False) -> None:
    """Check a file of your own features and run its examples on every engine. Writes nothing."""
    take(home, json)
    from api.explaining import passed, passed_in_words
    from features.own_check import check as examine

    facts = passed(examine(file, OPTIONS.home), home_folder())
    say(facts, f"{file.name} is right.\n{passed_in_words(facts)}")


@features_app.command()
def add(file: OwnFile, home: HomeOption = None, json: JsonOption = False) -> None:
    """Check a file of your own features and keep it in the home: from now on they are features like any other."""
    take(home, json)
    from api.explaining import models_with, passed, passed_in_words
    from features.own_check import DICTIONARY
    from features.own_check import add as keep

    checked, what = keep(file, OPTIONS.home)
    facts = {
        **passed(checked, home_folder()),
        "what": what,
        "documented": OPTIONS.home / "features" / DICTIONARY,
    }
    say(facts, f"{what}: {file.name}; documented in {facts['documented']}\n{passed_in_words(facts)}")
    if what == "replaced":
        for version in models_with([file.name], OPTIONS.home):
            note(f"Model {version} was trained with {file.name}; train again if a declaration changed.")


@features_app.command()
def remove(
    name: Annotated[str, typer.Argument(metavar="FILE", help="Name of a file that was added.")],
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Take a file of your own features out of the home."""
    take(home, json)
    from api.explaining import models_with
    from features.own_check import remove as take_out

    file, gone = take_out(name, OPTIONS.home)
    say(
        {"file": file, "features": list(gone)},
        f"removed: {file} ({', '.join(gone) or 'it declared nothing'})",
    )
    for version in models_with([file], OPTIONS.home):
        note(f"Model {version} was trained with {file} and cannot score without it; train again.")
