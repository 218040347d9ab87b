"""Commands that make, judge and load extracts."""

from __future__ import annotations

from contextlib import nullcontext
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from api.commands.shared import Extract, HomeOption, JsonOption, app, home_folder, take, trail
from api.console import lines, say

convert_app = typer.Typer(no_args_is_help=True, help="Turn a foreign system's files into an extract.")
app.add_typer(convert_app, name="convert")


class World(StrEnum):
    """Which simulated force."""

    base = "base"
    no_escalation = "no_escalation"
    biased_recording = "biased_recording"
    list_drives_recording = "list_drives_recording"


@app.command()
def simulate(
    out: Annotated[Path, typer.Argument(help="Folder for the extract and, apart, the truth.")],
    events_per_year: Annotated[
        int, typer.Option("--events-per-year", min=1, help="Recorded events a year.")
    ] = 6000,
    years: Annotated[int, typer.Option("--years", min=1, help="Years of records.")] = 4,
    seed: Annotated[int, typer.Option("--seed", help="The same seed gives the same force.")] = 1,
    world: Annotated[World, typer.Option("--world", help="Which simulated force.")] = World.base,
    oracle: Annotated[
        list[str] | None, typer.Option("--oracle", help="Also the truth's scores as of T; repeat.")
    ] = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Make a force that never was: OUT/extract and OUT/truth."""
    take(home, json)
    from features.simulate import simulate as make

    summary = make(
        out, events_per_year=events_per_year, years=years, seed=seed, world=world.value, oracle=oracle or ()
    )
    say(summary, f"Extract in {out / 'extract'}, truth in {out / 'truth'}.\n" + lines(summary))


@app.command()
def check(extract: Extract, home: HomeOption = None, json: JsonOption = False) -> None:
    """Say what an extract holds, what is at fault in it and what that costs. Writes nothing."""
    take(home, json)
    from features.extract import check as examine

    report = examine(extract)
    say(report.to_dict(), report.render())
    raise typer.Exit(report.exit_code)


@app.command()
def ingest(
    extract: Extract,
    append: Annotated[
        bool,
        typer.Option("--append", help="Add the rows of the folder to the current load, without a rebuild."),
    ] = False,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Load an extract into the home. The same extract twice changes nothing."""
    take(home, json)
    from risk.audit_loads import Collecting

    place = home_folder()
    if append:
        from features.append import append_folder

        place.require()
        with trail(place) as written:
            collecting = Collecting(place)
            added = append_folder(extract, place)
            collecting.tell(written.write, added.changed, _rows(added.to_dict()))
        say(added.to_dict(), added.render())
        raise typer.Exit(added.exit_code)
    from features.ingest import ingest as load

    with trail(place) if place.path.is_dir() else nullcontext():  # no trail, no load
        collecting = Collecting(place)
        report = load(extract, place)
    with trail(place) as written:
        collecting.tell(written.write, report.changed, _rows(report.to_dict()))
    say(report.to_dict(), report.render())


def _rows(report: dict[str, Any]) -> str:
    """How many rows of how many tables came, for the audit trail."""
    tables = report["tables"].values()
    return f"{sum(one['read'] for one in tables):,} rows of {len(tables)} tables"


@convert_app.command("broward")
def convert_broward(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder with the Broward tables.")],
    out: Annotated[Path, typer.Argument(help="Folder for the extract.")],
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Broward County (Florida) jail records: a worked example of mapping a foreign system."""
    take(home, json)
    from features.convert.broward import convert

    summary = convert(folder, out)
    say(summary, f"Extract in {out}.\n" + lines(summary))
