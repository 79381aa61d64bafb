"""Which parameters the trials of an ordinary Optuna study have, and on what that depends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

_DECIDES = 32
"""A whole number with more values than this does not decide which parameters there are."""


@dataclass(frozen=True)
class InferredCondition:
    """A parameter is there where the parameter `parent` has one of `values`."""

    parent: str
    values: tuple[Any, ...]


def stable_distributions(trials: Sequence[FrozenTrial]) -> dict[str, BaseDistribution]:
    """The parameters of complete trials that have the same distribution in each that has them.

    By name, sorted; those with a single value are left out.
    """
    distributions: dict[str, BaseDistribution] = {}
    changing = set()
    for trial in trials:
        if trial.state == TrialState.COMPLETE:
            for name, distribution in trial.distributions.items():
                if distributions.setdefault(name, distribution) != distribution:
                    changing.add(name)
    return {
        name: distribution
        for name, distribution in sorted(distributions.items())
        if name not in changing and not distribution.single()
    }


def conditions_of(
    trials: Sequence[FrozenTrial], search_space: Mapping[str, BaseDistribution]
) -> Mapping[str, InferredCondition | None]:
    """The condition of each parameter that the complete trials explain; None: always active.

    A parameter that some trials lack is explained by a parent: a categorical parameter, or a whole
    number of few values. The parent's values in the trials that have the parameter never occur in
    the trials that lack it. Each parameter comes after its parent.
    """
    complete = [t.params for t in trials if t.state == TrialState.COMPLETE]
    explained: dict[str, InferredCondition | None] = {
        name: None for name in search_space if all(name in params for params in complete)
    }
    left = [name for name in search_space if name not in explained]
    while left:
        conditions = {
            name: condition
            for name in left
            if (condition := _condition(name, complete, explained, search_space)) is not None
        }
        if not conditions:
            break
        explained |= conditions
        left = [name for name in left if name not in conditions]
    return explained


def _condition(
    name: str,
    complete: Sequence[Mapping[str, Any]],
    parents: Mapping[str, InferredCondition | None],
    search_space: Mapping[str, BaseDistribution],
) -> InferredCondition | None:
    having = [params for params in complete if name in params]
    lacking = [params for params in complete if name not in params]
    for parent in parents:
        if not _decides(search_space[parent]) or any(parent not in params for params in having):
            continue
        values = {params[parent] for params in having}
        if values.isdisjoint(params[parent] for params in lacking if parent in params):
            return InferredCondition(parent, tuple(values))
    return None


def _decides(distribution: BaseDistribution) -> bool:
    if isinstance(distribution, IntDistribution):
        return (distribution.high - distribution.low) / distribution.step < _DECIDES
    return isinstance(distribution, CategoricalDistribution)
