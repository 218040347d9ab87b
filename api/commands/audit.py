"""Commands about the audit trail: is it whole, where does it end, what does it say."""

from __future__ import annotations

from typing import Annotated, Any

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
)
from api.console import OPTIONS, as_json, say

audit_app = typer.Typer(no_args_is_help=True, help="The audit trail: test it, carry its head, read it.")
app.add_typer(audit_app, name="audit")

BROKEN = 2


@audit_app.command()
def verify(home: HomeOption = None, json: JsonOption = False) -> None:
    """Test every row against the key and the trail's end against the heads; exit code 2 when anything is wrong."""
    take(home, json)
    from risk.audit_verify import standing
    from risk.audit_verify import verify as test

    place = home_folder()
    with trail(place, carry=False) as written:
        wrong = test(written.database, place.path)
        facts = standing(written.database, place.path)
    rows = f"{facts['rows']:,} rows"
    words = [f"{rows}: whole, no row changed, removed or put in, the end as the heads say."]
    if wrong:
        words = [f"{rows}: NOT whole.", *(f"  {one}" for one in wrong)]
        words.append(
            "Keep the database, the key and the heads as they are, and tell who answers for the data."
        )
    say({"whole": not wrong, "wrong": wrong, **facts}, "\n".join(words))
    if wrong:
        raise typer.Exit(BROKEN)


@audit_app.command()
def head(home: HomeOption = None, json: JsonOption = False) -> None:
    """Carry the head of the trail (count, code, time) to the second place now, and print it."""
    take(home, json)
    from risk.audit import carry_head
    from risk.audit_heads import heads_path

    place = home_folder()
    with trail(place, carry=False) as written:
        found = carry_head(written.database, place.path, always=True)
    if found is None:
        say({"count": 0}, "The trail has no row yet; there is no head.")
        return
    say(
        found,
        f"{found['count']:,} rows, the last with code {found['hash'][:16]}…, in {heads_path(place.path)}",
    )


@audit_app.command()
def show(
    why: Annotated[
        str | None,
        typer.Option(
            "--why",
            help="What the rows are read for: lawfulness, self_monitoring, security or proceedings. [required]",
        ),
    ] = None,
    purpose: Purpose = None,
    reference: Reference = None,
    who: Annotated[str, typer.Option("--who", help="A username.")] = "",
    person: Annotated[str, typer.Option("--person", help="A person's reference.")] = "",
    act: Annotated[str, typer.Option("--act", help="A word of section 62, or access.")] = "",
    since: Annotated[str, typer.Option("--since", help="A day, such as 2026-03-01.")] = "",
    until: Annotated[str, typer.Option("--until", help="A day, included.")] = "",
    before: Annotated[
        int | None, typer.Option("--before", min=1, help="Only rows before this number.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="How many rows.")] = 50,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Print rows, newest first: who, what, about whom, what for, when. Reading them is a row too."""
    take(home, json)
    stated = purpose_of(purpose)
    from risk.audit_search import Asked, find, reading

    words = reading(why or "")
    asked = Asked(who=who, person=person, act=act, since=since, until=until, before=before)
    with trail(home_folder()) as written:
        rows, _ = find(written.database, asked, limit)
        persons = [person] if person else []
        written.write("consultation", "audit show", persons=persons, purpose=stated, reference=reference,
                      detail=f"{words}: {asked.words()}")  # fmt: skip
    if OPTIONS.json:
        typer.echo(as_json({"rows": rows}))
        return
    for row in rows:
        typer.echo(_line(row))


def _line(row: dict[str, Any]) -> str:
    persons = " ".join(row["persons"][:5]) + (
        f" and {row['persons_count'] - 5} more" if row["persons_count"] > 5 else ""
    )
    why = " ".join(part for part in (row["purpose"], row["reference"]) if part) or "no purpose"
    parts = [
        f"{row['seq']:>8,}", f"{row['at']:%Y-%m-%d %H:%M:%S}Z", f"{row['username']} ({row['role']}, {row['source']})",
        f"{row['act']} {row['page']}", persons, f"[{why}]", "outside district" if row["outside"] else "", row["detail"],
    ]  # fmt: skip
    return "  ".join(part for part in parts if part)
