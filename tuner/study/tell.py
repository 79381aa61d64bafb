"""From what a trial measured to its record, and the record to Optuna's storage."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.storages._rdb.storage import _create_scoped_session
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from tuner.backends.backend import Attempts
from tuner.deploy.ownership import Owner
from tuner.load.parquet import write_samples
from tuner.measure.record import ATTRIBUTE, TrialRecord
from tuner.model.observations import SERVES
from tuner.search.make_sampler import OWNER, UNTRUSTED, WHY
from tuner.spec.study import Objective, StudySpec
from tuner.study.alike import environments_of, refuse_unlike
from tuner.study.database_server import through_restarts
from tuner.study.heartbeat import database_server_of, lost_trials
from tuner.study.locks import study_lock, uncached
from tuner.study.queue import NextTrial, queue_again
from tuner.study.storage import (
    ENVIRONMENT_OF,
    LOST,
    OUTCOME,
    PASS,
    REASON,
    VERDICT,
    samples_directory,
)
from tuner.trial import TrialResult

_WORST_UNSEEN = 1000.0
"""Stands for the worst value of any metric while nothing was measured yet."""

NAMELESS_SECONDS = 2.0
"""A live process of an earlier version names itself as owner within milliseconds of asking."""


_log = logging.getLogger(__name__)

_untold: set[tuple[str, int]] = set()
"""Study and id of trials that this process gave up and could not tell, as the storage was away. A
process that lives on (a notebook) must not take them for trials that it still measures."""


@dataclass(frozen=True)
class Run:
    """What all trials of one run of a study have in common.

    `results` is the directory of the study's results. `backend` is the name of the backend.
    `environment` is the key of this run's environment in the study, `host_kind` what kind of host
    it has. `host_cpus` is the number of CPUs that serve.
    """

    spec: StudySpec
    study: Study
    results: Path
    backend: str
    environment: str
    host_kind: str
    host_cpus: int


def measured_record(run: Run, next_trial: NextTrial, attempts: Attempts) -> TrialRecord:
    """The record of a trial that was measured."""
    trial, result, first = next_trial.trial, attempts.result, attempts.discarded
    attributes = trial.user_attrs
    phases = dict(result.phases)
    if first is not None:
        phases = {"first attempt": sum(first.phases.values()), **phases}
    record = TrialRecord(
        number=trial.number,
        configuration=next_trial.configuration,
        outcome="measured",
        values=(),
        violations={},
        phases=phases,
        started=(datetime.now(UTC) - timedelta(seconds=sum(phases.values()))).isoformat(
            timespec="seconds"
        ),
        backend=run.backend,
        attempts=1 if first is None else 2,
        discarded=first.measurement.findings if first and first.measurement else (),
        deployment=result.deployment,
        cut_short=result.cut_short,
        grid_pass=attributes.get(PASS),
        why=attributes.get(WHY, {}),
        environment=run.environment,
        host_kind=run.host_kind,
    )
    if result.infeasible is not None:
        return replace(
            record,
            outcome="infeasible",
            values=imputed(run.spec.objectives, next_trial.done),
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
        reason=result.invalidities,
        values=result.score.values,
        violations={**result.score.violations, SERVES: -1.0},
        measurement=result.measurement,
        impairment=result.impairment,
        log_tail=result.log_tail,
    )


def untried_record(run: Run, next_trial: NextTrial, end: TrialRecord) -> TrialRecord:
    """The record of a trial that was not tried: its deployment is that of `end`, and never came up.

    What it says in place of values are stand-ins, as those of `end` are.
    """
    return replace(
        end,
        number=next_trial.trial.number,
        configuration=next_trial.configuration,
        values=imputed(run.spec.objectives, next_trial.done),
        phases={},
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        detail=f"not tried: in trial {end.number} the same deployment never came up, which no"
        f" scenario changes; {end.detail}",
        deployment={},
        grid_pass=next_trial.trial.user_attrs.get(PASS),
        same_as=end.number,
        why={},
        environment=run.environment,
        host_kind=run.host_kind,
    )


def imputed(objectives: Sequence[Objective], done: Sequence[TrialRecord]) -> tuple[float, ...]:
    """Stand-ins for the objectives of an infeasible trial: the worst values measured so far.

    Without a value a sampler would propose the same again. A huge value would be an outlier that
    bends every model of the objective.
    """
    worst = []
    for index, objective in enumerate(objectives):
        values = [r.values[index] for r in done if r.outcome == "measured"]
        minimise = objective.direction == "minimize"
        if values:
            worst.append(max(values) if minimise else min(values))
        else:
            worst.append(_WORST_UNSEEN if minimise else 1 / _WORST_UNSEEN)
    return tuple(worst)


def keep_samples(run: Run, record: TrialRecord, result: TrialResult) -> TrialRecord:
    """Write the samples of the trial's burst to a file of its own; the record that names it."""
    if result.burst is None:
        return record
    directory = samples_directory(run.study, run.results)
    path = directory / f"trial-{record.number:04d}.parquet"
    write_samples(path, result.burst)
    return replace(record, samples=str(path.relative_to(run.results)))


