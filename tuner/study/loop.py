"""The loop of a study: ask what is next, run the trial, tell what came of it; until the goal."""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from optuna.study import Study

from tuner.backends.absence import StayedAway
from tuner.backends.backend import Attempts, Backend
from tuner.backends.hosts import Ended, HostGone, HostLeftOut, Hosts, HostsEvent, ThisHost
from tuner.deploy.ownership import Owner
from tuner.errors import TrialFailed, TuneError, Unreachable
from tuner.interrupts import handled_interrupts, interruptible, left_whole, shielded
from tuner.measure.pruning import known_loss, pruner_of
from tuner.measure.record import TrialRecord
from tuner.measure.score import refuse_unmeasurable
from tuner.model.initial_design import initial_trials
from tuner.search.make_sampler import StudySampler, make_sampler
from tuner.spec.space import Configuration
from tuner.spec.study import StudySpec
from tuner.study.abandoned import remove_leftovers
from tuner.study.alike import host_kind, refuse_unlike
from tuner.study.faults import storage_errors
from tuner.study.heartbeat import heartbeats
from tuner.study.next import Goal, Next
from tuner.study.queue import NextTrial, times_broken, waiting
from tuner.study.settling import settles
from tuner.study.start import keep_environment, warm_of
from tuner.study.storage import BROKE, GIVEN_UP, record_so_far, records
from tuner.study.tell import (
    Run,
    drop_samples,
    fail,
    keep_samples,
    measured_record,
    tell,
    untried_record,
)
from tuner.trial import TrialRequest

MOST_FAILURES = 3
"""After so many broken trials in a row the run ends. A configuration that broke so often, whatever
was measured in between, is given up."""

MOST_INVALID = 5
"""After so many trials in a row that cannot be trusted it ends too: the host is too busy now."""


@dataclass(frozen=True)
class Started:
    """A trial begins; `host` is the name of one of several, empty on this one alone."""

    number: int
    configuration: Configuration
    host: str = ""


@dataclass(frozen=True)
class Finished:
    """A trial ended and its record is stored; one whose outcome is `invalid` counts as failed."""

    record: TrialRecord
    host: str = ""


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


Event = Started | Finished | Failed | Converged | HostsEvent
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


def run_study(
    spec: StudySpec,
    study: Study,
    backend: Backend,
    results: Path,
    until: Goal,
    observe: Callable[[Event], None] = lambda _: None,
) -> None:
    """Run trials on this host; see `run_on`."""
    run_on(spec, study, ThisHost(backend), results, until, observe)


@storage_errors()
def run_on(
    spec: StudySpec,
    study: Study,
    hosts: Hosts,
    results: Path,
    until: Goal,
    observe: Callable[[Event], None] = lambda _: None,
) -> None:
    """Run trials until `until`, or until every configuration of the space was measured.

    Each of the hosts measures one trial at a time. Other processes may run the same study in the
    same storage at the same time. What a killed run left (RUNNING trials, containers) is cleared
    first. An interrupted trial is stored as failed and its configuration is queued again, so that a
    resumed run completes the same budget. A measurement that is INVALID is made once more in the
    same trial. If it is INVALID again, the trial is stored as failed and keeps its record. A host
    waits until it is quiet (`tuner.backends.quiet`): before it measures anything, and after each
    INVALID measurement.

    Raises InputError before the first trial where the hosts cannot measure an objective or a
    constraint. A host is left out after `MOST_FAILURES` broken or `MOST_INVALID` invalid trials in
    a row; TuneError is raised where it was the last one. Whatever else is raised passes through,
    with no trial of this run left RUNNING.

    Where what deploys on a host does not answer any more, that host waits for it
    (`tuner.backends.absence`). It begins anew with all that trials share, and the trial that was
    under way is measured again. Raises StayedAway where no host is left and none comes back.
    """
    refuse_unmeasurable(spec.metrics, hosts.unmeasurable())
    with handled_interrupts(), shielded(), left_whole(hosts), heartbeats(study):
        refuse_unlike(spec, study, hosts.known())
        study.sampler = sampler = _sampler(spec, study, hosts.cpus)
        following = Next(spec, study, sampler, until)
        if not _begins(following, study, results, observe):
            return
        run = Run(spec, study, results, hosts.backend, "", "", hosts.cpus)
        loop = _Loop(run, hosts, following, observe)
        try:
            loop.run()
        except BaseException as error:
            loop.break_off(error)
            if isinstance(error, Unreachable):
                left = None if until.trials is None else until.trials - len(records(study))
                raise StayedAway(error, left) from error
            raise
        _say_converged(following, observe)


