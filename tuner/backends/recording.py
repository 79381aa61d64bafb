"""A study's finished trials as a recorded grid, to be served again and compared with. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from tuner.backends.replay_table import RecordedTrial, ReplayTable
from tuner.measure.record import StudyRecord, TrialRecord
from tuner.spec.space import Configuration


def recorded_grid(study: StudyRecord) -> ReplayTable:
    """All complete trials of a study, those of a grid and others."""
    passes = passes_of(study.trials)
    return ReplayTable(
        study=study.name,
        specification=study.specification,
        environment=_without_places(study.environment),
        trials=tuple(
            _trial(trial.as_measured, number)
            for trial, number in zip(study.trials, passes, strict=True)
        ),
        failed=len(study.failed),
    )


def passes_of(trials: Sequence[TrialRecord]) -> Iterator[int]:
    """The pass of each trial, from 0.

    Of one that was not measured as part of a grid (a repeated baseline, a sampler's choice), the
    first in which its configuration has no trial yet.
    """
    taken = {(t.configuration, t.grid_pass) for t in trials if t.grid_pass is not None}
    tried: Counter[Configuration] = Counter()
    for trial in trials:
        if trial.grid_pass is not None:
            yield trial.grid_pass
            continue
        while (trial.configuration, tried[trial.configuration]) in taken:
            tried[trial.configuration] += 1
        yield tried[trial.configuration]
        tried[trial.configuration] += 1


def _trial(trial: TrialRecord, pass_number: int) -> RecordedTrial:
    measurement, phases = trial.measurement, dict(trial.phases)
    discarded = phases.pop("first attempt", 0.0)
    assert trial.outcome != "invalid"  # such a trial was told as failed
    deploy, tear_down = phases.pop("deploy", 0.0), phases.get("tear down", 0.0)
    if "stayed" in trial.deployment:
        tear_down = 0.0  # the deployment was left up: that took down its impairment
    return RecordedTrial(
        number=trial.number,
        pass_number=pass_number,
        configuration=trial.configuration,
        outcome=trial.outcome,
        started=trial.started,
        reason=trial.reason,
        metrics={} if measurement is None else measurement.metrics,
        loss=None if measurement is None else measurement.loss,
        verdict="VALID" if measurement is None else measurement.verdict,
        requests=0 if measurement is None else measurement.requests,
        warmup_requests=0 if measurement is None else measurement.warmup_requests,
        window_seconds=0.0 if measurement is None else measurement.window_seconds,
        attempts=trial.attempts,
        cut_short=trial.cut_short,
        stayed=trial.stayed,
        same_as=trial.same_as,
        deploy_seconds=deploy,
        tear_down_seconds=tear_down,
        discarded_seconds=discarded,
        burst_seconds=sum(phases.values()) - tear_down,
    )


def _without_places(environment: Mapping[str, Any]) -> dict[str, Any]:
    """What identifies the kind of host, and not which one it was: no name, no path, no address."""
    kept: dict[str, Any] = _shareable(environment)
    if isinstance(host := kept.get("host"), dict):
        host.pop("name", None)
    return kept


def _shareable(value: Any) -> Any:  # noqa: ANN401 -- any JSON
    if isinstance(value, Mapping):
        return {k: _shareable(v) for k, v in value.items() if not _is_place(v)}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_shareable(v) for v in value if not _is_place(v)]
    return value


def _is_place(value: object) -> bool:
    return isinstance(value, str) and (PurePath(value).is_absolute() or "://" in value)
