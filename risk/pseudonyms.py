"""Names for persons that say nothing of them, for analysts: the same person has the same one on every list.

Made with the key of the audit trail, which analysts do not hold: who has only a list of pseudonyms cannot go back. The
same key codes those taken out of the records by law: trying every reference there is does not find who they were.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from pathlib import Path

from features.errors import DoorstepError
from risk.audit_key import read_key

LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # none that is taken for another when read aloud
LENGTH = 10  # of 31 letters each: two persons in a million share one about once in 1,600 forces


def pseudonyms(home: Path, persons: Iterable[str]) -> dict[str, str]:
    """The pseudonym of each person, such as ``S-k7mp2hx9qa``. DoorstepError when the key cannot be read."""
    key = read_key(home, make=False)
    return {person: f"S-{_letters(key.code(b'pseudonym of ', person.encode()))}" for person in persons}


def withheld_as(home: Path, list_id: str) -> Callable[[str], str]:
    """What to write on one list for the reference of somebody taken out by law, such as ``withheld-k7mp2hx9qa``. In a
    home whose key cannot be read it is drawn anew each time: that tells as little."""

    def code(person: str) -> str:
        try:
            key = read_key(home, make=False)
        except DoorstepError:
            return f"withheld-{_letters(secrets.token_hex(32))}"
        return f"withheld-{_letters(key.code(b'withheld from ', list_id.encode(), b': ', person.encode()))}"

    return code


def _letters(code: str) -> str:
    number, found = int(code, 16), []
    for _ in range(LENGTH):
        number, place = divmod(number, len(LETTERS))
        found.append(LETTERS[place])
    return "".join(found)
