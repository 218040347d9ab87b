"""What an append says of itself."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from features.front import Count


@dataclass(frozen=True)
class AppendReport:
    """``changed`` is False when nothing of it was new. ``counts``: table -> rows read and what became of them;
    ``faults``: what is at fault, as ``check`` says it; ``returned``: rows that waited for something that has now come,
    and are whole again; ``returning``: those that only a full ingest can bring back; ``unknown``: columns
    ("table.column") and files that the contract does not know; ``seconds``: how long it took."""

    load_id: str
    segment: int | None
    changed: bool
    counts: dict[str, Count]
    faults: list[dict[str, Any]]
    returning: int
    seconds: float
    returned: int = 0
    unknown: dict[str, list[str]] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """2 when a row was quarantined, else 0."""
        return 2 if any(count.quarantined for count in self.counts.values()) else 0

    def to_dict(self) -> dict[str, Any]:
        """Plain data for --json."""
        return {
            "load_id": self.load_id,
            "segment": self.segment,
            "changed": self.changed,
            "tables": {name: asdict(count) for name, count in self.counts.items()},
            "faults": self.faults,
            "returned": self.returned,
            "returning": self.returning,
            "unknown": self.unknown,
            "seconds": round(self.seconds, 3),
            "exit_code": self.exit_code,
        }

    def render(self) -> str:
        """The report as text for a terminal."""
        done = "Added to" if self.changed else "Nothing new for"
        lines = [f"{done} load {self.load_id} in {self.seconds:.2f} s."]
        for name, count in self.counts.items():
            said = {k: v for k, v in asdict(count).items() if v and k != "read"}
            lines.append(f"  {name}: {count.read} read, " + ", ".join(f"{v} {k}" for k, v in said.items()))
        for fault in self.faults:
            what = "row quarantined" if fault["quarantined"] else "cell left blank"
            lines.append(
                f"  {fault['table']} line {fault['line']}, {fault['column']}: {fault['reason']} ({what})"
            )
        if self.returned:
            lines.append(f"{self.returned} rows had waited for what has now come, and are whole again.")
        if self.returning:
            lines.append(f"{self.returning} rows wait for what has now come: ingest the extract anew.")
        for what, names in self.unknown.items():
            if names:
                lines.append(f"Warning: {what} not known to the contract, not read: {', '.join(names)}.")
        return "\n".join(lines)
