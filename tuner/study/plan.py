"""What a study would cost: the full grid, at random and by deployment, against the budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from tuner.design.lattice import ENUMERABLE
from tuner.record import TrialRecord
from tuner.search.seeds import start_count
from tuner.spec.space import LIVE, SearchSpace
from tuner.spec.study import StudySpec

DEPLOY_SECONDS = 3.0
"""Assumed time around a burst until a trial was measured: deploy, connect, impair, tear down."""


@dataclass(frozen=True)
class Plan:
    """Sizes, and seconds per trial with where that number comes from.

    `deployments` is how many different ones the grid needs. A trial takes `trial_seconds`, or
    `burst_seconds` where the deployment of the one before stays up, which else takes
    `deploy_seconds`.
    """

    grid: int | None
    deployments: int | None
    scenarios: int | None
    trials: int | None
    seconds: float | None
    start: int
    done: int
    trial_seconds: float
    deploy_seconds: float
    burst_seconds: float
    evidence: str

    @property
    def grid_seconds(self) -> float | None:
        """A grid of which every configuration is deployed anew."""
        return None if self.grid is None else self.grid * self.trial_seconds

    @property
    def ordered_seconds(self) -> float | None:
        """A grid ordered by deployment, each of which is brought up once."""
        if self.grid is None or self.deployments is None:
            return None
        return self.deployments * self.deploy_seconds + self.grid * self.burst_seconds

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
    load, space = study.load, study.search_space
    bursts = [t.seconds - t.deploy_seconds for t in done if t.measurement is not None]
    deployed = [t.deploy_seconds for t in done if t.deploy_seconds > 0]
    assumed = load.warmup_max_seconds / 2 + (load.min_seconds + load.max_seconds) / 2
    burst = median(bursts) if bursts else assumed
    deploy = median(deployed) if deployed else DEPLOY_SECONDS
    if done:
        trial = median(t.seconds for t in done)
        evidence = f"median of the {len(done)} trials of this study"
    else:
        trial = deploy + burst
        evidence = f"assumed: {DEPLOY_SECONDS:g} s around each burst, bursts of middle length"
    return Plan(
        grid=space.size(),
        deployments=_deployments(space),
        # Scenarios depend on scenarios only.
        scenarios=SearchSpace(space.with_role("scenario")).size(),
        trials=study.budget.trials,
        seconds=study.budget.seconds,
        start=start_count(study.budget.trials),
        done=len(done),
        trial_seconds=trial,
        deploy_seconds=deploy,
        burst_seconds=burst,
        evidence=evidence,
    )


def _deployments(space: SearchSpace) -> int | None:
    """How many there are; None where they cannot be counted."""
    fixed = tuple(p for p in space if p.name not in LIVE)
    if all(p.when is None or p.when.parameter not in LIVE for p in fixed):
        return SearchSpace(fixed).size()
    size = space.size()
    if size is None or size > ENUMERABLE:
        return None
    return len({space.deployment_of(c) for c in space.grid()})
