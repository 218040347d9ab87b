"""Commands about which model is in use: promote, rollback, and what models there are."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from api.commands.shared import HomeOption, JsonOption, app, home_folder, take
from api.console import OPTIONS, as_json, progress, say
from features.errors import InputError

models_app = typer.Typer(help="What models there are, and what was decided about them.", no_args_is_help=True)
app.add_typer(models_app, name="models")

NEWEST = "newest"
Version = Annotated[
    str, typer.Argument(metavar="VERSION", help="A model version, or 'newest': the last one trained.")
]
By = Annotated[str, typer.Option("--by", help="The named person who answers for it.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; kept with the decision.")]


@app.command()
def promote(
    version: Version,
    by: By = "",
    reason: Reason = "",
    sign: Annotated[
        bool, typer.Option("--sign", help="Answer by name for groups and tests too small to assess.")
    ] = False,
    leak_cause: Annotated[
        str, typer.Option("--leak-cause", help="Why a leak-suspect run is honest after all.")
    ] = "",
    override: Annotated[
        str, typer.Option("--override", help="Why it is put in use against gates it fails. Loud, and kept.")
    ] = "",
    check: Annotated[
        bool, typer.Option("--check", help="Only judge it by the gates; change nothing.")
    ] = False,
    home: HomeOption = None,
    json: JsonOption = False,
) -> int:
    """Put a model in use, past the gates, for a limited time; --check only shows what they say."""
    take(home, json)
    from models import gates
    from models import promote as deciding

    place = home_folder()
    named = chosen(place.path, version)
    if check:
        found = deciding.check(place, named, progress)
        say(found.to_dict(), found.render())
        return 2 if gates.failed(found.verdicts) else 0
    signature = deciding.Signature(by, reason, sign, leak_cause, override)
    done = deciding.promote(place, named, signature, progress=progress)
    say(done.to_dict(), done.render())
    return 0


@app.command()
def rollback(
    by: By,
    reason: Reason,
    off: Annotated[
        bool, typer.Option("--off", help="Put no model in its place: no list is made until one is.")
    ] = False,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Put the last champion back in use, or switch the model off."""
    take(home, json)
    from models import promote as deciding

    place = home_folder().path
    done = (deciding.switch_off if off else deciding.rollback)(place, by, reason)
    say(done.to_dict(), done.render())


@models_app.command("list")
def list_(home: HomeOption = None, json: JsonOption = False) -> None:
    """Every model of the home: which is in use, until when, and what was decided last."""
    take(home, json)
    from models import approval
    from models.side_by_side import families

    place = home_folder().path
    rows = families(place)[::-1]
    now = approval.standing(place)
    notes = now.notes(datetime.now(UTC)) if now else []
    if now is not None and now.version is None:
        notes = [f"no model is in use: switched off by {now.by} on {now.at[:10]}: {now.reason}"]
    lines = [
        f"{row['version']}  {row['family']:<12} until {row['until'][:10]}  {row['standing']}" for row in rows
    ]
    lines = lines or ["There is no model here yet; doorstep train makes one."]
    say({"models": rows, "notes": notes}, "\n".join([*lines, *(f"note: {note}" for note in notes)]))


@models_app.command("show")
def show(version: Version = "champion", home: HomeOption = None, json: JsonOption = False) -> None:
    """One model: what it is, the gates as last judged, and every decision about it; the one in use without a name."""
    take(home, json)
    from models import decisions, gates, store
    from models.side_by_side import about

    place = home_folder().path
    named = str(store.champion(place)["version"]) if version == "champion" else chosen(place, version)
    store.load_model(place, named)  # refused when its bytes are not those saved
    facts = about(place, named)
    decided = [d for d in decisions.decisions(place) if d["version"] == named]
    last = decisions.judged(place, named)
    if OPTIONS.json:
        typer.echo(as_json({**facts, "decisions": decided}))
        return
    lines = [f"{key.replace('_', ' '):<12} {value}" for key, value in facts.items()]
    if last is not None:
        verdicts = [gates.Verdict(**{**v, "limit": tuple(v["limit"])}) for v in last["verdicts"]]
        lines += ["", f"gates, judged {last['at'][:16]}", gates.render(verdicts)]
    lines += ["", "decisions"] if decided else ["", "nothing was decided about it yet"]
    lines += [
        f"{d['at'][:16]}  {d['kind']:<9} {d['by']}: {d['reason']}"
        + (f"  ({said})" if (said := decisions.on_override(d)) else "")
        for d in decided
    ]
    typer.echo("\n".join(lines))


def chosen(place: Path, version: str) -> str:
    """The version meant: as typed, or the one trained last."""
    from models import store

    if version != NEWEST:
        return version
    made = [(str(store.manifest(place, v).get("made_at", "")), v) for v in store.versions(place)]
    if not made:
        raise InputError(
            "No model has been trained yet.", where="models", cure="Run doorstep train --until DATE."
        )
    return max(made)[1]
