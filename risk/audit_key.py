"""The key of the audit trail: a file outside the database, made once, never replaced behind anybody's back."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from features.errors import DoorstepError

SETTING = "DOORSTEP_AUDIT_KEY"
SHORTEST = 32  # bytes


@dataclass(frozen=True)
class Key:
    """The key and its fingerprint, which tells two keys apart and nothing of either."""

    secret: bytes
    name: str

    def code(self, *parts: bytes) -> str:
        """The HMAC-SHA256 of some bytes, in hex."""
        return hmac.new(self.secret, b"".join(parts), hashlib.sha256).hexdigest()


def key_path(home: Path) -> Path:
    """Where the key is: the file DOORSTEP_AUDIT_KEY names, else keys/audit.key in the home."""
    named = os.environ.get(SETTING)
    return Path(named) if named else home / "keys" / "audit.key"


def read_key(home: Path, *, make: bool) -> Key:
    """The key of a home. With ``make`` a missing one is made, for a trail that has no row yet; a second process that
    makes one at the same moment gets the same. DoorstepError when it cannot be read, or is missing or too short."""
    path = key_path(home)
    if make and not path.exists():
        _make(path)
    try:
        secret = path.read_bytes().strip()
    except OSError as fault:
        raise DoorstepError(
            f"The key of the audit trail cannot be read: {fault.strerror}.",
            where=str(path),
            cure=f"Bring the key file back from where it is kept, or set {SETTING} to it. Without it no act can be "
            "written down and nothing is shown; a new key would not fit the rows there are.",
        ) from fault
    if len(secret) < SHORTEST:
        raise DoorstepError(
            f"The key of the audit trail is shorter than {SHORTEST} bytes.",
            where=str(path),
            cure="Bring the right key file back; for a new trail write at least 32 random bytes into it.",
        )
    return Key(secret, hmac.new(secret, b"doorstep audit key", hashlib.sha256).hexdigest()[:12])


def _make(path: Path) -> None:
    """Write a new key beside its place and link it there: nobody reads half a key, and the first one stays."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_hex(32) + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            return
        finally:
            draft.unlink(missing_ok=True)
    except OSError as fault:
        raise DoorstepError(
            f"The key of the audit trail could not be made: {fault.strerror}.",
            where=str(path),
            cure=f"Make that folder writable for this user once, or set {SETTING} to a key file.",
        ) from fault
