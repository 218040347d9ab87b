"""Where events take place and people live; the nominal records with their faults: person, alias, address, team."""

from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl

from features.simulate.happenings import Happenings
from features.simulate.nominals import Nominals
from features.simulate.parameters import Ints, read_data
from features.simulate.stage import DAY, NAT, Bools, Stage, exponential, ids, midnights, pick, times, words

HOME, MOVED, OTHER_HOME, PUBLIC = 0, 1, 2, 3
PUBLIC_PLACES = 3000
EPOCH = date(1970, 1, 1)


class Places:
    """Addresses by number: 4 x person, + 1 after a move, + 2 given for a second record; 4 x k + 3 is public."""

    def __init__(self, stage: Stage) -> None:
        r, rng = stage.register, stage.rng("places")
        n = r.person["sex"].n
        self.stage, self.rng = stage, rng
        self.home: Ints = np.arange(n) * 4
        a, b, kin = r.pair("a").astype(np.int64), r.pair("b").astype(np.int64), r.pair("kin")
        # Couples mostly share a home; the last couple a person is in decides.
        together = (kin < 2) & (rng.random(len(a)) < 0.6)
        self.home[b[together]] = a[together] * 4
        span = stage.end_at - stage.start_at
        years = span / DAY / 365
        share = 1 - np.exp(-r.doc["records"]["moves_per_year"] * years)
        moves = rng.random(n) < share
        self.moved_at: Ints = np.where(moves, stage.start_at + (rng.random(n) * span).astype(np.int64), NAT)
        away = rng.random(n) < 0.15
        other = 1 + rng.choice(len(r.district_shares), n, p=r.district_shares)
        self.moved_to: Ints = np.where(away, other, r.of("district")).astype(np.int64)

    def at(self, person: Ints, when: Ints) -> tuple[Ints, Ints]:
        """Address number and district of persons at a time."""
        person = np.maximum(person, 0)
        known = person < len(self.home)
        q = np.where(known, person, 0)
        moved = known & (self.moved_at[q] != NAT) & (self.moved_at[q] <= when)
        place = np.where(moved, q * 4 + MOVED, np.where(known, self.home[q], person * 4))
        district = np.where(moved, self.moved_to[q], self.stage.register.of("district")[place // 4])
        return place, district.astype(np.int64)

    def of_events(self, e: Happenings) -> tuple[Ints, Ints]:
        """Where events took place: mostly at the victim's, some at the suspect's, some in public."""
        rng = self.rng
        n = len(e)
        u = rng.random(n)
        at_b = (e.b >= 0) & (u < 0.80)
        who = np.where(at_b | (e.a < 0), e.b, e.a)
        place, district = self.at(who, e.occurred)
        out = (u > 0.92) | (who < 0)
        public = rng.integers(0, PUBLIC_PLACES // 8, n) * 8 + (district - 1)
        return np.where(out, public * 4 + PUBLIC, place), district


def responses(stage: Stage, n: int) -> Ints:
    """How police answered each event."""
    shares = stage.doc["noted"]["response"]
    return pick(stage.rng("response"), list(shares.values()), n)


def write_people(
    stage: Stage, nominals: Nominals, places: Places, used_places: Ints, deaths: tuple[Ints, Ints]
) -> pl.DataFrame:
    """Write person, alias, address, residence, team; returns clusters (person_id, true_person)."""
    nominals.grow()
    truth = np.flatnonzero(nominals.used)
    owner = nominals.person_of()
    number = np.flatnonzero(nominals.used[owner])
    names = _names(stage, truth)
    index = np.full(len(nominals.count), -1, dtype=np.int64)
    index[truth] = np.arange(len(truth))
    who = index[owner[number]]
    extra = number != nominals.first[owner[number]]
    person, alias = _records(stage, nominals, number, owner[number], who, extra, names)
    address, new_address = _addresses_of(stage, places, owner[number], extra)
    seen = nominals.seen[number]
    rng = stage.rng("unused records")
    span = stage.end_at - stage.start_at
    seen = np.where(seen == NAT, stage.start_at + (rng.random(len(number)) * span).astype(np.int64), seen)
    # Whoever is on record from before the extract opens was entered some time before.
    seen = np.where(seen <= stage.start_at, stage.start_at - exponential(rng, 700 * DAY, len(seen)), seen)
    dead = np.full(len(nominals.count), NAT)
    dead[deaths[0]] = deaths[1]
    died = dead[owner[number]]
    frame = person.with_columns(
        address_id=stage.address_ids(address),
        deceased_on=times(np.where(died > stage.end_at, NAT, died)),
        recorded_at=times(np.minimum(seen, stage.end_at)),
    )
    stage.put("person", frame)
    stage.put("alias", alias)
    _residences(stage, nominals, places, number, owner[number], extra, new_address, seen)
    _address_table(stage, places, np.concatenate([used_places, address]), owner[number])
    _team_table(stage)
    return pl.DataFrame(
        {"person_id": ids("P", nominals.label(number)), "true_person": ids("T", owner[number])}
    ).sort("person_id")


def _names(stage: Stage, truth: Ints) -> dict[str, np.ndarray]:
    """Given names (first and middle), family name and birth day of every true person on record."""
    doc, r, rng = read_data("simulate/names.toml"), stage.register, stage.rng("names")
    n = len(truth)
    male = r.of("sex")[truth] == 1
    f, m, family = (np.array(doc[k], dtype=object) for k in ("female", "male", "family"))

    def draw(pool: np.ndarray, offset: int) -> np.ndarray:
        return np.asarray(pool[pick(rng, 1.0 / (np.arange(len(pool)) + offset), n)])

    first = np.where(male, draw(m, 25), draw(f, 25))
    middle = np.where(male, m[rng.integers(0, len(m), n)], f[rng.integers(0, len(f), n)])
    with_middle = rng.random(n) < 0.85
    given = np.where(with_middle, first + " " + middle, first)
    last = draw(family, 40)
    birth = r.of("birth")[truth].astype(np.int64) + (stage.first_day - EPOCH).days
    _namesakes(stage, rng, given, last, birth, male)
    return {"given": given, "family": last, "birth": birth, "male": male}


def _namesakes(
    stage: Stage, rng: np.random.Generator, given: np.ndarray, last: np.ndarray, birth: Ints, male: Bools
) -> None:
    """Bring the share of distinct persons who share name and year of birth with another to the parameter."""
    want = stage.register.doc["records"]["same_name_and_year"]
    year = np.floor(birth / 365.2425).astype(np.int64)
    key = pl.DataFrame({"g": pl.Series(given, dtype=pl.Utf8), "l": pl.Series(last, dtype=pl.Utf8), "y": year})
    natural = int(key.is_duplicated().sum()) / max(1, len(key))
    pairs = int(max(0.0, want - natural) * len(given) / 2)
    order = rng.permutation(len(given))
    order = np.concatenate([order[male[order]], order[~male[order]]])
    chosen = order[: 2 * (len(order) // 2)].reshape(-1, 2)
    chosen = chosen[male[chosen[:, 0]] == male[chosen[:, 1]]]
    chosen = chosen[rng.permutation(len(chosen))[:pairs]]
    source, copy = chosen[:, 0], chosen[:, 1]
    given[copy], last[copy] = given[source], last[source]
    year_start = np.array([(date(y, 1, 1) - EPOCH).days for y in _years(birth[source])], dtype=np.int64)
    birth[copy] = year_start + rng.integers(0, 365, len(copy))


def _years(day: Ints) -> list[int]:
    return [int(y) for y in pl.Series(day).cast(pl.Int32).cast(pl.Date).dt.year().to_list()]


def _typo(text: str, rng: np.random.Generator) -> str:
    if len(text) < 3:
        return text + text[-1:]
    i = int(rng.integers(1, len(text) - 1))
    kind = int(rng.integers(0, 4))
    if kind == 0:
        return text[:i] + text[i + 1] + text[i] + text[i + 2 :]
    if kind == 1:
        return text[:i] + text[i + 1 :]
    if kind == 2:
        return text[:i] + text[i] + text[i:]
    return text[:i] + "abcdefghijklmnoprstuvwy"[int(rng.integers(0, 23))] + text[i + 1 :]


def _records(
    stage: Stage,
    nominals: Nominals,
    number: Ints,
    owner: Ints,
    who: Ints,
    extra: Bools,
    names: dict[str, np.ndarray],
) -> tuple[pl.DataFrame, pl.DataFrame]:
    doc, rng, r = stage.register.doc, stage.rng("nominal records"), stage.register
    rec = doc["records"]
    n = len(number)
    given, family = names["given"][who].copy(), names["family"][who].copy()
    birth = names["birth"][who].copy()
    alias = _spoil_names(stage, rng, nominals, number, extra, given, family, birth)
    gone = rng.random(n) < np.where(extra, rec["birth_missing"], rec["birth_missing_first"])
    born = pl.Series(birth).cast(pl.Int32).cast(pl.Date)
    swap = extra & (born.dt.day() <= 12).to_numpy() & (rng.random(n) < rec["day_month_swapped"] / 0.36)
    shift = np.where(extra & (rng.random(n) < rec["year_off"]), rng.choice([-1, 1], n), 0)
    day, month = born.dt.day().to_numpy(), born.dt.month().to_numpy()
    parts = pl.DataFrame(
        {
            "y": born.dt.year() + pl.Series(shift),
            "m": np.where(swap, day, month),
            "d": np.minimum(np.where(swap, month, day), np.where(shift != 0, 28, 31)),
        }
    )
    born = parts.select(pl.date("y", "m", "d")).to_series()
    male = names["male"][who]
    sex = np.where(rng.random(n) < rec["sex_unknown"], 2, male.astype(np.int64))
    group = r.of("group")[owner].astype(np.int64)
    own, seen = _ethnicity(doc["groups"], rng, group, owner)
    hidden = rng.random(len(nominals.count)) < rec["no_processing"]
    shielded = rng.random(len(nominals.count)) < rec["named_users"]
    frame = pl.DataFrame(
        {
            "person_id": ids("P", nominals.label(number)),
            "family_name": pl.Series(family, dtype=pl.Utf8),
            "given_names": pl.Series(given, dtype=pl.Utf8),
            "date_of_birth": pl.select(pl.when(~pl.Series(gone)).then(born)).to_series(),
            "sex": words(("F", "M", "U"), sex),
            "ethnicity_self": own,
            "ethnicity_observed": seen,
            "no_processing": pl.Series(hidden[owner]),
            "access": words(("normal", "named_users"), shielded[owner].astype(np.int64)),
            "review_due": times(midnights(np.full(n, stage.end_at) + exponential(rng, 900 * DAY, n))),
        }
    )
    return frame, alias


def _spoil_names(
    stage: Stage,
    rng: np.random.Generator,
    nominals: Nominals,
    number: Ints,
    extra: Bools,
    given: np.ndarray,
    family: np.ndarray,
    birth: Ints,
) -> pl.DataFrame:
    """Nicknames, aliases, typing errors and swapped names on second and further records; aliases go to their table."""
    rec, doc = stage.register.doc["records"], read_data("simulate/names.toml")
    nick, pool = doc["nickname"], doc["family"]
    first_of = nominals.label(nominals.first[nominals.person_of()[number]])
    rows: list[tuple[int, str, str, int]] = []
    for i in np.flatnonzero(extra):
        if rng.random() < rec["nickname_or_alias"]:
            head, _, tail = given[i].partition(" ")
            if head in nick and rng.random() < 0.6:
                given[i] = f"{nick[head]} {tail}".strip()
            else:
                family[i] = pool[int(rng.integers(0, len(pool)))]
                rows.append((int(first_of[i]), family[i], given[i], int(birth[i])))
        if rng.random() < rec["typo"]:
            if rng.random() < 0.5:
                given[i] = _typo(given[i], rng)
            else:
                family[i] = _typo(family[i], rng)
        if rng.random() < rec["swapped"]:
            given[i], family[i] = family[i], given[i]
    columns: list[list] = [list(c) for c in zip(*rows, strict=True)] if rows else [[], [], [], []]
    born = pl.Series(columns[3], dtype=pl.Int32).cast(pl.Date)
    return pl.DataFrame(
        {
            "person_id": ids("P", np.array(columns[0], dtype=np.int64)),
            "family_name": pl.Series(columns[1], dtype=pl.Utf8),
            "given_names": pl.Series(columns[2], dtype=pl.Utf8),
            "date_of_birth": born,
        }
    )


def _ethnicity(doc: dict, rng: np.random.Generator, group: Ints, owner: Ints) -> tuple[pl.Series, pl.Series]:
    """Self-defined and officer-observed codes, with gaps; a person's own answer is the same on every record."""
    n = len(group)
    codes = ["NS", *[c for row in doc["self_codes"] for c in row]]
    seen_codes = ["9", "0", "1", "2", "3", "4", "5", "6"]
    own, seen = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
    whole = int(owner.max()) + 1 if n else 0
    u = rng.random(whole)[owner] if n else np.empty(0)
    for g in range(len(doc["self_codes"])):
        here = np.flatnonzero(group == g)
        steps = np.cumsum(doc["self_weights"][g])[:-1]
        chosen = np.searchsorted(steps, u[here], "right")
        own[here] = np.array([codes.index(c) for c in doc["self_codes"][g]])[chosen]
        look = pick(rng, doc["observed_weights"][g], len(here))
        seen[here] = np.array([seen_codes.index(c) for c in doc["observed"][g]])[look]
    v = rng.random(n)
    own = np.where(
        v < doc["self_missing"], -1, np.where(v < doc["self_missing"] + doc["self_not_stated"], 0, own)
    )
    wrong = rng.random(n) < doc["observed_error"]
    seen = np.where(wrong, rng.integers(2, 8, n), seen)
    v = rng.random(n)
    seen = np.where(
        v < doc["observed_missing"],
        -1,
        np.where(v < doc["observed_missing"] + doc["observed_unknown"], 0, seen),
    )
    return words(codes, own), words(seen_codes, seen)


def _addresses_of(stage: Stage, places: Places, owner: Ints, extra: Bools) -> tuple[Ints, Bools]:
    rng = stage.rng("addresses of records")
    place, _ = places.at(owner, np.full(len(owner), stage.start_at - 1))
    new = extra & (rng.random(len(owner)) < stage.register.doc["records"]["new_address"])
    return np.where(new, owner * 4 + OTHER_HOME, place), new


def _residences(
    stage: Stage,
    nominals: Nominals,
    places: Places,
    number: Ints,
    owner: Ints,
    extra: Bools,
    new: Bools,
    seen: Ints,
) -> None:
    """Where each person lived and when, under his first record; second records carry their own address."""
    rng = stage.rng("residence")
    first = np.flatnonzero(~extra)
    who = owner[first]
    began = stage.start_at - DAY - exponential(rng, 1200 * DAY, len(first))
    known = who < len(places.home)
    moved = np.where(known, places.moved_at[np.where(known, who, 0)], NAT)
    place, _ = places.at(who, np.full(len(who), stage.start_at - 1))
    late = np.flatnonzero(moved != NAT)
    other = np.flatnonzero(new)
    label = nominals.label(number)
    began_other = seen[other]
    person = np.concatenate([label[first], label[first[late]], label[other]])
    address = np.concatenate([place, who[late] * 4 + MOVED, owner[other] * 4 + OTHER_HOME])
    start = midnights(np.concatenate([began, moved[late], began_other]))
    end = np.concatenate([np.where(moved == NAT, NAT, moved), np.full(len(late) + len(other), NAT)])
    stage.put(
        "residence",
        pl.DataFrame(
            {
                "person_id": ids("P", person),
                "address_id": stage.address_ids(address),
                "started_on": times(start),
                "ended_on": times(midnights(end)),
                "recorded_at": times(start),
            }
        ).filter(pl.Series(start <= stage.end_at)),
    )


def _address_table(stage: Stage, places: Places, used: Ints, owner: Ints) -> None:
    rng, doc = stage.rng("address table"), read_data("simulate/names.toml")
    moved = owner[
        (owner < len(places.home)) & (places.moved_at[np.minimum(owner, len(places.home) - 1)] != NAT)
    ]
    number = np.unique(np.concatenate([used, moved * 4 + MOVED]))
    n = len(number)
    kind = number % 4
    who = number // 4
    r = stage.register
    limit = np.minimum(who, len(places.home) - 1)
    district = np.where(
        kind == PUBLIC,
        who % 8 + 1,
        np.where(
            kind == MOVED, places.moved_to[limit], r.of("district")[np.minimum(who, r.person["sex"].n - 1)]
        ),
    ).astype(np.int64)
    streets = np.array([f"{s} {k}" for s in doc["street"] for k in doc["street_kind"]], dtype=object)
    house = rng.integers(1, 180, n)
    street = streets[rng.integers(0, len(streets), n)]
    area = rng.integers(1, 60, n)
    stage.put(
        "address",
        pl.DataFrame(
            {
                "address_id": stage.address_ids(number),
                "line": pl.Series([f"{h} {s}" for h, s in zip(house, street, strict=True)], dtype=pl.Utf8),
                "postcode": pl.Series(
                    [
                        f"ZZ{d} {a % 10}{chr(65 + a % 23)}{chr(65 + h % 23)}"
                        for d, a, h in zip(district, area, house, strict=True)
                    ],
                    dtype=pl.Utf8,
                ),
                "lsoa": pl.Series(
                    [f"Z{d:02d}{a:03d}" for d, a in zip(district, area, strict=True)], dtype=pl.Utf8
                ),
                "district": words([f"D{i}" for i in range(9)], district),
                "beat": pl.Series(
                    [f"D{d}B{a % 9 + 1}" for d, a in zip(district, area, strict=True)], dtype=pl.Utf8
                ),
                "kind": words(
                    ("dwelling", "public", "licensed", "work"),
                    np.where(kind == PUBLIC, 1 + rng.integers(0, 3, n), 0),
                ),
                "latitude": pl.Series([None] * n, dtype=pl.Float64),
                "longitude": pl.Series([None] * n, dtype=pl.Float64),
            }
        ),
    )


def _team_table(stage: Stage) -> None:
    places = stage.register.doc["districts"]["names"]
    codes = [f"D{i + 1}" for i in range(len(places))]
    stage.put(
        "team",
        pl.DataFrame({"team_id": codes, "name": [f"{p} proactive team" for p in places], "district": codes}),
    )
