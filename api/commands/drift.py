"""Commands that watch the model in use: drift."""

from __future__ import annotations

from typing import Annotated

import typer

from api.commands.shared import HomeOption, JsonOption, app, home_folder, moment, take
from api.console import progress, say


@app.command()
def drift(
    as_of: Annotated[
        str | None,
        typer.Option("--as-of", help="Look at nothing recorded later. [default: end of the records]"),
    ] = None,
    months: Annotated[
        int | None, typer.Option("--months", min=1, help="Months of the model to show. [default: 12]")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="A model version; the one in use without it.")
    ] = None,
    reviewed: Annotated[
        str | None,
        typer.Option(
            "--reviewed",
            help="YYYY-MM, a month in which a break was told: record that those told by now were reviewed.",
        ),
    ] = None,
    by: Annotated[str, typer.Option("--by", help="The person who reviewed them.")] = "",
    reason: Annotated[str, typer.Option("--reason", help="What they found.")] = "",
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Say what changed since the model was made: records, histories, scores, calibration, fairness."""
    take(home, json)
    from models.drift import drift as look
    from models.drift_calls import record_review

    if reviewed is not None:
        entry = record_review(home_folder(), reviewed, by, reason)
        count = len(entry["breaks"])
        told = f"{count} {'break' if count == 1 else 'breaks'} told of {entry['month']} or before"
        say(entry, f"Recorded: {told} reviewed by {entry['by']}. Any told later still calls.")
        return
    until = moment(as_of) if as_of else None
    found = look(home_folder(), until, months, model, progress=progress)
    say(found.to_dict(), found.render())
