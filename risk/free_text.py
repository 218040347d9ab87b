"""What somebody wrote freely about a person is read beside lists and person pages, where no victim is named."""

from __future__ import annotations

import re

import polars as pl

from risk.history import events_of, pairs
from risk.view import View
from risk.written import FieldError

LEAST = 3  # letters of a name that is looked for on its own


def refuse_named(view: View, person_id: str, field: str, text: str) -> None:
    """FieldError when ``text`` holds the name or address of somebody the person is suspected of harming.

    A given name with a family name counts in either order, and a family name that is not the person's own counts alone.
    It does not say whose it is: who writes need not know.
    """
    events = events_of(view, [person_id])
    victims = pairs(view, events).filter(pl.col("suspect_id") == person_id)["victim_id"].unique()
    if victims.is_empty():
        return
    people = view.identity("person")
    own = _parts(people.filter(pl.col("person_id") == person_id))
    theirs = people.filter(pl.col("person_id").is_in(victims.implode()))
    words = set(re.findall(r"[^\W\d_]+", text.casefold()))
    named = any(
        (family and family <= words and (given & words or not family & own))
        for family, given in (
            (_letters(row["family_name"]), _letters(row["given_names"]))
            for row in theirs.iter_rows(named=True)
        )
    )
    if named or _addressed(view, theirs, text):
        raise FieldError(
            field,
            "The text holds a name or an address that lists and person pages never show.",
            "Write the reference instead of the name; names and addresses are on the sheet before attending.",
        )


def _letters(name: str | None) -> frozenset[str]:
    return frozenset(word for word in re.findall(r"[^\W\d_]+", (name or "").casefold()) if len(word) >= LEAST)


def _parts(people: pl.DataFrame) -> frozenset[str]:
    return frozenset().union(*(_letters(name) for name in people["family_name"]))


def _addressed(view: View, theirs: pl.DataFrame, text: str) -> bool:
    lived = view.identity("residence").filter(pl.col("person_id").is_in(theirs["person_id"].implode()))
    places = pl.concat([theirs.select("address_id"), lived.select("address_id")]).drop_nulls()["address_id"]
    known = view.identity("address").filter(pl.col("address_id").is_in(places.implode()))
    plain = " ".join(text.casefold().split())
    return any(
        len(line) > LEAST and " ".join(line.casefold().split()) in plain
        for line in known["line"].drop_nulls()
    )
