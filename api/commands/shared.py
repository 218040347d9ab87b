"""What every command takes: the home, machine output, a moment; and the one app that they register with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.console import DEFAULT_HOME, OPTIONS
from features.errors import InputError

if TYPE_CHECKING:
    from features.home import Home
    from risk.store import Database

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
Purpose = Annotated[
    str | None,
    typer.Option(
        "--purpose",
        help="What it is for: briefing, attending, investigation, review or audit; written down. [required]",
    ),
]
Reference = Annotated[
    str | None, typer.Option("--reference", help="The tasking, crime or case it belongs to; written down.")
]
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


def purpose_of(purpose: str | None) -> str:
    """The purpose as stated; InputError when there is none or it is not one. Asked before anything is computed."""
    from api.auth.table import table

    known = table().purposes
    if purpose not in known:
        raise InputError(
            "This shows or exports persons and needs a purpose."
            if purpose is None
            else f"No purpose {purpose!r}.",
            where="--purpose",
            cure=f"Say what it is for: {', '.join(known)}; and --reference, if it belongs to a case.",
        )
    return purpose


class Trail:
    """The audit trail of a home for one command, under the name of whoever runs it."""

    def __init__(self, place: Home, database: Database) -> None:
        self.place, self.database = place, database

    def write(self, act: str, page: str, **facts: Any) -> int:
        """Write an act down; ``facts`` as :func:`risk.audit.record` takes them. DoorstepError when that fails."""
        from risk.audit import record, this_user

        return record(self.database, self.place.path, this_user(), act, page, **facts)


@contextmanager
def trail(place: Home, *, carry: bool = True) -> Iterator[Trail]:
    """The audit trail of a home, opened before the command does anything, its head carried at the end.

    DoorstepError when it cannot be opened: then nothing is done."""
    from risk.audit import carry_head, ready
    from risk.store import Database

    database = Database.of(place.path)
    try:
        if carry:
            ready(database, place.path)
        yield Trail(place, database)
        if carry:
            carry_head(database, place.path)
    finally:
        database.close()


def write_down(place: Home, act: str, page: str, **facts: Any) -> None:
    """Write one act of this command down, before anything is shown; ``facts`` as :func:`risk.audit.record` takes
    them. DoorstepError when it cannot be written."""
    with trail(place) as one:
        one.write(act, page, **facts)
