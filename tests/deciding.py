"""What the tests of decisions share: people of a force, and decisions filled in as a form would."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from risk.audit import Who
from risk.decisions import Proposed
from risk.written import Seen

T = datetime(2025, 6, 1, 5, tzinfo=UTC)
SEEN = Seen(T, "20250601T0500Z-aaaa", 3, "rank", "D1", "m-1", 0.07)
WHY = "Two partners say the same as the records"
NEXT_WEEK = date.today() + timedelta(days=7)


def who(username: str, role: str = "proactive") -> Who:
    """Somebody at a page."""
    return Who(username, role, "page", "127.0.0.1")


ANN, BOB = who("ann"), who("bob")
SUE, SAM = who("sue", "supervisor"), who("sam", "supervisor")


def proposed(choice: str = "adopt", version: int = 0, **changes: Any) -> Proposed:
    """A decision with everything it asks for."""
    code = {"disagree_down": "changed", "disagree_up": "fear", "not_now": "capacity", "refer": "marac"}
    facts = {"code": code.get(choice, "records"), "reason": WHY, "owner": "PC Ann", "due_on": NEXT_WEEK}
    return Proposed(choice, version=version, **(facts | changes))
