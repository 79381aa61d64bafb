"""What the full grid of a search space would take, by the trials there are: the plan's estimate."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from statistics import median

from tuner.measure.capacity import CAPACITY, USUAL_STEPS
from tuner.measure.record import StudyRecord, TrialRecord
from tuner.model.lattice import ENUMERABLE
from tuner.results.timeline import timeline
from tuner.spec.space import LIVE, SearchSpace
from tuner.spec.study import LoadSpec


@dataclass(frozen=True)
class Searched:
    """How much of the search space was looked at, and what that took.

    `configurations` is how many have a measurement, `share` that of the grid, None where the grid
    is endless. `infeasible` counts trials, `failed` those that say nothing. `trial_seconds` is the
    wall time of all trials, `elapsed` from the first one's start to the last one's end without
    pauses; `of_grid` is `trial_seconds` as a share of what the full grid is estimated to take in
    the cheaper of both orders.
    """

    cost: GridCost
    configurations: int
    share: float | None
    trials: int
    infeasible: int
    failed: int
    trial_seconds: float
    elapsed: float
    of_grid: float | None


def searched(study: StudyRecord) -> Searched:
    """Of all trials, those that failed too."""
    cost = grid_cost_of(study)
    configurations = len({t.configuration for t in study.trials if t.measurement is not None})
    again = [f.record for f in study.failed if f.record is not None]
    seconds = sum(t.seconds for t in (*study.trials, *again))
    estimates = [s for s in (cost.grid_seconds, cost.ordered_seconds) if s]
    return Searched(
        cost,
        configurations,
        configurations / cost.grid if cost.grid else None,
        len(study.trials),
        sum(not t.feasible for t in study.trials),
        len(study.failed),
        seconds,
        timeline(study).elapsed,
        seconds / min(estimates) if estimates else None,
    )


DEPLOY_SECONDS = 3.0
"""Assumed time around a burst until a trial was measured: deploy, connect, impair, tear down."""


@dataclass(frozen=True)
class GridCost:
    """Sizes, and seconds per trial with where that number comes from.

    `grid` is the number of configurations, `deployments` that of different deployments; None where
    they cannot be counted. A trial takes `trial_seconds`, or `burst_seconds` where the deployment
    of the one before stays up, which else takes `deploy_seconds`.
    """

    grid: int | None
    deployments: int | None
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


def grid_cost(
    space: SearchSpace, load: LoadSpec, metrics: Collection[str], done: Sequence[TrialRecord]
) -> GridCost:
    """By the medians of the finished trials; assumed, from `load`, before there are any.

    `metrics` are what the study judges. A capacity among them takes several bursts.
    """
    bursts = [t.seconds - t.deploy_seconds for t in done if t.measurement is not None]
    deployed = [t.deploy_seconds for t in done if t.deploy_seconds > 0]
    steps = USUAL_STEPS if CAPACITY in metrics else 1
    assumed = steps * (load.warmup_max_seconds / 2 + (load.min_seconds + load.max_seconds) / 2)
    burst = median(bursts) if bursts else assumed
    deploy = median(deployed) if deployed else DEPLOY_SECONDS
    if done:
        trial = median(t.seconds for t in done)
        evidence = f"median of the {len(done)} trials of this study"
    else:
        trial = deploy + burst
        evidence = f"assumed: {DEPLOY_SECONDS:g} s around each burst, bursts of middle length"
        if steps > 1:
            evidence += f", {steps} of them in a trial, which finds a capacity"
    return GridCost(space.size(), _deployments(space), trial, deploy, burst, evidence)


def grid_cost_of(study: StudyRecord) -> GridCost:
    """The same of a study's record alone."""
    load = LoadSpec(**study.specification.get("load", {}))
    metrics = {o.metric for o in study.objectives} | {c.metric for c in study.constraints}
    return grid_cost(study.search_space, load, metrics, study.trials)


def _deployments(space: SearchSpace) -> int | None:
    """How many there are; None where they cannot be counted."""
    fixed = tuple(p for p in space if p.name not in LIVE)
    if all(p.when is None or p.when.parameter not in LIVE for p in fixed):
        return SearchSpace(fixed).size()
    size = space.size()
    if size is None or size > ENUMERABLE:
        return None
    return len({space.deployment_of(c) for c in space.grid()})
