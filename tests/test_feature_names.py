"""One name, one feature: what a load lacks is said by name, so a name may not mean two features of one subject."""

from __future__ import annotations

import pytest

from features.catalogue import load_catalogue
from features.errors import InputError

OWN = """
[[offender]]
name = "{name}"
family = "history"
text = "emergency calls naming this person as suspect {{window}}"
unit = "calls"
source = "call_as_suspect"
where = {{ grade = 1 }}
aggregate = "count"
windows = [61]
direction = 1
given = ["event E1 2024-05-20 P>V", "call C1 2024-05-20 suspect_id=P grade=1"]
expect = {{ {name}_61d = 1 }}
"""


def own(name: str) -> dict[str, bytes]:
    """A file of one own feature; no column of it has the name of another's."""
    return {"mine.toml": OWN.format(name=name).encode()}


def test_an_own_feature_may_not_take_the_name_of_the_packages() -> None:
    package = load_catalogue()
    assert "domestic_events_61d" not in {c.name for c in package.columns("offender")}
    with pytest.raises(InputError, match="domestic_events: declared twice for one offender") as caught:
        package.extended(own("domestic_events"))
    assert caught.value.where == "mine.toml"


def test_a_load_without_calls_loses_the_own_feature_and_no_other() -> None:
    whole = load_catalogue().extended(own("emergency_calls"))
    lost = whole.left_out("offender", ["call"])
    assert lost["emergency_calls"] == "call"
    assert "domestic_events" not in lost


def test_the_packages_names_are_one_feature_each() -> None:
    for subject in ("offender", "victim", "dyad"):
        names = [feature.name for feature in load_catalogue().features(subject)]
        assert len(names) == len(set(names))
