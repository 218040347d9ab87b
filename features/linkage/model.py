"""The comparison of two records: levels of agreement, what each is worth, and which pairs are looked at.

Splink 5 on DuckDB (the Fellegi-Sunter model): a level's weight is log2 of how much likelier it is between two records
of one person than between two strangers, corrected for how common the agreeing name, date or address is. The weights
are learnt from the records themselves; nobody has to say which are duplicates.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from features.errors import InputError
from features.linkage.fields import VARIANT, settings

if TYPE_CHECKING:
    from splink import Linker

Progress = Callable[[str], None]
Level = dict[str, Any]

DATES = (
    "(l.born is null or r.born is null"
    " or left(l.born, 4) = left(r.born, 4) or right(l.born, 4) = right(r.born, 4))"
)
"""One slip in a birth date leaves the year or the day and month as they were; a date not known says nothing."""
INITIALS = (
    "(left(l.first, 2) = left(r.first, 2) or left(l.family, 2) = left(r.family, 2)"
    " or left(l.given, 2) = left(r.family, 2) or left(l.family, 2) = left(r.given, 2) or l.postcode = r.postcode)"
)
BLOCKS = (
    f"l.born = r.born and {INITIALS}",
    "l.home = r.home",
    "l.names = r.names",
    f"l.family = r.family and l.middle = r.middle and ({DATES} or l.postcode = r.postcode)",
    "l.given = r.given and left(l.family, 1) = left(r.family, 1) and l.middle is not null"
    f" and ({DATES} or l.postcode = r.postcode)",
    "l.first = r.first and left(l.born, 6) = left(r.born, 6) and (left(l.family, 2) = left(r.family, 2)"
    " or l.middle = r.middle or left(l.postcode, -2) = left(r.postcode, -2))",
    "l.family = r.family and left(l.born, 4) = left(r.born, 4) and left(l.first, 1) = left(r.first, 1)",
    f"l.postcode = r.postcode and left(l.family, 1) = left(r.family, 1) and {DATES}",
)
"""Pairs are looked at when any of these holds; ``home`` is an address that is not shared by a crowd.

