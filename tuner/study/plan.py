"""What a study would take: the full grid, in random order and by deployment, and the budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from tuner.measure.record import TrialRecord
from tuner.model.initial_design import initial_trials
from tuner.results.grid_cost import GridCost, grid_cost
from tuner.results.percentile_needs import PercentileNeeds, percentile_needs
from tuner.spec.space import SearchSpace
from tuner.spec.study import StudySpec
from tuner.study.settling import settles

SETTLE_EACH = 5
"""After the initial design a scenario takes about so many trials until its recommendation is
settled: what is recommended, its rivals, and the sampler's own. Seen in simulated studies of 9
scenarios, which took 52 to 72 trials."""


@dataclass(frozen=True)
class Plan(GridCost):
    """What the grid and one trial take, and the budget beside it."""

    scenarios: int | None
    trials: int | None
    seconds: float | None
    start: int
    done: int
    percentiles: PercentileNeeds | None
    settle_trials: int | None
    """How many settle what is recommended, an estimate; None in a study that does not end so, or
    whose scenarios cannot be counted."""

    @property
    def budget_seconds(self) -> float | None:
        """Seconds that the rest of the budget will take at most."""
        limits = []
        if self.trials is not None:
            limits.append(max(0, self.trials - self.done) * self.trial_seconds)
        if self.seconds is not None:
            limits.append(max(0.0, self.seconds - self.done * self.trial_seconds))
        return min(limits) if limits else None

    @property
    def search_seconds(self) -> float | None:
        """Seconds of the whole search: until answers are settled, or until the budget ends."""
        trials = [n for n in (self.trials, self.settle_trials) if n is not None]
        limits = [min(trials) * self.trial_seconds] if trials else []
        limits += [] if self.seconds is None else [self.seconds]
        return min(limits) if limits else None

    @property
    def grid_is_cheaper(self) -> bool:
        """Whether the full grid, ordered by deployment, takes no longer than the search."""
        grid, search = self.ordered_seconds, self.search_seconds
        return grid is not None and search is not None and grid <= search


def plan_study(study: StudySpec, done: Sequence[TrialRecord]) -> Plan:
    """The plan of a study, estimated from its finished trials where there are some."""
    space = study.search_space
    # Whether a scenario parameter is active depends on scenario parameters only.
    names = study.search.scenarios or [p.name for p in space.with_role("scenario")]
    scenarios = SearchSpace(tuple(p for p in space if p.name in names)).size()
    start = initial_trials(study.budget.trials)
    return Plan(
        **asdict(grid_cost(space, study.load, study.metrics, done)),
        scenarios=scenarios,
        trials=study.budget.trials,
        seconds=study.budget.seconds,
        start=start,
        done=len(done),
        percentiles=percentile_needs(study, done),
        settle_trials=start + SETTLE_EACH * scenarios if scenarios and settles(study) else None,
    )
