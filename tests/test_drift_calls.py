"""Drift's calls: a review by a named person silences the breaks it was told of and no other, and publishing from a
model that should be switched off is said loudly."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from api.cli import run_command
from features.errors import InputError
from features.home import Home
from models import settings
from models.drift_calls import calls_of, covers, record_review, switch_off
from models.store import champion_version


def break_row(month: str, call: str, known_at: str) -> dict[str, Any]:
    return {"month": month, "signal": "domestic_offence: no suspect_id", "known_at": known_at, "call": call,
            "text": "offences without suspect_id"}  # fmt: skip


def review_of(*rows: dict[str, Any]) -> dict[str, Any]:
    """A review of these breaks by a named person."""
    return {"month": max(r["month"] for r in rows), "by": "A. Analyst", "reason": "new system, field mapped since",
            "breaks": [{k: r[k] for k in ("month", "signal", "call")} for r in rows]}  # fmt: skip


def test_a_break_calls_until_a_named_person_has_reviewed_it() -> None:
    config = settings.load("drift")
    empty: dict[str, list[dict[str, Any]]] = {
        t: [] for t in ("features", "scores", "list", "calibration", "fairness")
    }
    tables = {**empty, "practice": [break_row("2025-06", "retrain", "2025-07-01T05:00:00Z")]}
    (call,) = calls_of(tables, "2025-01-01T06:00:00Z", [], config)
    assert (call["call"], call["reviewed"]) == ("retrain", None)
    # the model was made later and saw it: a person still looks
    assert calls_of(tables, "2025-09-01T05:00:00Z", [], config)[0]["call"] == "review"
    (call,) = calls_of(tables, "2025-01-01T06:00:00Z", [review_of(*tables["practice"])], config)
    assert call["call"] == "none"
    assert "A. Analyst" in call["reviewed"]
    other = review_of(break_row("2025-05", "retrain", "2025-06-01T05:00:00Z"))
    assert calls_of(tables, "2025-01-01T06:00:00Z", [other], config)[0]["call"] == "retrain"


def test_a_review_covers_what_had_been_told_and_no_break_still_to_come() -> None:
    told = break_row("2025-06", "retrain", "2025-07-01T05:00:00Z")
    review = review_of(told)
    assert covers(review, told)
    assert not covers(review, told | {"month": "2025-07"})
    # found later, of the same month or of one before it
    assert not covers(review, told | {"signal": "domestic_event: kind non_crime"})
    assert not covers(review, told | {"month": "2025-04"})
    # the same break, graver than what was looked at; and less grave
    assert not covers(review, told | {"call": "off"})
    assert covers(review, told | {"call": "review"})
    # an entry that names no break is about none
    assert not covers({"month": "2099-12", "by": "A. Analyst", "reason": "all of them"}, told)


def kept_result(home: Path, day: str, *rows: dict[str, Any], model: str = "m-1") -> None:
    """A result as ``doorstep drift`` keeps it, about practice alone."""
    tables: dict[str, Any] = {t: [] for t in ("features", "scores", "list", "calibration", "fairness")}
    found = {"as_of": f"{day}T06:00:00Z", "model": model, "practice": list(rows), **tables}
    (home / "drift").mkdir(parents=True, exist_ok=True)
    (home / "drift" / f"{day}-{model}.json").write_text(json.dumps(found), encoding="utf-8")


def test_a_review_of_nothing_or_by_nobody_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = Home(tmp_path)
    with pytest.raises(InputError, match="No break was told") as refused:
        record_review(home, "2025-06", "A. Analyst", "looked")
    assert "Run doorstep drift first" in refused.value.cure
    kept_result(tmp_path, "2025-07-02", break_row("2025-06", "off", "2025-07-01T05:00:00Z"))
    for month, by, reason, words in (
        ("2025-13", "A. Analyst", "B", "not a month"),
        ("2099-12", "A. Analyst", "B", "not over yet"),
        ("2025-07", "A. Analyst", "B", "No break was told in 2025-07"),
        ("2025-06", "A. Analyst", " ", "what they found"),
        *(
            ("2025-06", by, "B", "the name of the person")
            for by in ("", " ", "-", "nobody", "No-one", "N/A", "7")
        ),
    ):
        with pytest.raises(InputError, match=words):
            record_review(home, month, by, reason)
    assert not (tmp_path / "drift" / "reviews.jsonl").exists()
    argv = ("drift", "--reviewed", "2099-12", "--by", "A. Analyst", "--reason", "B", "--home", tmp_path)
    assert run_command([str(a) for a in argv]) == 2
    err = capsys.readouterr().err
    assert err.count("Error:") == 1
    assert "Months in which a break was told: 2025-06" in err
    assert record_review(home, "2025-06", "A. Analyst", "B")["breaks"] == [
        {"month": "2025-06", "signal": "domestic_offence: no suspect_id", "call": "off"}
    ]


def test_a_damaged_review_or_result_is_one_clear_error(tmp_path: Path) -> None:
    kept_result(tmp_path, "2025-07-02", break_row("2025-06", "off", "2025-07-01T05:00:00Z"))
    (tmp_path / "drift" / "reviews.jsonl").write_text('{"month": ', encoding="utf-8")
    with pytest.raises(InputError, match="damaged"):
        switch_off(tmp_path, "m-1")
    (tmp_path / "drift" / "2025-07-02-m-1.json").write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match="damaged"):
        record_review(Home(tmp_path), "2025-06", "A. Analyst", "B")


def test_publishing_from_a_model_that_drift_would_switch_off_is_said_loudly_and_done(
    small_home_maker: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    home = small_home_maker("off")
    version = str(champion_version(home))

    def publish(*options: str) -> Any:
        assert run_command(["publish", "--as-of", "2025-06-01", "--home", str(home), *options]) == 0
        said = capsys.readouterr()
        assert "published" in said.out
        return said

    assert "SWITCH OFF" not in publish().err
    hit = break_row("2025-06", "off", "2025-07-01T05:00:00Z")
    kept_result(home, "2025-07-02", hit, model="m-of-another")
    assert "SWITCH OFF" not in publish().err
    kept_result(home, "2025-07-02", hit, model=version)
    said = publish().err
    assert "SWITCH OFF: doorstep drift, as of 2025-07-02" in said
    assert "offences without suspect_id" in said
    assert "doorstep rollback" in said
    assert json.loads(publish("--json").out)["warnings"]
    record_review(Home(home), "2025-06", "A. Analyst", "a new screen; the supplier mends it")
    assert "SWITCH OFF" not in publish().err
    kept_result(home, "2025-08-02", hit, hit | {"month": "2025-07"}, model=version)
    assert "2025-07  recording practice" in publish().err  # a break that came after the review
    kept_result(home, "2025-09-02", model=version)
    assert "SWITCH OFF" not in publish().err  # the newest result counts