def drop_samples(run: Run, record: TrialRecord) -> None:
    """Remove the samples of a trial that does not count: no record in the storage names them."""
    if record.samples:
        (run.results / record.samples).unlink(missing_ok=True)


def tell(spec: StudySpec, study: Study, trial: Trial | FrozenTrial, record: TrialRecord) -> bool:
    """Store the record in one transaction, then tell Optuna the values; also twice.

    Returns False where the record does not count, as another worker has taken the trial away.

    A process may be killed in between; `clear_dead` then tells the values later. Beside the record
    stand the outcome, the verdict and the constraints, for those who read the study with Optuna
    alone. An invalid trial is told as failed: its record is for people, not for a front or a
    sampler. It is not queued again, unless it is the baseline, which a study needs.
    """
    through_restarts(partial(_tell_alike, spec, study, trial, record))
    lost = database_server_of(study) is not None and _is_lost(
        study.get_trials(deepcopy=False)[trial.number]
    )
    if lost:
        _log.warning(
            "tune: trial %d went to another worker, as nothing was heard from this one for too"
            " long; what was measured here does not count",
            trial.number,
        )
    return not lost


def _tell_alike(
    spec: StudySpec, study: Study, trial: Trial | FrozenTrial, record: TrialRecord
) -> None:
    """As `_tell`. The first trials of two runs may have begun before either could be seen."""
    if not record.environment or record.environment in environments_of(study):
        _tell(spec, study, trial, record)
        return
    with study_lock(study):
        environment = study.user_attrs.get(ENVIRONMENT_OF + record.environment, {})
        refuse_unlike(spec, study, environment)
        _tell(spec, study, trial, record)


def _tell(spec: StudySpec, study: Study, trial: Trial | FrozenTrial, record: TrialRecord) -> None:
    if _is_finished(study, trial):
        return
    attributes: dict[str, Any] = {
        ATTRIBUTE: record.to_json(),
        OUTCOME: record.reason or record.outcome,
    }
    if record.measurement is not None:
        attributes[VERDICT] = record.measurement.verdict
    # Another worker may end the trial at any moment, where it did not hear from this one.
    with suppress(UpdateFinishedTrialError):
        if record.outcome == "invalid":
            attributes |= {UNTRUSTED: True, REASON: f"INVALID twice: {record.reason}"}
            write_attributes(study, trial, attributes)
            again = record.configuration == spec.search_space.baseline()
            _end_failed(study, trial, again=again)
            return
        write_attributes(study, trial, attributes, record.violations)
        study.tell(trial.number, list(record.values), skip_if_finished=True)


def fail(
    study: Study,
    trial: Trial,
    reason: str,
    *,
    again: bool,
    marks: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """Tell Optuna that a trial failed, with attributes (`marks`) that say more than the reason;
    `again` queues its configuration once more.
    """
    attributes = {**marks, REASON: reason}
    try:
        through_restarts(partial(_fail, study, trial, attributes, again=again))
    except BaseException:
        _untold.add((study.study_name, trial._trial_id))  # noqa: SLF001 -- Optuna's own key
        raise


def _fail(study: Study, trial: Trial, attributes: Mapping[str, Any], *, again: bool) -> None:
    # Where others may take the trial away, only one queues it again.
    with nullcontext() if database_server_of(study) is None else study_lock(study):
        if _is_finished(study, trial):
            return  # interrupted just after it was told, or another worker has it now
        write_attributes(study, trial, attributes)
        _end_failed(study, trial, again=again)


def _is_finished(study: Study, trial: Trial | FrozenTrial) -> bool:
    return study.get_trials(deepcopy=False)[trial.number].state.is_finished()


def _end_failed(study: Study, trial: Trial | FrozenTrial, *, again: bool) -> None:
    if again:  # first: what is killed in between is lost otherwise
        queue_again(study, study.get_trials(deepcopy=False)[trial.number])
    study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)


