"""Is the list fair? Every group beside everyone else, at the length of list in use, with intervals.

For each grouping (``models.groups``) and each group in it, over all dates T together: how much of the list it fills
beside how much of the recorded harm it does, how often a listed person did serious harm, how much serious harm the
list missed, whether probabilities and expected harm come true, and what those who did no harm were scored. The
bootstrap draws persons, by the same seed and in the same order as ``models.compare``: its draws are those of every
other table. No score is set or moved by anything here.

A group is compared on what was *recorded*. Who is reported less looks safer and done more justice to than they are;
``models.moves`` says how far that could carry.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from features.apart import open_audit
from features.home import Load
from models import groups, moves, settings
from models.dual import RolesOf, dual_roles
from models.fairness_book import EVERYONE, Book, Tally, figures_of, groups_at, intervals_of
from models.groups import GroupsOf, order_of
from models.places import number, places_of, shown

if TYPE_CHECKING:
    from models.compare import Occasion

SMALL = "fewer than {least} persons"
BESIDE = "some counts withheld: those of a smaller group could be worked out from them"

FIGURES: dict[str, tuple[str, str]] = {
    "base_rate": ("recorded for serious harm", "serious_persons"),
    "list_share": ("share of the list's places", "persons"),
    "harm_share": ("share of the recorded harm (winsorised days)", "persons"),
    "list_over_harm": ("share of the list over share of the harm", "persons"),
    "ppv": ("of those listed, recorded for serious harm", "listed_persons"),
    "fnr": ("of those recorded for serious harm, not listed", "serious_persons"),
    "fnr_ratio": ("the same, over that of everyone", "serious_persons"),
    "fpr": ("of those not recorded for serious harm, listed", "persons"),
    "slope": ("calibration slope (1 is right)", "serious_persons"),
    "intercept": ("calibration intercept with the slope held at 1 (0 is right)", "serious_persons"),
    "serious_observed_over_expected": ("persons with serious harm over what was expected", "serious_persons"),
    "observed_over_expected": ("harm days (winsorised) over what was expected", "persons"),
    "serious_over_everyone": ("the first of these over that of everyone", "serious_persons"),
    "harm_over_everyone": ("the second of these over that of everyone", "persons"),
    "mean_p_no_harm": ("mean probability of those with no harm recorded", "persons"),
}
"""Figure -> (what it is, the count of different persons it rests on). A row has each with ``_low`` and ``_high``."""
_TELLING = {
    "persons": ("list_share", "harm_share"),
    "n": ("list_share", "harm_share", "base_rate", "fpr"),
    "serious": ("base_rate",),
    "serious_persons": ("base_rate",),
    "listed_persons": (),
}
"""Count -> the figures that, with those of the other groups, would give a withheld one away."""


def tables(
    occasions: Sequence[Occasion],
    groups_of: GroupsOf,
    share_of_list: float | None = None,
    draws: int = 200,
    seed: int = 1,
    *,
    roles_of: RolesOf | None = None,
    scene: Callable[[Occasion], moves.Scene] | None = None,
) -> dict[str, list[dict[str, Any]]]:
    """``fairness``, ``fairness_sensitivity`` and ``dual_role`` of the model, as lists of plain rows.

    Parameters
    ----------
    occasions: dates T; those without outcomes count only in ``dual_role``.
    groups_of: the groups as known at T (``groups.groups_of(load)``); persons it does not know are "not recorded".
    share_of_list: the list judged: below 1 a share of the cohort, else places; None: as ``fairness.toml`` says.
    draws, seed: of the bootstrap over persons, those of ``compare.tables``.
    roles_of: ``dual_roles`` as of T; None: ``dual_role`` is empty.
    scene: scores as they would be had the records been otherwise (``moves.scene_of``), asked for the newest date with
        outcomes; None: ``fairness_sensitivity`` holds only what follows from the outcomes.

    A row of ``fairness``: grouping, group, ``dates``, counts (n and serious of person-dates; persons,
    serious_persons, listed_persons of different persons), the figures of :data:`FIGURES`, ``assessable`` (at least
    50 serious outcomes, of 10 different persons or more) and ``suppressed`` (null, or why figures or counts are null).
    """
    labelled = [o for o in occasions if o.outcomes is not None]
    places = float(settings.load("fairness")["list"]["places"] if share_of_list is None else share_of_list)
    book = Book(labelled, groups_of, places, draws, seed)
    return {
        "fairness": rows(book),
        "fairness_sensitivity": moves.rows(book, scene),
        "dual_role": dual_rows(occasions, groups_of, places, roles_of),
    }


def of_load(
    load: Load,
    doc: Mapping[str, Any],
    occasions: Sequence[Occasion],
    draws: int = 200,
    seed: int = 1,
    share_of_list: float | None = None,
    cache: Path | None = None,
) -> dict[str, list[dict[str, Any]]]:
    """:func:`tables` of the model ``doc`` with everything the load's own stores can say: groups, likely victims, and
    the list had the records been otherwise (five more histories of the newest cohort, kept in ``cache``)."""
    records = load.records()
    return tables(
        occasions,
        groups.groups_of(load),
        share_of_list,
        draws,
        seed,
        roles_of=lambda t: dual_roles(records, t),
        scene=moves.scene_of(doc, records, open_audit(load), seed, cache),
    )


# --- rows ----------------------------------------------------------------------------------------------------


def rows(book: Book) -> list[dict[str, Any]]:
    """The ``fairness`` table: everyone first, then each grouping's groups."""
    if not book.dates:
        return []
    counts = settings.load("fairness")["counts"]
    out = [_row(book, EVERYONE, EVERYONE, book.whole, counts)]
    for grouping in book.names:
        lines = [_row(book, grouping, g, book.of(grouping, g), counts) for g in book.groups(grouping)]
        out += beside(lines, _TELLING)
    return out


