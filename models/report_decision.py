"""Sections of the report about the run itself: what it was, what it was made of, what was decided."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from features.home import Load
from models import approval, decisions
from models.report_measured import reads
from models.report_parts import Block, bullets, facts, heading, note, section, table, text, warn, whole, write

Doc = Mapping[str, Any]
OUTCOMES = {"passed": "passed", "failed": "FAILED", "to sign": "to sign", "signed": "signed"}


def run(doc: Doc, made_at: str, run_id: str | None) -> dict[str, Any] | None:
    """What was trained, on what, by which code."""
    training, heads = doc["training"], doc["heads"]
    health = doc["authorisations"]["health"]
    recalibrated = "; ".join(
        f"{name}: slope {h['calibration']['slope']:.2f}, intercept {h['calibration']['intercept']:.2f} "
        f"({h['calibration']['how']})"
        for name, h in heads.items()
    )
    load = doc.get("load", {})
    rows = [
        ("Model", f"{doc['version']}, {doc['kind']} ({training['size']} {training['size_of']} over "
                  f"{training['columns']} columns)"),
        ("Made at", made_at),
        *([("Run", f"MLflow run {run_id}")] if run_id else []),
        ("Trained until", training["until"]),
        ("As-of dates", f"{training['dates'][0][:10]} to {training['dates'][-1][:10]}, {len(training['dates'])} dates"),
        ("Label", f"serious harm recorded within {doc['horizon_days']} days; complete after a reporting delay of "
                  f"{training['delay_days']} days (the force's own 95 % lag, at least 90)"),
        ("Rows", f"{training['rows']:,} of {training['persons']:,} persons"
                 + (", persons without serious harm sampled and weighted back" if training["sampled"] else "")),
        ("Serious harm", f"{training['events']:,} rows of {training['persons_with_event']:,} persons; base rate "
                         f"{training['base_rate']:.4f}"),
        ("Harm weights", f"{doc['harm']['scheme']}, edition {doc['harm']['edition']}"),
        ("Harm parts, days", ", ".join(f"{k.replace('_', ' ')} {v:.2f}" for k, v in doc["harm_parts"].items()
                                       if isinstance(v, int | float))),
        ("Recalibration", recalibrated),
        ("Health markers", f"used; authorised by {health['by']}: {health['reason']}" if health else "not used"),
        ("Age", "used; figures without age beside" if reads(doc, "age") else "not used"),
        ("Own features", _own(doc)),
        ("Data load", f"{load['load_id']} ({load['nature']}; sha256 {load['manifest'][:12]}…)" if load else "none"),
        ("Code", str(doc["code"])),
        ("Libraries", ", ".join(f"{k} {v}" for k, v in doc["libraries"].items())),
        ("Settings", f"{doc['settings']}, {doc['rules']}, seed {doc['seed']}"),
    ]  # fmt: skip
    return section("run", "The run", [facts(rows), write("Who reviewed this run, and when.")])


def _own(doc: Doc) -> str:
    """The own features the model was trained on, with their files and the start of each file's sha256."""
    said = [
        f"{entry['feature']} ({entry['file']}, sha256 {entry['sha256'][:12]})"
        for entry in doc.get("own_features", ())
    ]
    return ", ".join(said) or "none"


def quality(doc: Doc, load: Load | None, before: Load | None) -> dict[str, Any] | None:
    """The load the model was trained on: rows by table, beside the load before it, and what it lacks."""
    blocks: list[Block | None] = []
    if load is None:
        blocks.append(
            text("The load this model was trained on is no longer here: its rows cannot be counted again.")
        )
    else:
        blocks.append(_rows(load, before))
    why: dict[str, int] = {}
    for reason in doc["left_out"].values():
        why[str(reason)] = why.get(str(reason), 0) + 1
    common = sorted(why.items(), key=lambda pair: (-pair[1], pair[0]))[:8]
    blocks.append(table("Why features or columns are not in the model", ["reason", "how many"],
                        [[reason, whole(n)] for reason, n in common]))  # fmt: skip
    return section("quality", "Quality of the records", blocks)


