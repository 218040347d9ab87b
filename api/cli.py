"""The command line: one more face of the same functions.

Nothing heavy is imported until a command needs it, so ``doorstep --help`` answers at once. ``--home`` and ``--json``
may stand before or after the command's name. Exit code 0: done; 2: the input is at fault; 1: our fault.
"""

from __future__ import annotations

import os
import sys
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.console import DEFAULT_HOME, OPTIONS, as_json, lines, log_fault, note, progress, say, tell, write
from features.errors import DoorstepError

if TYPE_CHECKING:
    from features.home import Home

# Before scikit-learn or MLflow load: idle OpenMP threads must not spin, and nothing may call home.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")

OUR_FAULT, BAD_INPUT = 1, 2

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
convert_app = typer.Typer(no_args_is_help=True, help="Turn a foreign system's files into an extract.")
app.add_typer(convert_app, name="convert")

HomeOption = Annotated[
    Path | None,
    typer.Option("--home", help=f"Folder of loads, models and lists. [default: ./{DEFAULT_HOME}]"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Machine output on standard output.")]
AsOf = Annotated[str, typer.Option("--as-of", help="The moment T: a date (06:00 London that day) or a time.")]
Extract = Annotated[Path, typer.Argument(help="Folder with TABLE.parquet or TABLE.csv files.")]


class Subject(StrEnum):
    """Whose histories."""

    offender = "offender"
    victim = "victim"
    dyad = "dyad"


class Engine(StrEnum):
    """Which engine computes them."""

    fast = "fast"
    reference = "reference"


class Format(StrEnum):
    """How a list is printed."""

    table = "table"
    csv = "csv"
    json = "json"


class World(StrEnum):
    """Which simulated force."""

    base = "base"
    no_escalation = "no_escalation"
    biased_recording = "biased_recording"
    list_drives_recording = "list_drives_recording"


@app.callback()
def _global(home: HomeOption = None, json: JsonOption = False) -> None:
    _take(home, json)


def _take(home: Path | None, json: bool) -> None:
    if home is not None:
        OPTIONS.home = home
    OPTIONS.json = OPTIONS.json or json


def _home() -> Home:
    from features.home import Home

    return Home(OPTIONS.home)


def _moment(text: str) -> datetime:
    from features.clocks import parse_as_of

    return parse_as_of(text)


# --- commands ----------------------------------------------------------------------------------------------


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
    _take(home, json)
    from features.simulate import simulate as make

    summary = make(
        out, events_per_year=events_per_year, years=years, seed=seed, world=world.value, oracle=oracle or ()
    )
    say(summary, f"Extract in {out / 'extract'}, truth in {out / 'truth'}.\n" + lines(summary))


@app.command()
def check(extract: Extract, home: HomeOption = None, json: JsonOption = False) -> None:
    """Say what an extract holds, what is at fault in it and what that costs. Writes nothing."""
    _take(home, json)
    from features.extract import check as examine

    report = examine(extract)
    say(report.to_dict(), report.render())
    raise typer.Exit(report.exit_code)


@app.command()
def ingest(extract: Extract, home: HomeOption = None, json: JsonOption = False) -> None:
    """Load an extract into the home. The same extract twice changes nothing."""
    _take(home, json)
    from features.ingest import ingest as load

    report = load(extract, _home())
    say(report.to_dict(), report.render())


@app.command()
def features(
    as_of: AsOf,
    subject: Annotated[Subject, typer.Option("--subject", help="Whose histories.")],
    out: Annotated[Path, typer.Option("--out", help="Parquet file to write.")],
    engine: Annotated[
        Engine, typer.Option("--engine", help="fast, or the slow and obvious reference.")
    ] = Engine.fast,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Write the histories of offenders, victims or dyads as of T."""
    _take(home, json)
    from features.histories import histories
    from risk.looks import record_look

    t, place = _moment(as_of), _home()
    frame = histories(place.require().records(), subject.value, t, engine=engine.value)
    keys = [c for c in ("person_id", "suspect_id", "victim_id") if c in frame.columns]
    persons = sorted({person for key in keys for person in frame[key].to_list()})
    record_look(
        place.path, "histories", by="command line", persons=persons, detail=f"{subject.value} {out.name}"
    )
    write(frame, out)
    answer = {"as_of": t, "subject": subject.value, "rows": frame.height, "columns": frame.width, "out": out}
    say(answer, f"{frame.height:,} rows of {frame.width} columns in {out}.")


@app.command()
def train(
    until: Annotated[str, typer.Option("--until", help="Use nothing recorded after this date.")],
    seed: Annotated[int, typer.Option("--seed", help="The same seed gives the same model.")] = 1,
    health_authorised_by: Annotated[
        str | None, typer.Option("--health-authorised-by", help="Who allows health markers as features.")
    ] = None,
    health_reason: Annotated[
        str | None, typer.Option("--health-reason", help="Why; both are kept with the model.")
    ] = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Fit and calibrate a model on what was known by a date; the first becomes the one in use."""
    _take(home, json)
    from models.logistic import train as fit

    made = fit(
        _home(),
        _moment(until),
        seed,
        health_authorised_by=health_authorised_by,
        health_reason=health_reason,
        progress=progress,
    )
    say(made.to_dict(), made.render())


@app.command()
def score(
    as_of: AsOf,
    out: Annotated[Path, typer.Option("--out", help="Parquet file to write.")],
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Score every member of the cohort as of T."""
    _take(home, json)
    from models.store import champion
    from risk.looks import record_look
    from risk.score import FILE_COLUMNS, score_cohort

    place, t = _home(), _moment(as_of)
    scored = score_cohort(place.require(), champion(place.path), t)
    frame = scored.frame.select(FILE_COLUMNS)
    record_look(
        place.path, "scores", by="command line", persons=frame["person_id"].to_list(), detail=out.name
    )
    write(frame, out)
    ranked = int(frame["in_scope"].sum())
    answer = {
        "as_of": t,
        "rows": frame.height,
        "in_scope": ranked,
        "model": scored.scorer.doc["version"],
        "out": out,
    }
    say(answer, f"{frame.height:,} persons, {ranked:,} of them ranked, in {out}.")


@app.command()
def publish(as_of: AsOf, home: HomeOption = None, json: JsonOption = False) -> None:
    """Freeze a priority list as of T. The same T, load and model give the same list."""
    _take(home, json)
    from risk.priority import publish as freeze

    made = freeze(_home(), _moment(as_of))
    say(made.about(), made.summary())


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
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Print a published list, the latest unless told otherwise. The look is logged."""
    _take(home, json)
    from api.printing import list_as_csv, list_as_dict, print_list
    from risk.looks import record_look
    from risk.published import read_list, shown

    place = _home()
    view = shown(read_list(place, list_id), place, team=team, top=top)
    record_look(
        place.path,
        "list",
        by="command line",
        persons=view.persons(),
        list_id=view.published.list_id,
        detail=view.team_name,
    )
    if OPTIONS.json or format is Format.json:
        typer.echo(as_json(list_as_dict(view)))
    elif format is Format.csv:
        typer.echo(list_as_csv(view), nl=False)
    else:
        print_list(view)


@app.command()
def evaluate(
    as_of: Annotated[
        list[str],
        typer.Option("--as-of", help="T; repeat for several. Outcomes must be complete, or the truth given."),
    ],
    points: Annotated[
        int | None,
        typer.Option(
            "--points", min=2, help="Monthly T up to the last. [default: up to 6, where that is honest]"
        ),
    ] = None,
    truth: Annotated[Path | None, typer.Option("--truth", help="A simulated force's truth folder.")] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of the bootstrap.")] = 1,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Put the model beside the rules it must beat, at several T."""
    _take(home, json)
    from models.evaluate import evaluate as judge

    moments = [_moment(text) for text in as_of]
    if points is not None:
        moments = sorted({*moments, *monthly(max(moments), points)})
    found = judge(_home(), moments, truth, seed=seed, progress=progress)
    say(found.to_dict(), found.render())


@app.command()
def report(
    out: Annotated[
        Path | None, typer.Option("--out", help="HTML file to write. [default: HOME/reports/MODEL.html]")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="A model version; the one in use without it.")
    ] = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Write the analyst's report of a model: rules side by side, calibration, what it learnt."""
    _take(home, json)
    from models.report import write_report
    from models.store import champion

    place = _home()
    version = model or str(champion(place.path)["version"])
    path = write_report(place, out or place.path / "reports" / f"{version}.html", version)
    say({"report": path, "model": version}, f"Report in {path}.")


@app.command()
def serve(
    port: Annotated[int, typer.Option("--port", min=1, max=65535)] = 8000,
    host: Annotated[str, typer.Option("--host", help="Loopback only until there is sign-in.")] = "127.0.0.1",
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Serve lists, persons and sheets on this machine alone."""
    _take(home, json)
    from api.serving import run

    run(_home(), host=host, port=port, say=note)


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
    """Everything, with a force that never was: simulate, ingest, train, score, publish, serve."""
    _take(None, json)
    from api.demo import Demo
    from api.serving import run

    show = Demo(out, events_per_year=events_per_year, years=years, seed=seed, say=note)
    done = show.build(fresh=fresh)
    if OPTIONS.json or not serve:
        say(done, lines(done))
    if serve:
        run(show.home, host="127.0.0.1", port=port, say=note)


@convert_app.command("broward")
def convert_broward(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder with the Broward tables.")],
    out: Annotated[Path, typer.Argument(help="Folder for the extract.")],
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Broward County (Florida) jail records: a worked example of mapping a foreign system."""
    _take(home, json)
    from features.convert.broward import convert

    summary = convert(folder, out)
    say(summary, f"Extract in {out}.\n" + lines(summary))


# --- helpers -----------------------------------------------------------------------------------------------


def monthly(last: datetime, points: int) -> list[datetime]:
    """``points`` monthly moments up to ``last``, oldest first, each at 06:00 London on a day the month has."""
    from features.clocks import parse_as_of

    moments = []
    for back in range(points - 1, -1, -1):
        year, month = divmod(last.year * 12 + last.month - 1 - back, 12)
        day = min(last.day, 28) if back else last.day
        moments.append(parse_as_of(f"{year:04d}-{month + 1:02d}-{day:02d}") if back else last)
    return moments


# --- the way in and the ways out ---------------------------------------------------------------------------


def main(argv: list[str] | None = None) -> None:
    """Entry point of the ``doorstep`` command; always leaves by ``SystemExit`` with 0, 1 or 2."""
    raise SystemExit(run_command(sys.argv[1:] if argv is None else argv))


def run_command(argv: list[str]) -> int:
    """Run one command line and return its exit code; every fault is told in one clear message."""
    OPTIONS.home, OPTIONS.json = DEFAULT_HOME, False
    try:
        result = app(args=argv, prog_name="doorstep", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except typer.Exit as leave:
        return leave.exit_code
    except (typer.Abort, KeyboardInterrupt):
        return tell("Stopped.", "", "", 130, "--json" in argv)
    except typer.TyperException as fault:
        what = fault.format_message() or "Which command?"
        return tell(what, "command line", "doorstep --help lists the commands.", BAD_INPUT, "--json" in argv)
    except DoorstepError as fault:
        return tell(fault.what, fault.where, fault.cure, fault.exit_code, OPTIONS.json or "--json" in argv)
    except BrokenPipeError:  # the reader of our output went away, such as `doorstep list | head`
        sys.stderr.close()
        return 0
    except Exception as fault:
        cure = f"What went wrong is in {log_fault(_command_in(argv), fault)}; nothing of a person is in it."
        what = f"Doorstep failed ({type(fault).__name__}). This is our fault, not yours."
        return tell(what, _command_in(argv), cure, OUR_FAULT, OPTIONS.json or "--json" in argv)


def _command_in(argv: list[str]) -> str:
    """The command's name among its arguments; the others may name persons or places."""
    known = {info.name or getattr(info.callback, "__name__", "") for info in app.registered_commands}
    return next((word for word in argv if word in known | {"convert"}), "")


if __name__ == "__main__":
    main()
