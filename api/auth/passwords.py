"""Passwords: Argon2id as RFC 9106 says for servers short of memory, and what a new one must not be.

Nothing is asked of letters, digits or signs (OWASP ASVS 6.2.5): length, and not being one that is guessed first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from threading import BoundedSemaphore

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.profiles import RFC_9106_LOW_MEMORY

from api.auth.table import table
from features.errors import DoorstepError, InputError

PARAMETERS = RFC_9106_LOW_MEMORY
_HASHER = PasswordHasher.from_parameters(PARAMETERS)
_AT_ONCE = BoundedSemaphore(2)  # 64 MiB each: a storm of guesses fills no memory
_WAITING = BoundedSemaphore(8)  # and no more than these wait for their turn: the pages of others go on
_ZXCVBN_READS = 72  # characters; what follows only makes a password longer


class BusyError(DoorstepError):
    """Too many passwords are being checked at this moment."""

    status = 429

    def __init__(self) -> None:
        super().__init__("Many people are signing in just now.", cure="Wait a few seconds and try again.")


@contextmanager
def _turn() -> Iterator[None]:
    """One's turn to hash. BusyError when too many wait already."""
    if not _WAITING.acquire(blocking=False):
        raise BusyError()
    try:
        with _AT_ONCE:
            yield
    finally:
        _WAITING.release()


def hashed(password: str) -> str:
    """The Argon2id hash that is kept. BusyError when too many are waiting for theirs."""
    with _turn():
        return _HASHER.hash(password)


def matches(kept: str | None, password: str) -> bool:
    """Whether a password is the one whose hash is kept; takes as long when nothing is kept. BusyError as above."""
    if len(password) > table().limit("passwords", "most"):
        return False
    with _turn():
        try:
            return _HASHER.verify(kept or _nobodys(), password) and kept is not None
        except (VerificationError, InvalidHashError):
            return False


def stale(kept: str) -> bool:
    """Whether the hash was made with other settings than today's, and is to be made again."""
    return _HASHER.check_needs_rehash(kept)


@cache
def _nobodys() -> str:
    """A hash that belongs to nobody, so that an unknown name takes as long as a known one."""
    return _HASHER.hash("nobody signs in with this")


def check_new(password: str, about: Sequence[str] = ()) -> None:
    """Refuse a new password that is too short, too long or guessed early; ``about`` are words of the account.

    Raises InputError with what to do.
    """
    limits = table().limits["passwords"]
    cure = "Three or four words that have nothing to do with you or the work are long and easy to keep."
    if len(password) < limits["least"]:
        raise InputError(
            f"A password has at least {limits['least']} characters.", where="new_password", cure=cure
        )
    if len(password) > limits["most"]:
        raise InputError(
            f"A password has at most {limits['most']} characters.", where="new_password", cure="Shorten it."
        )
    from zxcvbn import zxcvbn  # its word lists take a fifth of a second, and only here

    known = [*limits["words"], *(word.lower() for text in about for word in [text, *text.split()] if word)]
    found = zxcvbn(password[:_ZXCVBN_READS], user_inputs=known)
    if found["score"] < limits["least_score"] or _rest(password, known) < limits["least_rest"]:
        raise InputError("That password would be guessed early.", where="new_password", cure=cure)


def _rest(password: str, known: Sequence[str]) -> int:
    """How many letters and digits are left once the words everybody here would try are taken out."""
    left = password.lower()
    for word in sorted(known, key=len, reverse=True):
        left = left.replace(word, "")
    return sum(sign.isalnum() for sign in left)
