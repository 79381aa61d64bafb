"""Everything that is known of one measurement: `tune show --study S N`, and part of `measure`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.markup import escape
from rich.padding import Padding

from tuner.cli.tables import console, plain, warn_if_simulated
from tuner.measure.measurement import Estimate, Measurement
from tuner.measure.record import FailedTrial, StudyRecord, TrialRecord
from tuner.results.told import measurement_doubts, trial_doubts, why_proposed
from tuner.results.wording import figure
from tuner.spec.metrics import METRICS


def show_trial(study: StudyRecord, trial: TrialRecord) -> None:
    """Everything that the record of one trial says."""
    warn_if_simulated(study)
    console.print(
        f"Trial {trial.number} of study {study.name}, started {trial.started},"
        f" {trial.outcome} ({trial.backend})"
    )
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
    for text in (*trial_doubts(study, trial), *why_proposed(study, trial)):
        console.print(escape(text))
    console.print(phases(trial.phases))
    show_network(trial.impairment)
    show_deployment(trial.deployment)
    if trial.grid_pass is not None:
        console.print(f"Of pass {trial.grid_pass} through the full grid")
    if trial.samples:
        console.print(f"Requests: {trial.samples} in the study's results directory")


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
        interval = f"{figure(found.low or 0)} to {figure(found.high or 0)}" if bounded else ""
        metrics.add_row(name, figure(found.value), interval, metric.unit, metric.description)
    console.print(metrics)
    if len(measured.replicas) > 1:
        show_replicas(measured.replicas)
    saved = f", {measured.saved_seconds:.1f} s before its cap" if measured.saved_seconds else ""
    console.print(
        f"{measured.verdict}: {measured.requests} requests in"
        f" {measured.window_seconds:.1f} s after {measured.warmup_requests} of warm-up;"
        f" the window ended{saved}: {escape(measured.stop_reason)}"
    )
    for text in measurement_doubts(measured):
        console.print(f"  {escape(text)}")
    if measured.source:
        console.print(f"Counters: {measured.source}. Load engine: {facts(measured.client)}")


def show_replicas(replicas: Sequence[Mapping[str, float]]) -> None:
    """A column per replica with what it has of its own."""
    table = plain("replica", *map(str, range(len(replicas))), "unit")
    for name, metric in METRICS.items():
        if any(name in replica for replica in replicas):
            cells = (figure(replica[name]) if name in replica else "-" for replica in replicas)
            table.add_row(name, *cells, metric.unit)
    console.print(table)


def show_deployment(deployment: Mapping[str, Any]) -> None:
    """What was deployed, as it was read back: addresses, limits, where its counters are."""
    if not deployment:
        return
    table = plain("deployment", "")
    for name, value in deployment.items():
        table.add_row(escape(name), escape(_fact(value)))
    console.print(table)


def _fact(value: Any) -> str:  # noqa: ANN401 -- any JSON
    match value:
        case Mapping():
            return ", ".join(f"{name} {_within(part)}" for name, part in value.items()) or "none"
        case list() | tuple():
            return "; ".join(map(_fact, value)) or "none"
        case None:
            return "none"
        case float():
            return f"{value:g}"
    return str(value)


def _within(value: Any) -> str:  # noqa: ANN401 -- any JSON
    return f"({_fact(value)})" if isinstance(value, Mapping) else _fact(value)


def show_network(impairment: Mapping[str, Any]) -> None:
    """What was done to the network, and the counters that prove it."""
    asked = {name: value for name, value in impairment.get("asked", {}).items() if value}
    if asked:
        console.print(f"Asked of the network: {facts(asked)}")
    rules: Sequence[Mapping[str, Any]] = impairment.get("rules", ())
    if not rules:
        return
    console.print(f"Network: {impairment['method']}")
    for key in ("where", "offloads"):
        if impairment.get(key):
            console.print(f"  {key}: {escape(_fact(impairment[key]))}")
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
