"""The gates a model passes before it is put in use: numbers and words, from results tables alone.

A pure function: what the temporal test found, how the model in use did on the same persons and dates, and a few facts
go in; one verdict a gate comes out, with the figure, the limit and by how much it is missed. The limits are in
``models/data/gates.toml``. What is judged is the model's own order, in which those whom lists in use hold back for
review (``models.dual``) still have their places. Who may overrule a verdict, and how that is written down, is in
``models.promote``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from models import settings

PASSED, FAILED, TO_SIGN, SIGNED = "passed", "failed", "to sign", "signed"
Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Facts:
    """What the gates need beside the tables.

    ``additive``: its sums are exact contributions; ``reproduced``: the same load, seed and code gave the same
    document again (None: not tried), ``reproduction`` says how it was found; ``leak_cause`` and ``signed`` are what
    the named approver ``by`` recorded; ``in_use``: the version of the champion, None where there is none.
    """

    version: str
    additive: bool
    reproduced: bool | None = None
    reproduction: str = ""
    in_use: str | None = None
    by: str = ""
    leak_cause: str = ""
    signed: bool = False


@dataclass(frozen=True)
class Verdict:
    """One gate: what it found. ``missed_by`` is the distance to the limit when it failed; a ``hard`` gate cannot be
    overruled."""

    gate: str
    outcome: str
    words: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    limit: tuple[float, ...] = ()
    missed_by: float | None = None
    hard: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {**asdict(self), "limit": list(self.limit)}

    def render(self) -> str:
        """One line for a terminal."""
        return f"{self.outcome.upper():<8} {self.gate:<22} {self.words}"


def judge(
    results: Mapping[str, Any] | None,
    versus: Mapping[str, Any] | None,
    facts: Facts,
    limits: Mapping[str, Any] | None = None,
) -> list[Verdict]:
    """Verdicts of every gate, in one order.

    Parameters
    ----------
    results: tables of the temporal test (``models.compare.tables`` with ``fairness``); None where there was none.
    versus: tables of the candidate and of the model in use on the same persons and dates, the latter as the score
        ``champion``; None where there is no champion. ``problem``: why they could not be compared; ``unjudged``: why
        the one in use can be judged by nobody any more (the approver signs).
    facts: see :class:`Facts`.
    limits: as ``models/data/gates.toml``, which is the default.
    """
    limits = settings.load("gates") if limits is None else limits
    verdicts = [_explained(facts), _evidence(results, facts, limits["evidence"])]
    if results:
        verdicts += _rules(results, limits["rule"])
        verdicts += _champion(versus, facts, limits["champion"])
        verdicts += _calibration(results, limits["calibration"])
        verdicts += _harm(results.get("harm", ()), limits["harm"])
        verdicts += _groups(results.get("fairness"), facts, limits["groups"])
        verdicts.append(_leak(results, facts))
    return [*verdicts, _reproducible(facts)]


def failed(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """Those that stand against a promotion: failed, or waiting for a signature."""
    return [v for v in verdicts if v.outcome in (FAILED, TO_SIGN)]


def render(verdicts: Sequence[Verdict]) -> str:
    """All gates, a line each."""
    return "\n".join(v.render() for v in verdicts)


def within(gate: str, what: str, value: float | None, band: Sequence[float]) -> Verdict:
    """A figure that must lie in ``band``, ends included."""
    low, high = band
    asked = f"asked: {low:g} to {high:g}"
    if value is None:
        return Verdict(gate, FAILED, f"{what} could not be worked out; {asked}", limit=(low, high))
    gap = _missed_by(low - value, value - high)
    words = f"{what} {value:.3f}; {asked}" + (f"; off by {gap:.3f}" if gap else "")
    return Verdict(gate, FAILED if gap else PASSED, words, value, limit=(low, high), missed_by=gap or None)


def _missed_by(*distances: float) -> float:
    """The largest distance beyond a limit; 0 inside it, and where only the last bit says otherwise."""
    gap = max(distances)
    return gap if gap > 1e-9 else 0.0


# --- each gate -----------------------------------------------------------------------------------------------


def _explained(facts: Facts) -> Verdict:
    """Trees show what simplicity costs; they are not put in use: an officer could not be told the sum of reasons."""
    if facts.additive:
        return Verdict("explained exactly", PASSED, "the score is the sum of its reasons", hard=True)
    words = "the score of this family is not a sum of reasons: it serves as a challenger in reports only"
    return Verdict("explained exactly", FAILED, words, hard=True)


def _evidence(results: Mapping[str, Any] | None, facts: Facts, limits: Mapping[str, Any]) -> Verdict:
    asked = int(limits["dates"])
    dates = max((int(r.get("dates", 0)) for r in _pooled(results or {})), default=0)
    if not dates:
        words = "there was no test on dates the model could not have learnt from"
        return Verdict("tested", FAILED, words, 0.0, limit=(asked,), missed_by=float(asked))
    if dates >= asked:
        return Verdict(
            "tested", PASSED, f"judged at {dates} dates it could not learn from", dates, limit=(asked,)
        )
    words = f"judged at {dates} dates only; {asked} are asked for, and the approver signs for fewer"
    outcome, words = _sign(facts, words)
    return Verdict("tested", outcome, words, dates, limit=(asked,), missed_by=float(asked - dates))


def _sign(facts: Facts, words: str) -> tuple[str, str]:
    return (SIGNED, f"{words}; signed by {facts.by}") if facts.signed else (TO_SIGN, words)


def _pooled(results: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [r for r in results.get("ranking", ()) if r["t"] == "pooled" and r["cohort"] == "all"]


def simple_rules(results: Mapping[str, Any], not_rules: Sequence[str]) -> dict[str, Mapping[str, Any]]:
    """Pooled rows of the simple rules: every score but the model, what it is without a family, and other models."""
    others = {"model", *not_rules, *results.get("others", ())}
    return {
        r["score"]: r
        for r in _pooled(results)
        if r["score"] not in others and not r["score"].startswith(("without ", "m-"))
    }


def _rules(results: Mapping[str, Any], limits: Mapping[str, Any]) -> Iterator[Verdict]:
    """The best rule may be another one in each figure: the model must stand beside both."""
    rules = simple_rules(results, limits["not_rules"])
    above = float(limits["auc_difference_above"])
    best = _best(rules, "auc")
    gap = _difference(results, best, "auc")
    if best is None or gap is None or gap.get("low") is None:
        yield Verdict("beats rules: AUC", FAILED, "no simple rule could be compared", limit=(above,))
    else:
        yield _above("beats rules: AUC", f"AUC against the best rule ({best})", gap, above)
    share = float(limits["capture_share_at_least"])
    best = _best(rules, "capture_1pc")
    mine = next((r["capture_1pc"] for r in _pooled(results) if r["score"] == "model"), None)
    if best is None or mine is None:
        yield Verdict("beats rules: harm", FAILED, "harm captured could not be compared", limit=(share,))
        return
    theirs = float(rules[best]["capture_1pc"])
    needed = share * theirs
    short = _missed_by(needed - mine)
    words = f"harm captured at 1 %: {mine:.3f}, best rule ({best}) {theirs:.3f}; asked: at least {needed:.3f}"
    words += f"; short by {short:.3f}" if short else ""
    outcome = FAILED if short else PASSED
    yield Verdict("beats rules: harm", outcome, words, mine, limit=(needed,), missed_by=short or None)


def _best(rules: Mapping[str, Mapping[str, Any]], figure: str) -> str | None:
    known = {name: float(r[figure]) for name, r in rules.items() if r.get(figure) is not None}
    return max(sorted(known), key=lambda name: known[name]) if known else None


def _difference(results: Mapping[str, Any], rule: str | None, figure: str) -> Mapping[str, Any] | None:
    rows = (r for r in results.get("difference", ()) if r["rule"] == rule and r["figure"] == figure)
    return next(rows, None)


def _above(gate: str, what: str, gap: Mapping[str, Any], above: float) -> Verdict:
    """A paired difference whose whole interval must lie above a limit."""
    value, low, high = gap["difference"], float(gap["low"]), gap["high"]
    short = above - low
    words = f"{what}: {value:+.3f} [{low:+.3f}, {high:+.3f}]; asked: the interval above {above:g}"
    if low > above:
        return Verdict(gate, PASSED, words, value, low, high, (above,))
    return Verdict(gate, FAILED, f"{words}; short by {short:.3f}", value, low, high, (above,), short)


def _champion(versus: Mapping[str, Any] | None, facts: Facts, limits: Mapping[str, Any]) -> Iterator[Verdict]:
    above = float(limits["auc_difference_above"])
    gate = "holds the champion"
    if facts.in_use is None:
        yield Verdict(gate, PASSED, "no champion yet: the rule gates alone")
    elif facts.in_use == facts.version:
        yield Verdict(gate, PASSED, "it is the model in use: approved anew")
    else:
        gap = _difference(versus or {}, "champion", "auc")
        if versus and versus.get("unjudged"):
            words = f"the model in use cannot be judged: {versus['unjudged']} The rule gates alone"
            outcome, words = _sign(facts, words)
            yield Verdict(gate, outcome, words, limit=(above,))
        elif gap is None or gap.get("low") is None:
            why = (versus or {}).get("problem", "it was not compared")
            words = f"against the model in use ({facts.in_use}): {why}"
            yield Verdict(gate, FAILED, words, limit=(above,))
        else:
            yield _above(gate, f"AUC against the model in use ({facts.in_use})", gap, above)


def _calibration(results: Mapping[str, Any], limits: Mapping[str, Any]) -> Iterator[Verdict]:
    rows = [r for r in results.get("probability", ()) if r["t"] == "pooled" and r["cohort"] == "all"]
    mine = [r for r in rows if r.get("score", "model") == "model"]
    yield within("calibration", "slope", mine[0].get("slope") if mine else None, limits["slope"])


def _harm(rows: Rows, limits: Mapping[str, Any]) -> Iterator[Verdict]:
    found = {r["part"]: r for r in rows if r.get("score", "model") == "model"}
    for part, band in limits.items():
        row = found.get(part, {})
        verdict = within(f"harm, {part}", "observed over expected", row.get("observed_over_expected"), band)
        raw = row.get("unwinsorised_over_expected")
        beside = "" if raw is None else f" (unwinsorised {raw:.3f})"
        yield Verdict(**{**asdict(verdict), "words": verdict.words + beside})


def _groups(rows: Rows | None, facts: Facts, limits: Mapping[str, Any]) -> Iterator[Verdict]:
    """Each group whose outcomes are enough; the others in one verdict, for the approver to sign."""
    if not rows:
        yield Verdict("groups", FAILED, "fairness was not measured")
        return
    unsigned = []
    everyone = next((r.get("fnr") for r in rows if r["grouping"] == "everyone"), None)
    for row in rows:
        if row.get("t", "pooled") != "pooled":
            continue
        if row["grouping"] == "everyone":
            continue
        name = f"{row['grouping']}: {row['group']}"
        counted = row.get("serious")  # person-dates; null where withheld: then ``assessable`` alone says
        if not row.get("assessable") or (counted is not None and counted < int(limits["min_serious"])):
            unsigned.append(name)
        else:
            yield _overlap(name, row, limits["observed_over_expected"])
            yield _missed(name, row, float(limits["fnr_ratio_at_most"]), facts, everyone)
    if unsigned:
        words = f"not assessable, fewer than {limits['min_serious']} serious outcomes: {', '.join(unsigned)}"
        yield Verdict("groups, too small", *_sign(facts, words), value=float(len(unsigned)))


def _overlap(name: str, row: Mapping[str, Any], band: Sequence[float]) -> Verdict:
    low, high = row.get("observed_over_expected_low"), row.get("observed_over_expected_high")
    value, limit = row.get("observed_over_expected"), (float(band[0]), float(band[1]))
    gate = f"group {name}"
    asked = f"asked: overlaps {limit[0]:g} to {limit[1]:g}"
    if value is None or low is None or high is None:
        words = f"observed over expected could not be worked out; {asked}"
        return Verdict(gate, FAILED, words, limit=limit)
    gap = _missed_by(limit[0] - high, low - limit[1])
    words = f"observed over expected {value:.2f} [{low:.2f}, {high:.2f}]; {asked}"
    words += f"; off by {gap:.2f}" if gap else ""
    return Verdict(gate, FAILED if gap else PASSED, words, value, low, high, limit, gap or None)


def _missed(name: str, row: Mapping[str, Any], most: float, facts: Facts, everyone: float | None) -> Verdict:
    """Withheld where the list found fewer than ten of a group: it passes if missing all of them would, else waits for
    a signature."""
    value, low, high = row.get("fnr_ratio"), row.get("fnr_ratio_low"), row.get("fnr_ratio_high")
    gate = f"missed, {name}"
    if value is None or low is None or high is None:
        words = "share of serious harm missed not shown, too few persons behind it"
        if everyone and 1.0 / everyone <= most:
            words += f"; all of it missed would be {1.0 / everyone:.2f} times everyone's; asked: not above {most:g}"
            return Verdict(gate, PASSED, words, limit=(most,))
        outcome, words = _sign(facts, words)
        return Verdict(gate, outcome, words, limit=(most,))
    gap = _missed_by(low - most)
    words = f"serious harm missed, against everyone: {value:.2f} [{low:.2f}, {high:.2f}]; asked: not above {most:g}"
    words += f"; over by {gap:.2f}" if gap else ""
    return Verdict(gate, FAILED if gap else PASSED, words, value, low, high, (most,), gap or None)


def _leak(results: Mapping[str, Any], facts: Facts) -> Verdict:
    leak = results.get("leak") or {}
    if not results.get("leak_suspect"):
        return Verdict("no leak", PASSED, "no figure is too good to be honest", leak.get("auc"), hard=True)
    words = leak.get("text") or "AUC above .85 among persons active in the last 365 days"
    if facts.leak_cause.strip() and facts.by.strip():
        words = f"leak-suspect: {words}; cause recorded by {facts.by}: {facts.leak_cause}"
        return Verdict("no leak", SIGNED, words, leak.get("auc"), hard=True)
    words = f"leak-suspect: {words}; a named person must record the cause"
    return Verdict("no leak", FAILED, words, leak.get("auc"), hard=True)


def _reproducible(facts: Facts) -> Verdict:
    if facts.reproduced:
        return Verdict("reproducible", PASSED, facts.reproduction)
    return Verdict("reproducible", FAILED, facts.reproduction or "it was not fitted again to see")