def _row(book: Book, grouping: str, group: str, tally: Tally, counts: Mapping[str, Any]) -> dict[str, Any]:
    least = int(counts["least"])
    row: dict[str, Any] = {"grouping": grouping, "group": group, "dates": len(book.dates)}
    known = {
        "persons": tally.persons,
        "serious_persons": tally.serious_persons,
        "listed_persons": tally.listed_persons,
    }
    small = tally.persons < least
    row |= {name: shown(value, least) for name, value in known.items()}
    row["n"] = None if small else int(tally.sums["n"][0])
    row["serious"] = None if tally.serious_persons < least else int(tally.sums["serious"][0])
    figures = figures_of(tally, book.whole)
    ends = intervals_of(figures, tally, book.whole, least)
    for name, (_, rests_on) in FIGURES.items():
        hidden = small or known[rests_on] < least
        for key, value in zip(
            (name, f"{name}_low", f"{name}_high"), (figures[name][0], *ends[name]), strict=True
        ):
            row[key] = None if hidden else number(value)
    enough = tally.sums["serious"][0] >= int(counts["assessable"])  # outcomes; the intervals draw persons
    row["assessable"] = bool(enough) and tally.serious_persons >= least
    row["suppressed"] = SMALL.format(least=least) if small else None
    return row


def beside(lines: list[dict[str, Any]], telling: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    """A count withheld in one group alone is what everyone less the other groups leaves: the smallest of the others is
    then withheld too, with the shares that would give it away (``telling``: count -> these). Its rates stay."""
    for count, tell in telling.items():
        open_ = [line for line in lines if line[count] is not None]
        if len(open_) != len(lines) - 1 or not open_:
            continue
        next_one = min(open_, key=lambda line: (line[count], line["group"]))
        telltale = [f"{name}{end}" for name in tell for end in ("", "_low", "_high")]
        next_one |= dict.fromkeys(key for key in (count, *telltale) if key in next_one)
        next_one["suppressed"] = next_one.get("suppressed") or BESIDE
    return lines


# --- likely victims on the list ------------------------------------------------------------------------------


def dual_rows(
    occasions: Sequence[Occasion], groups_of: GroupsOf, places: float, roles_of: RolesOf | None
) -> list[dict[str, Any]]:
    """Per T and sex: how many of the cohort stand on record as suspect and victim of the same person, how many of them
    may be the victim and wait for review, and how many of those would have been on the list. Counts below 10: null."""
    out: list[dict[str, Any]] = []
    for o in occasions if roles_of is not None else ():
        assert roles_of is not None
        frame = groups_at(o, groups_of).with_columns(
            listed=pl.Series(places_of(o.scores["model"][0], places) > 0)
        )
        frame = frame.join(roles_of(o.t), on="person_id", how="left", maintain_order="left")
        frame = frame.with_columns(pl.col("held").fill_null(False), pl.col("pairs", "likely").fill_null(0))
        sexes = order_of("sex", frame["sex"].to_list()) if "sex" in frame.columns else []
        parts = [(sex, frame.filter(pl.col("sex") == sex)) for sex in sexes]
        lines = [_dual_row(o, group, part) for group, part in parts]
        out += [_dual_row(o, EVERYONE, frame), *beside(lines, _DUAL_TELLING)]
    return out


_DUAL_TELLING = {
    "persons": ("held_share",),
    "both_roles": (),
    "pairs": (),
    "likely_pairs": (),
    "held": ("held_share",),
    "held_listed": (),
}


def _dual_row(o: Occasion, group: str, part: pl.DataFrame) -> dict[str, Any]:
    least = int(settings.load("fairness")["counts"]["least"])
    counts = {
        "persons": part.height,
        "both_roles": part.filter(pl.col("pairs") > 0).height,
        "pairs": int(part["pairs"].sum()),
        "likely_pairs": int(part["likely"].sum()),
        "held": part.filter("held").height,
        "held_listed": part.filter(pl.col("held") & pl.col("listed")).height,
    }
    row: dict[str, Any] = {"t": o.t.strftime("%Y-%m-%dT%H:%M:%SZ"), "group": group}
    row |= {name: shown(value, least) for name, value in counts.items()}
    return row | {"held_share": number(counts["held"] / part.height) if counts["held"] >= least else None}
