"""What the trials of an Optuna study say to a model, and what is still being measured."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from optuna.trial import FrozenTrial, TrialState

from tuner.measure.record import ATTRIBUTE, TrialRecord
from tuner.model.observations import SERVES, Observation
from tuner.search.distributions import configuration_of
from tuner.spec.space import Configuration, SearchSpace


class Observed:
    """The observations of a study of `space`; the record of each trial is read once."""

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self._read: dict[int, tuple[FrozenTrial, Observation | None]] = {}

    def of(self, trials: Iterable[FrozenTrial], metrics: Sequence[str]) -> list[Observation]:
        """Those of complete trials, by number; `metrics` are the study's objectives."""
        complete = sorted(
            (t for t in trials if t.state == TrialState.COMPLETE), key=lambda t: t.number
        )
        read = (self._once(trial, metrics) for trial in complete)
        return [observation for observation in read if observation is not None]

    def _once(self, trial: FrozenTrial, metrics: Sequence[str]) -> Observation | None:
        read = self._read.get(trial.number)
        # A finished trial never changes. Another object is a trial of another study.
        if read is None or read[0] is not trial:
            read = trial, _observation(self._space, trial, metrics)
            self._read[trial.number] = read
        return read[1]


def observations(
    space: SearchSpace, trials: Iterable[FrozenTrial], metrics: Sequence[str]
) -> list[Observation]:
    """As `Observed.of`, for whoever reads a study once."""
    return Observed(space).of(trials, metrics)


def _observation(
    space: SearchSpace, trial: FrozenTrial, metrics: Sequence[str]
) -> Observation | None:
    """By its record; by its values and constraints where it has none, as in a plain Optuna study.

    None where its parameters are not a configuration of the space.
    """
    configuration = configuration_of(space, trial)
    if configuration is None:
        return None
    document = trial.user_attrs.get(ATTRIBUTE)
    if document is not None:
        return Observation.of(TrialRecord.from_json(document), metrics)
    constraints = dict(trial.constraints)
    served = constraints.get(SERVES, 0.0) <= 0
    values = tuple(trial.values) if served else None
    return Observation(trial.number, configuration, values, constraints)


def pending(space: SearchSpace, trials: Sequence[FrozenTrial], but: int) -> list[Configuration]:
    """The configurations of all running and waiting trials except trial `but`."""
    return [
        configuration
        for trial in trials
        if trial.state in (TrialState.RUNNING, TrialState.WAITING) and trial.number != but
        if (configuration := configuration_of(space, trial)) is not None
    ]