def clear_dead(spec: StudySpec, study: Study) -> list[int]:
    """End RUNNING trials whose process is dead, and return their numbers. Within `study_lock`.

    A trial that has its record is told. Any other is told as failed, and its configuration is
    queued again. Trials of live processes are left alone, and so are those of other hosts, unless
    their heartbeats stopped (`lost_trials`). A trial without an owner was killed before it could
    name one, and is dead after `NAMELESS_SECONDS`, where there are no heartbeats.
    """
    cleared = []
    for trial in study.get_trials(deepcopy=False, states=(TrialState.FAIL,)):
        if _is_lost(trial):  # who told it so may have been killed before it queued it again
            queue_again(study, trial)
    lost = lost_trials(study)
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        is_lost = trial._trial_id in lost  # noqa: SLF001 -- Optuna's own key
        if not (is_lost or _is_dead(study, trial)):
            continue
        if ATTRIBUTE in trial.user_attrs:
            _tell(spec, study, trial, TrialRecord.from_json(trial.user_attrs[ATTRIBUTE]))
        elif is_lost:
            _take_away(study, trial)
        else:
            _end_failed(study, trial, again=True)
        cleared.append(trial.number)
    return cleared


def _is_dead(study: Study, trial: FrozenTrial) -> bool:
    """Whether this host knows that nobody measures a RUNNING trial."""
    if (study.study_name, trial._trial_id) in _untold:  # noqa: SLF001 -- as above
        return True
    owner = Owner.parse(str(trial.user_attrs.get(OWNER, "")))
    if database_server_of(study) is not None:
        # Another host may have the same name; it has not booted at the same time.
        return owner is not None and owner.boot == Owner.this().boot and owner.dead()
    return _age_seconds(trial) > NAMELESS_SECONDS if owner is None else owner.dead()


def _take_away(study: Study, trial: FrozenTrial) -> None:
    """End a trial whose worker may live and may tell it at any moment; who is first, counts."""
    with suppress(UpdateFinishedTrialError):
        write_attributes(study, trial, {LOST: True, REASON: "its worker was not heard from"})
        study._storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)  # noqa: SLF001
        queue_again(study, study.get_trials(deepcopy=False)[trial.number])


def _is_lost(trial: FrozenTrial) -> bool:
    return trial.state == TrialState.FAIL and LOST in trial.user_attrs


def clear_own(study: Study, but: Collection[int] = ()) -> None:
    """End RUNNING trials of this process, which measures none now, `but` those. They are queued
    again.
    """
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if trial.user_attrs.get(OWNER) == str(Owner.this()) and trial.number not in but:
            _end_failed(study, trial, again=True)


def _age_seconds(trial: FrozenTrial) -> float:
    if trial.datetime_start is None:
        return float("inf")
    age = datetime.now() - trial.datetime_start  # noqa: DTZ005 -- Optuna's times are local
    # A start in the future is from before the clock was set back.
    return abs(age.total_seconds())


def write_attributes(
    study: Study,
    trial: Trial | FrozenTrial,
    attributes: Mapping[str, Any],
    violations: Mapping[str, float] | None = None,
) -> None:
    """Store attributes and constraints of a running trial: all of them or, in a database, none."""
    storage, identifier = study._storage, trial._trial_id  # noqa: SLF001 -- as Optuna's samplers do
    constraints = create_trial(state=TrialState.WAITING, constraints=dict(violations or {}))
    system = constraints.system_attrs
    database = uncached(storage)
    if isinstance(database, RDBStorage):
        # Optuna commits each attribute by itself: with thirty that takes longer than many a burst.
        with _create_scoped_session(database.scoped_session) as session:
            set_one = partial(database._set_trial_attr_without_commit, session)  # noqa: SLF001
            for name, value in attributes.items():
                set_one(models.TrialUserAttributeModel, identifier, name, value)
            for name, value in system.items():
                set_one(models.TrialSystemAttributeModel, identifier, name, value)
        return
    for name, value in attributes.items():
        storage.set_trial_user_attr(identifier, name, value)
    for name, value in system.items():
        storage.set_trial_system_attr(identifier, name, value)
