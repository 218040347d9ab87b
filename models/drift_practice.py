"""Breaks in recording practice: a month unlike what the months before it would lead one to expect.

Each signal (``models.drift_signals``) is judged against its own past. The past gives a rate and how much months differ
from each other beyond chance; both are uncertain, and the predictive distribution of the newest month (and of the
newest few together) carries that: beta-binomial for shares, negative binomial for volumes. With rate p learnt from
N rows of B months, Pearson dispersion phi (its upper confidence limit, with a floor) and n rows a month on average,
the variance of a share of w new months beyond binomial chance is p (1 - p) * [ (phi - 1) / (n - 1) / w + phi / N ].

The alarm level is Bonferroni's over all signals and windows judged in a month (weighted: rare things less), so that a
force without any break gives the wanted number of false alarms a month at most, whatever depends on what. After an
alarm the signal's past begins anew with the month in which it changed: one change is told once.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import numpy as np
from scipy import stats

from features.records import Records
from models import settings
from models.drift_signals import SHARE, Counts, Months, Signal, signals_of

_WORTH_A_TAIL = 2.5
"""Standard deviations below which the exact tail is not asked for: it could not be as small as an alarm's."""


@dataclass(frozen=True)
class Break:
    """A signal that changed. ``month`` is the one in which it was told, known at ``known_at``; ``since`` the first
    month that looks different. ``was`` and ``now`` are shares, or rows a day."""

    month: str
    number: int
    known_at: str
    since: str
    signal: str
    title: str
    population: str
    column: str
    value: str
    kind: str
    was: float
    now: float
    expected_rows: float
    rows: int
    p: float
    call: str

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)

    def sentence(self) -> str:
        """What changed, in words."""
        if self.kind == SHARE:
            change = f"{self.was:.1%} before, {self.now:.1%} since {self.since}"
        else:
            change = f"{self.was:.1f} a day before, {self.now:.1f} since {self.since}"
        return f"{self.title}: {change} ({self.rows} rows, {self.expected_rows:.0f} expected)"


@dataclass(frozen=True)
class Forecast:
    """What the past of a signal says of the next months: mean rate and the variance beyond counting chance,
    relative to the square of the rate (volume) or to p (1 - p) (share)."""

    rate: float
    beyond: float


def forecast(k: Counts, n: Counts, kind: str, window: int, confidence: float, least: float = 1.0) -> Forecast:
    """The predictive rate and extra variance of ``window`` further months, from the months before them.

    ``k``, ``n``: counts of at least two months; ``confidence`` of the upper limit of the dispersion, which is never
    below ``least`` (1: months differ by counting chance alone).
    """
    rows, size, months = float(k.sum()), float(n.sum()), len(k)
    if kind == SHARE:
        rate = (rows + 0.5) / (size + 1.0)
        chance = n * rate * (1.0 - rate)
        within, information = max(size / months - 1.0, 1.0), max(size, 1.0)
    else:
        rate = (rows + 0.5) / max(size, 1.0)
        chance = n * rate
        within, information = max(rows / months, 1.0), rows + 0.5
    filled = chance > 0
    pearson = float((((k - n * rate) ** 2)[filled] / chance[filled]).sum())
    phi = max(least, pearson / float(stats.chi2.ppf(1.0 - confidence, max(int(filled.sum()) - 1, 1))))
    return Forecast(rate, (phi - 1.0) / within / window + phi / information)


def surprise(k: int, n: int, kind: str, past: Forecast) -> float:
    """Two-sided predictive probability of a count at least as far out as ``k``; 1.0 when plainly unremarkable."""
    rate, beyond = past.rate, past.beyond
    mean = n * rate
    binomial = mean * (1.0 - rate) if kind == SHARE else mean
    extra = beyond * (n * (n - 1) * rate * (1.0 - rate) if kind == SHARE else mean**2)
    if n == 0 or abs(k - mean) < _WORTH_A_TAIL * np.sqrt(binomial + extra):
        return 1.0
    if kind == SHARE:
        size = max(1.0 / beyond - 1.0, 0.02)
        law = stats.betabinom(n, rate * size, (1.0 - rate) * size)
    else:
        law = stats.nbinom(1.0 / beyond, 1.0 / (1.0 + beyond * mean))
    tail = float(law.sf(k - 1)) if k > mean else float(law.cdf(k))
    return min(1.0, 2.0 * max(tail, 0.0))


