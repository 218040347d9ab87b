"""The page a force's exporter reads says what the front door does."""

from __future__ import annotations

from features import contract
from features.schema import SPECS


def test_the_page_is_up_to_date() -> None:
    assert contract.PAGE.read_text(encoding="utf-8") == contract.page(), "run: python -m features.contract"


def test_every_column_is_on_the_page() -> None:
    text = contract.page()
    for name, spec in SPECS.items():
        section = text.split(f"## `{name}`")[1].split("\n## ")[0]
        assert all(f"`{column}`" in section for column in spec.dtypes)
