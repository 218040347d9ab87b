"""Secrets that are handed out: made from the system's generator, kept only as a hash; and the service's own key."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from features.errors import DoorstepError

KEY_SETTING = "DOORSTEP_SESSION_KEY"
ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"  # no letter or digit that is read for another


def make(prefix: str = "") -> str:
    """A secret of 256 bits as text for a cookie, a form or a header."""
    return prefix + secrets.token_urlsafe(32)


def digest(secret: str) -> str:
    """What the database keeps of a secret of 256 bits: a plain hash is enough, there is nothing to guess."""
    return hashlib.sha256(secret.encode()).hexdigest()


def one_time_password() -> str:
    """A password to be read aloud once and changed at first sign-in: four groups of five, 99 bits."""
    groups = ("".join(secrets.choice(ALPHABET) for _ in range(5)) for _ in range(4))
    return "-".join(groups)


def same(one: str, other: str) -> bool:
    """Whether two secrets are one, in the same time whatever they share."""
    return hmac.compare_digest(one.encode(), other.encode())


class Key:
    """The service's own key: for what a browser holds before anybody is signed in. No record is sealed with it."""

    def __init__(self, secret: bytes) -> None:
        self.secret = secret

    @classmethod
    def of(cls, home: Path) -> Key:
        """The key in the file DOORSTEP_SESSION_KEY, else HOME/keys/session.key, made the first time.

        Raises DoorstepError when it can be neither read nor made.
        """
        path = Path(os.environ.get(KEY_SETTING) or home / "keys" / "session.key")
        try:
            if not path.exists():
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                fresh = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
                fresh.touch(mode=0o600)
                fresh.write_bytes(secrets.token_bytes(32))
                try:
                    os.link(fresh, path)  # whoever comes first wins; the other reads it
                except FileExistsError:
                    pass
                finally:
                    fresh.unlink()
            secret = path.read_bytes()
        except OSError as fault:
            raise DoorstepError(
                f"The key of sign-in could not be used: {fault.strerror}.",
                where=str(path),
                cure=f"Make it readable for the service's user alone, or name another file in {KEY_SETTING}.",
            ) from fault
        if len(secret) < 32:
            raise DoorstepError(
                "The key of sign-in is shorter than 32 bytes.",
                where=str(path),
                cure="Delete the file; a new one is made at the next start and everybody signs in again.",
            )
        return cls(secret)

    def seal(self, text: str, use: str) -> str:
        """A code that only this service can make for a text, for one use."""
        return hmac.new(self.secret, f"{use}\0{text}".encode(), hashlib.sha256).hexdigest()
