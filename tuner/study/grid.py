"""A full grid: every configuration once in each pass, ordered so that deployments stay up."""

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
"""A point whose trials were INVALID this often is left out of its pass."""


@dataclass(frozen=True)
class Point:
    """One burst of the grid: a configuration in one of the passes, which count from 0."""

    grid_pass: int
    configuration: Configuration


def grid_order(space: SearchSpace, seed: int, passes: int) -> tuple[Point, ...]:
    """All points: in each pass deployments in random order, and their scenarios inside it.

    Every pass has an order of its own, so that what drifts is not taken for a configuration's. The
    same seed gives the same order. Raises ValueError where a parameter is continuous.
    """
    groups: dict[Configuration, list[Configuration]] = {}
    for configuration in space.grid():
        groups.setdefault(space.deployment_of(configuration), []).append(configuration)
    members = list(groups.values())
    found = []
    for number in range(passes):
        rng = np.random.default_rng([seed, number])
        for index in rng.permutation(len(members)):
            group = members[index]
            found += [Point(number, group[i]) for i in rng.permutation(len(group))]
    return tuple(found)


class Grid:
    """The points of a grid and which of them a study still needs."""

    def __init__(self, space: SearchSpace, seed: int, passes: int) -> None:
        self._space = space
        self.points = grid_order(space, seed, passes)
        self._group = {p: (p.grid_pass, space.deployment_of(p.configuration)) for p in self.points}
        self._sizes = Counter(self._group.values())

    def left(self, study: Study) -> tuple[Point, ...]:
        """Those that no complete, running or waiting trial has, in their order.

        Once there are no others, those that were INVALID the first time; never what was given up.
        """
        taken: set[Point] = set()
        invalid: dict[Point, int] = {}
        for trial in study.get_trials(deepcopy=False):
            known = configuration_of(self._space, trial) if PASS in trial.user_attrs else None
            if known is None:
                continue
            point = Point(trial.user_attrs[PASS], known)
            if trial.state != TrialState.FAIL or GIVEN_UP in trial.user_attrs:
                taken.add(point)
            elif UNTRUSTED in trial.user_attrs:
                invalid[point] = invalid.get(point, 0) + 1
        taken |= {point for point, times in invalid.items() if times >= MOST_UNTRUSTED}
        found = [p for p in self.points if p not in taken]
        return tuple([p for p in found if p not in invalid] or found)

    def next(self, left: Sequence[Point], last: Point | None, *, alone: bool) -> Point:
        """Which of `left` (not empty) a worker measures whose last point was `last`.

        One of the deployment that it has, else the first; where it is not `alone`, the first of a
        deployment that no worker has begun, if there is one.
        """
        if last is not None and (stays := [p for p in left if self.together(p, last)]):
            return stays[0]
        if alone:
            return left[0]
        counts = Counter(self._group[p] for p in left)
        whole = (p for p in left if counts[self._group[p]] == self._sizes[self._group[p]])
        return next(whole, left[0])

    def together(self, one: Point, other: Point) -> bool:
        """Whether both are of the same pass and deployment."""
        return self._group[one] == self._group[other]

    def same_end(self, point: Point, done: Iterable[TrialRecord]) -> TrialRecord | None:
        """A trial of this pass whose deployment, the same as that of `point`, never came up.

        Load and network come after it is up, so no scenario can change that.
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
                and "connect" not in record.phases
                and self._group[Point(point.grid_pass, record.configuration)] == group
            ),
            None,
        )
