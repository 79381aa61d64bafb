"""The loop of one study: ask, run the trial, tell; start, resume, and end at the budget."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from optuna.study import Study

from tuner.backend import Backend
from tuner.deploy.ownership import Owner
from tuner.errors import TrialFailed, TuneError
from tuner.load.sender import Progress
from tuner.record import TrialRecord
from tuner.search.distributions import ask
from tuner.search.samplers import SpaceExhausted, StudySampler, make_sampler
from tuner.search.seeds import start_count
from tuner.spec.space import Configuration
from tuner.spec.study import StudySpec
from tuner.study.queue import OWNER, queue_baseline, requeue_dead, seed, waiting
from tuner.study.storage import ENVIRONMENT, records, study_record
from tuner.study.tell import fail, invalidities, keep_samples, made, tell
from tuner.trial import run_trial

MOST_FAILURES = 3
"""So many trials in a row that break for reasons of the world end the run."""

MOST_INVALID = 5
"""So many trials in a row that could not be trusted end it too: the host is not fit for it now."""


@dataclass(frozen=True)
class Started:
    """A trial begins."""

    number: int
    configuration: Configuration


@dataclass(frozen=True)
class Repeating:
    """The trial is measured again, since its first measurement cannot be trusted."""

    number: int
    reason: str


@dataclass(frozen=True)
class Finished:
    """A trial is told to the study; one whose outcome is `invalid` as FAIL."""

    record: TrialRecord


@dataclass(frozen=True)
class Failed:
    """A trial broke; it is told as FAIL and says nothing about its configuration."""

    number: int
    reason: str


Event = Started | Repeating | Finished | Failed | Progress | str
"""What an observer is told; a plain string is the phase that begins."""


@dataclass(frozen=True)
class Goal:
    """When to stop: complete trials in the study, seconds of all its trials, whichever first.

    The seconds are those of complete trials and of the ones that were measured and not trusted.
    """

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
    queued = len(waiting(study)) if repeats else 0
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
    the trials that would have been. An INVALID measurement is made once more in the same trial; if
    it is INVALID again, the trial is told FAIL and keeps its record. Raises TuneError after
    `MOST_FAILURES` broken or `MOST_INVALID` invalid trials in a row; whatever else is raised passes
    through, with no trial of this run left RUNNING.
    """
    sampler = make_sampler(
        spec.search.sampler, spec.search_space, spec.seed, startup=start_count(spec.budget.trials)
    )
    study.sampler = sampler
    seed(spec, study)
    broken: list[Configuration] = []
    untrusted = 0
    with backend.deployer as deployer:
        if not _more(study, sampler, until):
            return
        observe("calibrate")
        calibration = backend.calibrate(deployer)
        environment = dict(deployer.environment())
        environment["calibration"] = calibration and asdict(calibration)
        study.set_user_attr(ENVIRONMENT, environment)
        while _more(study, sampler, until):
            done = records(study)
            queue_baseline(spec, study, done)
            try:
                trial, asked = ask(study, spec.search_space)
            except SpaceExhausted:
                return
            try:
                trial.set_user_attr(OWNER, str(Owner.this()))
                observe(Started(trial.number, asked))
                attempt = partial(
                    run_trial,
                    *(spec, asked, deployer, backend.connect, f"{trial.number:04d}"),
                    *(calibration, observe),
                )
                result, first = attempt(), None
                if result.invalid:
                    observe(Repeating(trial.number, invalidities(result)))
                    result, first = attempt(), result
                record = made(spec, trial.number, asked, result, first, done, backend.name)
                record = keep_samples(study, record, result, results)
                tell(spec, study, trial, record, environment)
            except TrialFailed as error:
                broken.append(asked)
                # One that alone broke every time is given up, so that the study can go on without.
                hopeless = len(broken) == MOST_FAILURES and len(set(broken)) == 1
                baseline = asked == spec.search_space.baseline()
                fail(study, trial, error.message, again=baseline or not hopeless)
                observe(Failed(trial.number, error.message))
                _end_after(broken, error)
            except BaseException as error:
                reason = "interrupted" if isinstance(error, KeyboardInterrupt) else repr(error)
                fail(study, trial, reason, again=True)
                raise
            else:
                broken.clear()
                observe(Finished(record))
                untrusted = untrusted + 1 if record.outcome == "invalid" else 0
                _end_after_untrusted(untrusted, spec, record)


def _more(study: Study, sampler: StudySampler, until: Goal) -> bool:
    """Whether the goal is not reached yet and something is left to measure."""
    requeue_dead(study)
    found = study_record(study)
    seconds = sum(t.seconds for t in found.trials)
    seconds += sum(f.record.seconds for f in found.failed if f.record is not None)
    if until.reached(len(found.trials), seconds):
        return False
    return bool(waiting(study)) or sampler.unvisited(study) != 0


def _end_after(broken: Sequence[Configuration], error: TrialFailed) -> None:
    if len(broken) == MOST_FAILURES:
        raise TuneError(
            f"{MOST_FAILURES} trials in a row broke; the last: {error.message}",
            "mend the cause (`tune check` looks for the usual ones), then run again:"
            " the study goes on where it stopped",
        ) from error


def _end_after_untrusted(trials: int, spec: StudySpec, last: TrialRecord) -> None:
    if trials == MOST_INVALID:
        raise TuneError(
            f"{MOST_INVALID} trials in a row could not be trusted, each measured twice;"
            f" the last: {last.reason}",
            f"see the remedies (`tune show --study {spec.name} {last.number}`), then run"
            " again: the study goes on where it stopped",
        )
