"""The frozen version: a hash over the simulator's code and parameters, compared with the lock of its name."""

from __future__ import annotations

import hashlib
import tomllib
from functools import cache
from importlib.resources import files

from features.simulate.parameters import offence_kinds

VERSION = "sim-1"
PARAMETERS = ("mechanism", "offending", "people", "records", "names", "worlds")


@cache
def code_hash() -> str:
    """SHA-256 over every module of this package, every parameter file, and the harm facts written or weighed."""
    digest = hashlib.sha256()
    package = files("features").joinpath("simulate")
    for item in sorted((x for x in package.iterdir() if x.name.endswith(".py")), key=lambda x: x.name):
        digest.update(item.name.encode() + b"\0" + item.read_bytes())
    for name in PARAMETERS:
        digest.update(files("features").joinpath(f"data/simulate/{name}.toml").read_bytes())
    used = {k: v for k, v in offence_kinds().items() if k in _used_offences()}
    for key in sorted(used):
        digest.update(repr(used[key]).encode())
    return digest.hexdigest()


def _used_offences() -> set[str]:
    from features.simulate.parameters import read_data

    split = {"rape", "penetration", "sexual_assault"}
    names = set(read_data("simulate/offending.toml")["rows"]) - split
    names |= {f"{k}_{s}" for k in split for s in ("female", "male")}
    names |= set(read_data("simulate/records.toml")["other_offending"]["kinds"])
    return names | {"breach_non_molestation", "breach_restraining"}


def lock() -> dict[str, str]:
    """The lock of the current version: {"version", "hash", "frozen"}."""
    text = files("features").joinpath(f"data/simulate/{VERSION}.lock.toml").read_text(encoding="utf-8")
    return {k: str(v) for k, v in tomllib.loads(text).items()}
