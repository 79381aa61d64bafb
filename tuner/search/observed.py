"""What the trials of an Optuna study say to a model, and what is still being measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from optuna.trial import FrozenTrial, TrialState

from tuner.model.observations import OBSERVED, Noise, Observation
from tuner.search.distributions import configuration_of
from tuner.spec.space import Configuration, SearchSpace


def observations(space: SearchSpace, trials: Iterable[FrozenTrial]) -> list[Observation]:
    """Those of complete trials of an Optuna study, by number.

    A trial without the attribute `OBSERVED` has unknown noise; its values are measured ones unless
    the attribute `imputed` says otherwise.
    """
    found = []
    for trial in sorted(trials, key=lambda t: t.number):
        known = configuration_of(space, trial)
        if trial.state != TrialState.COMPLETE or known is None:
            continue
        noise = Noise.from_json(trial.user_attrs.get(OBSERVED, {}))
        imputed = noise.imputed or "imputed" in trial.user_attrs
        values = None if imputed else tuple(trial.values)
        found.append(Observation(trial.number, known, values, constraints_of(trial), noise))
    return found


def constraints_of(trial: FrozenTrial) -> Mapping[str, float]:
    """The violations that were told with `trial.set_constraint`, by name."""
    return dict(trial.constraints)


def pending(space: SearchSpace, trials: Sequence[FrozenTrial], but: int) -> list[Configuration]:
    """Configurations that other workers measure now or that wait for it, without trial `but`."""
    return [
        known
        for trial in trials
        if trial.state in (TrialState.RUNNING, TrialState.WAITING) and trial.number != but
        if (known := configuration_of(space, trial)) is not None
    ]
