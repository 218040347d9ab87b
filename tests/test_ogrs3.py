"""OGRS3 by the published formula: the check case, what counts as a sanction, who has none, and no way into a score."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime

import polars as pl
import pytest

from features.clocks import canonical, parse_as_of
from features.harm_weights import normalise_code
from features.records import Records
from models import ogrs3, settings

T = parse_as_of("2025-06-01")


def case(**changes: object) -> dict[str, object]:
    """The domain's check case: a man of 30, first sanctioned at 18, six sanctions before an offence of violence."""
    return {"sex": "M", "age": 30, "age_current": 30, "age_first": 18, "previous": 6, "weight": 0.0} | changes


def both(**changes: object) -> tuple[float, float]:
    row = ogrs3.probabilities(pl.DataFrame([case(**changes)])).row(0, named=True)
    return row["p1"], row["p2"]


def force(
    convictions: list[tuple[str, str, str, str]],
    born: date | None = date(1995, 3, 1),
) -> Records:
    """Records of persons A and B with (person, day, code, recorded) convictions."""
    person = pl.DataFrame({"person_id": ["A", "B"], "date_of_birth": [born, date(1990, 1, 1)]})
    rows = [
        {
            "conviction_id": f"C{i}",
            "person_id": who,
            "convicted_on": datetime.fromisoformat(day).replace(hour=23, tzinfo=UTC),
            "ho_code": code,
            "disposal": "caution" if i % 2 else "fine",
            "recorded_at": datetime.fromisoformat(entered).replace(hour=23, tzinfo=UTC),
        }
        for i, (who, day, code, entered) in enumerate(convictions)
    ]
    return Records.from_canonical(canonical({"person": person, "conviction": pl.DataFrame(rows)}))


def sexes(a: str | None = "M", b: str | None = "F") -> pl.DataFrame:
    return pl.DataFrame({"person_id": ["A", "B"], "sex": [a, b]}, schema_overrides={"sex": pl.String})


PERSONS = pl.DataFrame({"person_id": ["A", "B"]})


def one(records: Records, sex: pl.DataFrame | None = None) -> dict[str, object]:
    return ogrs3.ogrs3_at(records, sexes() if sex is None else sex, T, PERSONS).row(0, named=True)


def test_the_check_case_of_the_published_formula() -> None:
    p1, p2 = both()
    assert (round(p1, 3), round(p2, 3)) == (0.290, 0.457)
    z = 1.25112 * round(math.log(7 / 22), 5) - 1.326 + 0.46306
    assert p1 == pytest.approx(1 / (1 + math.exp(-1.40256 - z)), abs=1e-5)


def test_first_time_women_and_offence_weights_by_hand() -> None:
    z = 1.25112 * round(math.log(1 / 10), 5) - 1.0528 + 0.12614 - 0.6534
    p1, p2 = both(sex="F", age=25, age_current=22, age_first=22, previous=0, weight=-0.6534)
    assert p1 == pytest.approx(1 / (1 + math.exp(-1.40256 - z)), abs=1e-5)
    assert p2 == pytest.approx(1 / (1 + math.exp(-2.1217 - z)), abs=1e-5)


def test_every_age_band_begins_where_it_is_published() -> None:
    known = {
        11: 0.0,
        12: 0.08392,
        18: -0.6251,
        20: -0.6251,
        21: -1.0515,
        39: -1.368,
        40: -1.4997,
        90: -2.0253,
    }
    for age, weight in known.items():
        z = 1.25112 * round(math.log(7 / 22), 5) + weight + 0.46306
        assert both(age=age)[1] == pytest.approx(1 / (1 + math.exp(-2.1217 - z)), abs=1e-5), age


@pytest.mark.parametrize(
    ("code", "weight"),
    [("004/04", 0.2622), ("4/6", -0.1214), ("008/06", 0.0), ("8N", 0.0), ("016/12", -0.6534), ("20/99", 0.0328),
     ("009/00", 0.205), ("009/01", None), ("021/09", None), ("046/00", None), (None, None)],
)  # fmt: skip
def test_offence_weights_are_looked_up_by_class_and_sub_code(code: str | None, weight: float | None) -> None:
    assert ogrs3.offence_weight(code) == weight


