"""What of a trial's record is shown beside its parameters: short texts and numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tuner.measure.record import TrialRecord
from tuner.model.observations import SERVES
from tuner.results.wording import figure, interval
from tuner.spec.metrics import METRICS, title

Attributes = dict[str, str | float]

_BACKENDS = {
    "simulated": "simulated: computed by a queueing model, not measured",
    "replay": "replay: recorded before, nothing was run for it",
}


def attributes(record: TrialRecord, objectives: tuple[str, ...]) -> Attributes:
    """The trial's attributes by name, in reading order: first what happened, last every metric.

    The summary states `objectives` with their intervals. Its sentences are short, because the
    dashboard breaks no lines.
    """
    by_name: Attributes = {"summary": "; ".join(_summary(record, objectives))}
    texts = {
        "constraints": "; ".join(_constraints(record)),
        "doubts": " ".join(_doubts(record)),
        "why it was proposed": str(record.why.get("reason", "")),
        "deployment": _deployment(record),
        "time": _time(record.phases),
        "backend": _BACKENDS.get(record.backend, record.backend),
    }
    by_name |= {name: text for name, text in texts.items() if text}
    if record.measurement is not None:
        for metric in METRICS:
            if (estimate := record.metric(metric)) is not None:
                # More digits than are known make a table of many columns unreadable.
                by_name[title(metric)] = float(f"{estimate.value:.4g}")
    return by_name


def _summary(record: TrialRecord, objectives: tuple[str, ...]) -> Iterator[str]:
    if record.outcome == "infeasible":
        yield f"infeasible, {record.reason}: {record.detail}"
        yield "nothing was measured, so it has no values and is shown as pruned"
        return
    estimates = [(title(m), e) for m in objectives if (e := record.metric(m)) is not None]
    yield ", ".join(f"{name} {interval(estimate)}" for name, estimate in estimates)
    for text, violation in record.violations.items():
        if violation > 0:
            yield f"infeasible, breaks {text}"
    if record.cut_short:
        yield f"cut short, so on no front: {record.cut_short}"
    if record.measurement is not None:
        yield record.measurement.verdict


def _constraints(record: TrialRecord) -> Iterator[str]:
    for text, violation in record.violations.items():
        if text != SERVES:
            yield f"{text} {f'is broken by {figure(violation)}' if violation > 0 else 'holds'}"


def _doubts(record: TrialRecord) -> Iterator[str]:
    if record.measurement is not None:
        for finding in record.measurement.findings:
            yield f"{finding.verdict}: {finding.what}. {finding.remedy}"
    if record.attempts > 1:
        yield f"It was measured {record.attempts} times; the first time did not count."


def _deployment(record: TrialRecord) -> str:
    if record.same_as is not None:
        return f"not tried: its deployment is that of trial {record.same_as}"
    if not record.stayed:
        return "fresh"
    since = str(record.deployment.get("since", ""))
    return f"stayed up since trial {int(since)}" if since.isdecimal() else "stayed up"


def _time(phases: Mapping[str, float]) -> str:
    if not phases:
        return ""
    parts = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in phases.items())
    return f"{parts}; together {sum(phases.values()):.2f} s"