def _rows(load: Load, before: Load | None) -> Block | None:
    tables = load.manifest.get("tables", {})
    earlier = before.manifest.get("tables", {}) if before else {}
    body = [
        [
            name.replace("_", " "),
            whole(t["read"]),
            *([whole(earlier.get(name, {}).get("read"))] if before else []),
            whole(t.get("corrections")),
            whole(t.get("withdrawals")),
            whole(t.get("repeats")),
            whole(t.get("quarantined")),
        ]
        for name, t in tables.items()
        if isinstance(t, Mapping) and t.get("read")
    ]
    since, until = (
        str(load.manifest.get("first_event_at", ""))[:10],
        str(load.manifest.get("last_event_at", ""))[:10],
    )
    period = f", events from {since} to {until}" if since and until else ""
    beside = f"; beside it the load before ({before.load_id})" if before else ""
    head = [
        "table",
        "rows read",
        *(["load before"] if before else []),
        "corrections",
        "withdrawals",
        "repeats",
        "quarantined",
    ]
    return table(f"Load {load.load_id}{period}{beside}", head, body)


# --- the decision --------------------------------------------------------------------------------------------


def standing(home: Path, version: str, now: datetime | None = None) -> str:
    """How a model stands, in one sentence."""
    at = datetime.now(UTC) if now is None else now
    found = approval.standing(home)
    if found is not None and found.version == version:
        if not found.approved:
            return f"In use without an approval: {found.reason}"
        loud = f" BY OVERRIDE, against {'; '.join(found.overruled)}" if found.override else ""
        until = f" until {found.expires_at:%Y-%m-%d}" if found.expires_at else ""
        ended = " (that time is over: no new list is made with it)" if found.expired(at) else ""
        given = f"approved by {found.approved_by} on {found.approved_at[:10]}{until}{loud}{ended}"
        if found.kind == "rollback":
            return f"In use again, {given}; put back by {found.by} on {found.at[:10]}: {found.reason}"
        return f"In use, {given}: {found.reason}"
    decided = [d for d in decisions.decisions(home) if d["version"] == version]
    if decided:
        last = decided[-1]
        return f"Not in use; last decision: {last['kind']} by {last['by']} on {last['at'][:10]}: {last['reason']}"
    return "Not in use: nothing has been decided about it"


def decision(home: Path, version: str) -> dict[str, Any] | None:
    """The gates as last judged, what was decided by whom, and what people must still write."""
    blocks: list[Block | None] = [text(f"{standing(home, version)}.".replace("..", "."))]
    last = decisions.judged(home, version)
    if last is None:
        blocks.append(
            note(
                f"The gates have not judged this model yet: doorstep promote {version} --check shows what they say."
            )
        )
    else:
        stands = [v for v in last["verdicts"] if v["outcome"] in ("failed", "to sign")]
        said = (
            f"{len(stands)} of {len(last['verdicts'])} gates stand against it"
            if stands
            else "All gates are passed"
        )
        blocks.append((warn if stands else note)(f"{said}, judged {last['at'][:10]}."))
        if said := decisions.on_override(last):
            blocks.append((warn if decisions.overruled_by(last) else note)(f"{said[0].upper()}{said[1:]}"))
        body = [[v["gate"], OUTCOMES.get(v["outcome"], v["outcome"]), v["words"]] for v in last["verdicts"]]
        strong = [i for i, v in enumerate(last["verdicts"]) if v["outcome"] in ("failed", "to sign")]
        limits = last.get("gates", {})
        caption = f"Gates ({limits.get('version', '')}, sha256 {str(limits.get('sha256', ''))[:12]})"
        blocks.append(
            table(caption, ["gate", "outcome", "what was found"], body, words=(0, 1, 2), strong=strong)
        )
    decided = [d for d in decisions.decisions(home) if d["version"] == version]
    body = [[d["at"][:10], d["kind"], d["by"], d["reason"]] for d in decided]
    blocks.append(
        table("Every decision about it", ["date", "decision", "by", "reason"], body, words=(0, 1, 2, 3))
    )
    blocks += [
        heading("For people to write"),
        write("Decision: promote, hold or take back. Name and role of the owner, date."),
        write(
            "Referral to the ethics committee: yes or no, and why. What changed in the transparency record "
            "and the impact assessment."
        ),
        write("Date of the next review."),
    ]
    return section("decision", "Decision", blocks)


def cannot() -> dict[str, Any] | None:
    """What no figure here can show."""
    return section(
        "limits",
        "What this report cannot show",
        [
            bullets(
                [
                    "Abuse that was never reported or recorded. The model learns recorded harm; a group "
                    "that reports less "
                    "looks safer than it is.",
                    "What the police did. Custody, orders and visits change what happens next, and the "
                    "figures are under "
                    "the practice of the period.",
                    "Any single person's future. The probabilities hold for groups of like histories.",
                    "Persons without a record as suspect: they are on no list (see the share out of reach).",
                    "Whether acting on the list helps. That needs a trial, not a backtest.",
                ]
            )
        ],
    )
