"""Optuna's samplers by name, each asked through the sampler's view and never twice for a point."""

# ruff: noqa: ARG002, ANN401 -- the signatures are Optuna's

from __future__ import annotations

import importlib.util
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseGASampler, BaseSampler, RandomSampler
from optuna.storages import BaseStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from tuner.errors import InputError, TuneError
from tuner.search.distributions import (
    configuration_of,
    distributions,
    from_view,
    snapped,
    viewed,
)
from tuner.search.lattice import ENUMERABLE, Lattice
from tuner.search.stock import STOCK, Seeds
from tuner.search.view import SamplerView
from tuner.spec.space import Configuration, SearchSpace
from tuner.spec.study import SamplerName

FAILURES_ALLOWED = 2
"""A configuration whose trial failed this often (the world's fault each time) is left alone."""


UNTRUSTED = "untrusted"
"""Attribute of a failed trial that was measured, twice, and could not be trusted: no more tries."""


class SpaceExhausted(TuneError):  # noqa: N818 -- the end of a search, not a mistake
    """Every configuration of the search space is in the study already."""


def make_sampler(
    name: SamplerName, space: SearchSpace, seed: int, *, startup: int = 10
) -> StudySampler:
    """The sampler `name` for studies of `space`.

    `startup`: number of configurations that the study starts with by itself (`seeds`).
    Raises InputError where PyTorch is missing (`gp`) or the space has no grid (`grid`).
    """
    if name == "gp" and importlib.util.find_spec("torch") is None:
        raise InputError(
            "sampler 'gp' needs PyTorch, which is not installed",
            "Install it beside tune (`pip install torch`), or choose sampler 'tpe'.",
        )
    if name == "grid" and Lattice.of(space) is None:
        raise InputError(
            f"sampler 'grid' needs a search space of at most {ENUMERABLE:,} configurations; "
            f"this one has {_size(space)}",
            "Give every parameter choices or a (larger) step, or choose another sampler.",
        )
    return StudySampler(name, space, seed, startup)