def breaks(records: Records, until: datetime) -> tuple[list[Break], Months]:
    """Every break told up to ``until``, oldest first, as a monthly look would have told it, and the signals.

    A month is judged with what was known at its end only, so a later ``until`` adds breaks and changes none.
    """
    months = signals_of(records, until)
    return watch(months), months


def watch(months: Months) -> list[Break]:
    """Walk through the months as they came."""
    config = settings.load("drift")["practice"]
    begins = [0] * len(months.signals)
    found: list[Break] = []
    for month in range(months.count):
        looks = [
            look
            for i in range(len(months.signals))
            for window in config["windows"]
            if (look := _look(months.signals, i, begins[i], month, window, config))
        ]
        whole = sum(look.weight for look in looks)
        told: set[int] = set()
        for look in looks:
            level = float(config["false_alarms_a_month"]) * look.weight / whole
            if look.number not in told and (hit := _judge(look, level, month, months, config)):
                found.append(hit)
                told.add(look.number)
                begins[look.number] = look.first
    return found


@dataclass(frozen=True)
class _Look:
    """One signal (``number``) over one window, from month ``first`` on, beside what its past says; ``weight`` is its
    part in the alarm level."""

    number: int
    signal: Signal
    first: int
    k: int
    n: int
    before: Forecast
    weight: float


def _look(
    signals: tuple[Signal, ...], number: int, begin: int, month: int, window: int, config: dict[str, Any]
) -> _Look | None:
    """None while the signal has too little past, and where nothing has ever varied.

    Where fewer rows are expected than an alarm must be apart, hardly anything can be told: such a look has a small
    weight, so that rare codes do not deafen the others. The weight does not depend on what the window holds.
    """
    signal, first = signals[number], month - window + 1
    if first - begin < config["least_months" if signal.kind == SHARE else "least_months_volume"]:
        return None
    past, now = slice(max(begin, first - int(config["most_months"])), first), slice(first, month + 1)
    k, n = int(signal.k[now].sum()), int(signal.n[now].sum())
    rows, size = int(signal.k[past].sum()), int(signal.n[past].sum())
    if not n or not (k or rows) or (signal.kind == SHARE and k + rows == n + size):
        return None
    confidence, least = float(config["dispersion_confidence"]), float(config["least_dispersion"])
    before = forecast(signal.k[past], signal.n[past], signal.kind, window, confidence, least)
    likely = n * before.rate >= config["least_rows_apart"]
    return _Look(number, signal, first, k, n, before, 1.0 if likely else float(config["rare_weight"]))


def _judge(look: _Look, level: float, month: int, months: Months, config: dict[str, Any]) -> Break | None:
    signal, before, now = look.signal, look.before, look.k / look.n
    if not _matters(before.rate, now, look.k - look.n * before.rate, signal.kind, config):
        return None
    p = surprise(look.k, look.n, signal.kind, before)
    if p >= level:
        return None
    return Break(
        month=months.label(month),
        number=month + 1,
        known_at=months.bounds[month + 1].strftime("%Y-%m-%dT%H:%M:%SZ"),
        since=months.label(look.first),
        signal=signal.name,
        title=signal.title,
        population=signal.population,
        column=signal.column,
        value=signal.value,
        kind=signal.kind,
        was=before.rate,
        now=now,
        expected_rows=look.n * before.rate,
        rows=look.k,
        p=p,
        call=call_of(before.rate, now, signal.kind, config["calls"]),
    )


def _matters(was: float, now: float, rows: float, kind: str, config: dict[str, Any]) -> bool:
    """Is the change large enough to be worth anybody's time, however sure it is?"""
    if abs(rows) < config["least_rows_apart"]:
        return False
    if kind != SHARE:
        return _ratio(was, now) >= float(config["least_volume_ratio"])
    apart = abs(now - was) >= float(config["least_share_apart"])
    return apart or _ratio(was, now) >= float(config["least_ratio"])


def call_of(was: float, now: float, kind: str, calls: dict[str, Any]) -> str:
    """``review``, ``retrain`` or ``off``: what a change of this size calls for."""
    size = abs(now - was) if kind == SHARE else _ratio(was, now)
    off, again = (
        ("off_share", "retrain_share") if kind == SHARE else ("off_volume_ratio", "retrain_volume_ratio")
    )
    return "off" if size >= calls[off] else "retrain" if size >= calls[again] else "review"


def _ratio(was: float, now: float) -> float:
    low, high = sorted((was, now))
    return high / low if low > 0 else float("inf")
