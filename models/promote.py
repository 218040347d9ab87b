"""Put a model in use, take it back, switch it off: by a named person, for a reason, past the gates, written down.

The pointer ``models/champion.json`` is what scoring reads. It is changed under one lock and only if it is still what
it was when the gates were judged, so that of two promotions that race the second is told. Every attempt, refused or
not, is a line of ``models/decisions.jsonl``. The MLflow registry follows the pointer; when it cannot be reached a
promotion is refused before anything has changed, and a rollback is done all the same and says so.
"""

from __future__ import annotations

import getpass
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from features.errors import InputError
from features.home import Home
from models import gates, settings, store
from models.approval import is_named, standing_of
from models.dataset import Progress
from models.decision_log import write_down
from models.gates import Facts, Verdict
from models.proof import beside, found_once, reproduce, results_of
from models.scorer import Scorer, check_format


@dataclass(frozen=True)
class Signature:
    """Who decides, why, and what they take upon themselves.

    ``sign``: the groups too small to assess, and a short test, are accepted by name; ``leak_cause``: why the figures
    of a leak-suspect run are honest; ``override``: why the model is put in use against gates it fails.
    """

    by: str
    reason: str
    sign: bool = False
    leak_cause: str = ""
    override: str = ""

    def __post_init__(self) -> None:
        if not is_named(self.by) or not self.reason.strip():
            raise InputError(
                "A change of the model in use needs a named person and a reason.",
                where="--by, --reason",
                cure="Give both: who answers for it, and why.",
            )


@dataclass(frozen=True)
class Change:
    """What was decided: the verdicts, the pointer's entry (None: nothing was changed), what else must be said."""

    kind: str
    version: str | None
    verdicts: list[Verdict]
    entry: dict[str, Any] | None
    notes: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for ``--json``."""
        return {**asdict(self), "verdicts": [v.to_dict() for v in self.verdicts]}

    def render(self) -> str:
        """The gates, a line each, then what was done."""
        lines = [gates.render(self.verdicts)] if self.verdicts else []
        if self.entry and self.entry.get("override"):
            bar = "!" * 72
            lines += [bar, f"OVERRIDE by {self.entry['approved_by']}: {self.entry['override']}"]
            lines += [f"against: {'; '.join(self.entry['overruled'])}", bar]
        if self.entry is not None:
            lines.append(_said(self.kind, self.entry))
        elif self.verdicts:
            against = gates.failed(self.verdicts)
            lines.append(
                f"{len(against)} of {len(self.verdicts)} gates stand against it; nothing was changed"
            )
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])


def _said(kind: str, entry: Mapping[str, Any]) -> str:
    if entry["version"] is None:
        return f"no model is in use: switched off by {entry['by']}. Published lists stay as they are"
    done = {"promote": "in use", "rollback": "in use again"}[kind]
    until = entry.get("expires_at")
    before = entry.get("before")
    return (
        f"model {entry['version']} is {done}, by {entry['by']}: {entry['reason']}"
        + (f"; approved until {until[:10]}" if until else "")
        + (f"; before it {before}" if before and before != entry["version"] else "")
    )


# --- promote -------------------------------------------------------------------------------------------------


def promote(
    home: Home,
    version: str,
    signature: Signature,
    *,
    now: datetime | None = None,
    progress: Progress | None = None,
    track: bool = True,
) -> Change:
    """Put ``version`` in use if it passes the gates, or against them by an override; approved for a limited time.

    Raises InputError when a gate refuses it (saying which and by how much), when its file or its results were altered,
    when the model in use was changed meanwhile, or when the record of runs (``track``) cannot be written: in every case
    the model in use stays, and so do the published lists.
    """
    at = datetime.now(UTC) if now is None else now
    place = Path(home.path)
    doc = store.load_model(place, version)
    seen = store.champion_entry(place)
    results = results_of(place, doc)
    if track:
        _recorded(place, doc, results)
    verdicts = judge(home, doc, results, signature, progress)
    decision = _decision("promote", version, signature, at, verdicts)
    against = [v for v in gates.failed(verdicts) if not _overruled(v, signature)]
    if against:
        write_down(
            place, {**decision, "kind": "refused"}, verdicts, track, f"Model {version} is not put in use"
        )
        raise _refusal(version, against)
    overruled = [v.gate for v in verdicts if v.outcome == gates.FAILED]
    facts = {
        "kind": "promote",
        "approved": True,
        "approved_by": signature.by,
        "approved_at": _stamp(at),
        "expires_at": _later(at, "days"),
        "override": signature.override if overruled else "",
        "overruled": overruled,
        "signed": [v.words for v in verdicts if v.outcome == gates.SIGNED],
        "gates": decision["gates"],
    }
    with store.changing(place, signature.by):
        if store.champion_entry(place) != seen:
            raise InputError(
                "The model in use was changed while the gates were judged: "
                f"now it is {store.champion_version(place) or 'none'}.",
                where="models/champion.json",
                cure="Look at doorstep models list, then decide again. Nothing was changed by you.",
            )
        entry = store.point_champion(place, version, signature.by, signature.reason, _stamp(at), facts)
    notes = write_down(place, decision, verdicts, track, f"Model {version} is in use now")
    if signature.override and not overruled:
        notes.append("the override was not needed and is not kept with the model")
    return Change("promote", version, verdicts, entry, notes)


def check(home: Home, version: str, progress: Progress | None = None) -> Change:
    """What the gates say of ``version``; nothing is changed and nothing is recorded."""
    place = Path(home.path)
    doc = store.load_model(place, version)
    verdicts = judge(home, doc, results_of(place, doc), None, progress)
    return Change("check", version, verdicts, None)


def _overruled(verdict: Verdict, signature: Signature) -> bool:
    """Whether the approver's override covers a failed gate; a signature is never replaced by one."""
    return verdict.outcome == gates.FAILED and not verdict.hard and bool(signature.override.strip())


