"""Commands that freeze and print lists."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from api.commands.shared import (
    AsOf,
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
from api.console import OPTIONS, as_json, note, say


class Format(StrEnum):
    """How a list is printed."""

    table = "table"
    csv = "csv"
    json = "json"


@app.command()
def publish(as_of: AsOf, home: HomeOption = None, json: JsonOption = False) -> None:
    """Freeze a priority list as of T. The same T, load and model give the same list."""
    take(home, json)
    from risk.priority import publish as freeze

    place = home_folder()
    made = freeze(place, moment(as_of))
    warning = _off(place.path, str(made.facts["model_version"]))
    say(made.about() | {"warnings": warning}, made.summary())
    if warning:
        bar = "!" * 72
        note("\n".join([bar, *warning, bar]))


def _off(home: Path, version: str) -> list[str]:
    """What to say loudly when drift calls for switching off the model a list was made with; else nothing."""
    from models.drift_calls import switch_off

    found = switch_off(home, version)
    if found is None:
        return []
    return [
        f"SWITCH OFF: doorstep drift, as of {found[0]}, calls for no more lists from model {version}:",
        *(f"  {why}" for why in found[1]),
        "This list was made all the same. Go back (doorstep rollback), or look into it: a break that a named person "
        "has reviewed (doorstep drift --reviewed MONTH --by NAME --reason TEXT) no longer calls.",
    ]


@app.command("list")
def list_(
    team: Annotated[
        str | None, typer.Option("--team", help="A team or a district; the whole force without it.")
    ] = None,
    top: Annotated[int | None, typer.Option("--top", min=1, help="How many places to show.")] = None,
    format: Annotated[Format, typer.Option("--format", help="How to print it.")] = Format.table,
    list_id: Annotated[
        str | None, typer.Option("--list", help="A list by its id; the latest without it.")
    ] = None,
    purpose: Purpose = None,
    reference: Reference = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Print a published list, the latest unless told otherwise. The look is written down."""
    take(home, json)
    purpose = purpose_of(purpose)
    from api.printing import list_as_csv, list_as_dict, print_list, with_holds
    from risk.published import read_list, shown

    place = home_folder()
    view = with_holds(shown(read_list(place, list_id), place, team=team, top=top), place)
    write_down(
        place,
        "consultation" if format is Format.table and not OPTIONS.json else "disclosure",
        "list",
        persons=view.persons(),
        list_id=view.published.list_id,
        purpose=purpose,
        reference=reference,
        detail=view.team_name,
    )
    if OPTIONS.json or format is Format.json:
        typer.echo(as_json(list_as_dict(view)))
    elif format is Format.csv:
        typer.echo(list_as_csv(view), nl=False)
    else:
        print_list(view)
