"""Who may put a model in use: named, past the gates, for a time; taken back in one call; nothing half done."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from api.cli import run_command
from api.desk import Desk
from features.clocks import parse_as_of
from features.errors import InputError, NotFoundError
from features.home import Home
from models import approval, promote, store
from models.promote import Signature
from risk.priority import publish
from risk.published import lists

NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)
SIGNED = Signature("A. Approver", "beats RFGV by .04", sign=True)
T = parse_as_of("2025-06-01")


def results(**changes: Any) -> dict[str, Any]:
    """Results tables that pass every gate, some changed."""
    ranking = [
        {"t": "pooled", "cohort": "all", "score": s, "dates": 6, "auc": auc, "capture_1pc": 0.1}
        for s, auc in (("model", 0.76), ("rfgv", 0.72))
    ]
    harm = [{"part": part, "observed_over_expected": 1.0} for part in ("everyone", "top decile", "top 1 %")]
    return {
        "how": "made as at 2024-01-01",
        "cohort": [{"t": "2024-01-01T06:00:00Z", "cohort": "all", "n": 9}],
        "ranking": ranking,
        "difference": [{"rule": "rfgv", "figure": "auc", "difference": 0.04, "low": 0.01, "high": 0.07}],
        "probability": [{"t": "pooled", "cohort": "all", "slope": 1.0}],
        "harm": harm,
        "fairness": [{"grouping": "sex", "group": "missing", "serious_persons": 3, "assessable": False}],
        "leak_suspect": False,
        **changes,
    }


@pytest.fixture(autouse=True)
def fitted_again(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The minutes' work (a second fit, the model in use beside it) stands in here; both are tried in earnest in
    test_models_train and the notebook. Returns what was asked."""
    asked: list[str] = []

    def again(home: Home, doc: dict[str, Any], progress: Any = None) -> tuple[bool, str]:
        asked.append(f"again {doc['version']}")
        return True, "the same to the bit"

    def beside(home: Home, doc: dict[str, Any], results: Any, progress: Any = None) -> dict[str, Any]:
        asked.append(f"beside {doc['version']}")
        return {
            "difference": [
                {"rule": "champion", "figure": "auc", "difference": 0.0, "low": -0.002, "high": 0.01}
            ]
        }

    monkeypatch.setattr(promote, "reproduce", again)
    monkeypatch.setattr(promote, "beside", beside)
    return asked


Maker = Callable[..., Path]


@pytest.fixture
def place(small_home_maker: Maker) -> Path:
    """A home with a load of the hand-made, simulated force and no model."""
    return small_home_maker(model=False)


@pytest.fixture
def trained(small_document: dict[str, Any]) -> Callable[..., str]:
    """Saves a model as training leaves it, sealed results beside it: ``trained(home, seed)`` -> version."""

    def make(home: Path, seed: int = 1, found: dict[str, Any] | None = None, **changes: Any) -> str:
        found = results() if found is None else found
        data = store.canonical_bytes(found)
        doc = {**small_document, "seed": seed, "temporal_test": {"sha256": store.sha256(data)}, **changes}
        made_at = f"2026-02-{seed:02d}T00:00:00+00:00"
        version = str(store.save(home, doc, {"made_at": made_at})["version"])
        store.write_atomic(home / "models" / version / "temporal_test.json", data)
        return version

    return make


def put(home: Path, version: str, signature: Signature = SIGNED, now: datetime = NOW) -> promote.Change:
    return promote.promote(Home(home), version, signature, now=now, track=False)


def test_a_promotion_needs_a_person_and_a_reason() -> None:
    for by, reason in (("", "better"), ("A. Approver", "  "), ("x", "better"), ("nobody", "better")):
        with pytest.raises(InputError, match="named person and a reason"):
            Signature(by, reason)


def test_who_why_until_when_and_against_what_is_kept(place: Path, trained: Callable[..., str]) -> None:
    version = trained(place)
    done = put(place, version)
    assert store.champion_version(place) == version
    entry = store.champion_entry(place)
    assert entry is not None
    assert (entry["by"], entry["reason"], entry["approved"]) == ("A. Approver", "beats RFGV by .04", True)
    assert datetime.fromisoformat(entry["expires_at"]) == NOW + timedelta(days=365)
    assert any("sex: missing" in words for words in entry["signed"])  # the groups signed for, by name
    assert "in use, by A. Approver" in done.render()
    decided = promote.decisions(place)[-1]
    assert (decided["kind"], decided["version"]) == ("promote", version)
    assert {v["gate"] for v in decided["verdicts"]} >= {"reproducible", "calibration", "no leak"}
    assert promote.judged(place, version) == decided