@dataclass(frozen=True)
class _UnderWay:
    """A trial that is given to `host`, at the reading `since` of the monotonic clock in seconds."""

    trial: NextTrial
    host: str
    since: float


@dataclass
class _Pace:
    """The mean of durations, in seconds; 0 where there is none yet."""

    seconds: float = 0.0
    count: int = 0

    def add(self, seconds: float) -> None:
        self.seconds += seconds
        self.count += 1

    @property
    def mean(self) -> float:
        return self.seconds / self.count if self.count else 0.0


@dataclass
class _Loop:
    """The trials of one run that are under way, and those that wait for a host (`ahead`).

    While hosts measure, trials are taken for those that will be free next, so that none waits for a
    proposal. A trial that is taken later knows more. So no more are taken than hosts would wait on
    average: none for one host, and none where proposals take no time beside trials.
    """

    shared: Run
    hosts: Hosts
    following: Next
    observe: Callable[[Event], None]
    under_way: dict[int, _UnderWay] = field(default_factory=dict)
    ahead: deque[_UnderWay] = field(default_factory=deque)
    keys: dict[str, tuple[Mapping[str, Any], str]] = field(default_factory=dict)
    broken: dict[str, list[Configuration]] = field(default_factory=lambda: defaultdict(list))
    untrusted: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    losses: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    proposing: _Pace = field(default_factory=_Pace)
    measuring: _Pace = field(default_factory=_Pace)

    def run(self) -> None:
        """Until nothing is left to measure and no trial is under way."""
        while True:
            more = self._fill()
            if not (more or self.under_way):
                return
            if more and len(self.ahead) < self._wanted_ahead():
                self._take_ahead()
            with interruptible():
                ended = self.hosts.wait(self.observe)
            if ended is not None:
                under_way = self.under_way[ended.number]
                self.measuring.add(time.monotonic() - under_way.since)
                self._fill_from_ahead()
                self._take_in(under_way.trial, ended)

    def break_off(self, error: BaseException) -> None:
        """Tell that the trials under way failed, and queue their configurations again."""
        reason = _why_broken_off(error)
        with ExitStack() as all_of_them:
            for each in (*self.ahead, *self.under_way.values()):
                all_of_them.callback(fail, self.shared.study, each.trial.trial, reason, again=True)

    def _fill(self) -> bool:
        """Give each host that is ready a trial; False where there are too few."""
        self._fill_from_ahead()
        for host in self.hosts.ready():
            # Before the trial: a kill in between leaves no record that names no environment.
            self._key(host)
            next_trial = self._take(host)
            if next_trial is None:
                return False
            self._start(host, next_trial)
        return True

    def _fill_from_ahead(self) -> None:
        for host in self.hosts.ready():
            if not self.ahead:
                return
            waits = next((a for a in self.ahead if a.host == host), self.ahead[0])
            self.ahead.remove(waits)
            trial = waits.trial
            if waits.host != host:
                trial = self.following.moved(trial, host, self._kind(host))
            self._start(host, trial)

    def _wanted_ahead(self) -> int:
        """As many as hosts wait for a proposal at any time, on average (Little's law)."""
        hosts, measuring = len(self.under_way), self.measuring.mean
        if hosts < 2 or not measuring:
            return 0
        return min(hosts, round(hosts * self.proposing.mean / measuring))

    def _take_ahead(self) -> None:
        """Take a trial for the host that has measured for longest and has none ahead."""
        has = {a.host for a in self.ahead}
        busy = sorted(self.under_way.values(), key=lambda u: u.since)
        host = next((u.host for u in busy if u.host not in has), busy[0].host)
        next_trial = self._take(host)
        if next_trial is not None:
            self.ahead.append(_UnderWay(next_trial, host, time.monotonic()))

    def _take(self, host: str) -> NextTrial | None:
        """The next trial that is to be measured; one that need not be tried is told at once."""
        while True:
            began = time.monotonic()
            next_trial = self.following.take(host, self._kind(host))
            self.proposing.add(time.monotonic() - began)
            if next_trial is None or next_trial.same_end is None:
                return next_trial
            self._begin(host, next_trial)
            record = untried_record(self._run_on(host), next_trial, next_trial.same_end)
            self._tell(host, next_trial, record)

    def _start(self, host: str, next_trial: NextTrial) -> None:
        self._begin(host, next_trial)
        request = _request(self._run_on(host), next_trial)
        self.hosts.submit(host, next_trial.trial.number, request)

    def _begin(self, host: str, next_trial: NextTrial) -> None:
        number = next_trial.trial.number
        self.under_way[number] = _UnderWay(next_trial, host, time.monotonic())
        self.observe(Started(number, next_trial.configuration, host))

    def _take_in(self, next_trial: NextTrial, ended: Ended) -> None:
        study, host = self.shared.study, ended.host
        match ended.result:
            case Attempts() as attempts:
                run = self._run_on(host)
                record = measured_record(run, next_trial, attempts)
                self._tell(host, next_trial, keep_samples(run, record, attempts.result))
            case TrialFailed() as error:
                self._tell_broken(host, next_trial, error)
            case Unreachable() as lost:
                fail(study, next_trial.trial, lost.message, again=True)
                del self.under_way[ended.number]
                self.broken[host].clear()  # the host begins anew
                self.untrusted[host] = 0
            case HostGone() as gone:
                self.losses[ended.number] += 1
                if self.losses[ended.number] == MOST_FAILURES:
                    lost_with = f"{MOST_FAILURES} hosts were lost while they measured it"
                    self._tell_broken(host, next_trial, TrialFailed(lost_with))
                    return
                self.observe(gone)
                del self.under_way[ended.number]
                self.ahead.appendleft(_UnderWay(next_trial, host, time.monotonic()))

    def _tell(self, host: str, next_trial: NextTrial, record: TrialRecord) -> None:
        spec, study = self.shared.spec, self.shared.study
        if not tell(spec, study, next_trial.trial, record):
            drop_samples(self.shared, record)
        del self.under_way[record.number]
        self.broken[host].clear()
        self.observe(Finished(record, host))
        self.untrusted[host] = self.untrusted[host] + 1 if record.outcome == "invalid" else 0
        if self.untrusted[host] == MOST_INVALID:
            self._leave_out(host, _too_many_untrusted(spec, record))

    def _tell_broken(self, host: str, next_trial: NextTrial, error: TrialFailed) -> None:
        spec, study = self.shared.spec, self.shared.study
        failed = _told_broken(spec, study, next_trial, error)
        del self.under_way[failed.number]
        self.observe(failed)
        self.broken[host].append(next_trial.configuration)
        if len(self.broken[host]) == MOST_FAILURES:
            self._leave_out(host, _too_many_broken(error))

    def _leave_out(self, host: str, error: TuneError) -> None:
        """Go on without a host. Raises `error` where it was the last one.

        A trial that was ahead may have been given to it already: that one is measured elsewhere.
        """
        if not self.hosts.leave_out(host):
            raise error
        for number, given in list(self.under_way.items()):
            if given.host == host:
                del self.under_way[number]
                self.ahead.appendleft(given)
        self.observe(HostLeftOut(host, error.message, error.mend))

    def _run_on(self, host: str) -> Run:
        return replace(self.shared, environment=self._key(host), host_kind=self._kind(host))

    def _kind(self, host: str) -> str:
        self._key(host)
        return host_kind(self.keys[host][0])

    def _key(self, host: str) -> str:
        """The key of what trials on a host share now, which is stored once."""
        environment = self.hosts.environment(host)
        known, key = self.keys.get(host, ({}, ""))
        if environment is not known:
            refuse_unlike(self.shared.spec, self.shared.study, environment)
            key = keep_environment(self.shared.study, environment)
            self.keys[host] = environment, key
        return key


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


