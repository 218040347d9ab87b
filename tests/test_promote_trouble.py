"""Promotion in trouble: damaged files, full disks, two at once, proofs written by hand. Nothing is left half done."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from api.cli import run_command
from api.desk import Desk
from features.clocks import parse_as_of
from features.errors import InputError
from features.home import Home
from models import decision_log, decisions, promote, proof, store
from models.evaluate import evaluate
from models.promote import Signature
from models.side_by_side import about
from risk.priority import publish
from risk.published import lists
from tests.promoting import NOW, T, put

pytest_plugins = ("tests.promoting",)
pytestmark = pytest.mark.usefixtures("fitted_again")


def test_one_changed_byte_of_model_or_results_is_refused(place: Path, trained: Callable[..., str]) -> None:
    good, other = trained(place), trained(place, 2)
    put(place, good)
    for name in ("model.json", "temporal_test.json"):
        path = place / "models" / other / name
        data = path.read_bytes()
        path.write_bytes(
            data.replace(b"0.76", b"0.86") if name != "model.json" else data.replace(b"-3.2", b"-3.1")
        )
        assert path.read_bytes() != data
        with pytest.raises(InputError, match="sha256"):
            put(place, other)
        path.write_bytes(data)
    assert store.champion_version(place) == good


def test_the_file_of_the_last_champion_altered_refuses_the_rollback_and_the_new_one_stays(
    place: Path, trained: Callable[..., str]
) -> None:
    first, second = trained(place), trained(place, 2)
    put(place, first)
    put(place, second)
    path = place / "models" / first / "model.json"
    path.write_bytes(path.read_bytes().replace(b"-3.2", b"-3.1"))
    with pytest.raises(InputError, match="sha256"):
        promote.rollback(place, "A. Approver", "too many complaints", track=False)
    assert store.champion_version(place) == second


def test_of_two_promotions_that_race_the_second_is_told(
    place: Path, trained: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = trained(place), trained(place, 2)
    judge = promote.judge

    def slow(*args: Any) -> Any:
        monkeypatch.setattr(promote, "judge", judge)
        put(place, first, Signature("C. Other", "quicker", sign=True))  # while our gates are being judged
        return judge(*args)

    monkeypatch.setattr(promote, "judge", slow)
    with pytest.raises(InputError, match=f"changed while the gates were judged: now it is {first}"):
        put(place, second)
    assert store.champion_version(place) == first


def test_while_one_holds_the_lock_another_is_told_who(place: Path, trained: Callable[..., str]) -> None:
    version = trained(place)
    program = (
        "import sys, pathlib; from models import store\n"
        "with store.changing(pathlib.Path(sys.argv[1]), 'C. Other'): print('held', flush=True); input()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", program, str(place)],
        cwd=Path(__file__).parents[1],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert other.stdout is not None
    try:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(InputError, match=r"C\. Other, since"):
            put(place, version)
        assert store.champion_entry(place) is None
    finally:
        other.kill()  # the lock goes with its holder, however it ends
        other.wait(30)
    put(place, version)
    assert store.champion_version(place) == version


def test_a_crash_between_pointer_and_history_loses_nothing(place: Path, trained: Callable[..., str]) -> None:
    first, second = trained(place), trained(place, 2)
    put(place, first)
    before = (place / "models" / store.HISTORY).read_bytes()
    put(place, second)
    (place / "models" / store.HISTORY).write_bytes(before)  # as if the power had gone
    assert [e["version"] for e in store.history(place)] == [first, second]
    promote.rollback(place, "B. Chief", "complaints", track=False)
    assert store.champion_version(place) == first
    assert len((place / "models" / store.HISTORY).read_text().splitlines()) == 3


def test_a_document_of_another_version_of_doorstep_is_refused(
    place: Path, trained: Callable[..., str]
) -> None:
    with pytest.raises(InputError, match="format"):
        put(place, trained(place, format="doorstep-logistic-1"))


def test_a_champion_of_an_older_format_can_be_replaced_and_not_gone_back_to(
    place: Path, trained: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(promote, "beside", proof.beside)  # in earnest: it ends before any fit
    old, new = trained(place, 1, format="doorstep-logistic-1"), trained(place, 2)
    store.point_champion(place, old, "A. Approver", "of last year", "2025-03-01T00:00:00+00:00")
    assert "OF AN OLDER FORMAT" in about(place, old)["standing"]
    assert "OLDER" not in about(place, new)["standing"]
    with pytest.raises(InputError, match="'doorstep-logistic-1'"):
        evaluate(Home(place), model=old, track=False)
    with pytest.raises(InputError, match="'doorstep-logistic-1'"):
        evaluate(Home(place), model=new, others=("champion",), track=False)
    with pytest.raises(InputError, match="holds the champion: the model in use cannot be judged") as told:
        put(place, new, Signature("A. Approver", "better"))
    assert "--sign" in told.value.cure
    done = put(place, new)  # signed for by name; no override
    assert done.entry is not None
    assert done.entry["override"] == ""
    assert any("cannot be judged" in words for words in done.entry["signed"])
    with pytest.raises(InputError, match="'doorstep-logistic-1'"):
        promote.rollback(place, "B. Chief", "complaints", now=NOW, track=False)
    assert store.champion_version(place) == new


def test_a_damaged_pointer_is_one_clear_error_and_lists_stay(
    place: Path, trained: Callable[..., str]
) -> None:
    put(place, trained(place))
    publish(Home(place), T)
    (place / "models" / store.CHAMPION).write_text("{")
    with pytest.raises(InputError, match=r"champion\.json cannot be read"):
        publish(Home(place), parse_as_of("2025-06-02"))
    assert len(lists(Home(place))) == 1
    health = Desk(Home(place)).health()  # who reads a list is told, and reads it all the same
    assert health["model_version"] is None
    assert "champion.json cannot be read" in health["model_notes"][0]
    assert health["list_id"] is not None


def test_a_damaged_pointer_stands_in_the_way_of_no_emergency(
    place: Path, trained: Callable[..., str]
) -> None:
    first, second = trained(place), trained(place, 2)
    put(place, first)
    put(place, second)
    pointer = place / "models" / store.CHAMPION
    for spoilt in ("{", "[]", "{}"):
        pointer.write_text(spoilt)
        with pytest.raises(InputError, match=r"champion\.json cannot be read") as told:
            put(place, second)
        assert "rollback" in told.value.cure
    done = promote.rollback(place, "B. Chief", "complaints", now=NOW, track=False)
    assert (done.version, store.champion_version(place)) == (first, first)
    assert done.entry is not None
    assert done.entry["before"] == second
    assert "written anew" in done.render()
    pointer.write_text("{")
    assert "written anew" in promote.switch_off(place, "B. Chief", "drift", track=False).render()
    assert store.champion_version(place) is None
    assert [e["kind"] for e in store.history(place)] == ["promote", "promote", "rollback", "off"]


def test_the_emergency_stop_works_with_a_damaged_history(place: Path, trained: Callable[..., str]) -> None:
    put(place, trained(place))
    path = place / "models" / store.HISTORY
    kept = path.read_bytes()
    path.write_bytes(b"{" + kept)
    promote.switch_off(place, "B. Chief", "drift", track=False)
    assert store.champion_version(place) is None
    assert path.read_bytes() == b"{" + kept  # left as it was, for whoever restores it
    path.write_bytes(kept)
    assert [e["kind"] for e in store.history(place)] == ["promote", "off"]


@pytest.mark.parametrize("sign", ["\u2028", "\u2029", "\x85", "\x0c", "\r\n"])
def test_text_pasted_into_a_reason_does_not_end_a_line(
    place: Path, trained: Callable[..., str], sign: str
) -> None:
    first, second = trained(place), trained(place, 2)
    put(place, first, Signature("A. Approver", f"pasted{sign}from a word processor", sign=True))
    put(place, second)
    assert store.history(place)[0]["reason"] == f"pasted{sign}from a word processor"
    promote.rollback(place, "B. Chief", f"more{sign}of it", now=NOW, track=False)
    promote.switch_off(place, "B. Chief", f"and{sign}more", track=False)
    assert [d["kind"] for d in decisions.decisions(place)] == ["promote", "promote", "rollback", "off"]


@pytest.mark.parametrize("name", ["decisions.jsonl", "VERSION/gates.json"])
def test_a_damaged_record_of_decisions_is_one_clear_error(
    place: Path, trained: Callable[..., str], capsys: pytest.CaptureFixture[str], name: str
) -> None:
    version = trained(place)
    put(place, version)
    path = place / "models" / name.replace("VERSION", version)
    for spoilt in ('{"kind": ', "[1]", "{}", "\xff"):
        path.write_bytes(spoilt.encode("latin-1"))
        assert run_command(["--home", str(place), "models", "show", version]) == 2
        said = capsys.readouterr().err
        assert f"{path.name} cannot be read: it is damaged." in said
        assert name.replace("VERSION", version) in said


def test_what_could_not_be_written_down_is_told_with_what_has_changed(
    place: Path, trained: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = trained(place), trained(place, 2)
    put(place, first)
    before = (place / "models" / decisions.DECISIONS).read_bytes()

    def full(handle: int, data: bytes) -> int:
        real(handle, data[:20])  # what still fitted
        raise OSError(errno.ENOSPC, "No space left on device")

    real = os.write
    monkeypatch.setattr(decision_log.os, "write", full)
    with pytest.raises(InputError, match=f"Model {second} is in use now, by A. Approver") as told:
        put(place, second)
    assert "could not be written to models/decisions.jsonl (No space left on device)" in told.value.what
    with pytest.raises(InputError, match=f"Model {first} is in use again, by B. Chief"):
        promote.rollback(place, "B. Chief", "complaints", now=NOW, track=False)
    with pytest.raises(InputError, match=r"switched off now, by B\. Chief"):
        promote.switch_off(place, "B. Chief", "complaints", now=NOW, track=False)
    assert store.champion_version(place) is None
    assert (place / "models" / decisions.DECISIONS).read_bytes() == before  # no half line is left
    monkeypatch.setattr(decision_log.os, "write", real)
    monkeypatch.setattr(store.os, "replace", lambda *_: full(os.open(os.devnull, os.O_WRONLY), b""))
    with pytest.raises(InputError, match=r"champion\.json cannot be written: No space") as told:
        put(place, second)
    assert "Nothing was changed" in told.value.cure


def test_no_file_beside_a_model_proves_anything(
    place: Path, trained: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    version = trained(place)
    answers = iter([(False, "load x is no longer here"), (True, "the same to the bit")])
    monkeypatch.setattr(promote, "reproduce", lambda *_: next(answers))
    by_hand = {"reproduced": {"key": {"code": store.code_version()}, "value": [True, "the same to the bit"]}}
    store.write_atomic(place / "models" / version / "tried.json", store.canonical_bytes(by_hand))
    with pytest.raises(InputError, match="reproducible: load x is no longer here"):
        put(place, version)
    put(place, version)  # the load is back: a proof that failed is tried again
    assert store.champion_version(place) == version


def test_a_second_attempt_does_not_fit_again_but_a_new_champion_is_compared_anew(
    place: Path, trained: Callable[..., str], fitted_again: list[str]
) -> None:
    first, second, third = (trained(place, seed) for seed in (1, 2, 3))
    put(place, first)
    for _ in range(2):
        with pytest.raises(InputError):
            put(place, third, Signature("A. Approver", "better"))
    assert [a for a in fitted_again if third in a] == [f"again {third}", f"beside {third}"]
    put(place, second)
    put(place, third)
    assert [a for a in fitted_again if third in a].count(f"beside {third}") == 2
