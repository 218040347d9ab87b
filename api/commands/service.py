"""Commands that serve pages, and the demo of everything."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from api.commands.shared import HomeOption, JsonOption, app, home_folder, take
from api.console import OPTIONS, lines, note, say


@app.command()
def serve(
    port: Annotated[int, typer.Option("--port", min=1, max=65535)] = 8000,
    host: Annotated[
        str, typer.Option("--host", help="This machine alone, unless DOORSTEP_PUBLIC_URL states TLS.")
    ] = "127.0.0.1",
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Serve the pages and the JSON beside them, behind sign-in."""
    take(home, json)
    from api.serving import run

    run(home_folder(), host=host, port=port, say=note)


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder for the simulated force and its home.")] = Path(
        "demo"
    ),
    events_per_year: Annotated[int, typer.Option("--events-per-year", min=1)] = 6000,
    years: Annotated[int, typer.Option("--years", min=2)] = 4,
    seed: Annotated[int, typer.Option("--seed")] = 1,
    port: Annotated[int, typer.Option("--port", min=1, max=65535)] = 8000,
    fresh: Annotated[bool, typer.Option("--fresh", help="Begin again from nothing.")] = False,
    serve: Annotated[bool, typer.Option("--serve/--no-serve", help="Serve the pages at the end.")] = True,
    json: JsonOption = False,
) -> None:
    """Everything, with a force that never was: simulate, ingest, train, score, publish, sign in, serve."""
    take(None, json)
    from api.demo import Demo
    from api.serving import run

    show = Demo(out, events_per_year=events_per_year, years=years, seed=seed, say=note)
    done = show.build(fresh=fresh)
    if OPTIONS.json or not serve:
        say(done, lines(done))
    if serve:
        for line in show.accounts():
            note(line)
        run(show.home, host="127.0.0.1", port=port, say=note)
