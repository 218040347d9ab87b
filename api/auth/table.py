"""The table of who may see and do what (``api/data/access.toml``), read once and checked when it is read."""

from __future__ import annotations

import tomllib
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from features.errors import InputError

FILE = Path(__file__).parents[1] / "data" / "access.toml"


@dataclass(frozen=True)
class Role:
    """A role: its key, its name, what it is for."""

    key: str
    name: str
    says: str


@dataclass(frozen=True)
class Capability:
    """What may be done, and by whom: one of the roles, or one of the duties whatever the role."""

    key: str
    says: str
    roles: frozenset[str]
    duties: frozenset[str]

    def held_by(self, role: str, duties: Collection[str]) -> bool:
        """Whether somebody of this role and these duties may."""
        return role in self.roles or not self.duties.isdisjoint(duties)


@dataclass(frozen=True)
class Purpose:
    """What a look may be for; ``hours`` is how long it lasts before it is asked again."""

    key: str
    name: str
    says: str
    roles: frozenset[str]
    reference: str
    hours: int


@dataclass(frozen=True)
class Table:
    """The whole file: roles, duties, capabilities, purposes, routes that are open, and the limits by section."""

    roles: dict[str, Role]
    duties: dict[str, str]
    capabilities: dict[str, Capability]
    purposes: dict[str, Purpose]
    open_routes: dict[str, str]
    limits: dict[str, dict[str, Any]]

    def of_role(self, role: str, duties: Collection[str] = ()) -> list[Capability]:
        """What a role with these duties may do, in the order of the file."""
        return [one for one in self.capabilities.values() if one.held_by(role, duties)]

    def purposes_of(self, role: str) -> list[Purpose]:
        """What somebody of this role may open persons for."""
        return [one for one in self.purposes.values() if role in one.roles]

    def limit(self, section: str, name: str) -> int:
        """A whole number of the file, such as ``limit("lock", "failures")``."""
        return int(self.limits[section][name])


@cache
def table() -> Table:
    """The table in use. Raises InputError when a role or duty is named that is not there."""
    with FILE.open("rb") as file:
        raw = tomllib.load(file)
    return read_table(raw)


def read_table(raw: dict[str, Any]) -> Table:
    """A table from the content of its file."""
    made = Table(
        roles={key: Role(key, **one) for key, one in raw["roles"].items()},
        duties=raw["duties"],
        capabilities={
            key: Capability(key, one["says"], frozenset(one["roles"]), frozenset(one.get("duties", ())))
            for key, one in raw["capabilities"].items()
        },
        purposes={
            key: Purpose(key, **{**one, "roles": frozenset(one["roles"])})
            for key, one in raw["purposes"].items()
        },
        open_routes=raw["open"],
        limits={key: one for key, one in raw.items() if isinstance(one, dict)},
    )
    for kind in (made.capabilities, made.purposes):
        for key, one in kind.items():
            unknown = (one.roles - made.roles.keys()) | (getattr(one, "duties", set()) - made.duties.keys())
            if unknown:
                raise InputError(
                    f"{key} is given to {', '.join(sorted(unknown))}, which is no role or duty.",
                    where=FILE.name,
                    cure=f"Roles: {', '.join(made.roles)}. Duties: {', '.join(made.duties)}.",
                )
    return made
