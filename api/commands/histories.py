"""Commands about features: their numbers as of T."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from api.commands.shared import AsOf, HomeOption, JsonOption, app, home_folder, moment, take
from api.console import say, write


class Subject(StrEnum):
    """Whose histories."""

    offender = "offender"
    victim = "victim"
    dyad = "dyad"


class Engine(StrEnum):
    """Which engine computes them."""

    fast = "fast"
    reference = "reference"


@app.command()
def features(
    as_of: AsOf,
    subject: Annotated[Subject, typer.Option("--subject", help="Whose histories.")],
    out: Annotated[Path, typer.Option("--out", help="Parquet file to write.")],
    engine: Annotated[
        Engine, typer.Option("--engine", help="fast, or the slow and obvious reference.")
    ] = Engine.fast,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Write the histories of offenders, victims or dyads as of T."""
    take(home, json)
    from features.histories import histories
    from risk.looks import record_look

    t, place = moment(as_of), home_folder()
    frame = histories(place.require().records(), subject.value, t, engine=engine.value)
    keys = [c for c in ("person_id", "suspect_id", "victim_id") if c in frame.columns]
    persons = sorted({person for key in keys for person in frame[key].to_list()})
    record_look(
        place.path, "histories", by="command line", persons=persons, detail=f"{subject.value} {out.name}"
    )
    write(frame, out)
    answer = {"as_of": t, "subject": subject.value, "rows": frame.height, "columns": frame.width, "out": out}
    say(answer, f"{frame.height:,} rows of {frame.width} columns in {out}.")