def _refusal(version: str, against: list[Verdict]) -> InputError:
    told = "; ".join(f"{v.gate}: {v.words}" for v in against)
    cures = []
    if any(v.outcome == gates.TO_SIGN for v in against):
        cures.append("add --sign to answer by name for what could not be assessed")
    if any(v.gate == "no leak" for v in against):
        cures.append("add --leak-cause TEXT once the cause is known")
    if any(v.outcome == gates.FAILED and not v.hard for v in against):
        cures.append(
            "train a better one, or put it in use all the same with --override TEXT, which is recorded"
        )
    if any(v.gate == "explained exactly" for v in against):
        cures.append("train another family")
    cure = "; ".join(cures)
    count = f"{len(against)} gate{'s stand' if len(against) > 1 else ' stands'} against it"
    return InputError(
        f"Model {version} is not put in use, {count}. {told}.",
        where="gates",
        cure=f"{cure[:1].upper()}{cure[1:]}. The model in use stays.",
    )


def judge(
    home: Home,
    doc: Mapping[str, Any],
    results: Mapping[str, Any] | None,
    signature: Signature | None,
    progress: Progress | None = None,
) -> list[Verdict]:
    """The verdicts of all gates for a saved model, with what they need worked out: the model in use beside it on the
    same dates, and the fit made again (``models.proof``: never read from a file)."""
    from models import families

    Scorer(doc)  # a document of another version of Doorstep is refused before any work is done
    place = Path(home.path)
    additive = families.class_of(doc["family"]).additive
    in_use = store.champion_version(place)
    facts = Facts(
        str(doc["version"]),
        additive,
        in_use=in_use,
        by=signature.by if signature else "",
        leak_cause=signature.leak_cause if signature else "",
        signed=signature.sign if signature else False,
    )
    if not additive or results is None:
        return gates.judge(results, None, facts)
    reproduced, how = found_once(home, doc, "reproduced", lambda: reproduce(home, doc, progress))
    versus = None
    if in_use is not None and in_use != doc["version"]:
        versus = found_once(home, doc, "versus", lambda: beside(home, doc, results, progress), in_use)
    facts = Facts(**{**asdict(facts), "reproduced": reproduced, "reproduction": how})
    return gates.judge(results, versus, facts)


# --- take back -----------------------------------------------------------------------------------------------


