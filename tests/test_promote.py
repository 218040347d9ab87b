"""Who may put a model in use: named, past the gates, for a time; taken back in one call."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from api.cli import run_command
from features.clocks import parse_as_of
from features.errors import InputError, NotFoundError
from features.home import Home
from models import approval, decision_log, decisions, promote, report_decision, store
from models.promote import Signature
from risk.priority import publish
from risk.published import lists
from tests.promoting import NOW, Maker, T, put, results
from tests.signing import client_of

pytest_plugins = ("tests.promoting",)
pytestmark = pytest.mark.usefixtures("fitted_again")


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
    decided = decisions.decisions(place)[-1]
    assert (decided["kind"], decided["version"]) == ("promote", version)
    assert {v["gate"] for v in decided["verdicts"]} >= {"reproducible", "calibration", "no leak"}
    assert decisions.judged(place, version) == decided


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
    assert decisions.decisions(place)[-1]["kind"] == "refused"


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


def test_a_model_put_back_keeps_the_end_of_its_approval(place: Path, trained: Callable[..., str]) -> None:
    first, second = trained(place), trained(place, 2)
    put(place, first)
    put(place, second, now=NOW + timedelta(days=200))
    done = promote.rollback(place, "B. Chief", "complaints", now=NOW + timedelta(days=364), track=False)
    assert done.entry is not None
    assert datetime.fromisoformat(done.entry["expires_at"]) == NOW + timedelta(days=365)
    assert "ends on 2027-03-01" in done.render()


def test_an_approval_that_has_ended_is_not_renewed_by_going_back(
    place: Path, trained: Callable[..., str]
) -> None:
    first, second = trained(place), trained(place, 2)
    put(place, first)
    put(place, second, now=NOW + timedelta(days=360))
    late = NOW + timedelta(days=400)  # the first one's approval has ended meanwhile
    with pytest.raises(InputError, match=r"approval by A\. Approver ended on 2027-03-01") as told:
        promote.rollback(place, "B. Chief", "complaints", now=late, track=False)
    assert f"doorstep promote {first}" in told.value.cure
    assert store.champion_version(place) == second
    later = NOW + timedelta(days=800)
    promote.switch_off(place, "B. Chief", "off and on", now=later, track=False)
    with pytest.raises(InputError, match="ended on"):
        promote.rollback(place, "B. Chief", "off and on", now=later, track=False)
    assert store.champion_version(place) is None
    again = put(place, second, now=later)  # the gates and a named person give it anew
    assert again.entry is not None
    assert datetime.fromisoformat(again.entry["expires_at"]) == later + timedelta(days=365)


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


def test_an_override_is_shown_as_one_only_where_it_overruled(
    place: Path, trained: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    bad = results(probability=[{"t": "pooled", "cohort": "all", "slope": 0.7}])
    good, poor = trained(place), trained(place, 2, bad)
    put(place, good, Signature("A. Approver", "better", sign=True, override="to be sure"))
    with pytest.raises(InputError):
        put(place, poor, Signature("C. Other", "try", override="we need it"))  # it is no signature

    def shown(version: str) -> tuple[str, str]:
        assert run_command(["--home", str(place), "models", "show", version]) == 0
        return capsys.readouterr().out, json.dumps(report_decision.decision(place, version))

    for version, words in ((good, "not needed"), (poor, "did not cover what stood against it")):
        for page in shown(version):
            assert "OVERRIDE" not in page
            assert words in page
    put(place, poor, Signature("C. Other", "try", sign=True, override="we need it"))
    for page in shown(poor):
        assert "OVERRIDE by C. Other, against calibration: we need it" in page


def test_the_report_names_who_approved_and_who_put_back(place: Path, trained: Callable[..., str]) -> None:
    first = trained(place, found=results(probability=[{"t": "pooled", "cohort": "all", "slope": 0.7}]))
    put(place, first, Signature("A. Approver", "better", sign=True, override="the old one stopped"))
    put(place, trained(place, 2), now=NOW + timedelta(days=9))
    promote.rollback(place, "B. Chief", "complaints", now=NOW + timedelta(days=19), track=False)
    said = report_decision.standing(place, first, NOW + timedelta(days=20))
    assert "approved by A. Approver on 2026-03-01 until 2027-03-01 BY OVERRIDE, against calibration" in said
    assert "put back by B. Chief on 2026-03-20: complaints" in said


def test_what_is_scored_live_asks_for_the_same_approval_as_a_list(
    place: Path, trained: Callable[..., str]
) -> None:
    version = trained(place)
    put(place, version, now=datetime.now(UTC))
    publish(Home(place), T)
    client = client_of(place, "supervisor")
    live, listed = "/persons/P1?as_of=2025-05-20", "/persons/P1?as_of=2025-06-01"
    pages = [f"{api}{path}" for api in ("", "/api/v1") for path in (live, live.replace("?", "/sheet?"))]
    assert {client.get(page).status_code for page in pages} == {200}
    put(place, version, now=datetime.now(UTC) - timedelta(days=366))
    for page in pages:
        found = client.get(page)
        assert "The approval of model" in found.text, page
        assert found.status_code == 200, "the records are read all the same"
        if page.startswith("/api"):
            score = found.json()["score"]
            assert (score.get("p_serious"), score.get("rank")) == (None, None), page
        assert " in 100 " not in found.text, page
    assert client.get(listed).status_code == 200  # what is published stays


def test_the_commands_say_what_was_decided(
    place: Path,
    trained: Callable[..., str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(promote, "_recorded", lambda *_: None)  # the record has tests of its own
    monkeypatch.setattr(promote, "write_down", _without_record(decision_log.write_down))
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
    return lambda home, decision, verdicts, track, done: write(home, decision, verdicts, False, done)
