"""What every command takes: the home, machine output, a moment; and the one app that they register with."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.console import DEFAULT_HOME, OPTIONS

if TYPE_CHECKING:
    from features.home import Home

app = typer.Typer(
    name="doorstep",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help=(
        "From a force's records to an explained priority list for domestic abuse.\n\n"
        "In order: ingest EXTRACT, train --until DATE, publish --as-of DATE, list, serve. "
        "'demo' does all of it with a simulated force."
    ),
)

HomeOption = Annotated[
    Path | None,
    typer.Option("--home", help=f"Folder of loads, models and lists. [default: ./{DEFAULT_HOME}]"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Machine output on standard output.")]
AsOf = Annotated[str, typer.Option("--as-of", help="The moment T: a date (06:00 London that day) or a time.")]
Extract = Annotated[Path, typer.Argument(help="Folder with TABLE.parquet or TABLE.csv files.")]


def take(home: Path | None, json: bool) -> None:
    """Note the two global options, wherever on the line they stood."""
    if home is not None:
        OPTIONS.home = home
    OPTIONS.json = OPTIONS.json or json


def home_folder() -> Home:
    """The home the command works on."""
    from features.home import Home

    return Home(OPTIONS.home)


def moment(text: str) -> datetime:
    """A date or time as typed, as T in UTC."""
    from features.clocks import parse_as_of

    return parse_as_of(text)
