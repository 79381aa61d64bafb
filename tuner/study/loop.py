"""The loop of one study: ask, run the trial, tell; start, resume, and end at the budget."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from tuner.backend import Backend
from tuner.deploy.ownership import Owner
from tuner.errors import InputError, TrialFailed, TuneError
from tuner.load.parquet import write_samples
from tuner.load.sender import Progress
from tuner.record import ATTRIBUTE, TrialRecord
from tuner.search.distributions import configuration, distributions
from tuner.search.samplers import SpaceExhausted, make_sampler
from tuner.search.seeds import start_configurations, start_count
from tuner.spec.space import Configuration
from tuner.spec.study import Objective, StudySpec
from tuner.study.storage import ENVIRONMENT, records, samples_directory
from tuner.trial import TrialResult, run_trial

OWNER = "owner"
REASON = "reason"
SEEDED = "seeded"

SERVES = "serves"
"""The constraint that says whether the configuration could serve at all: 1 it could not."""

MOST_FAILURES = 3
"""So many trials in a row that break for reasons of the world end the run."""


@dataclass(frozen=True)
class Started:
    """A trial begins."""

    number: int
    configuration: Configuration


@dataclass(frozen=True)
class Finished:
    """A trial is told to the study."""

    record: TrialRecord


@dataclass(frozen=True)
class Failed:
    """A trial broke; it is told as FAIL and says nothing about its configuration."""

    number: int
    reason: str


Event = Started | Finished | Failed | Progress | str
"""What an observer is told; a plain string is the phase that begins."""


@dataclass(frozen=True)
class Goal:
    """When to stop: complete trials in the study, seconds of all its trials, whichever first."""

    trials: int | None
    seconds: float | None

    def reached(self, trials: int, seconds: float) -> bool:
        return (self.trials is not None and trials >= self.trials) or (
            self.seconds is not None and seconds >= self.seconds
        )


def goal(spec: StudySpec, study: Study, more_trials: int | None, repeats: int) -> Goal:
    """The study's budget; with `more_trials` so many beyond what is there.

    Repeats are queued (`repeat`) before this is called; what was queued earlier runs before them.
    """
    if more_trials is None and not repeats:
        return Goal(spec.budget.trials, spec.budget.seconds)
    queued = len(_waiting(study)) if repeats else 0
    return Goal(len(records(study)) + (more_trials or 0) + queued, None)


def run_study(
    spec: StudySpec,
    study: Study,
    backend: Backend,
    results: Path,
    until: Goal,
    observe: Callable[[Event], None] = lambda _: None,
) -> None:
    """Run trials until `until`, or until every configuration of the space was measured.

    What a killed run left (RUNNING trials, containers) is cleared first. An interrupted trial is
    told FAIL and its configuration is queued again, so that resuming completes the budget with
    the trials that would have been. Raises TuneError after `MOST_FAILURES` broken trials in a row;
    whatever else is raised passes through, with no trial of this run left RUNNING.
    """
    sampler = make_sampler(
        spec.sampler, spec.search_space, spec.seed, startup=start_count(spec.budget.trials)
    )
    study.sampler = sampler
    _seed(spec, study)
    broken: list[Configuration] = []
    with backend.deployer as deployer:
        environment = dict(deployer.environment())
        study.set_user_attr(ENVIRONMENT, environment)
        while True:
            requeue_dead(study)
            done = records(study)
            if until.reached(len(done), sum(r.seconds for r in done)):
                return
            if not _waiting(study) and sampler.unvisited(study) == 0:
                return
            try:
                trial = study.ask(distributions(spec.search_space))
            except SpaceExhausted:
                return
            try:
                trial.set_user_attr(OWNER, str(Owner.this()))
                asked = configuration(spec.search_space, trial.params)
                observe(Started(trial.number, asked))
                result = run_trial(
                    spec, asked, deployer, backend.connect, f"{trial.number:04d}", observe
                )
                record = _record(spec, trial.number, asked, result, done, backend)
                record = _keep_samples(study, record, result, results)
                _tell(study, trial, record, environment)
            except TrialFailed as error:
                broken.append(asked)
                # One that alone broke every time is given up, so that the study can go on without.
                hopeless = len(broken) == MOST_FAILURES and len(set(broken)) == 1
                baseline = asked == spec.search_space.baseline()
                _fail(study, trial, error.message, again=baseline or not hopeless)
                observe(Failed(trial.number, error.message))
                if len(broken) == MOST_FAILURES:
                    raise TuneError(
                        f"{MOST_FAILURES} trials in a row broke; the last: {error.message}",
                        "mend the cause (`tune check` looks for the usual ones), then run again:"
                        " the study goes on where it stopped",
                    ) from error
                continue
            except BaseException as error:
                reason = "interrupted" if isinstance(error, KeyboardInterrupt) else repr(error)
                _fail(study, trial, reason, again=True)
                raise
            broken.clear()
            observe(Finished(record))


def repeat(spec: StudySpec, study: Study, number: int) -> None:
    """Queue the configuration of trial `number` to be measured once more.

    Raises InputError when there is no such complete trial.
    """
    for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        if trial.number == number:
            asked = configuration(spec.search_space, trial.params)
            study.enqueue_trial(dict(asked), user_attrs={"repeat of": number})
            return
    raise InputError(
        f"there is no complete trial {number} in study {spec.name!r}", "see `tune show`"
    )


def requeue_dead(study: Study) -> list[int]:
    """Tell FAIL for RUNNING trials whose process is dead and queue their configurations again.

    Trials of live processes and of other hosts stay. A trial that was killed before it could name
    its owner is dead as soon as this process, started later, has none of its own running.
    """
    cleared = []
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        owner = Owner.parse(trial.user_attrs.get(OWNER, ""))
        nameless = owner is None and _age_seconds(trial) > _NAMELESS_SECONDS
        if nameless or (owner is not None and owner.dead()):
            study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
            _queue_again(study, trial)
            cleared.append(trial.number)
    return cleared


_NAMELESS_SECONDS = 2.0
"""A live process names itself as owner within milliseconds of asking."""


def _age_seconds(trial: FrozenTrial) -> float:
    if trial.datetime_start is None:
        return float("inf")
    return (datetime.now() - trial.datetime_start).total_seconds()  # noqa: DTZ005 -- Optuna's times are local


def _queue_again(study: Study, trial: FrozenTrial) -> None:
    params: Mapping[str, Any] = {**trial.system_attrs.get("fixed_params", {}), **trial.params}
    if params:
        study.enqueue_trial(dict(params), user_attrs={"again": trial.number})


def _waiting(study: Study) -> list[FrozenTrial]:
    return study.get_trials(deepcopy=False, states=(TrialState.WAITING,))


def _seed(spec: StudySpec, study: Study) -> None:
    """Queue the baseline, corners and Sobol points once; safe to be killed in between."""
    if study.user_attrs.get(SEEDED):
        return
    for start in start_configurations(
        spec.search_space, start_count(spec.budget.trials), spec.seed
    ):
        study.enqueue_trial(dict(start), skip_if_exists=True)
    study.set_user_attr(SEEDED, True)


def _record(
    spec: StudySpec,
    number: int,
    asked: Configuration,
    result: TrialResult,
    done: list[TrialRecord],
    backend: Backend,
) -> TrialRecord:
    started = (datetime.now(UTC) - timedelta(seconds=sum(result.phases.values()))).isoformat(
        timespec="seconds"
    )
    if result.infeasible is not None:
        return TrialRecord(
            number=number,
            configuration=asked,
            outcome="infeasible",
            values=imputed(spec.objectives, done),
            imputed=True,
            violations={SERVES: 1.0},
            phases=result.phases,
            started=started,
            reason=result.infeasible.kind,
            detail=result.infeasible.message,
            log_tail=result.infeasible.log_tail,
            backend=backend.name,
        )
    assert result.score is not None
    return TrialRecord(
        number=number,
        configuration=asked,
        outcome="measured",
        values=result.score.values,
        violations={**result.score.violations, SERVES: -1.0},
        phases=result.phases,
        started=started,
        measurement=result.measurement,
        deployment=result.deployment,
        impairment=result.impairment,
        backend=backend.name,
    )


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


_WORST_UNSEEN = 1000.0
"""Stands for the worst of any metric while nothing was measured yet."""


def _keep_samples(
    study: Study, record: TrialRecord, result: TrialResult, results: Path
) -> TrialRecord:
    if result.burst is None:
        return record
    directory = samples_directory(study, results)
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"trial-{record.number:04d}.parquet"
    write_samples(path, result.burst)
    return replace(record, samples=str(path.relative_to(results)))


def _tell(study: Study, trial: Trial, record: TrialRecord, environment: Mapping[str, Any]) -> None:
    """Store everything, then tell the values: a trial is complete only when its record is."""
    trial.set_user_attr(ATTRIBUTE, record.to_json())
    trial.set_user_attr(ENVIRONMENT, dict(environment))
    trial.set_user_attr("outcome", record.reason or record.outcome)
    trial.set_user_attr("backend", record.backend)
    if record.imputed:
        trial.set_user_attr("imputed", "objective values are stand-ins, not measurements")
    if record.measurement is not None:
        trial.set_user_attr("verdict", record.measurement.verdict)
        for name, estimate in record.measurement.metrics.items():
            trial.set_user_attr(name, estimate.value)
    for text, violation in record.violations.items():
        trial.set_constraint(text, violation)
    study.tell(trial, list(record.values))


def _fail(study: Study, trial: Trial, reason: str, *, again: bool) -> None:
    if study.get_trials(deepcopy=False)[trial.number].state.is_finished():
        return  # interrupted just after it was told
    trial.set_user_attr(REASON, reason)
    study.tell(trial, state=TrialState.FAIL)
    if again:
        frozen = study.get_trials(deepcopy=False)[trial.number]
        _queue_again(study, frozen)
