"""What every sampler of this project keeps to, and how a trial of its study begins.

A trial is queued, or it is asked for. Either way it is stored whole, in one transaction.
"""

# ruff: noqa: ARG002, ANN401 -- the signatures are Optuna's

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from copy import copy
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from tuner.arrays import Indices
from tuner.errors import TuneError
from tuner.model.lattice import Lattice
from tuner.search.distributions import AskedConfigurations, distributions, snapped, stored
from tuner.spec.space import Configuration, Parameter, SearchSpace, Value
from tuner.spec.study import SamplerName

FAILURES_ALLOWED = 2
"""A configuration whose trial failed this often (the world's fault each time) is left alone."""

UNTRUSTED = "untrusted"
"""Attribute of a failed trial that was measured, twice, and could not be trusted: no more tries."""

WHY = "why"
"""Attribute of a trial: why a sampler proposed it, a JSON document."""

OWNER = "owner"
"""Attribute of a trial: the worker whose it is."""

HOST = "host"
"""Attribute of a trial: the host that measures it, where its worker has several."""

HOST_KIND = "host kind"
"""Attribute of a trial: the CPU model and the number of CPUs of the host that measures it."""

UNSTORED = -1
"""The id of a trial that is proposed for before the storage has it."""


@dataclass(frozen=True)
class Proposal:
    """What a next trial is to measure, and the attributes that it begins with."""

    configuration: Configuration
    user_attrs: Mapping[str, Any] = field(default_factory=dict)
    system_attrs: Mapping[str, Any] = field(default_factory=dict)


class SpaceExhausted(TuneError):  # noqa: N818 -- the end of a search, not a mistake
    """Every configuration of the search space is in the study already."""


class StudySampler(BaseSampler):
    """A sampler for studies of one search space. `make_sampler` makes it.

    - It never proposes a configuration that a complete, pruned, running or waiting trial has.
      Where every configuration is in the study, SpaceExhausted is raised. Repeats are for whoever
      enqueues them.
    - A failed trial says nothing about its configuration, which may be proposed again once, unless
      the trial was measured and could not be trusted (`UNTRUSTED`).
    - What it proposes depends on the study and the seed alone, and not on failed trials. So a study
      that was killed, whether or not within a trial, and is resumed proposes what it would have
      proposed.
    - Values that it proposes for inactive parameters are dropped, so what it proposes counts as the
      same where only these differ.

    `propose` needs no trial in the storage, so that one can be stored with all that it begins with
    (`ask`). `Study.ask` and `Study.optimize` of Optuna work too. Parallel
    workers see each other's running trials as soon as their parameters are stored.
    """

    def __init__(self, name: SamplerName, space: SearchSpace, seed: int) -> None:
        self.name = name
        self._space = space
        self._seed = seed
        self._lattice = Lattice.of(space)
        self._asked = AskedConfigurations(space)
        self._known: frozenset[int] | None = None
        self._made: tuple[int, Proposal] | None = None

    @abstractmethod
    def _propose(self, study: Study, trial: FrozenTrial) -> Proposal:
        """What `trial`, new in `study`, is to measure. Nothing is written to the trial."""

    def propose(self, study: Study, begins_with: Mapping[str, Any] | None = None) -> Proposal:
        """What the next trial is to measure, which is not in the storage yet.

        `begins_with` are the attributes that it will have from the start: whose it is, and where.
        """
        number = len(study.get_trials(deepcopy=False))
        if self._made is not None and self._made[0] == number:
            return self._made[1]
        return self._propose(study, _unstored(number, begins_with))

    @contextmanager
    def ahead(self, study: Study, begins_with: Mapping[str, Any] | None = None) -> Iterator[None]:
        """Inside, trials that were not complete when the block began count as being measured.

        The next proposal is made before the block begins. Inside it is the same, unless others
        have taken trials meanwhile; then one is made anew of what was learned for it, which takes
        little time. For workers that propose one after another, and measure at the same time.
        """
        complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        self._known = frozenset(trial.number for trial in complete)
        try:
            number = len(study.get_trials(deepcopy=False))
            with suppress(SpaceExhausted):
                self._made = number, self._propose(study, _unstored(number, begins_with))
            yield
        finally:
            self._known = self._made = None

    def _trials(self, study: Study) -> list[FrozenTrial]:
        """The study's trials, as far as they are known (`ahead`)."""
        trials = study.get_trials(deepcopy=False)
        if self._known is None:
            return trials
        return [
            _still_running(trial)
            if trial.state == TrialState.COMPLETE and trial.number not in self._known
            else trial
            for trial in trials
        ]

    def unvisited(self, study: Study) -> int | None:
        """How many configurations are left to propose; None where they cannot be counted."""
        if self._lattice is None:
            return None
        taken = taken_by(self._asked, self._trials(study))
        return len(self._lattice.free(taken))

    def expected_gain(self, study: Study) -> float | None:
        """The share by which the best next trial is expected to enlarge the hypervolume of what
        is sought; None where that cannot be said.
        """
        return None

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
        try:
            proposal = self._propose(study, trial)
        except SpaceExhausted:
            study.tell(trial.number, state=TrialState.FAIL)
            raise
        storage, identifier = study._storage, trial._trial_id  # noqa: SLF001 -- as Optuna's own do
        for name, value in proposal.user_attrs.items():
            storage.set_trial_user_attr(identifier, name, value)
        for name, value in proposal.system_attrs.items():
            storage.set_trial_system_attr(identifier, name, value)
        values = self._space.filled(proposal.configuration)
        return {name: values[name] for name in search_space}

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        raise ValueError(f"parameter {param_name!r} is not in the search space of this sampler")

    def _free(self, taken: set[Configuration]) -> Indices:
        """What is left of a finite space; raises SpaceExhausted where nothing is."""
        if self._lattice is None:
            return np.zeros(0, dtype=np.intp)
        free = self._lattice.free(taken)
        if len(free) == 0:
            raise SpaceExhausted(
                f"all {size_in_words(self._space)} configurations of the search space are in the"
                " study",
                "Widen the search space, or ask for repeats.",
            )
        return free