Each is an agreement that a database can look up, and where that alone finds mostly strangers, a second sign besides:
without it the pairs grow with the square of the force and next to none of what they add comes near a match.
"""
SWAPPED = (
    "(given_l <> given_r and family_l <> family_r and abs(length(names_l) - length(names_r)) <= 1"
    " and damerau_levenshtein(names_l, names_r) <= 1)"
)
ASTRAY = "(replace(given_l, ' ', '') = family_r or family_l = replace(given_r, ' ', ''))"
NUMBER = "regexp_extract({}, '^[0-9]+')"
LEARN_ON = ("l.born = r.born", "l.home = r.home and l.first = r.first")
"""Pairs the weights are learnt from; each teaches the comparisons it does not hold fixed."""
LEARN_WITHOUT_ADDRESSES = ("l.born = r.born", "l.given = r.given", "l.family = r.family")
SURE = ("given", "family", "born")
"""Agreement so strong that its count says how many duplicates there are (``learning.recall_of_sure_rules``)."""


@dataclass(frozen=True)
class Model:
    """Learnt weights, as splink writes them down: plain data."""

    settings: dict[str, Any]

    @property
    def weights(self) -> list[dict[str, Any]]:
        """One row a level: comparison, level, m (share among records of one person), u (among strangers)."""
        return [
            {
                "comparison": comparison["output_column_name"],
                "level": level["label_for_charts"],
                "m": level.get("m_probability"),
                "u": level.get("u_probability"),
            }
            for comparison in self.settings["comparisons"]
            for level in comparison["comparison_levels"]
            if not level.get("is_null_level")
        ]


def comparisons() -> list[dict[str, Any]]:
    """The five comparisons, each from the surest level of agreement to none."""
    near = int(settings()["limits"]["near_name_length"])
    return [
        _comparison(
            "given",
            _nothing("given_l is null or given_r is null"),
            # The family name says it; counted once.
            _nothing(SWAPPED, "names the wrong way round"),
            _nothing(ASTRAY, "a name in the other's place"),
            _level("given_l = given_r", "given names the same", common="given"),
            _level("first_l = first_r", "first name the same", common="first"),
            _level("list_has_any(roots_l, roots_r)", "a short form of the name"),
            _level(_slip("given", near), "given names nearly the same"),
            _otherwise(),
        ),
        _comparison(
            "family",
            _nothing("family_l is null or family_r is null"),
            _level("family_l = family_r", "family name the same", common="family"),
            _level(SWAPPED, "names the wrong way round"),
            _level(ASTRAY, "a name in the other's place"),
            _level(_slip("family", near), "family name nearly the same"),
            _otherwise(),
        ),
        _comparison(
            "born",
            _nothing("born_l is null or born_r is null"),
            _level("born_l = born_r and often_l", "the same day, 1 January or one very many have"),
            _level("born_l = born_r", "born on the same day"),
            _level(
                "born_l <> born_r and left(born_l, 4) = left(born_r, 4)"
                " and substr(born_l, 5, 2) = substr(born_r, 7, 2) and substr(born_l, 7, 2) = substr(born_r, 5, 2)",
                "day and month the wrong way round",
            ),
            _level(
                "right(born_l, 4) = right(born_r, 4)"
                " and abs(left(born_l, 4)::int - left(born_r, 4)::int) in (1, 10)",
                "a year or ten out",
            ),
            _level(
                "left(born_l, 4) = left(born_r, 4)"
                " and (right(born_l, 4) = '0101' or right(born_r, 4) = '0101')",
                "only the year is sure, and agrees",
            ),
            _level("damerau_levenshtein(born_l, born_r) <= 1", "one figure of the date differs"),
            _level("right(born_l, 4) = right(born_r, 4)", "the same day of another year"),
            _otherwise(),
        ),
        _comparison(
            "sex",
            _nothing("sex_l is null or sex_r is null"),
            _level("sex_l = sex_r", "sex the same"),
            _otherwise(),
        ),
        _comparison(
            "address",
            _nothing(
                "(address_l is null or address_r is null) and (line_l is null or line_r is null)"
                " and (postcode_l is null or postcode_r is null)"
            ),
            _level("home_l = home_r", "the same address"),
            _level(
                f"{NUMBER.format('line_l')} = {NUMBER.format('line_r')} and damerau_levenshtein(line_l, line_r) <= 2"
                " and damerau_levenshtein(postcode_l, postcode_r) <= 1",
                "the same address, written differently",
            ),
            _level("postcode_l = postcode_r", "the same postcode", common="postcode"),
            _level("area_l = area_r", "the same small area"),
            _level("left(postcode_l, -2) = left(postcode_r, -2)", "the same part of town"),
            _otherwise(),
        ),
    ]


def learn(variants: pl.DataFrame, say: Progress = lambda _: None) -> Model:
    """Learn the weights from one row a nominal: the way it is known now.

    Deterministic given the rows and the settings. Raises InputError when linkage is not installed or there is too
    little to learn from.
    """
    newest = variants.sort("person_id", "known_from", "unique_id").unique(
        "person_id", keep="last", maintain_order=True
    )
    rules = settings()["learning"]
    linker = _linker(newest, _template() | {"probability_two_random_records_match": _first_guess(newest)})
    say("learning what strangers agree on")
    try:
        linker.training.estimate_u_using_random_sampling(max_pairs=rules["sample_pairs"], seed=rules["seed"])
        addresses = newest["address"].null_count() < newest.height / 2
        for rule in LEARN_ON if addresses else LEARN_WITHOUT_ADDRESSES:
            say("learning what records of one person agree on")
            _expectation_maximisation(linker, rule)
    except Exception as problem:  # splink raises bare exceptions of many kinds on degenerate input
        raise InputError(
            f"There is too little in these records to learn a linkage from ({type(problem).__name__}).",
            where="link",
            cure="Linkage needs names and birth dates of some hundreds of nominals, duplicates among them.",
        ) from problem
    document = _nothing_impossible(linker.misc.save_model_to_json())
    say("taking the duplicates out of what strangers agree on")
    return Model(_without_duplicates(document, newest))


def _first_guess(rows: pl.DataFrame) -> float:
    """Share of all pairs that are one person, from those that agree on everything; at least one in fifty is doubled."""
    alike = rows.drop_nulls(SURE).group_by(SURE).len()["len"]
    sure = float((alike * (alike - 1) / 2).sum()) / float(settings()["learning"]["recall_of_sure_rules"])
    return min(max(sure, rows.height / 50) / max(rows.height * (rows.height - 1) / 2, 1.0), 0.5)


def _expectation_maximisation(linker: Linker, rule: str) -> None:
    """Learn from the pairs of one rule; where nearly all are one person, their share is not learnt besides."""
    for fixed in (False, True):
        try:
            linker.training.estimate_parameters_using_expectation_maximisation(
                _rule(rule),
                max_pairs=float(settings()["learning"]["agreeing_pairs"]),
                record_sample_proportion=1.0,
                fix_probability_two_random_records_match=fixed,
            )
        except ValueError:  # a share of 1 has no logarithm
            if fixed:
                raise
        else:
            return


def _nothing_impossible(document: dict[str, Any]) -> dict[str, Any]:
    """No level is held to be impossible, in one person's records or in strangers', for not having been met."""
    least = float(settings()["learning"]["least_share"])
    for comparison in document["comparisons"]:
        for level in comparison["comparison_levels"]:
            if not level.get("is_null_level"):
                for share, floor in (("m_probability", least), ("u_probability", least / 1000)):
                    level[share] = max(level.get(share) or 0.0, floor)
    return document


def _without_duplicates(document: dict[str, Any], rows: pl.DataFrame) -> dict[str, Any]:
    """Correct for random pairs not all being strangers, and for what the first look says of how many are not.

    Among random pairs a level is met with probability u + p (m - u), p being the share of pairs that are one person:
    next to nothing in a large force, nearly everything in a few hundred rows half of which are duplicates.
    """
    pairs = rows.height * (rows.height - 1) / 2
    likely = scored(rows, Model(document), 0.5)
    share = float(likely["match_probability"].sum()) / max(pairs, 1.0)
    if not 0.0 < share < 0.5:
        return document
    for comparison in document["comparisons"]:
        for level in comparison["comparison_levels"]:
            if not level.get("is_null_level"):
                met, m = level["u_probability"], level["m_probability"]
                # no fewer than a hundredth of what was met: the estimate of m is itself uncertain
                level["u_probability"] = max((met - share * m) / (1.0 - share), met / 100.0)
    return document | {"probability_two_random_records_match": share}


def scored(variants: pl.DataFrame, model: Model, lowest: float) -> pl.DataFrame:
    """Every pair of variants of two nominals that blocking finds, with at least ``lowest`` probability.

    Columns: unique_id_l, unique_id_r, person_id_l, person_id_r, match_probability, match_weight, and for each
    comparison ``gamma_*`` (level), ``mw_*`` (bits) and, with how common the value is, ``mw_tf_adj_*``.
    """
    document = dict(model.settings)
    linker = _linker(variants, document)
    found = linker.inference.predict(threshold_match_probability=lowest)
    frame = pl.from_arrow(found.as_pyarrow_table())
    assert isinstance(frame, pl.DataFrame)
    return frame


def _template() -> dict[str, Any]:
    return {
        "link_type": "dedupe_only",
        "unique_id_column_name": "unique_id",
        "comparisons": comparisons(),
        "blocking_rules_to_generate_predictions": [_rule(rule) for rule in BLOCKS],
        "retain_matching_columns": False,
        "retain_intermediate_calculation_columns": True,
        "additional_columns_to_retain": ["person_id"],
    }


def _linker(rows: pl.DataFrame, document: dict[str, Any]) -> Linker:
    try:
        import duckdb
        from splink import DuckDBAPI, Linker
    except ImportError as problem:
        raise InputError(
            "Linkage is not installed.",
            where="link",
            cure="Install Doorstep with its er extra (splink and DuckDB): make install does.",
        ) from problem
    logging.getLogger("splink").setLevel(logging.ERROR)
    connection = duckdb.connect(config={"threads": "2"})
    api = DuckDBAPI(connection)
    crowd = pl.col("person_id").n_unique().over("address") > int(settings()["limits"]["crowd"])
    rows = rows.select(VARIANT.keys()).drop("known_from").with_columns(home=pl.when(~crowd).then("address"))
    rows = rows.join(_days(rows), on="born", how="left").with_columns(pl.col("often").fill_null(False))
    return Linker(api.register(rows), document, log_level=logging.ERROR)


def _days(rows: pl.DataFrame) -> pl.DataFrame:
    """born, often: days that say little, being written when the true one is not known (or by a fault of a system).

    1 January, and any day that a crowd of nominals has, many times more than an even share of its year.
    """
    limits = settings()["limits"]
    days = rows.drop_nulls("born").group_by("born").agg(held=pl.col("person_id").n_unique())
    even = pl.col("held").sum().over(pl.col("born").str.slice(0, 4)) / 365
    spike = (pl.col("held") > limits["crowd"]) & (pl.col("held") > limits["common_day"] * even)
    return days.select("born", often=spike | (pl.col("born").str.slice(4) == "0101"))


def _rule(condition: str) -> str:
    return f"{condition} and l.person_id <> r.person_id"


def _comparison(column: str, *levels: Level) -> dict[str, Any]:
    return {"output_column_name": column, "comparison_levels": list(levels)}


def _nothing(condition: str, label: str = "not known") -> Level:
    return {"sql_condition": condition, "label_for_charts": label, "is_null_level": True}


def _level(condition: str, label: str, common: str = "") -> Level:
    level: Level = {"sql_condition": condition, "label_for_charts": label}
    if common:
        rarest = float(settings()["limits"]["rarest"][common])
        level |= {
            "tf_adjustment_column": common,
            "tf_adjustment_weight": 1.0,
            "tf_minimum_u_value": rarest,
        }
    return level


def _otherwise() -> Level:
    return {"sql_condition": "ELSE", "label_for_charts": "different"}


def _slip(column: str, length: int) -> str:
    """One slip of the pen, or much the same letters, in names long enough for it to mean something."""
    long = f"least(length({column}_l), length({column}_r)) >= {length}"
    slip = f"damerau_levenshtein({column}_l, {column}_r) <= 1"
    return f"({long} and ({slip} or jaro_winkler_similarity({column}_l, {column}_r) >= 0.92))"
