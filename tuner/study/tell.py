"""From what a trial found to its record, and the record to Optuna's storage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from tuner.load.parquet import write_samples
from tuner.measure.record import ATTRIBUTE, TrialRecord
from tuner.model.observations import OBSERVED, SERVES, WHY, Noise
from tuner.search.make_sampler import UNTRUSTED
from tuner.spec.space import Configuration
from tuner.spec.study import Objective, StudySpec
from tuner.study.grid import PASS
from tuner.study.queue import queue_again
from tuner.study.storage import ENVIRONMENT, REASON, samples_directory
from tuner.trial import TrialResult

_WORST_UNSEEN = 1000.0
"""Stands for the worst of any metric while nothing was measured yet."""


def made(
    spec: StudySpec,
    trial: FrozenTrial,
    asked: Configuration,
    result: TrialResult,
    first: TrialResult | None,
    done: list[TrialRecord],
    backend: str,
) -> TrialRecord:
    """The record of a trial; `first` is the measurement that was discarded before `result`."""
    attributes = trial.user_attrs
    phases = dict(result.phases)
    if first is not None:
        phases = {"first attempt": sum(first.phases.values()), **phases}
    record = TrialRecord(
        number=trial.number,
        configuration=asked,
        outcome="measured",
        values=(),
        violations={},
        phases=phases,
        started=(datetime.now(UTC) - timedelta(seconds=sum(phases.values()))).isoformat(
            timespec="seconds"
        ),
        backend=backend,
        attempts=1 if first is None else 2,
        discarded=first.measurement.findings if first and first.measurement else (),
        deployment=result.deployment,
        cut_short=result.cut_short,
        grid_pass=attributes.get(PASS),
        why=attributes.get(WHY, {}),
    )
    if result.infeasible is not None:
        return replace(
            record,
            outcome="infeasible",
            values=imputed(spec.objectives, done),
            imputed=True,
            violations={SERVES: 1.0},
            reason=result.infeasible.kind,
            detail=result.infeasible.message,
            log_tail=result.infeasible.log_tail,
        )
    assert result.score is not None
    return replace(
        record,
        outcome="invalid" if result.invalid else "measured",
        reason=invalidities(result),
        values=result.score.values,
        violations={**result.score.violations, SERVES: -1.0},
        measurement=result.measurement,
        impairment=result.impairment,
        log_tail=result.log_tail,
    )


def noise(spec: StudySpec, record: TrialRecord) -> Noise:
    """What a sampler wants to know beside the values."""
    bursts = {name: s for name, s in record.phases.items() if name != "first attempt"}
    metrics = (o.metric for o in spec.objectives)
    return Noise(
        relative_sd=tuple(e.relative_error if e else None for e in map(record.metric, metrics)),
        cut_short=bool(record.cut_short),
        imputed=record.imputed,
        deploy_seconds=round(record.deploy_seconds, 4),
        burst_seconds=round(max(0.0, sum(bursts.values()) - record.deploy_seconds), 4),
    )


def shared(
    spec: StudySpec,
    trial: FrozenTrial,
    asked: Configuration,
    end: TrialRecord,
    done: list[TrialRecord],
) -> TrialRecord:
    """The record of a trial that was not tried: its deployment is that of `end`, and never came up.

    What it says in place of values are stand-ins, as those of `end` are.
    """
    return replace(
        end,
        number=trial.number,
        configuration=asked,
        values=imputed(spec.objectives, done),
        phases={},
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        detail=f"not tried: in trial {end.number} the same deployment never came up, which no"
        f" scenario changes; {end.detail}",
        deployment={},
        grid_pass=trial.user_attrs.get(PASS),
        same_as=end.number,
        why={},
    )


def invalidities(result: TrialResult) -> str:
    """Why a measurement is INVALID, in words; empty where it is not."""
    found = result.measurement.findings if result.measurement else ()
    return "; ".join(f.what for f in found if f.verdict == "INVALID")


def imputed(objectives: tuple[Objective, ...], done: list[TrialRecord]) -> tuple[float, ...]:
    """Finite stand-ins for an infeasible trial's objectives: the worst that was measured so far.

    Finite, because a sampler that is told nothing proposes the same again; the worst seen rather
    than a huge number, because an outlier would bend every model of the objective.
    """
    found = []
    for index, objective in enumerate(objectives):
        values = [r.values[index] for r in done if r.outcome == "measured"]
        minimise = objective.direction == "minimize"
        if values:
            found.append(max(values) if minimise else min(values))
        else:
            found.append(_WORST_UNSEEN if minimise else 1 / _WORST_UNSEEN)
    return tuple(found)


def keep_samples(
    study: Study, record: TrialRecord, result: TrialResult, results: Path
) -> TrialRecord:
    if result.burst is None:
        return record
    directory = samples_directory(study, results)
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"trial-{record.number:04d}.parquet"
    write_samples(path, result.burst)
    return replace(record, samples=str(path.relative_to(results)))


def tell(
    spec: StudySpec,
    study: Study,
    trial: Trial,
    record: TrialRecord,
    environment: Mapping[str, Any],
) -> None:
    """Store everything, then tell the values: a trial is complete only when its record is.

    An invalid one is told FAIL: its record is for people, not for a front or a sampler. It is not
    queued again, unless it is the baseline, which a study needs.
    """
    trial.set_user_attr(ATTRIBUTE, record.to_json())
    trial.set_user_attr(ENVIRONMENT, dict(environment))
    trial.set_user_attr("outcome", record.reason or record.outcome)
    trial.set_user_attr("backend", record.backend)
    trial.set_user_attr(OBSERVED, noise(spec, record).to_json())
    if record.imputed:
        trial.set_user_attr("imputed", "objective values are stand-ins, not measurements")
    if record.measurement is not None:
        trial.set_user_attr("verdict", record.measurement.verdict)
        for name, estimate in record.measurement.metrics.items():
            trial.set_user_attr(name, estimate.value)
            if estimate.low is not None and estimate.high is not None:
                trial.set_user_attr(f"{name} 95 %", [estimate.low, estimate.high])
    if record.outcome == "invalid":
        trial.set_user_attr(UNTRUSTED, True)
        again = record.configuration == spec.search_space.baseline()
        fail(study, trial, f"INVALID twice: {record.reason}", again=again)
        return
    for text, violation in record.violations.items():
        trial.set_constraint(text, violation)
    study.tell(trial, list(record.values))


def fail(study: Study, trial: Trial, reason: str, *, again: bool) -> None:
    if study.get_trials(deepcopy=False)[trial.number].state.is_finished():
        return  # interrupted just after it was told
    trial.set_user_attr(REASON, reason)
    study.tell(trial, state=TrialState.FAIL)
    if again:
        frozen = study.get_trials(deepcopy=False)[trial.number]
        queue_again(study, frozen)
