"""Who exists: the register of true persons and couples, and the draw of new ones."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from features.simulate.parameters import Floats, Ints, Parameters, read_data
from features.simulate.state import CURRENT, FAMILIAL, Daily, People, State

ALONE = -2


class Column:
    """A growing one-dimensional array."""

    def __init__(self, dtype: Any, size: int = 1024) -> None:
        self._a = np.zeros(size, dtype=dtype)
        self.n = 0

    def extend(self, values: NDArray[Any]) -> None:
        """Append values, doubling the room when needed."""
        need = self.n + len(values)
        if need > len(self._a):
            grown = np.zeros(max(need, 2 * len(self._a)), dtype=self._a.dtype)
            grown[: self.n] = self._a[: self.n]
            self._a = grown
        self._a[self.n : need] = values
        self.n = need

    @property
    def a(self) -> NDArray[Any]:
        """The filled part."""
        return self._a[: self.n]


class Register(People):
    """True persons (sex 0 F, 1 M; group; district 1..8; birth day) and couples, numbered as they appear."""

    PERSON: ClassVar[dict[str, type]] = {
        "sex": np.int8,
        "group": np.int8,
        "district": np.int8,
        "birth": np.int32,
        "level": np.int8,
    }
    COUPLE: ClassVar[dict[str, type]] = {
        "a": np.int32,
        "b": np.int32,
        "kin": np.int8,
        "start": np.int32,
        "children": np.int8,
    }

    def __init__(self, p: Parameters, rng: np.random.Generator) -> None:
        self.p, self.rng = p, rng
        self.doc = read_data("simulate/people.toml")
        self.person = {k: Column(d) for k, d in self.PERSON.items()}
        self.couple = {k: Column(d) for k, d in self.COUPLE.items()}
        self.group_shares = np.array(self.doc["groups"]["shares"])
        self.district_shares = np.array(self.doc["districts"]["shares"])
        self.next_class: Ints | None = None
        male = self.doc["offender"]["male"]
        self.male = np.array([male[c] for c in p.class_names])

    def of(self, name: str) -> NDArray[Any]:
        """A person column."""
        return self.person[name].a

    def pair(self, name: str) -> NDArray[Any]:
        """A couple column."""
        return self.couple[name].a

    def add_persons(
        self,
        sex: NDArray[Any],
        group: NDArray[Any],
        district: NDArray[Any],
        birth: NDArray[Any],
        level: NDArray[Any],
    ) -> Ints:
        """Register true persons; returns their numbers."""
        first = self.person["sex"].n
        for name, values in (
            ("sex", sex),
            ("group", group),
            ("district", district),
            ("birth", birth),
            ("level", level),
        ):
            self.person[name].extend(values)
        return np.arange(first, first + len(sex), dtype=np.int64)

    def draw_levels(self, group: NDArray[Any], rng: np.random.Generator) -> Ints:
        """How readily each of these people reports: a level, lower for minority or insecure victims."""
        p = self.p
        insecure = rng.random(len(group)) < p.insecure[group]
        u = rng.random(len(group))
        plain = np.searchsorted(np.cumsum(p.level_shares)[:-1], u, "right")
        lower = np.searchsorted(np.cumsum(p.minority_shares)[:-1], u, "right")
        return np.where(insecure, lower, plain).astype(np.int64)

    def newcomers(
        self, n: int, day: int, cls: Ints | None = None
    ) -> tuple[Ints, Ints, Ints, NDArray[np.bool_]]:
        """New offenders; the class decides the share of men."""
        rng, o = self.rng, self.doc["offender"]
        share = self.male[cls] if cls is not None else 0.81
        sex = (rng.random(n) < share).astype(np.int64)
        group = rng.choice(len(self.group_shares), n, p=self.group_shares)
        district = 1 + rng.choice(len(self.district_shares), n, p=self.district_shares)
        age = np.clip(
            o["age_log_median"] * np.exp(o["age_log_sigma"] * rng.standard_normal(n)), *o["age_range"]
        )
        birth = day - (age * 365.25).astype(np.int64) - rng.integers(0, 365, n)
        person = self.add_persons(sex, group, district, birth, self.draw_levels(group, rng))
        return person, self.p.flag_suspect(group), self.p.flag_district(district), sex == 0

    def others(self, slots: Ints, state: State, phase: Ints, day: int) -> tuple[Ints, Ints, Ints, Ints]:
        """New partners and relatives; now and then a partner is someone already known from another couple."""
        rng, d = self.rng, self.doc["other"]
        n = len(slots)
        a = state.person[slots]
        partner = phase == CURRENT
        a_sex, a_group, a_birth = self.of("sex")[a], self.of("group")[a], self.of("birth")[a]
        same = rng.random(n) < d["same_group"]
        group = np.where(same, a_group, rng.choice(len(self.group_shares), n, p=self.group_shares))
        near = rng.random(n) < d["same_district"]
        district = np.where(
            near, self.of("district")[a], 1 + rng.choice(len(self.district_shares), n, p=self.district_shares)
        )
        opposite = rng.random(n) < d["opposite_sex"]
        female_kin = rng.random(n) < d["relative_female"]
        sex = np.where(partner, np.where(opposite, 1 - a_sex, a_sex), np.where(female_kin, 0, 1))
        kin = rng.choice(len(d["kin"]), n, p=np.array(d["kin_shares"]))
        gap = np.array(d["kin_age"])[kin]
        older = np.where(
            partner,
            d["partner_age"][0] + d["partner_age"][1] * rng.standard_normal(n),
            gap[:, 0] + gap[:, 1] * rng.standard_normal(n),
        )
        birth = np.minimum(a_birth - (older * 365.25).astype(np.int64), day - 17 * 365)
        level = self.draw_levels(group, rng)
        person = np.full(n, -1, dtype=np.int64)
        self._reuse(person, partner, sex, a, rng)
        new = person < 0
        person[new] = self.add_persons(sex[new], group[new], district[new], birth[new], level[new])
        level = self.of("level")[person].astype(np.int64)
        cid = self._add_couples(a, person, phase, kin, day, rng)
        return person, cid, level, self.p.flag_victim(self.of("group")[person])

    def _reuse(
        self, person: Ints, partner: NDArray[np.bool_], sex: NDArray[Any], a: Ints, rng: np.random.Generator
    ) -> None:
        known = self.pair("b")
        if len(known) < 100:
            return
        want = partner & (rng.random(len(person)) < self.p.doc["couple"]["shared_victim"])
        pick = known[rng.integers(0, len(known), len(person))].astype(np.int64)
        want &= (self.of("sex")[pick] == sex) & (pick != a)
        want &= np.abs(self.of("birth")[pick] - self.of("birth")[a]) < 12 * 365
        person[want] = pick[want]

    def _add_couples(
        self, a: Ints, b: Ints, phase: Ints, kin: NDArray[Any], day: int, rng: np.random.Generator
    ) -> Ints:
        d = self.doc["other"]
        n = len(a)
        married = rng.random(n) < d["married"]
        # kin codes: 0 partner, 1 spouse, 2.. relatives as listed
        code = np.where(phase == FAMILIAL, 2 + kin, married.astype(np.int64))
        children = rng.choice(5, n, p=np.array(self.p.doc["couple"]["children"]))
        before = np.where(phase == FAMILIAL, 20 * 365, rng.exponential(900.0, n).astype(np.int64) + 30)
        first = self.couple["a"].n
        for name, values in (
            ("a", a),
            ("b", b),
            ("kin", code),
            ("start", day - before),
            ("children", children),
        ):
            self.couple[name].extend(values)
        return np.arange(first, first + n, dtype=np.int64)


class Strangers(People):
    """Partners met in a possible future: drawn by the same law, but nobody in particular. Nobody fills empty slots."""

    def __init__(self, register: Register, rng: np.random.Generator) -> None:
        self.r, self.rng = register, rng

    def newcomers(
        self, n: int, day: int, cls: Ints | None = None
    ) -> tuple[Ints, Ints, Ints, NDArray[np.bool_]]:
        """None: whoever takes a slot after T is not in the cohort at T."""
        nobody = np.empty(0, dtype=np.int64)
        return nobody, nobody, nobody, nobody.astype(bool)

    def others(self, slots: Ints, state: State, phase: Ints, day: int) -> tuple[Ints, Ints, Ints, Ints]:
        """Reporting level and flag of partners not yet met."""
        r, rng, n = self.r, self.rng, len(slots)
        a_group = r.of("group")[state.person[slots]]
        same = rng.random(n) < r.doc["other"]["same_group"]
        group = np.where(same, a_group, rng.choice(len(r.group_shares), n, p=r.group_shares))
        nobody = np.full(n, ALONE, dtype=np.int64)
        return nobody, np.full(n, -1, dtype=np.int64), r.draw_levels(group, rng), r.p.flag_victim(group)


def new_state(p: Parameters, register: Register, scale: float, rng: np.random.Generator) -> State:
    """An empty state with the slots a force of ``scale`` thousand recorded events a year needs."""
    counts = np.maximum(1, np.round(p.slots * scale)).astype(np.int64)
    singles = int(counts[p.single].sum())
    slots, couples = int(counts.sum()), singles + 4 * int(counts[~p.single].sum())

    def ints(n: int, v: int = 0) -> Ints:
        return np.full(n, v, dtype=np.int64)

    def reals(n: int, v: float = 0.0) -> Floats:
        return np.full(n, v, dtype=np.float64)

    def daily(n: int, v: float = 0.0) -> Daily:
        return np.full(n, v, dtype=np.float32)

    return State(
        singles=singles,
        person=ints(slots, -1),
        cls=np.repeat(np.arange(len(counts)), counts),
        frailty=reals(slots),
        sev=ints(slots),
        s_flag=ints(slots),
        d_flag=ints(slots),
        active=np.zeros(slots, dtype=bool),
        m_person=reals(slots, 1.0),
        cust_until=ints(slots, -1),
        court_day=ints(slots, -1),
        court_kind=ints(slots),
        court_couple=ints(slots),
        court_cid=ints(slots, -1),
        attention=reals(slots),
        boost=ints(slots),
        other=ints(couples, -1),
        cid=ints(couples, -1),
        phase=ints(couples),
        b=daily(couples),
        e=daily(couples),
        cap=daily(couples),
        jump=daily(couples),
        mix=ints(couples),
        level=ints(couples),
        v_level=ints(couples),
        v_flag=ints(couples),
        m=daily(couples, 1.0),
        restr=ints(couples),
        restr_until=ints(couples, -1),
        reverse=reals(couples),
        counter=reals(couples),
    )
