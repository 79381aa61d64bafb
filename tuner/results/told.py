"""What is said of a trial in plain words, by whoever shows it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tuner.measure.link import interval_around
from tuner.measure.measurement import Estimate, Measurement, Z
from tuner.measure.record import StudyRecord, TrialRecord
from tuner.results.wording import counted, figure, interval
from tuner.spec.metrics import title


def why_proposed(study: StudyRecord, trial: TrialRecord) -> Iterator[str]:
    """Why a trial was proposed and what was predicted of it, and what the search saved on it."""
    why = trial.why
    if reason := why.get("reason"):
        yield f"Why it was proposed: {reason}."
    if predicted := _predicted(study, why):
        yield predicted
    if trial.stayed:
        since = str(trial.deployment.get("since", ""))
        label = f" of trial {int(since)}" if since.isdecimal() else " of an earlier trial"
        yield f"It stayed on the deployment{label}: nothing was deployed for it."
    if trial.same_as is not None:
        yield f"It was not tried: its deployment is that of trial {trial.same_as}."
    if trial.cut_short:
        saved = trial.measurement.saved_seconds if trial.measurement else 0.0
        yield f"Cut short, so on no front: {trial.cut_short}" + (
            f" (saved up to {saved:.1f} s)" if saved else ""
        )


def _predicted(study: StudyRecord, why: Mapping[str, Any]) -> str:
    means, sds = why.get("mean"), why.get("sd")
    if not means or not sds:
        return ""
    parts = [
        f"{title(o.metric)} {interval(interval_around(o.metric, mean, Z * sd))}"
        for o, mean, sd in zip(study.objectives, means, sds, strict=True)
    ]
    feasible, worth = why.get("feasible"), why.get("acquisition")
    able = "" if feasible is None else f"; P(feasible) {feasible:.2f}"
    gain = "" if worth is None else f"; acquisition {figure(worth)}"
    return f"Predicted then, with 95 % intervals: {', '.join(parts)}{able}{gain}"


def measurement_doubts(measured: Measurement) -> Iterator[str]:
    """Each finding with its remedy, and the requests that failed."""
    for finding in measured.findings:
        yield f"{finding.verdict}: {finding.what}. {finding.remedy}"
    if measured.errors:
        listed = ", ".join(f"{count} {name}" for name, count in measured.errors.items())
        yield f"Requests that did not succeed: {listed}"


def host_told(trial: TrialRecord) -> Iterator[tuple[str, str]]:
    """That a trial was measured on another kind of host than its study is stated for."""
    measured = trial.as_measured.measurement
    if not trial.host_effects or measured is None:
        return
    yield "kind of host", f"{trial.host_kind}; values are stated for that of the study"
    known = {n: e for n, e in measured.metrics.items() if n in ("art_ms", "cpu_percent")}
    there = ", ".join(f"{title(name)} {interval(e)}" for name, e in known.items())
    yield "as measured there", there


def loss_told(trial: TrialRecord) -> Iterator[tuple[str, str]]:
    """What lost packets have to do with the values of a trial: a name and what is said of it."""
    stated, measured = trial.stated, trial.as_measured.measurement
    if stated is None or measured is None or measured.loss is None:
        return
    if (network := stated.network) is None:
        yield "lost packets", f"this burst alone says what they cost: {stated.alone}"
        return
    added = interval(_around(network.mean_ms, network.error_ms))
    share = interval(_around(100 * network.share, 100 * network.share_error))
    delay = interval(_around(network.delay_ms, network.delay_error_ms))
    yield "ART without lost packets", f"{interval(measured.loss.undelayed_ms)} ms"
    bursts = counted(network.bursts, "burst")
    says = f"they add {added} ms: {share} % of the requests take {delay} ms longer"
    yield "lost packets", f"{says} ({bursts} of this network)"
    yield "this burst alone", f"ART {interval(measured.metrics['art_ms'])} ms; not used"


def _around(value: float, error: float) -> Estimate:
    return Estimate(value, max(0.0, value - Z * error), value + Z * error)


def trial_doubts(study: StudyRecord, trial: TrialRecord) -> Iterator[str]:
    """What else to be careful with."""
    if trial.attempts > 1:
        reasons = "; ".join(f"{f.verdict}: {f.what}" for f in trial.discarded)
        yield f"It was measured twice; the first time did not count: {reasons}"
    if trial.outcome == "invalid":
        yield "INVALID both times, so it was told as failed and is on no front."
    if drift := study.drift(trial):
        yield f"The host had drifted: {drift.what}"
    for text, violation in trial.violations.items():
        if violation > 0 and not trial.imputed:
            yield f"Constraint broken: {text} (by {figure(violation)})"
