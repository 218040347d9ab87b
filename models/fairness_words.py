"""The fairness tables in plain sentences: evidence for the Equality duty that a person can read, check and sign.

The words follow from the rows alone. A difference is named when its whole interval lies outside the limits, whichever
way it points and however small the group; what cannot be told is said to be so, never passed over. The statement does
not conclude: whether a difference is justified is for a named person.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from models import moves, settings
from models.groups import groupings

Row = Mapping[str, Any]
Rows = Sequence[Row]


def statement(tables: Mapping[str, Any]) -> dict[str, list[str]]:
    """Heading -> sentences, in the order in which they are to be read; from the rows of ``fairness.tables``.

    Without rows the one sentence says that fairness was not measured.
    """
    rows: Rows = tables.get("fairness") or []
    if not rows:
        return {"Not measured": ["No date has complete outcomes, so nothing could be compared."]}
    out = {"What was compared": _compared(rows)}
    for name, declared in groupings().items():
        mine = [row for row in rows if row["grouping"] == name]
        if mine:
            out[str(declared["title"])] = _grouping(mine)
    out["If the records were otherwise"] = _otherwise(tables.get("fairness_sensitivity") or [])
    out["Likely victims recorded as suspects"] = _dual(tables.get("dual_role") or [])
    compared = sum(row["grouping"] != "everyone" and not _small(row) for row in rows)
    out["What this cannot show"] = [
        f"{compared} groups were compared on four figures each: with so many, some stand out by chance, most of all "
        "in harm days, where a few grave cases make up much of the sum.",
        "It compares people with what was recorded about them. Harm that was never reported, or that was recorded "
        "against the wrong person, is in none of these figures.",
        "Equal figures are not proof of fairness, and where groups differ in recorded harm the measures cannot all be "
        "equal at once. Which difference matters, and whether it is justified, is for a named person to decide and "
        "to write down.",
    ]
    return out


def render(tables: Mapping[str, Any]) -> str:
    """The statement as text, a paragraph a heading."""
    parts = [f"{title}\n" + "\n".join(f"- {s}" for s in said) for title, said in statement(tables).items()]
    return "\n\n".join(parts)


def brief(tables: Mapping[str, Any]) -> list[str]:
    """The few lines a terminal shows: how many groups can be assessed, every clear difference, who is held for review;
    nothing where fairness was not measured."""
    rows: Rows = tables.get("fairness") or []
    groups = [row for row in rows if row["grouping"] in groupings()]
    if not groups:
        return []
    enough = sum(bool(row["assessable"]) for row in groups)
    said = [f"{enough} of {len(groups)} groups have outcomes enough to be assessed"]
    found = [
        f"{groupings()[row['grouping']]['title']}: {sentence}"
        for row in groups
        if not _small(row)
        for sentence in _differences(row)
    ]
    said += found or ["no group's figures lie clear of the limits"]
    roles = tables.get("dual_role") or []
    newest = [row for row in roles if row["t"] == roles[-1]["t"]][:1]
    said += [
        f"persons who may be victims recorded as suspects, held for review ({row['t'][:10]}): {_count(row['held'])}"
        for row in newest
    ]
    return [f"fairness: {line}" for line in said]


def _compared(rows: Rows) -> list[str]:
    whole = rows[0]
    places = float(settings.load("fairness")["list"]["places"])
    length = f"the highest {_per_100(places)}" if places < 1 else f"the first {places:,.0f} places"
    dates = "one date" if whole["dates"] == 1 else f"{whole['dates']} dates"
    people = "fewer than 10 persons" if whole["persons"] is None else f"{whole['persons']:,} persons"
    people += f", {_count(whole['serious_persons'])} of them recorded for serious harm"
    said = [
        f"The list ({length}) of {dates} was set beside what was then recorded: {people} after one of these dates.",
        "Sex, ethnicity and district are kept apart from every score. They were opened for this comparison alone.",
    ]
    if whole["observed_over_expected"] is not None:
        said.append(
            f"Over everyone, recorded harm was {_times(whole, 'observed_over_expected')} what was expected."
        )
    return said


def _grouping(rows: Rows) -> list[str]:
    differences = [sentence for row in rows if not _small(row) for sentence in _differences(row)]
    said = differences or [
        "No group's figures lie clear of the limits: chance could make every difference seen."
    ]
    unsure = [row["group"] for row in rows if not row["assessable"] and not _small(row)]
    if unsure:
        least = settings.load("fairness")["counts"]["assessable"]
        said.append(
            f"Not assessable, with fewer than {least} serious outcomes: {_listed(unsure)}. "
            "Nothing above clears them; a named person has to look and sign."
        )
    small = [row["group"] for row in rows if _small(row)]
    if small:
        said.append(f"Too small for any figure to be shown: {_listed(small)}.")
    return said


def _differences(row: Row) -> list[str]:
    low, high = (float(x) for x in settings.load("fairness")["statement"]["ratio"])
    group, said = _title(row["group"]), []
    harm = _side(row, "harm_over_everyone", low, high)
    if harm:
        way = "too much" if harm < 0 else "too little"
        said.append(
            f"{group}: the model expects {way} harm. Harm recorded over harm expected is "
            f"{_times(row, 'harm_over_everyone')} that of everyone."
        )
    serious = _side(row, "serious_over_everyone", low, high)
    if serious:
        way = "high" if serious < 0 else "low"
        said.append(
            f"{group}: the model's probabilities are too {way}. Persons recorded for serious harm over those expected "
            f"are {_times(row, 'serious_over_everyone')} those of everyone."
        )
    place = _side(row, "list_over_harm", low, high)
    if place:
        way = "more" if place > 0 else "less"
        said.append(
            f"{group}: takes up {way} of the list than its share of the recorded harm, "
            f"{_times(row, 'list_over_harm')} that share."
        )
    missed = row["fnr_ratio_low"]
    if missed is not None and missed > float(settings.load("fairness")["statement"]["missed"]):
        said.append(
            f"{group}: serious harm is missed more often than among everyone, {_times(row, 'fnr_ratio')} as often."
        )
    return said


def _side(row: Row, name: str, low: float, high: float) -> int:
    """-1 when the whole interval of a figure lies below ``low``, 1 above ``high``, else 0."""
    least, most = row[f"{name}_low"], row[f"{name}_high"]
    if least is None or most is None:
        return 0
    return -1 if most < low else 1 if least > high else 0


def _otherwise(rows: Rows) -> list[str]:
    said = []
    less = [row for row in rows if row["what"] == moves.LESS and row["suppressed"] is None]
    most = int(settings.load("fairness")["statement"]["moves"])
    lost = sorted(less, key=lambda row: row["places_then"] - row["places"])[:most]
    said += [
        f"Had a fifth of the domestic events of one group never been reported ({_what(row)}), it would hold "
        f"{row['places_then']:.1f} places of the list instead of {row['places']:.1f}."
        for row in lost
        if row["places"] - row["places_then"] >= 0.5
    ]
    if said:
        said.append(
            "A group that is reported a fifth less than others today is short of about as many places."
        )
    if less and not said:
        said.append(
            "Had a fifth of the domestic events of any one group never been reported, it would lose less than one "
            "place of the list."
        )
    for what in (moves.WITHOUT, moves.WITH):
        whole = [row for row in rows if row["what"] == what and row["grouping"] == "everyone"]
        if not whole:
            continue
        overlap = whole[0]["overlap"]
        stays = "the whole list" if overlap > 0.9995 else f"{_per_100(overlap)} of the list"
        said.append(f"{_title(moves.TITLES[what])}, {stays} would stay as it is.")
        parts = [
            row
            for row in rows
            if row["what"] == what and row["grouping"] != "everyone" and row["suppressed"] is None
        ]
        far = max(parts, key=lambda row: abs(row["places_then"] - row["places"]), default=None)
        if far is not None and abs(far["places_then"] - far["places"]) >= 0.5:
            said[-1] += (
                f" The group that would move most ({_what(far)}) would hold {far['places_then']:.1f} places "
                f"instead of {far['places']:.1f}."
            )
    return said or ["This was not asked of this run."]


def _dual(rows: Rows) -> list[str]:
    newest = [row for row in rows if row["t"] == rows[-1]["t"]]
    if not newest:
        return ["This was not asked of this run."]
    whole = newest[0]
    said = [
        f"On {whole['t'][:10]} {_count(whole['both_roles'])} of {_count(whole['persons'])} persons were on record as "
        f"suspect and as victim of the same other person. {_title(_count(whole['held']))} of them may be the victim "
        "and have no other record to be ranked on: they are held for review, and a person decides.",
        f"{_title(_count(whole['held_listed']))} of those held would have been on the list.",
    ]
    by_sex = [row for row in newest[1:] if row["held_share"] is not None]
    return said + [
        f"{_title(row['group'])}: {_per_100(row['held_share'])} held for review." for row in by_sex
    ]


def _small(row: Row) -> bool:
    return str(row["suppressed"] or "").startswith("fewer than")


def _what(row: Row) -> str:
    title = str(groupings()[row["grouping"]]["title"])
    return f"{title[0].lower()}{title[1:]}: {row['group']}"


def _title(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _count(count: int | None) -> str:
    return "a number not shown" if count is None else f"{count:,}"


def _times(row: Row, name: str) -> str:
    value, low, high = row[name], row[f"{name}_low"], row[f"{name}_high"]
    return f"{value:.2f} times ({low:.2f} to {high:.2f})" if low is not None else f"{value:.2f} times"


def _per_100(share: float) -> str:
    if 0.995 <= share < 1:
        return "more than 99 in 100"
    hundred = 100 * share
    return f"{hundred:.0f} in 100" if hundred >= 1 or hundred == 0 else f"{1000 * share:.1f} in 1,000"
