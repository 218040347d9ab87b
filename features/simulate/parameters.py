"""The simulator's parameters, read from data files and turned into the arrays the mechanism works with."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.errors import InputError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

WORLDS = ("base", "no_escalation", "biased_recording", "list_drives_recording")
PHASES = ("current", "former", "familial")
SEVERITIES = ("low", "mid", "high", "sexual", "lethal", "mild")
MILD = 5


def read_data(name: str) -> dict[str, Any]:
    """Return one TOML parameter file of features/data/simulate (or another path under features/data)."""
    return tomllib.loads(files("features").joinpath("data").joinpath(name).read_text(encoding="utf-8"))


@dataclass(frozen=True)
class OffenceKind:
    """One row of the table of offences: what is written for it and what it weighs."""

    key: str
    ho_code: str
    description: str
    harm_cd: int
    serious: bool


def offence_kinds() -> dict[str, OffenceKind]:
    """Return every offence of the harm table by key, with its days in hundredths.

    ``ho_code`` is the Home Office classification where the row has one, else the class.
    """
    rows = read_data("harm/offences-da.toml")["offence"]
    serious = {k for group in read_data("serious.v1.toml")["group"] for k in group["keys"]}
    return {
        r["key"]: OffenceKind(
            r["key"],
            r["codes"][0] if r["codes"] else r["class"],
            r["title"],
            round(float(r["days"]) * 100),
            r["key"] in serious,
        )
        for r in rows
    }


class Parameters:
    """Everything the mechanism needs, for one world.

    Kinds of event are numbered in the order of offending.toml (0 is the non-crime incident). ``mix`` rows are
    severity x phase, plus one row for the answering direction. A couple's reporting level is one number that packs
    the victim's own level, the relation and what the world adds; ``report[level, kind]`` is the probability that an
    event of that kind becomes a record.
    """

    def __init__(self, world: str = "base") -> None:
        if world not in WORLDS:
            raise InputError(f"unknown world '{world}'", where="--world", cure=f"one of {', '.join(WORLDS)}")
        self.world = world
        self.doc = read_data("simulate/mechanism.toml")
        self.w = read_data("simulate/worlds.toml")[world]
        self._read_kinds()
        self._read_classes()
        self._read_mix()
        self._read_reporting()
        self._read_expectations()

    # -- kinds ---------------------------------------------------------------------------------------------------
    def _read_kinds(self) -> None:
        table = read_data("simulate/offending.toml")
        self.columns: list[str] = table["columns"]
        self.keys: list[str] = list(table["rows"])
        self.rows: Floats = np.array([table["rows"][k] for k in self.keys], dtype=np.float64)
        known = offence_kinds()
        # Rape and penetration are split by the victim's sex when written; both rows weigh the same days.
        alias = {
            "rape": "rape_female",
            "penetration": "penetration_female",
            "sexual_assault": "sexual_assault_female",
        }
        self.offence: list[OffenceKind | None] = [
            None if k == "non_crime" else known[alias.get(k, k)] for k in self.keys
        ]
        self.harm_cd: Floats = np.array([o.harm_cd if o else 0 for o in self.offence], dtype=np.float64)
        self.serious: NDArray[np.bool_] = np.array([bool(o and o.serious) for o in self.offence])
        self.sexual: NDArray[np.bool_] = np.array([k in alias for k in self.keys])
        self.index = {k: i for i, k in enumerate(self.keys)}
        self.lethal_kinds: Ints = np.array([self.index["murder"], self.index["manslaughter"]])

    def column(self, name: str) -> Floats:
        """Return one column of offending.toml over all kinds, shape (kinds,)."""
        return np.asarray(self.rows[:, self.columns.index(name)])

    # -- classes -------------------------------------------------------------------------------------------------
    def _read_classes(self) -> None:
        self.classes: list[dict[str, Any]] = self.doc["class"]
        if not self.w.get("escalators", True):
            self.classes = [c for c in self.classes if c["severity"] != "escalator"]
        self.class_names = [str(c["name"]) for c in self.classes]

        def col(name: str) -> Floats:
            return np.array([float(c[name]) for c in self.classes])

        self.rate, self.shape = col("rate"), col("shape")
        self.branching = col("branching") * float(self.w.get("branching", 1.0))
        self.desist, self.separate = col("desist") / 365.0, col("separate") / 365.0
        self.form, self.fade = col("form") / 365.0, col("fade") / 365.0
        self.slots = col("slots")
        self.single = np.array([c["dyads"] == 1 for c in self.classes])

    # -- what kinds of event -------------------------------------------------------------------------------------
    def _read_mix(self) -> None:
        levels = int(self.doc["severity"]["escalator_levels"])
        self.escalator_base = len(SEVERITIES)
        self.levels = levels
        # Women offend less severely (Hester 2009): the low row without sexual offences.
        mild = np.where(self.sexual, 0.0, self.column("low"))
        rows = [mild if s == "mild" else self.column(s) for s in SEVERITIES]
        first, last = self.column("esc0"), self.column("esc3")
        rows += [first + (last - first) * i / (levels - 1) for i in range(levels)]
        tilt = [np.ones(len(self.keys)), self.column("former"), self.column("familial")]
        full = [row * t for row in rows for t in tilt] + [self.column("reverse")]
        mix = np.array(full)
        self.mix: Floats = mix / mix.sum(axis=1, keepdims=True)
        self.mix_cum: Floats = np.cumsum(self.mix, axis=1)
        self.mix_cum[:, -1] = 1.0
        self.reverse_row = len(self.mix) - 1

    # -- what becomes a record -----------------------------------------------------------------------------------
    def _read_reporting(self) -> None:
        rep = self.doc["reporting"]
        self.victim_levels: Floats = np.array(rep["levels"])
        self.level_shares: Floats = np.array(rep["shares"])
        self.minority_shares: Floats = np.array(rep["minority_shares"])
        self.insecure: Floats = np.array(rep["minority_of_groups"])
        relation = np.array(rep["relation"])
        s = np.array([1.0, float(self.w.get("suspect_factor", 1.0))])
        v = np.array([1.0, float(self.w.get("victim_factor", 1.0))])
        d = np.array([1.0, float(self.w.get("district_factor", 1.0))])
        boost = np.array([1.0, float(self.w.get("recording_factor", 1.0))])
        self.level_shape = (len(self.victim_levels), 3, 2, 2, 2, 2)
        grid = np.ones(self.level_shape)
        for axis, values in enumerate((self.victim_levels, relation, s, v, d, boost)):
            grid = grid * values.reshape([-1 if i == axis else 1 for i in range(6)])
        self.report: Floats = np.minimum(
            grid.ravel()[:, None] * self.column("report")[None, :], rep["ceiling"]
        )
        late = self.doc["late"]
        self.late: Floats = np.where(self.sexual, late["sexual_share"], late["share"])

    def level(self, victim: Ints, phase: Ints, s: Ints, v: Ints, d: Ints, boost: Ints) -> Ints:
        """Pack a couple's reporting level; ``phase`` 1..3 (current, former, familial)."""
        return np.ravel_multi_index((victim, phase - 1, s, v, d, boost), self.level_shape).astype(np.int64)

    def flag_suspect(self, group: Ints) -> Ints:
        """1 where the world records this group of suspects more."""
        return np.isin(group, self.w.get("suspect_groups", [])).astype(np.int64)

    def flag_victim(self, group: Ints) -> Ints:
        """1 where the world lets this group of victims report less."""
        return np.isin(group, self.w.get("victim_groups", [])).astype(np.int64)

    def flag_district(self, district: Ints) -> Ints:
        """1 where the world polices the district harder; districts count from 1."""
        return np.isin(district, self.w.get("districts", [])).astype(np.int64)

    # -- expectations given one event ----------------------------------------------------------------------------
    def _read_expectations(self) -> None:
        """Tables [mix, level] of what one true event is expected to leave on record, and in truth.

        Prompt records may be withdrawn or their class changed; late ones are written once.
        """
        fix = self.doc["correction"]
        self.withdrawn = float(fix["withdrawn"])
        change = np.eye(len(self.keys))
        for key, (to, share) in fix["reclassified"].items():
            change[self.index[key], self.index[key]] -= share
            change[self.index[key], self.index[to]] += share
        self.change = change
        second = self.doc["second_offence"]
        all_kinds = offence_kinds()
        extra = second["share"] * sum(
            w * all_kinds[k].harm_cd for k, w in zip(second["keys"], second["weights"], strict=True)
        )
        crime = (np.arange(len(self.keys)) > 0).astype(np.float64)
        harm = self.harm_cd + crime * extra
        settled_harm = change @ self.harm_cd + crime * extra
        settled_serious = change @ self.serious.astype(np.float64)
        keep = 1.0 - self.withdrawn
        self.unsure = float(read_data("simulate/records.toml")["noted"]["domestic_unknown"])
        sure = np.where(crime > 0, 1.0, 1.0 - self.unsure)
        rec = self.report[None, :, :] * self.mix[:, None, :] * sure
        prompt, late = rec * (1.0 - self.late), rec * self.late
        self.rec_any = (prompt.sum(-1) * keep, late.sum(-1))
        self.rec_serious = (prompt @ settled_serious * keep, late @ self.serious.astype(np.float64))
        self.rec_harm = (prompt @ settled_harm * keep, late @ harm)
        self.true_serious: Floats = self.mix @ self.serious.astype(np.float64)
        self.true_harm: Floats = self.mix @ harm
        self.counter_harm = float(all_kinds[self.doc["counter"]["key"]].harm_cd)

    @cached_property
    def season(self) -> tuple[Floats, Floats]:
        """Weekday (Monday first) and month multipliers."""
        t = self.doc["timing"]
        return np.array(t["weekday"]), np.array(t["month"])
