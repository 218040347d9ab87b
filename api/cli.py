"""The command line: one more face of the same functions.

Nothing heavy is imported until a command needs it, so ``doorstep --help`` answers at once. ``--home`` and ``--json``
may stand before or after the command's name. Exit code 0: done; 2: the input is at fault; 1: our fault.
The commands themselves are in ``api.commands``, a module a topic.
"""

from __future__ import annotations

import os
import sys

import typer

from api.commands import (
    audit,
    decisions,
    drift,
    histories,
    learning,
    link,
    lists,
    models,
    network,
    records,
    service,
    users,
)
from api.commands.shared import HomeOption, JsonOption, app, take
from api.console import DEFAULT_HOME, OPTIONS, log_fault, tell
from features.errors import DoorstepError

# Before scikit-learn or MLflow load: idle OpenMP threads must not spin, and nothing may call home.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")

OUR_FAULT, BAD_INPUT = 1, 2
SERVING, GIVING_WAY = ("serve", "demo"), 10
# In the order --help lists them; importing registers.
TOPICS = (records, link, histories, learning, models, drift, lists, decisions, network, audit, users, service)
app.registered_commands.sort(
    key=lambda info: [topic.__name__ for topic in TOPICS].index(getattr(info.callback, "__module__", ""))
)


@app.callback()
def _global(home: HomeOption = None, json: JsonOption = False) -> None:
    take(home, json)


def main(argv: list[str] | None = None) -> None:
    """Entry point of the ``doorstep`` command; always leaves by ``SystemExit`` with 0, 1 or 2."""
    if argv is None:
        _give_way(_command_in(sys.argv[1:]))
    raise SystemExit(run_command(sys.argv[1:] if argv is None else argv))


def _give_way(command: str) -> None:
    """Let the service go first: whoever publishes or trains on its machine can wait, an officer at a door cannot."""
    if command not in SERVING and hasattr(os, "nice"):
        os.nice(GIVING_WAY)


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
    known |= {info.name or "" for info in app.registered_groups}
    return next((word for word in argv if word and word in known), "")


if __name__ == "__main__":
    main()
