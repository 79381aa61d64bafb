"""The project's own sampler: a model of the search space, and what a next trial is worth by it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from tuner.arrays import Floats, Indices
from tuner.model.candidates import Candidates
from tuner.model.initial_design import starts
from tuner.model.large_space import is_whole, sampled
from tuner.model.memory_floor import hopeless, with_enough_memory
from tuner.model.observations import Observation, served
from tuner.model.pareto import front
from tuner.model.selection import (
    Costs,
    Sought,
    balanced,
    best_gain,
    reasons_of,
    reasons_of_initial,
    select,
)
from tuner.model.study_model import ProblemStatement
from tuner.model.surrogate import Surrogate
from tuner.model.warm import Warm
from tuner.search.observed import Observed, pending
from tuner.search.study_sampler import (
    HOST,
    OWNER,
    WHY,
    Proposal,
    SpaceExhausted,
    StudySampler,
    taken_by,
    turn_of,
)
from tuner.spec.space import Configuration, SearchSpace, Value
from tuner.spec.study import Prices, SearchSpec

_CENTRES = 12


@dataclass(frozen=True, eq=False)
class _Look:
    """A study as it is when it is asked: the model, what may be proposed, what is up."""

    surrogate: Surrogate
    free: Indices
    sought: Sought


class ServingSampler(StudySampler):
    """Measures what is worth most per second by a model of all candidates (`Surrogate`).

    - What is worth something is said by `SearchSpec.target` (`acquisition`). Where scenarios are
      sought and the space has none, it is the overall front.
    - With `SearchSpec.stay` worth is divided by the seconds that the trial will take: a deployment
      that is up costs only the burst. It is the one of the last trial of the same host (attribute
      `host`); where trials name none, of the last complete trial of this `worker`, or of the
      study's last one where the worker has none yet.
    - Trials that others run or that wait count as measured with what the model expects of them.
    - The first `startup` trials are those of `initial_design`, unless they were queued.
    - A space that is too large to be looked at as a whole (`is_whole`) is sampled anew for each
      proposal (`large_space`).
    - Every trial that it proposes says why (attribute `why`).
    """

    def __init__(
        self,
        space: SearchSpace,
        seed: int,
        startup: int,
        search: SearchSpec,
        *,
        host_cpus: float | None = None,
        warm: Warm | None = None,
        worker: str | None = None,
        prices: Prices | None = None,
    ) -> None:
        super().__init__("bayes", space, seed)
        self._startup = startup
        self._search = search
        self._host_cpus = host_cpus
        self._warm = warm
        self._worker = worker
        self._prices = prices
        self._observed = Observed(space)
        self._scenarios = search.scenarios or tuple(p.name for p in space.with_role("scenario"))
        self._target = search.target if self._scenarios else "overall"

    def expected_gain(self, study: Study) -> float | None:
        """As the base class says; None before the model has its first `startup` trials."""
        trials = self._trials(study)
        seen = self._seen(study, trials)
        if len(seen) < max(self._startup, 2):
            return None
        up = self._last(trials, seen)
        look = self._look(study, trials, seen, taken_by(self._asked, trials), {}, up)
        return best_gain(look.surrogate, look.free, look.sought) if len(look.free) else 0.0

    def model(self, study: Study) -> Surrogate:
        """What it proposes by, before trials that run or wait are counted on.

        Of a space that is looked at as a whole it is the model that all readers of the study have
        (`tuner.model.study_model.model_of`).
        """
        trials = self._trials(study)
        seen = self._seen(study, trials)
        return self._model(study, seen, [], self._last(trials, seen))

    def _propose(self, study: Study, trial: FrozenTrial) -> Proposal:
        others = [t for t in self._trials(study) if t.number != trial.number]
        taken = taken_by(self._asked, others)
        self._free(taken)
        seen = self._seen(study, others)
        fixed = {**trial.system_attrs.get("fixed_params", {}), **trial.params}
        if len(seen) + len(pending(self._space, others, -1)) < self._startup:
            for start in self._starts(seen):
                if start not in taken and _agrees(start, fixed):
                    return Proposal(start, {WHY: dict(reasons_of_initial())})
        host = trial.user_attrs.get(HOST)
        up = self._last(others, seen) if host is None else self._up_on(host, others, seen)
        look = self._look(study, others, seen, taken, fixed, up)
        if len(look.free) == 0:
            if self.unvisited(study) == 0:
                raise SpaceExhausted(
                    "what is left of the search space has too little memory to serve",
                    "Widen the search space, or ask for repeats.",
                )
            return Proposal(self._any(taken, turn_of(trial, others)))
        free = look.free
        if self._target == "per-scenario":
            free = balanced(look.surrogate, free, seen)
        selection = select(look.surrogate, free, look.sought)
        why = dict(reasons_of(look.surrogate, selection, look.sought))
        return Proposal(look.surrogate.candidates.configurations[selection.row], {WHY: why})

    def _starts(self, seen: Sequence[Observation]) -> Iterator[Configuration]:
        for start in starts(self._space, self._startup, self._seed, self._search):
            yield with_enough_memory(self._space, seen, start)

    def unvisited(self, study: Study) -> int | None:
        """As the base class says, less what surely has too little memory."""
        trials = self._trials(study)
        seen = self._seen(study, trials)
        if self._lattice is None or not is_whole(self._space, len(seen)):
            return super().unvisited(study)
        candidates = Candidates.of(self._space, None, self._scenarios)
        is_free = ~hopeless(candidates, seen)
        is_free[_rows(candidates, taken_by(self._asked, trials))] = False
        return int(np.count_nonzero(is_free))

    def _seen(self, study: Study, trials: Sequence[FrozenTrial]) -> list[Observation]:
        return self._observed.of(trials, _metrics(study))

    def _look(
        self,
        study: Study,
        others: Sequence[FrozenTrial],
        seen: Sequence[Observation],
        taken: set[Configuration],
        fixed: Mapping[str, Value],
        last: Configuration | None,
    ) -> _Look:
        waiting = pending(self._space, others, -1)
        surrogate = self._model(study, seen, waiting, last)
        candidates = surrogate.candidates
        surrogate = surrogate.with_pending(_rows(candidates, waiting))
        is_free = ~hopeless(candidates, seen)
        is_free[_rows(candidates, taken)] = False
        if fixed:
            agrees = np.array([_agrees(c, fixed) for c in candidates.configurations])
            is_free &= agrees if (agrees & is_free).any() else True
        # What was cut short is no member of a front, however good the model thinks it is.
        whole = [o.configuration for o in seen if served(o) and not o.cut_short]
        up = None if last is None else candidates.index(last)
        sought = Sought(
            self._target,
            np.unique(_rows(candidates, whole)),
            None if up is None else int(candidates.deployment[up]),
            Costs.of(seen) if self._search.stay else None,
            np.hypot(surrogate.noise_sd, _usual_sd(seen, len(surrogate.metrics))),
        )
        return _Look(surrogate, np.flatnonzero(is_free), sought)

    def _last(
        self, others: Sequence[FrozenTrial], seen: Sequence[Observation]
    ) -> Configuration | None:
        """What this worker measured last and what is therefore up; None where nothing is."""
        mine = {
            t.number
            for t in others
            if self._worker is not None and t.user_attrs.get(OWNER) == self._worker
        }
        last = next((o for o in reversed(seen) if not mine or o.number in mine), None)
        return last.configuration if last is not None and served(last) else None

    def _up_on(
        self, host: str, others: Sequence[FrozenTrial], seen: Sequence[Observation]
    ) -> Configuration | None:
        """What a host will have up when it is free; None where it has nothing."""
        states = (TrialState.RUNNING, TrialState.COMPLETE)
        there = [t for t in others if t.user_attrs.get(HOST) == host and t.state in states]
        if not there:
            return None
        last = max(there, key=lambda t: t.number)
        if last.state == TrialState.RUNNING:
            return self._asked.of(last)
        return next((o.configuration for o in seen if o.number == last.number and served(o)), None)

    def _model(
        self,
        study: Study,
        seen: Sequence[Observation],
        waiting: Sequence[Configuration],
        up: Configuration | None,
    ) -> Surrogate:
        problem = ProblemStatement(
            self._space,
            tuple(_metrics(study)),
            tuple("minimize" if d.name == "MINIMIZE" else "maximize" for d in study.directions),
            self._scenarios,
            self._host_cpus,
            self._warm,
            self._prices,
        )
        whole = is_whole(self._space, len(seen))
        configurations = None if whole else self._sampled(problem, seen, waiting, up)
        return problem.model(seen, problem.candidates(configurations))

    def _sampled(
        self,
        problem: ProblemStatement,
        seen: Sequence[Observation],
        waiting: Sequence[Configuration],
        up: Configuration | None,
    ) -> list[Configuration]:
        """Candidates of a space that is too large to be looked at as a whole."""
        good = [o for o in seen if served(o) and o.values is not None]
        signs = [1.0 if d == "minimize" else -1.0 for d in problem.directions]
        points = np.array([o.values for o in good], dtype=np.float64).reshape(-1, len(signs))
        best = front(points * signs)
        # Spread along the front, where it has more than enough.
        best = best[np.linspace(0, len(best) - 1, min(len(best), _CENTRES)).round().astype(int)]
        configurations = sampled(
            self._space,
            [good[i].configuration for i in best],
            (self._seed, len(seen)),
            scenarios=() if self._target == "overall" else self._scenarios,
            up=up if self._search.stay else None,
        )
        more = [o.configuration for o in seen] if self._target == "overall" else []
        up_too = [] if up is None else [up]
        return [*configurations, *more, *waiting, *up_too]

    def _any(self, taken: set[Configuration], turn: int) -> Configuration:
        """One that is not taken, where none of the candidates is free."""
        rng = np.random.default_rng([self._seed, turn])
        if self._lattice is not None:
            return self._lattice.configuration(int(rng.choice(self._lattice.free(taken))))
        while True:
            for configuration in sampled(self._space, [], (self._seed, int(rng.integers(2**32)))):
                if configuration not in taken:
                    return configuration


def _rows(
    candidates: Candidates, configurations: Sequence[Configuration] | set[Configuration]
) -> Indices:
    rows = [row for c in configurations if (row := candidates.index(c)) is not None]
    return np.array(rows, dtype=np.intp)


def _metrics(study: Study) -> list[str]:
    return study.metric_names or [f"objective {j}" for j in range(len(study.directions))]


def _agrees(configuration: Configuration, fixed: Mapping[str, Value]) -> bool:
    return all(n not in configuration or configuration[n] == v for n, v in fixed.items())


def _usual_sd(seen: Sequence[Observation], metrics: int) -> Floats:
    """The median of what bursts state as their own deviation, per objective; 0 where none does."""
    medians = np.zeros(metrics)
    for j in range(metrics):
        stated = [sd[j] for o in seen if (sd := o.relative_sd) and sd[j] is not None]
        medians[j] = float(np.median(np.array(stated, dtype=np.float64))) if stated else 0.0
    return medians
