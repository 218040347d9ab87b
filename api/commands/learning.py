"""Commands of the analyst: train, tune, score, evaluate, report."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

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
    trail,
    write_down,
)
from api.console import progress, say, write

Family = Annotated[
    str,
    typer.Option("--family", help="elastic_net, scorecard, ebm or boosted; all: one after the other."),
]


@app.command()
def train(
    until: Annotated[str, typer.Option("--until", help="Nothing recorded after this date.")],
    family: Family = "elastic_net",
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
    """Fit, calibrate and test a model of a family on what was known by a date; promote puts one in use."""
    take(home, json)
    from models.families import NAMES
    from models.training import train as fit
    from risk.exposure import write_exposure
    from risk.published import lists

    place = home_folder()
    if lists(
        place
    ):  # what stands beside the data a model learns from: whom lists had in sight, in no feature or label
        with trail(place) as written:
            write_exposure(place, written.database)
    made = [
        fit(
            place,
            moment(until),
            seed,
            family=name,
            health_authorised_by=health_authorised_by,
            health_reason=health_reason,
            progress=progress,
        )
        for name in (NAMES if family == "all" else (family,))
    ]
    facts: Any = [m.to_dict() for m in made]
    say(facts if len(made) > 1 else facts[0], "\n".join(m.render() for m in made))


@app.command()
def tune(
    until: Annotated[str, typer.Option("--until", help="Nothing recorded after this date.")],
    minutes: Annotated[
        float, typer.Option("--minutes", min=0.0, help="The budget; the first trial is always made.")
    ],
    family: Annotated[
        str, typer.Option("--family", help="elastic_net, scorecard, ebm or boosted.")
    ] = "elastic_net",
    seed: Annotated[int, typer.Option("--seed", help="The same seed tries the same settings.")] = 1,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Search better settings for a family; train uses what was found. Takes up where it was stopped."""
    take(home, json)
    from models.tune import tune as search

    found = search(home_folder(), family, moment(until), minutes, seed, progress=progress)
    say(found.to_dict(), found.render())


@app.command()
def backtest(
    families: Annotated[
        str,
        typer.Option("--families", help="Comma-separated; the first is the model, the others stand beside."),
    ] = "elastic_net",
    origins: Annotated[
        int, typer.Option("--origins", min=1, help="Past dates at which models are made.")
    ] = 4,
    months: Annotated[int, typer.Option("--months", min=1, help="Monthly T judged after each.")] = 6,
    until: Annotated[
        str | None, typer.Option("--until", help="Nothing recorded after this date. [default: all there is]")
    ] = None,
    truth: Annotated[Path | None, typer.Option("--truth", help="A simulated force's truth folder.")] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of the fits and of the bootstrap.")] = 1,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Make the families at past origins and judge them on the months that followed. Takes up where it was stopped."""
    take(home, json)
    from models.backtest import backtest as test

    names = [name.strip() for name in families.split(",") if name.strip()]
    found = test(
        home_folder(),
        names,
        origins,
        months=months,
        until=None if until is None else moment(until),
        truth=truth,
        seed=seed,
        progress=progress,
    )
    say(found.to_dict(), found.render())


@app.command()
def score(
    as_of: AsOf,
    out: Annotated[Path, typer.Option("--out", help="Parquet file to write.")],
    purpose: Purpose = None,
    reference: Reference = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Score every member of the cohort as of T. The export is written down."""
    take(home, json)
    purpose = purpose_of(purpose)
    from models.approval import usable
    from models.store import champion
    from risk.score import FILE_COLUMNS, score_cohort

    place, t = home_folder(), moment(as_of)
    load = place.require()
    usable(place.path, load.nature)
    scored = score_cohort(load, champion(place.path), t)
    frame = scored.frame.select(FILE_COLUMNS)
    write_down(
        place,
        "disclosure",
        "scores",
        persons=frame["person_id"].to_list(),
        purpose=purpose,
        reference=reference,
        detail=f"as of {as_of} in {out.name}",
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
    model: Annotated[str, typer.Option("--model", help="A model version, or champion.")] = "champion",
    beside: Annotated[
        list[str] | None,
        typer.Option(
            "--beside", help="A further model (or champion) on the same persons; repeat for several."
        ),
    ] = None,
    sensitivity: Annotated[
        bool,
        typer.Option(
            "--sensitivity",
            help="Also fit without each feature family, price harm otherwise, join records otherwise (minutes).",
        ),
    ] = False,
    seed: Annotated[int, typer.Option("--seed", help="Of the bootstrap.")] = 1,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Put a model beside the rules it must beat, and other models, at several T."""
    take(home, json)
    from models.evaluate import evaluate as judge

    moments = [moment(text) for text in as_of]
    if points is not None:
        moments = sorted({*moments, *monthly(max(moments), points)})
    found = judge(
        home_folder(),
        moments,
        truth,
        model,
        others=beside or (),
        sensitivities=sensitivity,
        seed=seed,
        progress=progress,
    )
    say(found.to_dict(), found.render())


@app.command()
def report(
    run: Annotated[
        str | None,
        typer.Argument(
            help="A model version or an MLflow run id. [default: the model in use]", show_default=False
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="HTML file; PDF and JSON beside it. [default: HOME/reports/MODEL.html]"),
    ] = None,
    purpose: Purpose = None,
    reference: Reference = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Write the report of a run: page, PDF, and the transparency record as JSON. The export is written down."""
    take(home, json)
    purpose = purpose_of(purpose)
    from models.report import write_report

    place = home_folder()
    wanted = run or "the model in use"
    write_down(place, "disclosure", "report", purpose=purpose, reference=reference, detail=wanted)
    made = write_report(place, out, run)
    say(made.to_dict(), f"Report in {made.html}, as a PDF in {made.pdf}; transparency record in {made.atrs}.")


def monthly(last: datetime, points: int) -> list[datetime]:
    """``points`` monthly moments up to ``last``, oldest first, each at 06:00 London on a day the month has."""
    from features.clocks import parse_as_of

    moments = []
    for back in range(points - 1, -1, -1):
        year, month = divmod(last.year * 12 + last.month - 1 - back, 12)
        day = min(last.day, 28) if back else last.day
        moments.append(parse_as_of(f"{year:04d}-{month + 1:02d}-{day:02d}") if back else last)
    return moments
