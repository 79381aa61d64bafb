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


@dataclass(frozen=True)
class Plan(GridCost):
    """What the grid and one trial take, and the budget beside it."""

    scenarios: int | None
    trials: int | None
    seconds: float | None
    start: int
    done: int
    percentiles: PercentileNeeds | None

    @property
    def budget_seconds(self) -> float | None:
        """Seconds that the rest of the budget will take at most."""
        limits = []
        if self.trials is not None:
            limits.append(max(0, self.trials - self.done) * self.trial_seconds)
        if self.seconds is not None:
            limits.append(max(0.0, self.seconds - self.done * self.trial_seconds))
        return min(limits) if limits else None


def plan_study(study: StudySpec, done: Sequence[TrialRecord]) -> Plan:
    """The plan of a study, estimated from its finished trials where there are some."""
    space = study.search_space
    return Plan(
        **asdict(grid_cost(space, study.load, done)),
        # Whether a scenario parameter is active depends on scenario parameters only.
        scenarios=SearchSpace(space.with_role("scenario")).size(),
        trials=study.budget.trials,
        seconds=study.budget.seconds,
        start=initial_trials(study.budget.trials),
        done=len(done),
        percentiles=percentile_needs(study, done),
    )