def rollback(home: Path, by: str, reason: str, *, now: datetime | None = None, track: bool = True) -> Change:
    """Put the champion before this one back in use, in one call; after a switching-off, the one that was switched off.

    It keeps the approval it had, and its end. Raises InputError when there is none before, when its approval has ended
    meanwhile, or when its file is not the one that was saved or is of an older format: then everything stays as it is.
    A damaged ``champion.json`` is written anew from the history.
    """
    signature, at = Signature(by, reason), datetime.now(UTC) if now is None else now
    with store.changing(home, by):
        mended = _mended(home)
        line = store.line_of_champions(home)
        earlier = [e for e in line[:-1] if e["version"] is not None]
        if not earlier:
            raise InputError(
                "There is no earlier champion to go back to.",
                where="models/champions.jsonl",
                cure="doorstep rollback --off switches the model off; doorstep promote puts another in use.",
            )
        target = earlier[-1]
        kept: dict[str, Any] = {
            k: target[k]
            for k in ("approved", "approved_by", "approved_at", "override", "overruled", "signed", "gates")
            if k in target
        }
        _still_approved(target, at)
        check_format(store.load_model(home, target["version"]))
        facts: dict[str, Any] = {**kept, "kind": "rollback", "expires_at": target.get("expires_at")}
        entry = store.point_champion(home, target["version"], by, reason, _stamp(at), facts)
    decision = _decision("rollback", entry["version"], signature, at, [])
    notes = write_down(home, decision, None, track, f"Model {entry['version']} is in use again")
    notes += standing_of(entry).notes(at)
    return Change("rollback", entry["version"], [], entry, [*mended, *notes])


def _still_approved(target: Mapping[str, Any], at: datetime) -> None:
    """An approval that has ended is given anew by the gates and a named person, not by going back to it."""
    found = standing_of(target)
    if not found.expired(at):
        return
    assert found.expires_at is not None
    raise InputError(
        f"Model {found.version} is not put back: its approval by {found.approved_by} ended on "
        f"{found.expires_at:%Y-%m-%d}.",
        where="models/champions.jsonl",
        cure=f"Have it judged and approved anew: doorstep promote {found.version} --by NAME --reason TEXT; or use no "
        "model until there is one: doorstep rollback --off. Nothing was changed.",
    )


def _mended(home: Path) -> list[str]:
    """What must be said when the pointer's file is damaged and the history stands in for it."""
    try:
        store.champion_entry(home)
    except InputError as problem:
        return [f"{problem.what} It was written anew; what was in use before is taken from {store.HISTORY}."]
    return []


def switch_off(
    home: Path, by: str, reason: str, *, now: datetime | None = None, track: bool = True
) -> Change:
    """Take the model in use out of use without another: no list is made until one is put back. Published lists stay.

    Raises InputError when none is in use. A damaged ``champion.json`` or history does not stand in its way.
    """
    signature, at = Signature(by, reason), datetime.now(UTC) if now is None else now
    with store.changing(home, by):
        mended, last = _mended(home), store.last_entry(home)
        before = None if last is None else last["version"]
        if before is None and not mended:
            raise InputError("No model is in use.", where="models", cure="There is nothing to switch off.")
        entry = store.point_champion(home, None, by, reason, _stamp(at), {"kind": "off", "approved": False})
    decision = _decision("off", before, signature, at, [])
    notes = write_down(home, decision, None, track, "The model is switched off now")
    return Change("off", None, [], entry, [*mended, *notes])


# --- writing down --------------------------------------------------------------------------------------------


def _stamp(at: datetime) -> str:
    return at.isoformat(timespec="seconds")


def _later(at: datetime, life: str) -> str:
    return _stamp(at + timedelta(days=int(settings.load("gates")["life"][life])))


def _decision(
    kind: str, version: str | None, signature: Signature, at: datetime, verdicts: list[Verdict]
) -> dict[str, Any]:
    """Everything an auditor would ask of one decision."""
    text = settings.texts()["gates"]
    return {
        "kind": kind,
        "version": version,
        "at": _stamp(at),
        **asdict(signature),
        "account": _account(),
        "code": store.code_version(),
        "gates": {"version": settings.load("gates")["version"], "sha256": store.sha256(text.encode())},
        "verdicts": [v.to_dict() for v in verdicts],
    }


def _account() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container user without an entry in the password file
        return f"uid {os.getuid()}"


def _recorded(home: Path, doc: Mapping[str, Any], results: Mapping[str, Any] | None) -> None:
    """See to it that the model's run is recorded before it can be put in use: a run that could not be recorded when it
    was trained is recorded now."""
    from models import tracking

    if tracking.registered(home, str(doc["version"])) is None:
        tracking.log_training(home, doc, results, "challenger")
