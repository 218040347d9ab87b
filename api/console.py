"""How the command line speaks: answers in words or JSON, progress, errors, and a log of our own faults."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer

from features.errors import InputError

DEFAULT_HOME = Path("doorstep-home")


class Options:
    """The two global options, wherever on the line they stood."""

    home: Path = DEFAULT_HOME
    json: bool = False


OPTIONS = Options()


def say(answer: Mapping[str, Any], words: str) -> None:
    """The answer of a command: JSON for machines, words for people."""
    typer.echo(as_json(answer) if OPTIONS.json else words)


def note(words: str) -> None:
    """Progress, on standard error, for people only."""
    if not OPTIONS.json:
        typer.echo(words, err=True)


def progress(stage: str, done: int, of: int) -> None:
    """A long step's progress: one line on a terminal, its end elsewhere."""
    if OPTIONS.json:
        return
    if sys.stderr.isatty():
        typer.echo(f"\r{stage}: {done} of {of}" + ("\n" if done == of else ""), nl=False, err=True)
    elif done == of:
        typer.echo(f"{stage}: {of} done", err=True)


def as_json(answer: Any) -> str:
    """Any answer as JSON text; times in UTC with a Z."""
    return json.dumps(answer, ensure_ascii=False, indent=1, default=_plain)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, Path):
        return str(value)
    return value.item() if hasattr(value, "item") else str(value)


def write(frame: Any, out: Path) -> None:
    """Write through a temporary file, so that a reader never meets half a table."""
    if not out.parent.is_dir():
        raise InputError(
            f"There is no folder {out.parent}.", where="--out", cure="Make it, or choose another place."
        )
    half = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        frame.write_parquet(half)
        half.replace(out)
    except OSError as fault:
        half.unlink(missing_ok=True)
        raise InputError(
            f"{out} cannot be written: {fault.strerror}.", where="--out", cure="Choose another place."
        ) from fault


def lines(answer: Mapping[str, Any]) -> str:
    """Facts as aligned lines, nested ones as JSON."""
    width = max((len(name) for name in answer), default=0)
    rows = []
    for name, value in answer.items():
        text = value if isinstance(value, str) else json.dumps(value, default=_plain, ensure_ascii=False)
        rows.append(f"{name.replace('_', ' '):<{width}}  {text}")
    return "\n".join(rows)


def tell(what: str, where: str, cure: str, code: int, machine: bool) -> int:
    """Say an error: JSON on standard output for machines, words on standard error for people; returns ``code``."""
    if machine:
        typer.echo(as_json({"error": {"what": what, "where": where, "cure": cure, "exit_code": code}}))
    else:
        said = [f"Error: {what}", f"Where: {where}" if where else "", f"Cure:  {cure}" if cure else ""]
        typer.echo("\n".join(line for line in said if line), err=True)
    return code


def log_fault(command: str, fault: BaseException) -> Path:
    """Write the traceback without values: file, line and function of each frame and the type of the error.

    The message of an unexpected error may quote a row, so it is left out; set DOORSTEP_DEBUG=1 to see it on screen.
    """
    folder = OPTIONS.home if OPTIONS.home.is_dir() else Path.cwd()
    now = datetime.now(UTC)
    frames = traceback.extract_tb(fault.__traceback__)
    said = [f"{now.isoformat()} doorstep {command}", *(_frame(f) for f in frames)]
    cause = fault.__cause__ or fault.__context__
    said += [type(fault).__name__, f"because of {type(cause).__name__}" if cause else ""]
    if os.environ.get("DOORSTEP_DEBUG"):
        traceback.print_exception(fault)
    path = folder / "doorstep-errors.log"
    try:
        with path.open("a", encoding="utf-8") as log:
            log.write("\n".join(line for line in said if line) + "\n\n")
    except OSError:
        typer.echo("\n".join(said), err=True)
    return path


def _frame(frame: traceback.FrameSummary) -> str:
    return f"  {frame.filename}:{frame.lineno} in {frame.name}: {frame.line or ''}"