def _request(run: Run, next_trial: NextTrial) -> TrialRequest:
    """What a host is asked to measure, with what the study knows so far."""
    number, configuration = next_trial.trial.number, next_trial.configuration
    so_far, pruner = record_so_far(run.spec, next_trial.done, run.host_kind), None
    if next_trial.prunable and run.spec.search.cut_short:
        pruner = pruner_of(so_far, configuration, run.host_cpus)
    known = known_loss(so_far, configuration)
    return TrialRequest(configuration, f"{number:04d}", next_trial.fresh, pruner, known_loss=known)


def _too_many_broken(error: TrialFailed) -> TuneError:
    return TuneError(
        f"{MOST_FAILURES} trials in a row broke; the last: {error.message}",
        f"{error.mend or 'mend the cause (`tune check` looks for the usual ones)'}"
        " Then run again: the study goes on where it stopped",
    )


def _too_many_untrusted(spec: StudySpec, last: TrialRecord) -> TuneError:
    return TuneError(
        f"{MOST_INVALID} trials in a row could not be trusted, each measured twice;"
        f" the last: {last.reason}",
        f"see the remedies (`tune show --study {spec.name} {last.number}`), then run"
        " again: the study goes on where it stopped, also with a higher"
        " load.max_foreign_percent",
    )
