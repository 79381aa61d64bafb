"""What a model of a study's measurements says: fronts, decisions, and what is not known yet."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tuner.measure.record import StudyRecord
from tuner.model.chances import Chances, chances
from tuner.model.regret import Robust, Serving, minimax, most_serving
from tuner.model.study_model import model_of
from tuner.model.surrogate import Surrogate
from tuner.results.pooled import standard_error
from tuner.results.predicted_front import Predicted, predicted, predicted_front, rows_of
from tuner.results.reserving import deployable_everywhere, reservation
from tuner.results.settle import SETTLED, Settling, settling
from tuner.spec.reservation import RESERVED
from tuner.spec.space import Configuration

DOUBTFUL = (0.2, 0.8)
"""Of a configuration whose probability of being on its front is between these, nothing is known."""


@dataclass(frozen=True)
class FrontFindings:
    """A front as predicted; `scenario` is None for the overall one.

    `uncertainty` is the standard deviation of its hypervolume as a share of it. `measured` has what
    is predicted of the configurations of the scenario that were measured. `doubtful` counts those
    of both whose place on it is open (`DOUBTFUL`).
    """

    scenario: Configuration | None
    predicted_front: tuple[Predicted, ...]
    uncertainty: float
    measured: Mapping[Configuration, Predicted]
    doubtful: int

    @property
    def uncertain(self) -> bool:
        return self.uncertainty > SETTLED


@dataclass(frozen=True)
class Findings:
    """`trials` has the numbers of a configuration's trials; `between` the standard deviation
    between bursts, by objective that is measured, as a share; `next` the configurations that would
    say most. `candidates` is how many configurations were looked at, `whole` whether these are all.
    """

    overall: FrontFindings
    scenarios: tuple[FrontFindings, ...]
    robust: Robust | None
    serving: Serving | None
    settling: Settling
    next: tuple[Configuration, ...]
    trials: Mapping[Configuration, tuple[int, ...]]
    between: Mapping[str, float]
    candidates: int
    whole: bool

    @property
    def doubtful(self) -> int:
        return sum(f.doubtful for f in self.scenarios or (self.overall,))

    def predicted(self, configuration: Configuration) -> Predicted | None:
        """What is predicted of a measured configuration, on the front of its scenario."""
        for front in (*self.scenarios, self.overall):
            if configuration in front.measured:
                return front.measured[configuration]
        return None


def find(study: StudyRecord) -> Findings | None:
    """None where fewer than `FEWEST` configurations could be measured.

    A pure function of the study: it uses the same numbers in place of chance each time.
    """
    surrogate = model_of(study)
    if surrogate is None:
        return None
    candidates = surrogate.candidates
    several = len(candidates.scenarios) > 1
    within = [chances(surrogate, rows_of(surrogate, s)) for s in candidates.scenarios]
    whole = chances(surrogate, rows_of(surrogate, None)) if several else within[0]
    trials = _trials(study)
    overall = _front(surrogate, None, whole, trials)
    scenarios = [
        _front(surrogate, s, w, trials)
        for s, w in zip(candidates.scenarios, within, strict=True)
        if len(s)
    ]
    errors = np.array([_own_errors(study, s) for s in candidates.scenarios])
    open_fronts = settling(surrogate, within, errors)
    return Findings(
        overall,
        tuple(scenarios),
        _robust(study, surrogate, within) if several else None,
        most_serving(surrogate) if several else None,
        open_fronts,
        tuple(candidates.configurations[row] for row in open_fronts.first),
        trials,
        {
            metric: float(noise)
            for metric, noise in zip(surrogate.metrics, surrogate.noise_sd, strict=True)
            if metric not in RESERVED
        },
        len(candidates),
        len(candidates) == study.search_space.size(),
    )


def _robust(study: StudyRecord, surrogate: Surrogate, within: Sequence[Chances]) -> Robust | None:
    """The decision of least regret, one that was measured if possible: it can be exported."""
    measured = {study.decision_of(t.configuration) for t in study.trials if t.eligible}
    scenarios = surrogate.candidates.scenarios
    busy = {d for d in measured if deployable_everywhere(study, d, scenarios)}
    return minimax(
        surrogate,
        within,
        margin=math.log1p(study.answer.margin),
        among=busy or measured,
        reserves=lambda decision: reservation(study, decision),
    )


def _front(
    surrogate: Surrogate,
    scenario: Configuration | None,
    within: Chances,
    trials: Mapping[Configuration, tuple[int, ...]],
) -> FrontFindings:
    at = [row for c in trials if (row := surrogate.candidates.index(c)) is not None]
    rows = np.intersect1d(rows_of(surrogate, scenario), np.array(at, dtype=np.intp))
    low, high = DOUBTFUL
    best = predicted_front(surrogate, scenario, within=within)
    measured = {p.configuration: p for p in predicted(surrogate, rows, within)}
    predictions = {**measured, **{p.configuration: p for p in best}}
    return FrontFindings(
        scenario,
        best,
        within.uncertainty,
        measured,
        sum(low < p.on_front < high for p in predictions.values()),
    )


def _trials(study: StudyRecord) -> dict[Configuration, tuple[int, ...]]:
    """The numbers of each configuration's trials that were measured."""
    numbers: dict[Configuration, tuple[int, ...]] = {}
    for trial in study.trials:
        if not trial.imputed:
            numbers[trial.configuration] = (*numbers.get(trial.configuration, ()), trial.number)
    return numbers


def _own_errors(study: StudyRecord, scenario: Configuration) -> npt.NDArray[np.float64]:
    """The median standard error of a scenario's bursts, as a share of the value, shape (m,).

    It is that of all bursts where the scenario has none.
    """
    bursts = [t for t in study.trials if t.measurement is not None and not t.cut_short]
    own = [t for t in bursts if study.scenario_of(t.configuration) == scenario]
    metrics = [o.metric for o in study.objectives]
    errors = [[standard_error(t.metric(m), m) for m in metrics] for t in own or bursts]
    if not errors:
        return np.zeros(len(study.objectives))
    usual: npt.NDArray[np.float64] = np.median(np.array(errors), axis=0)
    return usual
