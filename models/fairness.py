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
from models import groups, moves, settings, withheld
from models.dual import RolesOf, dual_roles
from models.fairness_book import EVERYONE, Book, Tally, figures_of, groups_at, intervals_of
from models.groups import GroupsOf, order_of
from models.places import number, places_of

if TYPE_CHECKING:
    from models.compare import Occasion

SMALL = "fewer than {least} persons"
FEW = "some figures withheld: too few persons stand behind them, or behind what they would give away"

FIGURES: dict[str, tuple[str, str]] = {
    "base_rate": ("recorded for serious harm", "serious"),
    "list_share": ("share of the list's places", "listed"),
    "harm_share": ("share of the recorded harm (winsorised days)", "serious"),
    "list_over_harm": ("share of the list over share of the harm", "both"),
    "ppv": ("of those listed, recorded for serious harm", "fourfold"),
    "fnr": ("of those recorded for serious harm, not listed", "fourfold"),
    "fnr_ratio": ("the same, over that of everyone", "fourfold"),
    "fpr": ("of those not recorded for serious harm, listed", "fourfold"),
    "slope": ("calibration slope (1 is right)", "harmed"),
    "intercept": ("calibration intercept with the slope held at 1 (0 is right)", "harmed"),
    "serious_observed_over_expected": ("persons with serious harm over what was expected", "harmed"),
    "observed_over_expected": ("harm days (winsorised) over what was expected", "harmed"),
    "serious_over_everyone": ("the first of these over that of everyone", "harmed"),
    "harm_over_everyone": ("the second of these over that of everyone", "harmed"),
    "mean_p_no_harm": ("mean probability of those with no harm recorded", "free"),
}
"""Figure -> (what it is, what it rests on: a key of :func:`shut`). A row has each with ``_low`` and ``_high``."""
COUNTS = {
    "persons": "persons",
    "n": "persons",
    "serious_persons": "serious",
    "serious": "serious",
    "listed_persons": "listed",
}
"""Count -> what it rests on."""


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
    made = rows(book)
    return {
        "fairness": made,
        "fairness_sensitivity": moves.rows(book, made, scene),
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
    least = int(settings.load("fairness")["counts"]["least"])
    out = [_row(book, EVERYONE, EVERYONE, book.whole, shut({EVERYONE: book.whole}, least))]
    for grouping in book.names:
        lines = {group: book.of(grouping, group) for group in book.groups(grouping)}
        not_shown = shut(lines, least)
        out += [_row(book, grouping, group, tally, not_shown) for group, tally in lines.items()]
    return out


def shut(lines: Mapping[str, Tally], least: int) -> dict[str, frozenset[str]]:
    """What figures rest on -> the groups of a grouping of which they are not shown (``models.withheld``).

    Counts and shares add up to those of everyone, so a group is closed with its neighbours. ``fourfold``: two of hits,
    misses, listed in vain and the like give the third, so that they are shown together or not at all; what follows from
    them are person-dates, and those are counted. Ratios to what
    was expected add up to nothing known: they need ten persons of the group itself.
    """
    persons = withheld.closed({g: (t.persons,) for g, t in lines.items()}, least)
    serious = {g: (t.persons, t.serious_persons, t.persons - t.serious_persons) for g, t in lines.items()}
    listed = {
        g: (t.persons, t.listed_persons, float(t.sums["places"][0]), t.persons - t.listed_persons)
        for g, t in lines.items()
    }
    out = {
        "persons": persons,
        "serious": withheld.closed(serious, least, persons),
        "listed": withheld.closed(listed, least, persons),
        "harmed": frozenset(g for g, t in lines.items() if t.serious_persons < least),
        "free": frozenset(g for g, t in lines.items() if t.free_persons < least),
    }
    out["both"] = out["serious"] | out["listed"]
    cells = {g: (t.persons, *t.fourfold) for g, t in lines.items()}
    out["fourfold"] = withheld.closed(cells, least, out["both"])
    return out


def _row(
    book: Book, grouping: str, group: str, tally: Tally, not_shown: Mapping[str, frozenset[str]]
) -> dict[str, Any]:
    counts = settings.load("fairness")["counts"]
    least = int(counts["least"])
    row: dict[str, Any] = {"grouping": grouping, "group": group, "dates": len(book.dates)}
    row |= {"persons": tally.persons, "serious_persons": tally.serious_persons}
    row |= {"listed_persons": tally.listed_persons}
    row |= {name: int(tally.sums[name][0]) for name in ("n", "serious")}
    figures = figures_of(tally, book.whole)
    ends = intervals_of(figures, tally, book.whole, least)
    for name in FIGURES:
        values = (figures[name][0], *ends[name])
        row |= zip((name, f"{name}_low", f"{name}_high"), map(number, values), strict=True)
    enough = tally.sums["serious"][0] >= int(counts["assessable"])  # outcomes; the intervals draw persons
    row["assessable"] = bool(enough) and tally.serious_persons >= least
    row["suppressed"] = SMALL.format(least=least) if tally.persons < least else None
    rests_on = COUNTS | {name: on for name, (_, on) in FIGURES.items()}
    hidden = [name for name, on in rests_on.items() if group in not_shown[on]]
    if hidden:
        withheld.hide(row, hidden, FEW)
    return row


# --- likely victims on the list ------------------------------------------------------------------------------


def dual_rows(
    occasions: Sequence[Occasion], groups_of: GroupsOf, places: float, roles_of: RolesOf | None
) -> list[dict[str, Any]]:
    """Per T and sex: how many of the cohort stand on record as suspect and victim of the same person, how many of them
    may be the victim and wait for review, and how many of those would have been on the list. Counts below 10, and
    those that would give such a one away: null."""
    out: list[dict[str, Any]] = []
    for o in occasions if roles_of is not None else ():
        assert roles_of is not None
        frame = groups_at(o, groups_of).with_columns(
            listed=pl.Series(places_of(o.scores["model"][0], places) > 0)
        )
        frame = frame.join(roles_of(o.t), on="person_id", how="left", maintain_order="left")
        frame = frame.with_columns(pl.col("held").fill_null(False), pl.col("pairs", "likely").fill_null(0))
        sexes = order_of("sex", frame["sex"].to_list()) if "sex" in frame.columns else []
        out += _dual_lines(o, {EVERYONE: frame})
        out += _dual_lines(o, {sex: frame.filter(pl.col("sex") == sex) for sex in sexes})
    return out


_PART_OF = {
    "persons": None,
    "both_roles": "persons",
    "pairs": None,
    "likely_pairs": "pairs",
    "held": "both_roles",
    "held_listed": "held",
}
"""Count -> the count it is a part of, which shows what it leaves over."""


def _dual_lines(o: Occasion, parts: Mapping[str, pl.DataFrame]) -> list[dict[str, Any]]:
    least = int(settings.load("fairness")["counts"]["least"])
    counts = {group: _dual_counts(part) for group, part in parts.items()}
    not_shown: dict[str, frozenset[str]] = {}
    for name, whole in _PART_OF.items():
        left = {g: (() if whole is None else (c[whole] - c[name],)) for g, c in counts.items()}
        cells = {g: (c["persons"], c[name], *left[g]) for g, c in counts.items()}
        not_shown[name] = withheld.closed(cells, least, not_shown[whole] if whole else ())
    not_shown["held_share"] = not_shown["held"]
    out = []
    for group, mine in counts.items():
        row: dict[str, Any] = {"t": o.t.strftime("%Y-%m-%dT%H:%M:%SZ"), "group": group, **mine}
        row["held_share"] = number(mine["held"] / mine["persons"]) if mine["persons"] else None
        hidden = [name for name, groups_ in not_shown.items() if group in groups_]
        if hidden:
            withheld.hide(row, hidden, FEW)
        out.append({"suppressed": None, **row})
    return out


def _dual_counts(part: pl.DataFrame) -> dict[str, int]:
    return {
        "persons": part.height,
        "both_roles": part.filter(pl.col("pairs") > 0).height,
        "pairs": int(part["pairs"].sum()),
        "likely_pairs": int(part["likely"].sum()),
        "held": part.filter("held").height,
        "held_listed": part.filter(pl.col("held") & pl.col("listed")).height,
    }
