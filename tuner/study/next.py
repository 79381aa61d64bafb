"""What a worker measures next: decided while no other worker of the study decides."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from optuna.study import Study
from optuna.trial import Trial, TrialState

from tuner.deploy.ownership import Owner
from tuner.measure.record import TrialRecord
from tuner.search.asking import ask, queue
from tuner.search.make_sampler import OWNER, SpaceExhausted, StudySampler
from tuner.spec.space import Configuration
from tuner.spec.study import StudySpec
from tuner.study.confirm import queue_due
from tuner.study.convergence import Convergence
from tuner.study.done import Done
from tuner.study.grid import PASS, Grid, Point
from tuner.study.queue import is_repeat, queue_baseline, seed, waiting
from tuner.study.tell import clear_dead
from tuner.study.turns import turn

_STALE = timedelta(minutes=10)
"""A trial of another host that has run for so long is taken for dead in the count of the budget."""


@dataclass(frozen=True)
class Goal:
    """When to stop: complete trials in the study, seconds of all its trials, whichever first.

    The seconds are those of complete trials and of the ones that were measured and not trusted.
    With `passes` a full grid is measured so often, and its end is the goal too. Where `converged`
    is more than 0, so is a further trial's promise of less than this share of hypervolume.
    """

    trials: int | None
    seconds: float | None
    passes: int = 0
    converged: float = 0.0

    def reached(self, trials: int, seconds: float) -> bool:
        return (self.trials is not None and trials >= self.trials) or (
            self.seconds is not None and seconds >= self.seconds
        )


class Next:
    """Asks the study `study` for its next trials, for this worker, until `until`.

    Several workers may do so at once: `sampler` proposes no configuration twice, and the budget is
    completed exactly, since trials that others measure count already. If one of those breaks, the
    worker whose it was makes up for it. `fresh` says whether the trial just taken needs a
    deployment of its own: a configuration that is measured again is deployed again, as what differs
    between bursts differs between deployments most. `new` says that it is
    neither a repeat nor a point of a grid, all of which are measured to the end. `converged` says
    in words why there is no further one, where that is why.
    """

    def __init__(self, spec: StudySpec, study: Study, sampler: StudySampler, until: Goal) -> None:
        self._spec = spec
        self._study = study
        self._sampler = sampler
        self._until = until
        self._done = Done(study)
        self._convergence = Convergence(study, sampler, until.converged)
        self._last: Point | None = None
        self.converged = ""
        self.fresh = False
        self.new = False
        self._grid = Grid(spec.search_space, spec.seed, until.passes) if until.passes else None

    def done(self) -> list[TrialRecord]:
        """The records of the complete trials, by number, as of the last turn."""
        return self._done.records

    def same_end(self, asked: Configuration) -> TrialRecord | None:
        """Of the grid's point that was just taken: see `Grid.same_end`."""
        if self._grid is None or self._last is None or self._last.configuration != asked:
            return None
        return self._grid.same_end(self._last, self.done())

    def begin(self) -> bool:
        """Queue what a study starts with; whether there is something to measure."""
        with turn(self._study):
            if self._grid is None:
                seed(self._spec, self._study)
            return self._more()

    def take(self) -> tuple[Trial, Configuration] | None:
        """A trial that is this worker's now, and its configuration; None where all is done."""
        with turn(self._study):
            if not self._more():
                return None
            if self._grid is None:
                if not queue_baseline(self._spec, self._study):
                    queue_due(self._spec, self._study, self.done())
            elif not waiting(self._study):
                self._queue_point(self._grid)
            try:
                owner = {OWNER: str(Owner.this())}
                trial, asked = ask(self._study, self._spec.search_space, owner)
            except SpaceExhausted:
                return None
        number = trial.user_attrs.get(PASS)
        point = None if number is None else Point(number, asked)
        # A pass that shared a deployment with the one before would not be another look at it.
        new_pass = point and self._last and point.grid_pass != self._last.grid_pass
        self.fresh = is_repeat(trial) or bool(new_pass)
        self.new = not is_repeat(trial) and point is None
        self._last = point
        return trial, asked

    def _more(self) -> bool:
        """Whether the goal is not reached yet and something is left to measure."""
        clear_dead(self._spec, self._study)
        # In this order: one that ends in between is counted twice, and whoever ended it goes on;
        # the other way round it would be counted not at all, and one too many measured.
        running = self._running()
        self._done.update()
        trials = len(self._done.records) + running
        if self._until.reached(trials, self._done.seconds):
            return False
        if waiting(self._study):
            return True
        if self._until.converged > 0:
            self.converged = self._convergence.reached(len(self._done.records))
            if self.converged:
                return False
        if self._grid is not None:
            return bool(self._grid.left(self._study))
        return self._sampler.unvisited(self._study) != 0

    def _running(self) -> int:
        """How many trials other workers measure now."""
        oldest = datetime.now() - _STALE  # noqa: DTZ005 -- Optuna's times are local
        here = Owner.this().host
        return sum(
            trial.datetime_start is not None
            and (trial.datetime_start > oldest or trial.user_attrs.get(OWNER, "").startswith(here))
            for trial in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        )

    def _queue_point(self, grid: Grid) -> None:
        """The grid's next point; or the baseline where it is due, between two deployments."""
        point = grid.next(grid.left(self._study), self._last, alone=not self._running())
        stays = self._last is not None and grid.together(point, self._last)
        if stays or not queue_baseline(self._spec, self._study):
            space = self._spec.search_space
            queue(self._study, space, point.configuration, {PASS: point.grid_pass})
