"""A row added before what it points to is put right when that comes, as one ingest of everything would have it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from features.append import append
from features.histories import histories
from features.home import Home
from features.ingest import ingest

Raw = dict[str, pl.DataFrame]
T = datetime(2024, 6, 1, 5, tzinfo=UTC)

ARREST = {
    "custody_id": "C1", "person_id": "A", "event_id": "E5", "arrested_at": "2024-05-01T10:00Z",
    "recorded_at": "2024-05-01T10:00Z",
}  # fmt: skip


def write(folder: Path, raw: Raw) -> Path:
    folder.mkdir(parents=True)
    (folder / "extract.json").write_text('{"nature": "simulated"}')
    for name, frame in raw.items():
        frame.write_parquet(folder / f"{name}.parquet")
    return folder


def with_arrest(folder: Path) -> Home:
    """A load of two people and one event, of which an arrest points to an event that is not there yet."""
    at = datetime(2024, 1, 5, 12, tzinfo=UTC)
    extract = {
        "person": pl.DataFrame({"person_id": ["A", "B"]}),
        "event": pl.DataFrame({"event_id": ["E1"], "kind": ["crime"], "occurred_at": [at], "domestic": ["Y"],
                               "source": ["victim"]}),
        "involvement": pl.DataFrame({"event_id": ["E1"], "person_id": ["A"], "role": ["suspect"], "victim_id": ["B"]}),
        "custody": pl.DataFrame([ARREST]),
    }  # fmt: skip
    ingest(write(folder / "extract", extract), Home(folder / "home"))
    return Home(folder / "home")


@pytest.mark.parametrize("source", ["victim", "police_proactive"])
@pytest.mark.parametrize("added", [False, True])
def test_an_arrest_whose_event_comes_later_is_put_right(tmp_path: Path, source: str, added: bool) -> None:
    grown = with_arrest(tmp_path)
    arrest = ARREST
    if added:  # the arrest, too, comes while the load runs
        arrest = ARREST | {"custody_id": "C2"}
        first = append(grown, {"custody": [arrest]})
        assert (first.exit_code, first.faults[0]["reason"]) == (0, "parent missing")
    load = grown.require()
    load.ready()
    event = {"event_id": "E5", "kind": "crime", "occurred_at": "2024-05-01T09:00Z", "domestic": "Y",
             "source": source, "recorded_at": "2024-05-01T12:00Z"}  # fmt: skip
    report = append(grown, {"event": [event]})
    assert (report.returned, report.returning, report.exit_code) == (1 + added, 0, 0)
    assert "custody" not in report.counts, "only what was given is counted"
    load.refresh()
    rows = grown.require().records().table("custody").filter(pl.col("custody_id") == arrest["custody_id"])
    assert rows["event_id"].to_list() == ["E5"]
    ends = datetime(2024, 5, 1, 12, tzinfo=UTC) if source == "police_proactive" else None
    assert rows["known_to"].to_list() == [ends], (
        "what police set going leaves the record store once it is known"
    )
    assert histories(load.records(), "offender", T).equals(
        histories(grown.require().records(), "offender", T)
    )
    again = append(grown, {"event": [event | {"event_id": "E6"}]})
    assert again.returned == 0, "nothing comes back twice"
