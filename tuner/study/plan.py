"""What a study would cost: the full grid against the budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from tuner.record import TrialRecord
from tuner.search.seeds import start_count
from tuner.spec.space import SearchSpace
from tuner.spec.study import StudySpec

DEPLOY_SECONDS = 3.0
"""Assumed time around a burst until a trial was measured: deploy, connect, impair, tear down."""


@dataclass(frozen=True)
class Plan:
    """Sizes, and seconds per trial with where that number comes from."""

    grid: int | None
    scenarios: int | None
    trials: int | None
    seconds: float | None
    start: int
    done: int
    trial_seconds: float
    evidence: str

    @property
    def grid_seconds(self) -> float | None:
        return None if self.grid is None else self.grid * self.trial_seconds

    @property
    def budget_seconds(self) -> float | None:
        """What the rest of the budget will take at most."""
        limits = []
        if self.trials is not None:
            limits.append(max(0, self.trials - self.done) * self.trial_seconds)
        if self.seconds is not None:
            limits.append(max(0.0, self.seconds - self.done * self.trial_seconds))
        return min(limits) if limits else None


def plan(study: StudySpec, done: Sequence[TrialRecord]) -> Plan:
    """The plan of a study, estimated from its finished trials where there are some."""
    load = study.load
    if done:
        seconds = median(t.seconds for t in done)
        evidence = f"median of the {len(done)} trials of this study"
    else:
        seconds = DEPLOY_SECONDS + load.warmup_max_seconds / 2
        seconds += (load.min_seconds + load.max_seconds) / 2
        evidence = f"assumed: {DEPLOY_SECONDS:g} s around each burst, bursts of middle length"
    return Plan(
        grid=study.search_space.size(),
        # Scenarios depend on scenarios only.
        scenarios=SearchSpace(study.search_space.with_role("scenario")).size(),
        trials=study.budget.trials,
        seconds=study.budget.seconds,
        start=start_count(study.budget.trials),
        done=len(done),
        trial_seconds=seconds,
        evidence=evidence,
    )