class StudySampler(BaseSampler):
    """One of Optuna's samplers, made fit for this kind of study. Make it with `make_sampler`.

    - It sees logarithms and order (`SamplerView`), and every parameter from the first trial on.
      Values that it proposes for inactive parameters are dropped, so what it proposes counts as
      the same where only these differ.
    - It never proposes a configuration that a complete, pruned, running or waiting trial has.
      Asked again in vain, the nearest one not yet in the study is taken; where all are,
      SpaceExhausted is raised (its trial is told FAIL). Repeats are for whoever enqueues them.
    - A failed trial says nothing about its configuration, which may be proposed again once, unless
      the trial was measured and could not be trusted (`UNTRUSTED`).
    - It keeps no state: it is built anew for each proposal, seeded by the study's seed and the
      number of earlier trials that did not fail. So a study that was killed, whether or not
      within a trial, and is resumed proposes what it would have proposed. (`qmc` goes on with
      the next point of its sequence.)
    - `grid` is every configuration once, in a random order that the seed fixes.

    Parallel workers see each other's running trials as soon as their parameters are stored.
    """

    def __init__(self, name: SamplerName, space: SearchSpace, seed: int, startup: int) -> None:
        self.name = name
        self._space = space
        self._seed = seed
        self._startup = startup
        self._lattice = Lattice.of(space)
        self._view: tuple[BaseStorage, SamplerView] | None = None

    def unvisited(self, study: Study) -> int | None:
        """How many configurations are left to propose; None where they cannot be counted."""
        if self._lattice is None:
            return None
        taken = _taken(self._space, study.get_trials(deepcopy=False))
        return len(self._lattice.free(taken))

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        # Enqueued trials are never asked for; a genetic sampler counts them all the same.
        if "fixed_params" in trial.system_attrs and self.name != "grid":
            inner = self._inner(0)
            if isinstance(inner, BaseGASampler):
                inner.get_trial_generation(self._study_view(study, inner), trial)

    def infer_relative_search_space(
        self,
        study: Study,
        trial: FrozenTrial,
    ) -> dict[str, BaseDistribution]:
        return {n: d for n, d in distributions(self._space).items() if not d.single()}

    def sample_relative(
        self,
        study: Study,
        trial: FrozenTrial,
        search_space: dict[str, BaseDistribution],
    ) -> dict[str, Any]:
        # A trial that was enqueued with some values may make others active than the proposal does.
        proposal = self._space.filled(self._propose(study, trial))
        return {name: proposal[name] for name in search_space}

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        raise ValueError(f"parameter {param_name!r} is not in the search space of this sampler")

    def _propose(self, study: Study, trial: FrozenTrial) -> Configuration:
        others = [t for t in study.get_trials(deepcopy=False) if t.number != trial.number]
        taken = _taken(self._space, others)
        free = self._lattice.free(taken) if self._lattice else np.zeros(0, dtype=np.intp)
        if self._lattice and len(free) == 0:
            study.tell(trial.number, state=TrialState.FAIL)
            raise SpaceExhausted(
                f"all {_size(self._space)} configurations of the search space are in the study",
                "Widen the search space, or ask for repeats.",
            )
        if self._lattice and self.name == "grid":
            order = np.random.default_rng(self._seed).permutation(self._lattice.size)
            return self._lattice.configuration(int(order[np.isin(order, free)][0]))

        # Not the trial's own number: a failed trial must not change what comes after it.
        turn = sum(t.number < trial.number and t.state != TrialState.FAIL for t in others)
        inner = self._inner(turn)
        viewing = self._study_view(study, inner)
        asked = self._storage_view(study).translate(trial)
        for _ in range(STOCK[self.name].asks):
            proposal = self._ask(inner, viewing, asked)
            if proposal not in taken:
                return proposal
        rng = np.random.default_rng([self._seed, turn])
        if self._lattice:
            index = self._lattice.index(proposal)
            assert index is not None
            return self._lattice.configuration(self._lattice.nearest(index, free, rng))
        return self._random(taken, rng, viewing, asked)

    def _ask(self, inner: BaseSampler, study: Study, trial: FrozenTrial) -> Configuration:
        space = {p.name: viewed(p) for p in self._space}
        several = {name: d for name, d in space.items() if not d.single()}
        found = inner.sample_relative(study, trial, several)
        for name, distribution in several.items():
            if name not in found:
                found[name] = inner.sample_independent(study, trial, name, distribution)
        return self._space.effective(
            {
                p.name: snapped(p, from_view(p, found[p.name])) if p.name in found else p.default
                for p in self._space
            }
        )

    def _random(
        self,
        taken: set[Configuration],
        rng: np.random.Generator,
        study: Study,
        trial: FrozenTrial,
    ) -> Configuration:
        """A random configuration that is not taken, from a space too large to be exhausted."""
        inner = RandomSampler(seed=int(rng.integers(2**32)))
        while (proposal := self._ask(inner, study, trial)) in taken:
            pass
        return proposal

    def _inner(self, turn: int) -> BaseSampler:
        draw = int(np.random.SeedSequence([self._seed, turn]).generate_state(1)[0])
        return STOCK[self.name].build(Seeds(self._seed, draw, self._startup))

    def _storage_view(self, study: Study) -> SamplerView:
        storage = study._storage  # noqa: SLF001 -- how every Optuna sampler reaches the storage
        if self._view is None or self._view[0] is not storage:
            self._view = (storage, SamplerView(storage, self._space))
        return self._view[1]

    def _study_view(self, study: Study, inner: BaseSampler) -> Study:
        # A new Study each time: Optuna caches trials in it for the length of one trial.
        return optuna.load_study(
            study_name=study.study_name, storage=self._storage_view(study), sampler=inner
        )


def _taken(space: SearchSpace, trials: Sequence[FrozenTrial]) -> set[Configuration]:
    """The configurations that must not be proposed again."""
    taken: set[Configuration] = set()
    failures: Counter[Configuration] = Counter()
    for trial in trials:
        known = configuration_of(space, trial)
        if known is None:
            continue
        if trial.state == TrialState.FAIL and UNTRUSTED not in trial.user_attrs:
            failures[known] += 1
        else:
            taken.add(known)
    return taken | {known for known, count in failures.items() if count >= FAILURES_ALLOWED}


def _size(space: SearchSpace) -> str:
    size = space.size()
    return "no end of them" if size is None else f"{size:,}"
