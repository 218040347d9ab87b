"""Commands that say who is who: compare the nominals, look at uncertain pairs, decide on one."""

from __future__ import annotations

import sys
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
    purpose_of,
    take,
    trail,
    write_down,
)
from api.console import OPTIONS, say
from features.errors import InputError

link_app = typer.Typer(
    invoke_without_command=True,
    help="Find the nominals that are one person (nothing is merged); review and decide uncertain pairs.",
)
app.add_typer(link_app, name="link")
By = Annotated[str, typer.Option("--by", help="Who looks or decides: a name, written down.")]


@link_app.callback()
def link(
    context: typer.Context,
    threshold: Annotated[
        float | None,
        typer.Option(
            "--threshold", help="From which match on two records are one person. [default: linkage.toml]"
        ),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Compare anew, even where nothing has changed.")
    ] = False,
    purpose: Purpose = None,
    reference: Reference = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Compare every nominal of the current load once and write down which are one person, and how sure that is."""
    take(home, json)
    if context.invoked_subcommand is not None:
        if purpose or reference:
            raise InputError(
                "--purpose and --reference stand after the sub-command.",
                where="command line",
                cure=f"Write: doorstep link {context.invoked_subcommand} … --purpose PURPOSE",
            )
        return
    purpose = purpose_of(purpose)
    from features.linkage.run import link as run

    place = home_folder()
    load = place.require()
    with trail(place) as written:
        found = run(place, threshold=threshold, again=again, progress=_bar)
        detail = (
            f"load {load.load_id}, run {found.run['run_id']}: "
            f"{found.counts['clusters']:,} persons with more than one record"
        )
        written.write("combination", "link", purpose=purpose, reference=reference, detail=detail)
    say(found.to_dict(), found.render())


@link_app.command()
def review(
    by: By,
    out: Annotated[Path, typer.Option("--out", help="The page to write.")] = Path("link-review.html"),
    top: Annotated[
        int, typer.Option("--top", min=1, help="At most so many pairs, the likeliest first.")
    ] = 100,
    purpose: Purpose = None,
    reference: Reference = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Write a page of the uncertain pairs, each comparison drawn. It names people: the look is written down."""
    take(home, json)
    purpose = purpose_of(purpose)
    from features.linkage.review import page, queue

    if not by.strip():
        raise InputError("--by is empty.", where="link review", cure="Say who looks: a name, written down.")
    here = home_folder()
    pairs = queue(here, top)
    persons = sorted({person for one in pairs for person in one.persons})
    detail = f"by {by.strip()} in {out.name}"
    write_down(
        here,
        "disclosure",
        "link review",
        persons=persons,
        purpose=purpose,
        reference=reference,
        detail=detail,
    )
    try:
        out.write_text(page(here, pairs), encoding="utf-8")
    except OSError as problem:
        raise InputError(
            f"The page cannot be written: {problem.strerror}.", where=str(out), cure="Choose another --out."
        ) from problem
    found = {"pairs": len(pairs), "persons": len(persons), "file": str(out)}
    say(
        found,
        f"{len(pairs):,} uncertain pairs in {out}. Decide: doorstep link decide A B --same --by NAME --reason TEXT",
    )


@link_app.command()
def decide(
    a: Annotated[str, typer.Argument(metavar="A", help="A person reference.")],
    b: Annotated[str, typer.Argument(metavar="B", help="Another person reference.")],
    by: By,
    reason: Annotated[str, typer.Option("--reason", help="Why; written down.")],
    same: Annotated[bool, typer.Option("--same/--different", help="One person, or two.")],
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Decide that two records are one person, or are not. It holds from now on; a later decision may undo it."""
    take(home, json)
    from features.linkage.review import decide as note

    place = home_folder()
    words = "one person" if same else "two people"
    with trail(place) as written, written.database.begin():  # a decision that is refused leaves no row
        written.write("alteration", "link decision", persons=[a, b], detail=f"{words}, by {by}: {reason}")
        entry = note(place, a, b, same=same, by=by, reason=reason)
    say(entry, f"{entry['person_id_a']} and {entry['person_id_b']} are {words} from now on, says {by}.")


def _bar(stage: str, done: int, of: int) -> None:
    """A bar by stage on a terminal; a line a stage elsewhere; nothing beside machine output."""
    if OPTIONS.json:
        return
    drawn = f"[{'#' * (2 * done)}{'.' * (2 * (of - done))}] {done} of {of}  {stage}"
    if sys.stderr.isatty():
        typer.echo(f"\r{drawn:<79}" + ("\n" if done == of else ""), nl=False, err=True)
    else:
        typer.echo(drawn, err=True)
