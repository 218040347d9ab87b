"""The latent state of the force at the start of a day, the log of what happened, and who hands out persons."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.simulate.parameters import Floats, Ints

NEVER = -1
EMPTY, CURRENT, FORMER, FAMILIAL = 0, 1, 2, 3
NONE, BAIL, DVPO, NMO, RESTRAINING = 0, 1, 2, 3, 4
Daily = NDArray[np.float32]
"""Daily rates: single precision, because they are gone through every day."""
RELEASES = ("charged_bail", "charged_remand", "precharge_bail", "under_investigation", "nfa")


@dataclass
class State:
    """The full latent state at the start of a day: arrays over slots, then arrays over couples."""

    singles: int
    # per slot
    person: Ints
    cls: Ints
    frailty: Floats
    sev: Ints
    s_flag: Ints
    d_flag: Ints
    active: NDArray[np.bool_]
    m_person: Floats
    cust_until: Ints
    court_day: Ints
    court_kind: Ints
    court_couple: Ints
    court_cid: Ints
    attention: Floats
    boost: Ints
    # per couple
    other: Ints
    cid: Ints
    phase: Ints
    b: Daily
    e: Daily
    cap: Daily
    jump: Daily
    mix: Ints
    level: Ints
    v_level: Ints
    v_flag: Ints
    m: Daily
    restr: Ints
    restr_until: Ints
    reverse: Floats
    counter: Floats

    def couples_of(self, slots: Ints) -> Ints:
        """Indices of all couples of the given slots."""
        one = slots[slots < self.singles]
        four = slots[slots >= self.singles]
        wide = (self.singles + (four - self.singles)[:, None] * 4 + np.arange(4)[None, :]).ravel()
        return np.concatenate([one, wide])

    def slot_of(self, couples: Ints) -> Ints:
        """The slot each couple belongs to."""
        return np.where(couples < self.singles, couples, self.singles + (couples - self.singles) // 4)

    def copy(self) -> State:
        """A deep copy."""
        arrays = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "singles"}
        copied: dict[str, Any] = {name: values.copy() for name, values in arrays.items()}
        return State(singles=self.singles, **copied)


@dataclass
class Log:
    """What happened, as lists of array bundles; empty hands when a future is only being weighed."""

    keep: bool = True
    rows: dict[str, list[dict[str, NDArray[Any]]]] = field(default_factory=dict)

    def add(self, table: str, **columns: NDArray[Any] | int | float) -> None:
        """Append one bundle; scalars are spread to the length of the first array."""
        if not self.keep:
            return
        n = next(len(v) for v in columns.values() if isinstance(v, np.ndarray))
        if n:
            self.rows.setdefault(table, []).append(
                {k: np.array(v) if isinstance(v, np.ndarray) else np.full(n, v) for k, v in columns.items()}
            )

    def table(self, name: str) -> dict[str, NDArray[Any]]:
        """One table, its bundles joined; an empty dict when nothing was logged."""
        bundles = self.rows.get(name, [])
        return {k: np.concatenate([b[k] for b in bundles]) for k in bundles[0]} if bundles else {}


class People:
    """Hands out persons to the mechanism; the real one keeps a register, the one for futures hands out nobody."""

    def newcomers(
        self, n: int, day: int, cls: Ints | None = None
    ) -> tuple[Ints, Ints, Ints, NDArray[np.bool_]]:
        """Return (person, s_flag, d_flag, female) of n new offenders."""
        raise NotImplementedError

    def others(self, slots: Ints, state: State, phase: Ints, day: int) -> tuple[Ints, Ints, Ints, Ints]:
        """Return (person, couple id, reporting level, v_flag) of n new partners or relatives."""
        raise NotImplementedError
