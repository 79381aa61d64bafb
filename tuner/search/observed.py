"""What the trials of an Optuna study say to a model, and what is still being measured."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence

from optuna.trial import FrozenTrial, TrialState

from tuner.measure.record import ATTRIBUTE, TrialRecord, stated_trials
from tuner.model.observations import SERVES, Observation
from tuner.search.distributions import configuration_of
from tuner.spec.space import Configuration, SearchSpace


class Observed:
    """The observations of a study of `space`; the record of each trial is read once."""

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self._read: dict[int, tuple[FrozenTrial, TrialRecord | Observation | None]] = {}
        self._last: tuple[list[FrozenTrial], list[Observation]] | None = None

    def of(self, trials: Iterable[FrozenTrial], metrics: Sequence[str]) -> list[Observation]:
        """Those of complete trials, by number; `metrics` are the study's objectives.

        Records are stated by what all of them say (`stated_trials`), as for a reader.
        """
        complete = sorted(
            (t for t in trials if t.state == TrialState.COMPLETE), key=lambda t: t.number
        )
        if self._last is not None and _same(complete, self._last[0]):
            return self._last[1]
        read = [r for t in complete if (r := self._once(t)) is not None]
        records = [r for r in read if isinstance(r, TrialRecord)]
        stated = {t.number: Observation.of(t, metrics) for t in stated_trials(records, metrics)}
        found = [stated[r.number] if isinstance(r, TrialRecord) else r for r in read]
        self._last = complete, found
        return found

    def _once(self, trial: FrozenTrial) -> TrialRecord | Observation | None:
        read = self._read.get(trial.number)
        # A finished trial never changes. Another object is a trial of another study.
        if read is None or read[0] is not trial:
            read = trial, _read(self._space, trial)
            self._read[trial.number] = read
        return read[1]


def _same(some: Sequence[FrozenTrial], others: Sequence[FrozenTrial]) -> bool:
    return len(some) == len(others) and all(map(operator.is_, some, others))


def observations(
    space: SearchSpace, trials: Iterable[FrozenTrial], metrics: Sequence[str]
) -> list[Observation]:
    """As `Observed.of`, for whoever reads a study once."""
    return Observed(space).of(trials, metrics)


def _read(space: SearchSpace, trial: FrozenTrial) -> TrialRecord | Observation | None:
    """Its record; its values and constraints where it has none, as in a plain Optuna study.

    None where its parameters are not a configuration of the space.
    """
    configuration = configuration_of(space, trial)
    if configuration is None:
        return None
    document = trial.user_attrs.get(ATTRIBUTE)
    if document is not None:
        return TrialRecord.from_json(document)
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
