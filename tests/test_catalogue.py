"""The catalogue is checked data: complete, documented, and true on both engines by its own worked examples."""

from __future__ import annotations

import pytest

from features.catalogue import Feature, load_catalogue
from features.examples import as_of_time, key_frame, records_of
from features.histories import histories

CATALOGUE = load_catalogue()
ALL = [pytest.param(f, id=f"{f.subject}-{f.name}") for f in CATALOGUE.all]


@pytest.mark.parametrize("engine", ["reference", "fast"])
@pytest.mark.parametrize("feature", ALL)
def test_the_worked_example_comes_out_as_written(feature: Feature, engine: str) -> None:
    example = feature.example
    assert example.expect, "an example expects something"
    assert {name for name, _ in example.expect} <= {c.name for c in feature.columns}
    row = histories(
        records_of(example.given),
        feature.subject,
        as_of_time(example),
        subjects=key_frame(feature.subject),
        engine=engine,
        columns=[name for name, _ in example.expect],
    )
    assert {name: row[name][0] for name, _ in example.expect} == dict(example.expect)