def test_a_refusal_names_the_gates_and_the_distance_and_changes_nothing(
    place: Path, trained: Callable[..., str]
) -> None:
    good, bad = (
        trained(place),
        trained(place, 2, results(probability=[{"t": "pooled", "cohort": "all", "slope": 0.7}])),
    )
    put(place, good)
    publish(Home(place), T)
    with pytest.raises(InputError, match=r"calibration: slope 0\.700; asked: 0\.85 to 1\.15; off by 0\.150"):
        put(place, bad)
    assert store.champion_version(place) == good
    assert len(lists(Home(place))) == 1
    assert promote.decisions(place)[-1]["kind"] == "refused"


def test_small_groups_are_signed_for_or_the_model_waits(place: Path, trained: Callable[..., str]) -> None:
    version = trained(place)
    unsigned = Signature("A. Approver", "better", override="we need it today")
    with pytest.raises(InputError, match="sex: missing") as refused:
        put(place, version, unsigned)  # an override is no signature
    assert "--sign" in refused.value.cure
    assert store.champion_version(place) is None


def test_an_override_is_loud_and_stays_with_every_list(place: Path, trained: Callable[..., str]) -> None:
    version = trained(place, found=results(probability=[{"t": "pooled", "cohort": "all", "slope": 0.7}]))
    loud = Signature("A. Approver", "better", sign=True, override="the old one stopped working")
    done = put(place, version, loud)
    assert "OVERRIDE by A. Approver: the old one stopped working" in done.render()
    assert "against: calibration" in done.render()
    made = publish(Home(place), T)
    assert made.facts["approval"]["overruled"] == ["calibration"]
    assert "OVERRIDE" in made.summary()
    from risk.published import shown

    assert "the old one stopped working" in shown(made, Home(place), team=None, top=None).note


def test_an_override_stays_with_who_took_it_when_another_puts_the_model_back(
    place: Path, trained: Callable[..., str]
) -> None:
    version = trained(place, found=results(probability=[{"t": "pooled", "cohort": "all", "slope": 0.7}]))
    put(place, version, Signature("A. Approver", "better", sign=True, override="the old one stopped"))
    put(place, trained(place, 2))
    done = promote.rollback(place, "B. Chief", "complaints", now=NOW, track=False)
    assert "OVERRIDE by A. Approver: the old one stopped" in done.render()
    assert "in use again, by B. Chief" in done.render()
    standing = approval.standing(place)
    assert standing is not None
    assert (standing.approved_by, standing.by) == ("A. Approver", "B. Chief")


def test_an_override_that_was_not_needed_is_not_kept(place: Path, trained: Callable[..., str]) -> None:
    done = put(place, trained(place), Signature("A. Approver", "better", sign=True, override="to be sure"))
    assert done.entry is not None
    assert done.entry["override"] == ""
    assert any("not needed" in note for note in done.notes)


def test_trees_and_an_unexplained_leak_are_refused_even_with_an_override(
    place: Path, trained: Callable[..., str]
) -> None:
    loud = Signature("A. Approver", "better", sign=True, override="it wins")
    with pytest.raises(InputError, match="explained exactly"):
        put(place, trained(place, 1, family="boosted"), loud)
    leaky = trained(place, 2, results(leak_suspect=True, leak={"auc": 0.93, "text": "AUC .93"}))
    with pytest.raises(InputError, match="leak-suspect"):
        put(place, leaky, loud)
    put(place, leaky, Signature("A. Approver", "better", sign=True, leak_cause="repeat callers only"))
    assert store.champion_version(place) == leaky


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


def test_rollback_goes_back_one_by_one_and_never_forward(place: Path, trained: Callable[..., str]) -> None:
    made = [trained(place, seed) for seed in (1, 2, 3)]
    for version in made:
        put(place, version)
    for version in (made[1], made[0]):
        done = promote.rollback(place, "B. Chief", "complaints", now=NOW, track=False)
        assert done.version == version == store.champion_version(place)
    with pytest.raises(InputError, match="no earlier champion"):
        promote.rollback(place, "B. Chief", "complaints", track=False)
    assert [e["kind"] for e in store.history(place)] == ["promote"] * 3 + ["rollback"] * 2


def test_a_model_put_back_keeps_its_approval_and_has_a_month_at_least(
    place: Path, trained: Callable[..., str]
) -> None:
    first, second = trained(place), trained(place, 2)
    put(place, first)
    put(place, second, now=NOW + timedelta(days=360))
    late = NOW + timedelta(days=400)  # the first one's approval has ended meanwhile
    done = promote.rollback(place, "B. Chief", "complaints", now=late, track=False)
    assert done.entry is not None
    assert datetime.fromisoformat(done.entry["expires_at"]) == late + timedelta(days=30)
    early = promote.promote(Home(place), second, SIGNED, now=NOW, track=False)
    assert early.entry is not None


