"""What drift calls for now, and which breaks in practice a named person has reviewed.

A review names the breaks it is about: those that a kept result of ``doorstep drift`` had told by then. It silences no
other: not one that is told later of an earlier month, nor one that has become graver since.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from features.errors import InputError
from features.home import Home
from models import drift_scores, drift_words, settings
from models.approval import is_named
from models.drift_scores import worst

FOLDER, REVIEWS = "drift", "reviews.jsonl"
Row = Mapping[str, Any]


def calls_of(
    tables: Mapping[str, Sequence[Row]],
    since: str,
    reviewed: Sequence[Row],
    config: Mapping[str, Any],
) -> list[dict[str, Any]]:
    """Rows of what somebody must act on now: ``topic``, ``month``, ``call``, ``text``, ``refer``, ``reviewed``.

    Of histories, scores and outcomes the newest month speaks. A break in practice speaks until a named person has
    reviewed it; told before the model was made (``since``: its training data saw it) it calls for no more than review.
    """
    out = []
    for row in tables["practice"]:
        done = next((r for r in reviewed if covers(r, row)), None)
        call = "review" if row["known_at"] <= since else row["call"]
        who = f"{done['by']}: {done['reason']}" if done else None
        out.append(_call("recording practice", row, "none" if done else call, row["text"], who))
    for topic in ("features", "scores", "list", "calibration", "fairness"):
        rows = tables[topic]
        newest = [row for row in rows if row["month"] == rows[-1]["month"]]
        if topic == "features" and newest:
            call = drift_scores.feature_calls(newest, config["features"])
            out.append(_call("histories", newest[0], call, drift_words.moved_features(newest), None))
            continue
        for row in newest:
            refer = config["fairness"]["refer"] if topic in ("list", "fairness") else None
            out.append(_call(topic, row, row["call"], drift_words.sentence(topic, row), None, refer))
    return [row for row in out if row["call"] != "none" or row["reviewed"]]


def _call(
    topic: str, row: Row, call: str, text: str, done: str | None, refer: str | None = None
) -> dict[str, Any]:
    return {
        "topic": topic,
        "month": row["month"],
        "known_at": row["known_at"],
        "call": call,
        "text": text,
        "refer": refer,
        "reviewed": done,
    }


# --- reviews -------------------------------------------------------------------------------------------------


def covers(review: Row, row: Row) -> bool:
    """Whether a review is about this break: the same signal, told of the same month, and no graver than it was."""
    return any(
        (b["signal"], b["month"]) == (row["signal"], row["month"])
        and worst([b["call"], row["call"]]) == b["call"]
        for b in review.get("breaks", ())
    )


def reviews(home: Path) -> list[dict[str, Any]]:
    """Reviews of breaks that named people recorded, oldest first. Raises InputError when the file is damaged."""
    path = home / FOLDER / REVIEWS
    # a line ends at "\n" alone: what people write may hold other characters that str.splitlines takes for an end
    lines = path.read_text(encoding="utf-8").split("\n") if path.is_file() else []
    try:
        return [dict(json.loads(line)) for line in lines if line]
    except ValueError as problem:
        raise InputError(
            f"{REVIEWS} cannot be read: it is damaged.",
            where=f"{FOLDER}/{REVIEWS}",
            cure="Restore it from a backup, or move it away: its breaks then call again until they are reviewed anew.",
        ) from problem


def told(home: Path) -> dict[tuple[str, str], str]:
    """(month, signal) of every break a kept result has told -> the gravest call it was told with."""
    out: dict[tuple[str, str], str] = {}
    for path in sorted((home / FOLDER).glob("*.json")):
        for row in _read(path)["practice"]:
            key = (row["month"], row["signal"])
            out[key] = worst([row["call"], out.get(key, "none")])
    return out


def _read(path: Path) -> dict[str, Any]:
    """A kept result."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as problem:
        raise InputError(
            f"{path.name} cannot be read: it is damaged.",
            where=f"{FOLDER}/{path.name}",
            cure="Delete it and run doorstep drift again.",
        ) from problem


def record_review(home: Home, month: str, by: str, reason: str) -> dict[str, Any]:
    """Record that a named person has looked at every break told by now of ``month`` (YYYY-MM) or before, and what
    they found. Returns the entry; its ``breaks`` are those it covers.

    Raises InputError without a named person or a finding, for a month that is none or is still to come, and for one of
    which no kept result has told a break.
    """
    now = datetime.now(UTC)
    try:
        month = datetime.strptime(month, "%Y-%m").replace(tzinfo=UTC).strftime("%Y-%m")
    except ValueError:
        raise InputError(f"{month!r} is not a month.", where="--reviewed", cure="Write YYYY-MM.") from None
    if not is_named(by) or not reason.strip():
        raise InputError(
            "A review needs the name of the person who made it and what they found.",
            where="drift --reviewed",
            cure="Give --by, a person's name, and --reason.",
        )
    known = told(Path(home.path))
    if month not in {m for m, _ in known}:
        late = month >= f"{now:%Y-%m}"
        raise InputError(
            f"{month} is not over yet: there is nothing to review." if late
            else f"No break was told in {month}: there is nothing to review.",
            where="--reviewed",
            cure=f"Months in which a break was told: {', '.join(sorted({m for m, _ in known}))}." if known
            else "Run doorstep drift first: it tells the breaks there are.",
        )  # fmt: skip
    covered = [{"month": m, "signal": s, "call": known[m, s]} for m, s in sorted(known) if m <= month]
    entry = {
        "month": month,
        "by": by.strip(),
        "reason": reason.strip(),
        "at": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "breaks": covered,
    }
    path = Path(home.path) / FOLDER / REVIEWS
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(entry, sort_keys=True, ensure_ascii=False) + "\n")
    return entry


# --- off -----------------------------------------------------------------------------------------------------


def switch_off(home: Path, version: str) -> tuple[str, list[str]] | None:
    """The date of the newest kept result about a model, and why it calls for switching it off; None when it does not,
    or was never looked at. A break reviewed since no longer speaks."""
    kept = sorted((home / FOLDER).glob(f"*-{version}.json"))
    if not kept:
        return None
    found = _read(kept[-1])
    rows = calls_of(found, found.get("model_until", ""), reviews(home), settings.load("drift"))
    why = [f"{r['month']}  {r['topic']}: {r['text']}" for r in rows if r["call"] == "off"]
    return (str(found["as_of"])[:10], why) if why else None
