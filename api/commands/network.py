"""The command that draws the people around one person."""

from __future__ import annotations

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
from api.console import OPTIONS, as_json, say


@app.command()
def network(
    person: Annotated[str, typer.Argument(help="The person's reference.")],
    as_of: AsOf,
    since: Annotated[
        str | None, typer.Option("--since", help="Mark ties that came about after this date or time.")
    ] = None,
    steps: Annotated[
        int, typer.Option("--steps", min=1, max=2, help="2: also the people tied to those around the person.")
    ] = 1,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Write the picture (SVG) here; the ties in words are printed."),
    ] = None,
    purpose: Purpose = None,
    reference: Reference = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Draw the people around a person as of T: who, how tied, when, harm. The look is written down."""
    take(home, json)
    purpose = purpose_of(purpose)
    from features.errors import InputError
    from risk.network import network as around
    from risk.person import require_open
    from risk.score import refuse_future
    from risk.view import View

    t = moment(as_of)
    refuse_future(t)
    before = moment(since) if since else None
    if before is not None and before >= t:
        raise InputError(
            "--since is not before --as-of.",
            where="--since",
            cure="Give an earlier date: ties after it are marked new.",
        )
    place = home_folder()
    view = View(place.require(), t)
    require_open(view, person)
    net = around(view, person, steps, before)
    write_down(
        place,
        "disclosure" if out is not None else "consultation",
        "network",
        persons=net.order(),
        purpose=purpose,
        reference=reference,
        detail=f"around {person} as of {as_of}" + (f"; picture {out.name}" if out is not None else ""),
    )
    if out is not None:
        try:
            out.write_text(net.svg(alone=True), encoding="utf-8")
        except OSError as problem:
            raise InputError(
                f"The picture cannot be written: {problem.strerror}.",
                where=str(out),
                cure="Choose another --out.",
            ) from problem
    if OPTIONS.json:
        typer.echo(as_json({**net.as_dict(), "summary": net.summary(), "picture": str(out) if out else None}))
        return
    typer.echo(net.summary())
    for tie in net.edges():
        typer.echo(
            f"  {tie['from']}  {tie['kind']}  {tie['to']}: {tie['detail']}{' (new)' if tie['new'] else ''}"
        )
    if net.left_out:
        typer.echo(
            f"  {net.left_out} more people are not shown: the most connected {len(net.order()) - 1} are."
        )
    if net.not_shown:
        people = "1 person is" if net.not_shown == 1 else f"{net.not_shown} people are"
        typer.echo(f"  {people} not shown: restricted to named users, or tied only through them.")
    if out is not None:
        say({"picture": str(out)}, f"Picture: {out}")
