"""The loop of a study: ask what is next, run the trial, tell what came of it; until the goal."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from optuna.study import Study

import tuner
from tuner.backends.backend import Backend, run_until_valid
from tuner.deploy.ownership import Owner
from tuner.errors import TrialFailed, TuneError, Unreachable
from tuner.interrupts import handled_interrupts, interruptible, left_whole, shielded
from tuner.load.burst_progress import BurstProgress
from tuner.measure.pruning import known_loss, pruner_of
from tuner.measure.record import TrialRecord
from tuner.measure.score import refuse_unmeasurable
from tuner.model.initial_design import initial_trials
from tuner.search.make_sampler import StudySampler, make_sampler
from tuner.spec.space import Configuration
from tuner.spec.study import StudySpec
from tuner.study.abandoned import remove_leftovers
from tuner.study.absence import Absence, Absent, Returned, StayedAway
from tuner.study.alike import refuse_unlike
from tuner.study.faults import storage_errors
from tuner.study.heartbeat import heartbeats
from tuner.study.next import Goal, Next
from tuner.study.queue import NextTrial, times_broken, waiting
from tuner.study.quiet import HostBusy, HostQuiet, Quiet
from tuner.study.settling import settles
from tuner.study.start import keep_environment, warm_of
from tuner.study.storage import BROKE, GIVEN_UP, record_so_far, records
from tuner.study.tell import Run, fail, keep_samples, measured_record, tell, untried_record
from tuner.trial import TrialRequest, TrialResult

MOST_FAILURES = 3
"""After so many broken trials in a row the run ends. A configuration that broke so often, whatever
was measured in between, is given up."""

MOST_INVALID = 5
"""After so many trials in a row that cannot be trusted it ends too: the host is too busy now."""

_PARTS = ("optuna", "docker", "numpy", "scipy", "uvloop", "httptools")
"""The packages that have a part in what is measured."""


@dataclass(frozen=True)
class Started:
    """A trial begins."""

    number: int
    configuration: Configuration


@dataclass(frozen=True)
class Repeating:
    """A trial is measured again, because its first measurement cannot be trusted."""

    number: int
    reason: str


@dataclass(frozen=True)
class Finished:
    """A trial ended and its record is stored; one whose outcome is `invalid` counts as failed."""

    record: TrialRecord


@dataclass(frozen=True)
class Failed:
    """A trial broke. It is stored as failed and says nothing about its configuration."""

    number: int
    reason: str
    mend: str = ""


@dataclass(frozen=True)
class Converged:
    """The run ends before its budget, because a further trial promises too little."""

    reason: str


Event = (
    Started
    | Repeating
    | Finished
    | Failed
    | Converged
    | HostBusy
    | HostQuiet
    | Absent
    | Returned
    | BurstProgress
    | str
)
"""What an observer is told. A plain string is the name of the phase that begins."""


def goal(
    spec: StudySpec, study: Study, more_trials: int | None, repeats: int, passes: int = 0
) -> Goal:
    """When a run stops: at the study's budget, or `more_trials` after the trials that are there.

    With `passes` the full grid is measured so often. `repeats` is the number of trials that were
    queued (`queue_repeat`) for this run; it ends when all that waits was measured.
    """
    if more_trials is None and not repeats:
        if passes:
            return Goal(None, None, passes)
        budget = spec.budget
        return Goal(
            budget.trials,
            budget.seconds,
            converged=spec.search.converged,
            settled=settles(spec),
        )
    queued = len(waiting(study)) if repeats else 0
    return Goal(len(records(study)) + (more_trials or 0) + queued, None, passes)


@storage_errors()
def run_study(
    spec: StudySpec,
    study: Study,
    backend: Backend,
    results: Path,
    until: Goal,
    observe: Callable[[Event], None] = lambda _: None,
) -> None:
    """Run trials until `until`, or until every configuration of the space was measured.

    Other processes may run the same study in the same storage at the same time. What a killed run
    left (RUNNING trials, containers) is cleared first. An interrupted trial is stored as failed and
    its configuration is queued again, so that a resumed run completes the same budget. A
    measurement that is INVALID is made once more in the same trial. If it is INVALID again, the
    trial is stored as failed and keeps its record. The run waits until the host is quiet
    (`tuner.study.quiet`): before it measures anything, and after each INVALID measurement.

    Raises InputError before the first trial where the backend cannot measure an objective or a
    constraint. Raises TuneError after `MOST_FAILURES` broken or `MOST_INVALID` invalid trials in a
    row. Whatever else is raised passes through, with no trial of this run left RUNNING.

    Where what deploys does not answer any more, the run waits for it (`tuner.study.absence`). It
    begins anew with all that trials share, and measures the trial again that was under way. Raises
    StayedAway where it does not come back.
    """
    refuse_unmeasurable(spec.metrics, backend.unmeasurable())
    absence = Absence(backend.answers)
    began = False

    def told(event: Event) -> None:
        nonlocal began
        began = True
        if isinstance(event, Started):
            absence.trial = event.number
        elif isinstance(event, Finished):
            absence.measured()
        observe(event)

    with handled_interrupts():
        while True:
            try:
                _run_until(spec, study, backend, results, until, told)
            except Unreachable as lost:
                if not began:
                    raise
                try:
                    absence.wait(lost, observe)
                except Unreachable as gone:
                    left = None if until.trials is None else until.trials - len(records(study))
                    raise StayedAway(gone, left) from gone
            else:
                return


def _run_until(
    spec: StudySpec,
    study: Study,
    backend: Backend,
    results: Path,
    until: Goal,
    observe: Callable[[Event], None],
) -> None:
    """As `run_study`, as long as what deploys answers."""
    broken: list[Configuration] = []
    untrusted = 0
    with shielded(), left_whole(backend), heartbeats(study):
        environment = {**backend.environment(), "versions": _versions()}
        refuse_unlike(spec, study, environment)
        host_cpus = int(environment["host"]["cpus"])
        study.sampler = sampler = _sampler(spec, study, host_cpus)
        following = Next(spec, study, sampler, until)
        if not _begins(following, study, results, observe):
            return
        quiet = Quiet(backend.host_use, spec.load.max_foreign_percent)
        with interruptible():
            quiet.wait(observe)
        observe("calibrate")
        with interruptible():
            calibration = backend.calibrate()
        # Whose CPUs are whose is known only now.
        environment |= {**backend.environment(), "calibration": calibration and asdict(calibration)}
        key = keep_environment(study, environment)
        run = Run(spec, study, results, backend.name, key, host_cpus)
        while (next_trial := following.take()) is not None:
            trial, configuration = next_trial.trial, next_trial.configuration
            try:
                observe(Started(trial.number, configuration))
                record = _measured(run, backend, next_trial, quiet, observe)
                tell(spec, study, trial, record)
            except TrialFailed as error:
                broken.append(configuration)
                observe(_told_broken(spec, study, next_trial, error))
                _end_after(broken, error)
            except BaseException as error:
                fail(study, trial, _why_broken_off(error), again=True)
                raise
            else:
                broken.clear()
                observe(Finished(record))
                untrusted = untrusted + 1 if record.outcome == "invalid" else 0
                _end_after_untrusted(untrusted, spec, record)
                if untrusted:
                    with interruptible():
                        quiet.wait(observe)
        _say_converged(following, observe)


def _why_broken_off(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    return error.message if isinstance(error, TuneError) else repr(error)


def _told_broken(spec: StudySpec, study: Study, broken: NextTrial, error: TrialFailed) -> Failed:
    """Tell that a fault of the world ended a trial, and queue its configuration again.

    One that breaks every time is given up, so that the study can go on without. The baseline never
    is, because every change is stated against it.
    """
    trial, reason = broken.trial, error.message
    given_up = times_broken(spec, study, trial) + 1 >= MOST_FAILURES
    again = not given_up or broken.configuration == spec.search_space.baseline()
    marks = {BROKE: True, **({GIVEN_UP: True} if given_up else {})}
    if not again:
        reason += f"; that makes {MOST_FAILURES} times, so its configuration is given up"
    fail(study, trial, reason, again=again, marks=marks)
    return Failed(trial.number, reason, error.mend)


def _sampler(spec: StudySpec, study: Study, host_cpus: int) -> StudySampler:
    return make_sampler(
        spec.search.sampler,
        spec.search_space,
        spec.seed,
        startup=initial_trials(spec.budget.trials),
        search=spec.search,
        host_cpus=host_cpus,
        warm=warm_of(study),
        worker=str(Owner.this()),
        prices=spec.prices,
    )


def _begins(following: Next, study: Study, results: Path, observe: Callable[[Event], None]) -> bool:
    """Whether there is something to measure. What killed runs left is removed either way."""
    more = following.begin()
    remove_leftovers(study, results)
    if not more:
        _say_converged(following, observe)
    return more


def _say_converged(following: Next, observe: Callable[[Event], None]) -> None:
    if following.converged:
        observe(Converged(following.converged))


def _measured(
    run: Run,
    backend: Backend,
    next_trial: NextTrial,
    quiet: Quiet,
    observe: Callable[[Event], None],
) -> TrialRecord:
    """The record of a trial, which is measured unless an earlier one decides it; keeps samples."""
    if next_trial.same_end is not None:
        return untried_record(run, next_trial, next_trial.same_end)
    number, configuration = next_trial.trial.number, next_trial.configuration
    so_far, pruner = record_so_far(run.spec, next_trial.done), None
    if next_trial.prunable and run.spec.search.cut_short:
        pruner = pruner_of(so_far, configuration, run.host_cpus)
    known = known_loss(so_far, configuration)
    request = TrialRequest(configuration, f"{number:04d}", next_trial.fresh, pruner, observe, known)

    def wait_to_repeat(first: TrialResult) -> None:
        observe(Repeating(number, first.invalidities))
        quiet.wait(observe)

    with interruptible():
        attempts = run_until_valid(backend, request, wait_to_repeat)
    record = measured_record(run, next_trial, attempts)
    return keep_samples(run, record, attempts.result)


def _versions() -> dict[str, str]:
    """The versions of `tune` and of what has a part in its numbers, by name."""
    return {
        "tune": tuner.__version__,
        "python": platform.python_version(),
        **{name: version(name) for name in _PARTS},
    }


def _end_after(broken: Sequence[Configuration], error: TrialFailed) -> None:
    if len(broken) == MOST_FAILURES:
        raise TuneError(
            f"{MOST_FAILURES} trials in a row broke; the last: {error.message}",
            f"{error.mend or 'mend the cause (`tune check` looks for the usual ones)'}"
            " Then run again: the study goes on where it stopped",
        ) from error


def _end_after_untrusted(trials: int, spec: StudySpec, last: TrialRecord) -> None:
    if trials == MOST_INVALID:
        raise TuneError(
            f"{MOST_INVALID} trials in a row could not be trusted, each measured twice;"
            f" the last: {last.reason}",
            f"see the remedies (`tune show --study {spec.name} {last.number}`), then run"
            " again: the study goes on where it stopped, also with a higher"
            " load.max_foreign_percent",
        )