def test_switching_off_stops_new_lists_keeps_the_old_and_can_be_undone(
    place: Path, trained: Callable[..., str]
) -> None:
    version = trained(place)
    put(place, version)
    publish(Home(place), T)
    promote.switch_off(place, "B. Chief", "drift found", track=False)
    with pytest.raises(NotFoundError, match=r"switched off by B\. Chief"):
        publish(Home(place), parse_as_of("2025-06-02"))
    assert len(lists(Home(place))) == 1
    promote.rollback(place, "B. Chief", "mended", now=NOW, track=False)
    assert store.champion_version(place) == version


def test_an_approval_ends_lists_stay_and_it_can_be_given_anew(
    place: Path, trained: Callable[..., str]
) -> None:
    version = trained(place)
    old = datetime.now(UTC) - timedelta(days=366)
    put(place, version, now=old)
    with pytest.raises(InputError, match=r"approval of model .* ended"):
        publish(Home(place), T)
    put(place, version, now=datetime.now(UTC))
    made = publish(Home(place), T)
    put(place, version, now=old)
    assert (
        publish(Home(place), T).list_id == made.list_id
    )  # what is published stays, and may be asked for again


def test_the_last_month_of_an_approval_is_said_on_every_list(
    place: Path, trained: Callable[..., str]
) -> None:
    put(place, trained(place), now=datetime.now(UTC) - timedelta(days=340))
    assert "ends on" in publish(Home(place), T).summary()


def test_the_first_model_of_a_simulated_force_is_tried_without_approval_and_says_so(
    place: Path, trained: Callable[..., str]
) -> None:
    version = trained(place)
    assert approval.begin(place, version, "simulated")
    assert not approval.begin(place, trained(place, 2), "simulated")  # the next one waits for a person
    assert store.champion_version(place) == version
    assert "without an approval" in publish(Home(place), T).summary()


@pytest.mark.parametrize("nature", ["operational", "public"])
def test_no_unapproved_model_makes_a_list_of_real_people(
    small_home_maker: Maker, trained: Callable[..., str], nature: str
) -> None:
    home = small_home_maker(nature, nature, model=False)
    version = trained(home)
    assert not approval.begin(home, version, nature)
    with pytest.raises(NotFoundError, match="none has been approved"):
        publish(Home(home), T)
    store.point_champion(
        home, version, "nobody", "tried on a simulated force", "2026-01-01", {"approved": False}
    )
    with pytest.raises(InputError, match=f"approved by nobody, and these records are {nature}"):
        publish(Home(home), T)
    put(home, version)
    assert publish(Home(home), T).facts["approval"]["by"] == "A. Approver"


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


def test_the_commands_say_what_was_decided(
    place: Path,
    trained: Callable[..., str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(promote, "_recorded", lambda *_: None)  # the record has tests of its own
    monkeypatch.setattr(promote, "_write_down", _without_record(promote._write_down))
    version, home = trained(place), ["--home", str(place)]
    assert run_command([*home, "promote", "newest", "--check"]) == 2
    assert "TO SIGN" in capsys.readouterr().out
    assert run_command([*home, "promote", "newest", "--reason", "better"]) == 2
    assert "named person" in capsys.readouterr().err
    assert (
        run_command([*home, "promote", version, "--by", "A. Approver", "--reason", "better", "--sign"]) == 0
    )
    capsys.readouterr()
    assert run_command([*home, "models", "list"]) == 0
    assert f"{version}  elastic_net" in (out := capsys.readouterr().out)
    assert "IN USE, approved by A. Approver until" in out
    spoilt = place / "models" / trained(place, 2) / "model.json"
    spoilt.write_bytes(spoilt.read_bytes().replace(b"-3.2", b"-3.1"))
    assert run_command([*home, "models", "list"]) == 0
    assert "REFUSED: its file is not the one that was saved" in (out := capsys.readouterr().out)
    assert "IN USE" in out
    assert run_command([*home, "models", "show"]) == 0
    assert "A. Approver: better" in (out := capsys.readouterr().out)
    assert "PASSED" in out
    assert run_command([*home, "--json", "rollback", "--off", "--by", "B. Chief", "--reason", "drift"]) == 0
    assert json.loads(capsys.readouterr().out)["entry"]["version"] is None


def _without_record(write: Any) -> Any:
    return lambda home, decision, verdicts, track: write(home, decision, verdicts, False)
