"""Optuna's own samplers by name, each asked through the sampler's view, never twice for a point.

Constraints reach all of them through the trials (`trial.set_constraint`).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import (
    BaseGASampler,
    BaseSampler,
    GPSampler,
    NSGAIISampler,
    QMCSampler,
    RandomSampler,
    TPESampler,
)
from optuna.storages import BaseStorage
from optuna.study import Study
from optuna.trial import FrozenTrial

from tuner.arrays import Indices
from tuner.search.distributions import from_view, snapped, viewed
from tuner.search.sampler_view import SamplerView
from tuner.search.study_sampler import UNSTORED, Proposal, StudySampler, taken_by, turn_of
from tuner.spec.space import Configuration, SearchSpace
from tuner.spec.study import SamplerName


@dataclass(frozen=True)
class Seeds:
    """What a stock sampler is built from: `study` stays the same, `draw` is new per proposal.

    `startup` is the number of trials before which a model is not worth fitting.
    """

    study: int
    draw: int
    startup: int


@dataclass(frozen=True)
class Stock:
    """How a sampler is built, and how often it is asked again for a point not yet in the study."""

    build: Callable[[Seeds], BaseSampler]
    asks: int


def _qmc(seeds: Seeds) -> BaseSampler:
    """One sequence for the whole study: its position is an attribute of the study."""
    with warnings.catch_warnings():
        # It has been called experimental since Optuna 3.0; that is no news to who runs a study.
        warnings.simplefilter("ignore", ExperimentalWarning)
        return QMCSampler(scramble=True, seed=seeds.study)


STOCK: dict[SamplerName, Stock] = {
    "tpe": Stock(
        lambda s: TPESampler(multivariate=True, n_startup_trials=s.startup, seed=s.draw), asks=10
    ),
    # One proposal takes about half a second, and asked again it finds the same optimum.
    "gp": Stock(
        lambda s: GPSampler(
            n_startup_trials=s.startup, seed=s.draw, warn_independent_sampling=False
        ),
        asks=1,
    ),
    # The default population of 50 would still be random at the end of a usual budget.
    "nsga2": Stock(lambda s: NSGAIISampler(population_size=20, seed=s.draw), asks=10),
    "random": Stock(lambda s: RandomSampler(seed=s.draw), asks=10),
    "qmc": Stock(_qmc, asks=30),
}


class StockSampler(StudySampler):
    """One of Optuna's samplers (`STOCK`), or `grid`, made fit for this kind of study.

    - It sees logarithms and order (`SamplerView`), and every parameter from the first trial on.
    - Asked again in vain for a point that is not taken, the nearest one not yet in the study is
      taken.
    - It keeps no state: it is built anew for each proposal, seeded by the study's seed and the
      number of earlier trials that did not fail. (`qmc` goes on with the next point of its
      sequence.)
    - `grid` is every configuration once, in a random order that the seed fixes.
    """

    def __init__(self, name: SamplerName, space: SearchSpace, seed: int, startup: int) -> None:
        super().__init__(name, space, seed)
        self._startup = startup
        self._view: tuple[BaseStorage, SamplerView] | None = None

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        # Queued trials are never asked for; a genetic sampler counts them all the same.
        queued = trial.params or "fixed_params" in trial.system_attrs
        if queued and self.name != "grid":
            inner = self._inner(0)
            if isinstance(inner, BaseGASampler):
                inner.get_trial_generation(self._study_view(study, inner), trial)

    def _propose(self, study: Study, trial: FrozenTrial) -> Proposal:
        others = [t for t in study.get_trials(deepcopy=False) if t.number != trial.number]
        taken = taken_by(self._asked, others)
        free = self._free(taken)
        if self._lattice and self.name == "grid":
            order = np.random.default_rng(self._seed).permutation(self._lattice.size)
            return Proposal(self._lattice.configuration(int(order[np.isin(order, free)][0])))

        turn = turn_of(trial, others)
        inner = self._inner(turn)
        viewing, view = self._study_view(study, inner), self._storage_view(study)
        translated = view.translate(trial)
        translated._trial_id = UNSTORED  # noqa: SLF001 -- what it writes is in the proposal
        configuration = self._new(inner, viewing, translated, taken, free, turn)
        return Proposal(configuration, system_attrs=view.take_unstored())

    def _new(
        self,
        inner: BaseSampler,
        study: Study,
        trial: FrozenTrial,
        taken: set[Configuration],
        free: Indices,
        turn: int,
    ) -> Configuration:
        """What the inner sampler proposes, or the nearest to it that is not taken."""
        for _ in range(STOCK[self.name].asks):
            proposal = self._ask(inner, study, trial)
            if proposal not in taken:
                return proposal
        rng = np.random.default_rng([self._seed, turn])
        if self._lattice:
            index = self._lattice.index(proposal)
            assert index is not None
            return self._lattice.configuration(self._lattice.nearest(index, free, rng))
        return self._random(taken, rng, study, trial)

    def _ask(self, inner: BaseSampler, study: Study, trial: FrozenTrial) -> Configuration:
        space = {p.name: viewed(p) for p in self._space}
        several = {name: d for name, d in space.items() if not d.single()}
        values = inner.sample_relative(study, trial, several)
        for name, distribution in several.items():
            if name not in values:
                values[name] = inner.sample_independent(study, trial, name, distribution)
        return self._space.effective(
            {
                p.name: snapped(p, from_view(p, values[p.name])) if p.name in values else p.default
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
