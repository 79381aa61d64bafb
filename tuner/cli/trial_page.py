"""Everything that is known of one measurement: `tune show --study S N`, and part of `measure`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.markup import escape
from rich.padding import Padding

from tuner.cli.tables import console, number, plain, title, warn_if_simulated
from tuner.measure.measurement import Estimate, Measurement
from tuner.record import FailedTrial, StudyRecord, TrialRecord
from tuner.spec.metrics import METRICS

_REPLICA_METRICS = (
    "throughput_rps",
    "art_ms",
    "cpu_cores",
    "throttled_percent",
    "memory_peak_mib",
    "retransmitted_percent",
)


def show_trial(study: StudyRecord, trial: TrialRecord) -> None:
    """Everything that the record of one trial says."""
    warn_if_simulated(study)
    console.print(f"Trial {trial.number} of study {study.name}, started {trial.started}")
    configuration = plain("parameter", "value", "role")
    for name, value in trial.configuration.items():
        parameter = study.search_space[name]
        text = f"{value:g}" if isinstance(value, float) else str(value)
        configuration.add_row(parameter.name, f"{text} {parameter.unit}".strip(), parameter.role)
    console.print(configuration)
    if trial.measurement is None:
        _show_infeasible(trial)
    else:
        stated = {o.metric: study.estimate(trial, o.metric) for o in study.objectives}
        show_measurement(trial.measurement, stated)
    if trial.attempts > 1:
        console.print("It was measured twice; the first time did not count:")
        for finding in trial.discarded:
            console.print(f"  {finding.verdict}: {escape(finding.what)}")
    if trial.outcome == "invalid":
        console.print("INVALID both times, so it was told as failed and is on no front.")
    if drift := study.drift(trial):
        console.print(f"The host had drifted: {escape(drift.what)}")
    for text, violation in trial.violations.items():
        if violation > 0 and not trial.imputed:
            console.print(f"Constraint broken: {escape(text)} (by {number(violation)})")
    _show_search(study, trial)
    console.print(phases(trial.phases))
    show_network(trial.impairment)
    if trial.samples:
        console.print(f"Requests: {trial.samples} in the study's results directory")


def _show_search(study: StudyRecord, trial: TrialRecord) -> None:
    """Why it was proposed, and what the search saved on it."""
    why = trial.why
    if reason := why.get("reason"):
        console.print(f"Why it was proposed: {escape(str(reason))}")
    means, sds = why.get("mean"), why.get("sd")
    if means and sds:
        parts = [
            f"{title(o.metric)} {number(mean)} ± {100 * sd:.0f} %"
            for o, mean, sd in zip(study.objectives, means, sds, strict=True)
        ]
        able = "" if why.get("feasible") is None else f"; P(feasible) {why['feasible']:.2f}"
        worth = why.get("acquisition")
        gain = "" if worth is None else f"; acquisition {number(worth)}"
        console.print(f"  predicted then (standard deviation): {', '.join(parts)}{able}{gain}")
    if trial.stayed:
        since = str(trial.deployment.get("since", ""))
        label = f" of trial {int(since)}" if since.isdecimal() else " of an earlier trial"
        console.print(f"It stayed on the deployment{label}: nothing was deployed for it.")
    if trial.same_as is not None:
        console.print(f"It was not tried: its deployment is that of trial {trial.same_as}.")
    if trial.cut_short:
        saved = trial.measurement.saved_seconds if trial.measurement else 0.0
        console.print(
            f"Cut short, so on no front: {escape(trial.cut_short)}"
            + (f" (saved up to {saved:.1f} s)" if saved else "")
        )


def show_failed(study: StudyRecord, trial: FailedTrial) -> None:
    """A trial that says nothing about its configuration, with its record where it has one."""
    console.print(
        f"Trial {trial.number} of study {study.name} failed: {escape(trial.reason)}\n"
        f"Configuration: {trial.configuration}"
    )
    if trial.record is not None:
        show_trial(study, trial.record)


def phases(seconds: Mapping[str, float]) -> str:
    """Where a trial's time went."""
    whole = sum(seconds.values())
    parts = ", ".join(f"{name} {s:.2f} s" for name, s in seconds.items())
    return f"Time: {parts}; together {whole:.2f} s"


def show_measurement(measured: Measurement, stated: Mapping[str, Estimate | None]) -> None:
    """Metrics, replicas, verdict with reasons and remedies.

    `stated` holds what is stated of a metric where that is more than the burst's own interval.
    """
    metrics = plain("metric", "value", "95 % interval", "unit", "meaning")
    for name, metric in METRICS.items():
        found = stated.get(name) or measured.metrics.get(name)
        if found is None:
            continue
        bounded = found.low is not None and found.high is not None
        interval = f"{number(found.low or 0)} to {number(found.high or 0)}" if bounded else ""
        metrics.add_row(name, number(found.value), interval, metric.unit, metric.description)
    console.print(metrics)
    if len(measured.replicas) > 1:
        show_replicas(measured.replicas)
    saved = f", {measured.saved_seconds:.1f} s before its cap" if measured.saved_seconds else ""
    console.print(
        f"{measured.verdict}: {measured.requests} requests in"
        f" {measured.window_seconds:.1f} s after {measured.warmup_requests} of warm-up;"
        f" the window ended{saved}: {escape(measured.stop_reason)}"
    )
    for finding in measured.findings:
        console.print(f"  {finding.verdict}: {escape(finding.what)}. {escape(finding.remedy)}")
    if measured.errors:
        listed = ", ".join(f"{count} {name}" for name, count in measured.errors.items())
        console.print(f"Requests that did not succeed: {listed}")
    if measured.source:
        console.print(f"Counters: {measured.source}. Load engine: {facts(measured.client)}")


def show_replicas(replicas: Sequence[Mapping[str, float]]) -> None:
    """A row per replica with what it has of its own."""
    names = [n for n in _REPLICA_METRICS if any(n in replica for replica in replicas)]
    table = plain("replica", *(f"{METRICS[n].label} {METRICS[n].unit}".strip() for n in names))
    for index, replica in enumerate(replicas):
        cells = (number(replica[n]) if n in replica else "-" for n in names)
        table.add_row(str(index), *cells)
    console.print(table)


def show_network(impairment: Mapping[str, Any]) -> None:
    """What was done to the network, and the counters that prove it."""
    rules: Sequence[Mapping[str, Any]] = impairment.get("rules", ())
    if not rules:
        return
    console.print(f"Network: {impairment['method']}")
    for rule in rules:
        packets, dropped = int(rule["packets"]), int(rule["dropped"])
        share = f" ({100 * dropped / packets:.2f} %)" if packets else ""
        console.print(
            f"  replica {rule['replica']} {rule['direction']}: dropped {dropped}"
            f" of {packets} packets{share}"
        )


def facts(of: Mapping[str, Any]) -> str:
    """A mapping in one line."""
    return ", ".join(f"{name} {value}" for name, value in of.items()) or "no facts"


def _show_infeasible(trial: TrialRecord) -> None:
    console.print(f"Infeasible, {trial.reason}: {escape(trial.detail)}")
    if trial.log_tail:
        console.print("Last lines of the container's log:")
        console.print(Padding(escape(trial.log_tail.rstrip()), (0, 4)))
