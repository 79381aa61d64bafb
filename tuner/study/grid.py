"""A full grid: every configuration once in each pass, ordered so that deployments are reused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from optuna.study import Study
from optuna.trial import TrialState

from tuner.measure.record import TrialRecord
from tuner.search.distributions import configuration_of
from tuner.search.make_sampler import UNTRUSTED
from tuner.spec.space import Configuration, SearchSpace
from tuner.study.storage import GIVEN_UP, PASS

MOST_UNTRUSTED = 2
"""After so many INVALID trials a point is left out of its pass."""


@dataclass(frozen=True)
class GridPoint:
    """One burst of the grid: a configuration in one of the passes, which count from 0."""

    grid_pass: int
    configuration: Configuration


def grid_order(space: SearchSpace, seed: int, passes: int) -> tuple[GridPoint, ...]:
    """All points: in each pass the deployments in random order, with their scenarios together.

    Each pass has an order of its own, so that a drift of the host is not taken for an effect of a
    configuration. The same seed gives the same order. Raises ValueError where a parameter is
    continuous.
    """
    groups: dict[Configuration, list[Configuration]] = {}
    for configuration in space.grid():
        groups.setdefault(space.deployment_of(configuration), []).append(configuration)
    members = list(groups.values())
    points = []
    for number in range(passes):
        rng = np.random.default_rng([seed, number])
        for index in rng.permutation(len(members)):
            group = members[index]
            points += [GridPoint(number, group[i]) for i in rng.permutation(len(group))]
    return tuple(points)


class Grid:
    """The points of a grid and which of them a study still needs."""

    def __init__(self, space: SearchSpace, seed: int, passes: int) -> None:
        self._space = space
        self.points = grid_order(space, seed, passes)
        self._group = {p: (p.grid_pass, space.deployment_of(p.configuration)) for p in self.points}
        self._sizes = Counter(self._group.values())

    def left(self, study: Study) -> tuple[GridPoint, ...]:
        """The points that no complete, running or waiting trial has, in their order.

        Points that were INVALID once come when there are no others. Points that were given up do
        not come again.
        """
        taken: set[GridPoint] = set()
        invalid: dict[GridPoint, int] = {}
        for trial in study.get_trials(deepcopy=False):
            configuration = (
                configuration_of(self._space, trial) if PASS in trial.user_attrs else None
            )
            if configuration is None:
                continue
            point = GridPoint(trial.user_attrs[PASS], configuration)
            if trial.state != TrialState.FAIL or GIVEN_UP in trial.user_attrs:
                taken.add(point)
            elif UNTRUSTED in trial.user_attrs:
                invalid[point] = invalid.get(point, 0) + 1
        taken |= {point for point, times in invalid.items() if times >= MOST_UNTRUSTED}
        left = [p for p in self.points if p not in taken]
        return tuple([p for p in left if p not in invalid] or left)

    def next(self, left: Sequence[GridPoint], last: GridPoint | None, *, alone: bool) -> GridPoint:
        """Which of `left` (not empty) a worker measures after the point `last`.

        First a point of the deployment that it has. Else the first point; but where it is not
        `alone`, the first of a deployment that no worker has begun, if there is one.
        """
        if last is not None and (stays := [p for p in left if self.same_deployment(p, last)]):
            return stays[0]
        if alone:
            return left[0]
        counts = Counter(self._group[p] for p in left)
        whole = (p for p in left if counts[self._group[p]] == self._sizes[self._group[p]])
        return next(whole, left[0])

    def same_deployment(self, point: GridPoint, other: GridPoint) -> bool:
        """Whether both are of the same pass and deployment."""
        return self._group[point] == self._group[other]

    def same_end(self, point: GridPoint, done: Iterable[TrialRecord]) -> TrialRecord | None:
        """A trial of this pass that had the deployment of `point`, which never came up.

        The load and the network come after a deployment is up, so no scenario can change that.
        """
        group = self._group[point]
        return next(
            (
                record
                for record in done
                if record.grid_pass == point.grid_pass
                and record.outcome == "infeasible"
                and record.same_as is None
                and record.attempts == 1
                and not record.came_up
                and self._group[GridPoint(point.grid_pass, record.configuration)] == group
            ),
            None,
        )
