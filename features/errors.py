"""Errors that speak to the person who can mend them: what is wrong, where, what to do."""

from __future__ import annotations


class DoorstepError(Exception):
    """Anything Doorstep refuses to do, in words a user can act on.

    ``what`` says what is wrong, ``where`` names the table, row, column or setting, ``cure`` says what to do.
    The command line prints the three and exits with ``exit_code``; the API answers with the same three as
    problem+json.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", cure: str = "") -> None:
        self.what, self.where, self.cure = what, where, cure
        super().__init__(" ".join(part for part in (what, f"({where})" if where else "", cure) if part))


class InputError(DoorstepError):
    """The input (an extract, an option, a date) is at fault: exit code 2."""

    exit_code = 2


class NotFoundError(InputError):
    """What was asked for is not there (a person, a list, a model, a load)."""