def _unstored(number: int, begins_with: Mapping[str, Any] | None = None) -> FrozenTrial:
    return FrozenTrial(
        number=number,
        state=TrialState.RUNNING,
        value=None,
        datetime_start=None,
        datetime_complete=None,
        params={},
        distributions={},
        user_attrs=dict(begins_with or {}),
        system_attrs={},
        intermediate_values={},
        trial_id=UNSTORED,
    )


def _still_running(trial: FrozenTrial) -> FrozenTrial:
    before = copy(trial)
    before.state = TrialState.RUNNING
    return before


def taken_by(asked: AskedConfigurations, trials: Sequence[FrozenTrial]) -> set[Configuration]:
    """The configurations that must not be proposed again."""
    taken: set[Configuration] = set()
    failures: Counter[Configuration] = Counter()
    for trial in trials:
        configuration = asked.of(trial)
        if configuration is None:
            continue
        if trial.state == TrialState.FAIL and UNTRUSTED not in trial.user_attrs:
            failures[configuration] += 1
        else:
            taken.add(configuration)
    return taken | {c for c, count in failures.items() if count >= FAILURES_ALLOWED}


def turn_of(trial: FrozenTrial, others: Sequence[FrozenTrial]) -> int:
    """The number of earlier trials that did not fail: what makes one proposal's seed differ from
    the next. Not the trial's own number: a failed trial must not change what comes after it.
    """
    return sum(t.number < trial.number and t.state != TrialState.FAIL for t in others)


def size_in_words(space: SearchSpace) -> str:
    size = space.size()
    return "no end of them" if size is None else f"{size:,}"


def queue(
    study: Study,
    space: SearchSpace,
    configuration: Configuration,
    user_attrs: Mapping[str, Any] | None = None,
) -> None:
    """Add a waiting trial of this configuration.

    As `Study.enqueue_trial`, which stores the parameters one by one when the trial is asked for.
    """
    study.add_trial(_trial(TrialState.WAITING, space, Proposal(configuration, user_attrs or {})))


def ask(
    study: Study, space: SearchSpace, user_attrs: Mapping[str, Any] | None = None
) -> tuple[Trial, Configuration]:
    """A trial of `study` that is running from now on, and its configuration.

    It is the first that waits, else a new one of what the study's sampler proposes. It never runs
    without the attributes `user_attrs`. Raises SpaceExhausted where the sampler does, and there is
    no new trial then.

    Only active parameters are stored, so every Optuna tool has only these. A trial that somebody
    queued with some parameters gets the others suggested, each after those that decide about it.
    """
    attributes = dict(user_attrs or {})
    waiting = study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
    storage = study._storage  # noqa: SLF001 -- how every Optuna sampler reaches the storage
    if isinstance(study.sampler, StudySampler) and not waiting:
        proposal = study.sampler.propose(study, attributes)
        begun = Proposal(
            proposal.configuration, {**proposal.user_attrs, **attributes}, proposal.system_attrs
        )
        new = _trial(TrialState.RUNNING, space, begun)
        identifier = storage.create_new_trial(study._study_id, new)  # noqa: SLF001
        return Trial(study, identifier), proposal.configuration
    for first in waiting[:1]:
        for name, value in attributes.items():
            storage.set_trial_user_attr(first._trial_id, name, value)  # noqa: SLF001
    trial = study.ask()
    for name, value in attributes.items():
        if trial.user_attrs.get(name) != value:  # another process took the one that was first
            trial.set_user_attr(name, value)
    values: dict[str, Value] = {}
    for parameter in space.parents_first:
        if parameter.active_in(values):
            values[parameter.name] = snapped(parameter, _suggested(trial, parameter))
    return trial, space.effective(values)


def _trial(state: TrialState, space: SearchSpace, begun: Proposal) -> FrozenTrial:
    return create_trial(
        state=state,
        params=dict(begun.configuration),
        distributions={name: stored(space[name]) for name in begun.configuration},
        user_attrs=dict(begun.user_attrs),
        system_attrs=dict(begun.system_attrs),
    )


def _suggested(trial: Trial, parameter: Parameter) -> Value:
    match stored(parameter):
        case CategoricalDistribution(choices=choices):
            return cast("Value", trial.suggest_categorical(parameter.name, choices))
        case IntDistribution(low=low, high=high, log=log, step=step):
            return trial.suggest_int(parameter.name, low, high, log=log, step=step)
        case FloatDistribution(low=low, high=high, log=log, step=step):
            return trial.suggest_float(parameter.name, low, high, log=log, step=step)
        case other:
            raise TypeError(f"no suggestion from a {type(other).__name__}")
