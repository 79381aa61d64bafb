"""What is measured next: decided while no other process that runs the study decides."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from optuna.study import Study
from optuna.trial import Trial, TrialState

from tuner.deploy.ownership import Owner
from tuner.measure.record import ATTRIBUTE, TrialRecord
from tuner.search.make_sampler import HOST, OWNER, SpaceExhausted, StudySampler
from tuner.search.study_sampler import HOST_KIND, ask, queue
from tuner.spec.space import Configuration
from tuner.spec.study import StudySpec
from tuner.study.database_server import through_restarts
from tuner.study.grid import Grid, GridPoint
from tuner.study.heartbeat import database_server_of, first_heartbeat, until_heard
from tuner.study.locks import study_lock
from tuner.study.queue import (
    NextTrial,
    candidate,
    confirmation_is_due,
    is_repeat,
    queue_baseline,
    queue_baseline_of,
    queue_confirmation,
    queue_start,
    starts_left,
    waiting,
)
from tuner.study.settling import Decider, decides, deciding_is_due, settles
from tuner.study.storage import GAINS, PASS, whole_study
from tuner.study.tell import clear_dead, clear_own

IN_A_ROW = 3
"""A study has converged after so many small gains in a row. One alone may be chance: the model is
fitted anew with each trial."""

_STALE = timedelta(minutes=10)
"""After so long a trial of another host counts as dead, and not towards the budget."""

_Found = TypeVar("_Found")


@dataclass(frozen=True)
class Goal:
    """When a run stops: at so many complete trials or seconds in the study, whichever comes first.

    The seconds are those of complete trials and of trials that were measured but not trusted. With
    `passes` the run also stops when the full grid was measured so often. With `converged` it also
    stops when a further trial promises less than this share of the hypervolume, with `settled` when
    every scenario's recommendation is settled.
    """

    trials: int | None
    seconds: float | None
    passes: int = 0
    converged: float = 0.0
    settled: bool = False

    def reached(self, trials: int, seconds: float) -> bool:
        return (self.trials is not None and trials >= self.trials) or (
            self.seconds is not None and seconds >= self.seconds
        )


class Next:
    """The next trials of a study for the hosts of this worker, until `until`.

    A worker is a process that asks and tells. It measures on this host, whose name is empty, or on
    several hosts of a cluster. Several workers may run one study. No configuration is proposed
    twice. The budget is met exactly, because trials that are measured now count already; if one of
    those breaks, its own worker replaces it. `converged` says why there is no further trial where
    the study has converged, and is empty otherwise.
    """

    def __init__(self, spec: StudySpec, study: Study, sampler: StudySampler, until: Goal) -> None:
        self._spec = spec
        self._study = study
        self._sampler = sampler
        self._until = until
        self._done = Done(study)
        self._known: list[TrialRecord] | None = None
        self._confirms: tuple[int, TrialRecord | None] | None = None
        self._defaults = spec.search_space.baseline()
        self._convergence = Convergence(study, sampler, until.converged)
        self._decider = Decider(spec, study) if settles(spec) and not until.passes else None
        # By host: the point of the grid and the trial that it was given last; trials under way.
        self._last: dict[str, GridPoint] = {}
        self._taken: dict[str, int] = {}
        self._under_way: set[int] = set()
        self.converged = ""
        self._enough = False
        self._starts = True
        self._grid = Grid(spec.search_space, spec.seed, until.passes) if until.passes else None

    def begin(self) -> bool:
        """Whether there is something to measure."""
        return self._until_heard(lambda: through_restarts(self._begin) or None) or False

    def take(self, host: str = "", host_kind: str = "") -> NextTrial | None:
        """Take the next trial for a host of some kind; None where nothing is left to measure."""
        take = partial(self._take, host, host_kind)
        return self._until_heard(lambda: through_restarts(take, self._clear_own))

    def _until_heard(self, look: Callable[[], _Found | None]) -> _Found | None:
        return until_heard(self._study, look, lambda: self._enough or bool(self.converged))

    def _begin(self) -> bool:
        with study_lock(self._study):
            return self._more()

    def moved(self, trial: NextTrial, host: str, host_kind: str = "") -> NextTrial:
        """The trial for a host that it was not taken for, where another deployment is up."""
        for name, value in _on_host(host, host_kind).items():
            trial.trial.set_user_attr(name, value)
        point = self._point(trial.trial, trial.configuration)
        self._given(trial.trial, point, host)
        return replace(trial, fresh=trial.fresh or point is not None or is_repeat(trial.trial))

    def _clear_own(self) -> None:
        """End a trial that was taken just before the storage went away: nobody measures it."""
        with study_lock(self._study):
            clear_own(self._study, but=self._under_way)

    @contextmanager
    def _ahead(self, begins_with: Mapping[str, Any]) -> Iterator[None]:
        """Inside, decisions rest on the trials that are complete when the block begins.

        Where other hosts wait for the lock meanwhile, all that takes long was done before.
        """
        if database_server_of(self._study) is None:
            yield
            return
        self._done.update()
        self._known = self._done.records
        try:
            if self._decider is not None:
                self._decider.reached(self._known)
            elif confirmation_is_due(self._spec, self._study, self._known):
                self._candidate()
            with self._sampler.ahead(self._study, begins_with):
                yield
        finally:
            self._known = None

    def _candidate(self) -> TrialRecord | None:
        done = self._seen()
        if self._confirms is None or self._confirms[0] != len(done):
            self._confirms = len(done), candidate(self._spec, done)
        return self._confirms[1]

    def _seen(self) -> list[TrialRecord]:
        return self._done.records if self._known is None else self._known

    def _take(self, host: str, host_kind: str) -> NextTrial | None:
        owner = {OWNER: str(Owner.this()), **_on_host(host, host_kind)}
        with self._ahead(owner), study_lock(self._study):
            if not self._more():
                return None
            if not waiting(self._study) and queue_baseline_of(self._spec, self._study, host_kind):
                pass  # before all else: without it nothing of this host can be compared
            elif self._grid is None:
                self._queue_next(host)
            elif not waiting(self._study):
                self._queue_point(self._grid, host)
            try:
                trial, configuration = ask(self._study, self._spec.search_space, owner)
                first_heartbeat(self._study, trial._trial_id)  # noqa: SLF001 -- Optuna's own key
            except SpaceExhausted:
                return None
        return self._next_trial(trial, configuration, host)

    def _next_trial(self, trial: Trial, configuration: Configuration, host: str) -> NextTrial:
        point, last = self._point(trial, configuration), self._last.get(host)
        # A pass on the deployment of the last pass would be no second look at it.
        new_pass = point and last and point.grid_pass != last.grid_pass
        done = self._done.records
        settling = decides(trial)
        next_trial = NextTrial(
            trial,
            configuration,
            # Bursts of one configuration differ most between deployments.
            fresh=bool(new_pass)
            or (is_repeat(trial) and not (settling and self._is_new(configuration, host))),
            prunable=not (settling or is_repeat(trial) or point or configuration == self._defaults),
            done=tuple(done),
            same_end=self._grid.same_end(point, done) if self._grid and point else None,
        )
        self._given(trial, point, host)
        return next_trial

    def _point(self, trial: Trial, configuration: Configuration) -> GridPoint | None:
        number = trial.user_attrs.get(PASS)
        return None if number is None else GridPoint(number, configuration)

    def _given(self, trial: Trial, point: GridPoint | None, host: str) -> None:
        self._under_way.add(trial.number)
        self._taken[host] = trial.number
        if point is None:
            self._last.pop(host, None)
        else:
            self._last[host] = point

    def _up(self, host: str) -> TrialRecord | None:
        """What was measured last on a host, whose deployment may be up."""
        number = self._taken.get(host)
        return next((r for r in reversed(self._done.records) if r.number == number), None)

    def _is_new(self, configuration: Configuration, host: str) -> bool:
        """Whether the deployment that is up there had no burst of this configuration yet."""
        up = self._up(host)
        since = None if up is None else up.deployment.get("since")
        return since is not None and all(
            r.deployment.get("since") != since
            for r in self._done.records
            if r.configuration == configuration
        )

    def _more(self) -> bool:
        """Whether the goal is not reached yet and something is left to measure."""
        clear_dead(self._spec, self._study)
        # In this order. A trial that ends in between counts twice, and its worker looks again. The
        # other way round it would not count at all, and one trial too many would be measured.
        running = self._running()
        self._done.update()
        trials = len(self._done.records) + running
        self._enough = self._until.reached(len(self._done.records), self._done.seconds)
        if self._until.reached(trials, self._done.seconds):
            return False
        if waiting(self._study) or (self._grid is None and self._starts_left()):
            return True
        if self._until.converged > 0:
            self.converged = self._convergence.reached(len(self._seen()))
            if self.converged:
                return False
        if self._decider is not None and self._until.settled:
            self.converged = self._decider.reached(self._seen())
            if self.converged:
                return False
        if self._grid is not None:
            return bool(self._grid.left(self._study))
        return self._sampler.unvisited(self._study) != 0

    def _starts_left(self) -> bool:
        """As `starts_left`; none left is for good, and need not be read again."""
        self._starts = self._starts and starts_left(self._study)
        return self._starts

    def _running(self) -> int:
        """How many trials are measured now."""
        running = self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        if database_server_of(self._study) is not None:
            return len(running)  # whoever was not heard from has lost its trials
        oldest = datetime.now() - _STALE  # noqa: DTZ005 -- Optuna's times are local
        here = Owner.this().host
        return sum(
            trial.datetime_start is not None
            and (
                trial.datetime_start > oldest
                or str(trial.user_attrs.get(OWNER, "")).startswith(here)
            )
            for trial in running
        )

    def _queue_next(self, host: str) -> None:
        """Queue what comes before any proposal of the sampler, where something does."""
        spec, study, done = self._spec, self._study, self._seen()
        if waiting(study) or queue_baseline(spec, study):
            return
        if self._starts_left() and queue_start(spec, study, done):
            return
        if self._decider is None:
            if confirmation_is_due(spec, study, done):
                queue_confirmation(spec, study, self._candidate())
        elif deciding_is_due(study):
            up = self._up(host)
            last = None if up is None else up.configuration
            for trial in self._decider.deciding(done, last):
                queue(study, spec.search_space, trial.configuration, trial.attributes)

    def _queue_point(self, grid: Grid, host: str) -> None:
        """Queue the next point of the grid, or the baseline where it is due between deployments."""
        last = self._last.get(host)
        point = grid.next(grid.left(self._study), last, alone=not self._running())
        stays = last is not None and grid.same_deployment(point, last)
        if stays or not queue_baseline(self._spec, self._study):
            space = self._spec.search_space
            queue(self._study, space, point.configuration, {PASS: point.grid_pass})


def _on_host(host: str, host_kind: str) -> dict[str, str]:
    """The attributes of a trial that say where it is measured."""
    said = {HOST: host, HOST_KIND: host_kind}
    return {name: value for name, value in said.items() if value}


class Done:
    """The records of a study's finished trials. `update` reads those that are new."""

    def __init__(self, study: Study) -> None:
        self._study = study
        self._complete: dict[int, TrialRecord] = {}
        self._failed: dict[int, float] = {}

    def update(self) -> None:
        finished = (TrialState.COMPLETE, TrialState.FAIL)
        for trial in self._study.get_trials(deepcopy=False, states=finished):
            if trial.number in self._complete or trial.number in self._failed:
                continue
            document = trial.user_attrs.get(ATTRIBUTE)
            with whole_study(self._study.study_name):
                record = None if document is None else TrialRecord.from_json(document)
            if trial.state == TrialState.COMPLETE:
                assert record is not None
                self._complete[trial.number] = record
            else:
                self._failed[trial.number] = 0.0 if record is None else record.seconds

    @property
    def records(self) -> list[TrialRecord]:
        """Those of complete trials, by number."""
        return [self._complete[number] for number in sorted(self._complete)]

    @property
    def seconds(self) -> float:
        """Wall time of complete trials, and of those that were measured but not trusted."""
        return sum(r.seconds for r in self._complete.values()) + sum(self._failed.values())


class Convergence:
    """What the next trial promises, estimated once after each complete trial.

    The estimates are stored in the study, so that a resumed run goes on with them.
    """

    def __init__(self, study: Study, sampler: StudySampler, threshold: float) -> None:
        self._study = study
        self._sampler = sampler
        self._threshold = threshold

    def reached(self, trials: int) -> str:
        """Why a study with so many complete trials has converged; empty where it has not.

        The expected gain, a share of the hypervolume, must be below the threshold after
        `IN_A_ROW` trials in a row.
        """
        looks = [(int(n), float(g)) for n, g in self._study.user_attrs.get(GAINS, [])]
        if not looks or looks[-1][0] < trials:
            gain = self._sampler.expected_gain(self._study)
            if gain is None:
                return ""
            looks = [*looks, (trials, gain)][-IN_A_ROW:]
            self._study.set_user_attr(GAINS, looks)
        if len(looks) < IN_A_ROW or any(gain >= self._threshold for _, gain in looks):
            return ""
        return (
            f"a further trial is expected to enlarge the hypervolume by {_percent(looks[-1][1])},"
            f" asked {_percent(self._threshold)}: converged after {trials} trials"
        )


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %"