def test_a_sanction_is_a_day_known_by_t_and_the_latest_is_the_current_offence() -> None:
    records = force(
        [
            ("A", "2013-05-05", "046/00", "2013-05-06"),
            ("A", "2020-01-10", "105/01", "2020-01-11"),  # a caution
            ("A", "2024-02-02", "008/06", "2024-02-03"),
            ("A", "2024-02-02", "004/04", "2024-02-03"),  # the same day: one sanction, the weightier offence
            ("A", "2025-05-20", "016/12", "2025-06-20"),  # entered after T: not known
        ]
    )
    z = 1.25112 * round(math.log(3 / (10 + 28 - 18)), 5) - 1.326 + 0.46306 + 0.2622
    got = one(records)
    assert got["p2"] == pytest.approx(1 / (1 + math.exp(-2.1217 - z)), abs=1e-5)
    assert got["ogrs3"] == got["p2"]
    assert got["reason"] is None
    assert not got[ogrs3.UNLISTED]


def test_who_has_no_score_and_why_is_counted() -> None:
    fine = [("A", "2020-01-10", "008/06", "2020-01-11")]
    only_a = ogrs3.ogrs3_at(force(fine), sexes(), T, PERSONS)
    assert only_a["reason"].to_list() == [None, ogrs3.NO_SANCTION]
    assert only_a["ogrs3"].to_list()[1] is None
    assert one(force(fine), sexes(a=None))["reason"] == ogrs3.NO_SEX
    assert one(force(fine, born=None))["reason"] == ogrs3.NO_AGE
    assert one(force(fine, born=date(2015, 1, 1)))["reason"] == ogrs3.TOO_YOUNG
    notes = ogrs3.not_applicable(only_a)
    assert "1 of 2 persons (no sanction on record 1): ranked last" in notes[0]


def test_an_offence_of_a_class_that_is_not_here_counts_nothing_and_is_said() -> None:
    listed, other = ("A", "2020-01-10", "008/06", "2020-01-11"), ("A", "2020-01-10", "046/00", "2020-01-11")
    assert one(force([listed]))["p2"] == one(force([other]))["p2"]
    both_people = ogrs3.ogrs3_at(
        force([other, ("B", "2020-01-10", "008/06", "2020-01-11")]), sexes(), T, PERSONS
    )
    assert both_people[ogrs3.UNLISTED].to_list() == [True, False]
    assert any("of 1 persons is of a class" in note for note in ogrs3.not_applicable(both_people))


def test_sex_is_what_was_known_at_t_of_any_of_a_persons_records() -> None:
    early, late = datetime(2020, 1, 1, tzinfo=UTC), datetime(2025, 7, 1, tzinfo=UTC)
    protected = pl.DataFrame(
        {
            "person_id": ["A", "A", "B"],
            "sex": ["M", "F", "X"],
            "known_from": [early, late, early],
            "known_to": [late, None, None],
        }
    )
    assert ogrs3.sexes_at(protected, None, PERSONS, T)["sex"].to_list() == ["M", None]
    assert ogrs3.sexes_at(protected, None, PERSONS, late)["sex"].to_list() == ["F", None]


def test_a_force_without_convictions_or_sex_has_no_such_rule(small_home_maker) -> None:
    from features.home import Home

    assert ogrs3.rule_of(Home(small_home_maker(model=False)).require()) is None


def test_the_weights_that_ship_are_those_published() -> None:
    weights = settings.load("ogrs3")["offence"]
    assert sum(len(row) for row in weights.values()) == 64
    assert all(
        normalise_code(f"{c}/{s}") == f"{c}/{s}" for c, row in weights.items() for s in row if s != "*"
    )
    assert "MIT" in settings.load("ogrs3")["source"]


def test_no_feature_may_bear_its_name() -> None:
    from features.catalogue import RESERVED

    assert ogrs3.NAME in RESERVED
