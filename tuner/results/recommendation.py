"""What is recommended: for each scenario, the configuration that a person should deploy.

Everything that names a recommended configuration (terminal, report, dashboard, exports, the Python
API) has it from `recommend`, through `tuner.results.summary`. A scenario is never recommended: it
is what the world does, and a recommendation is a decision for it.

A decision is judged as in `tuner.model.regret`: by the objective that is furthest from the best
value that the scenario allows. It is behind by how much further off that is than for the best
compromise. Only what was measured, and is feasible, can be recommended. What else is likely is
taken into account when the study's model says how sure the recommendation is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tuner.arrays import Floats, Indices
from tuner.measure.record import StudyRecord
from tuner.model.chances import DRAWS, able_in, plausible
from tuner.model.feasibility import SURE
from tuner.model.regret import off_ideal
from tuner.model.surrogate import Surrogate
from tuner.results.pooled import Pooled
from tuner.results.predicted_front import rows_of
from tuner.results.reserving import deployable, idle_replicas, reservation
from tuner.results.wording import chance
from tuner.spec.space import Configuration

_ALIKE = 0.5
_ROUNDING = 1e-9
_HOPELESS = np.log(10.0)
"""How far behind what cannot serve in a draw counts: ten times as bad as the best compromise."""


@dataclass(frozen=True, eq=False)
class Recommendation:
    """The decision for one scenario, as its bursts measured it together.

    `scenario` is empty in a study without scenarios. `chance` is the probability that no other
    configuration of the scenario is better by more than the study's margin (`answer.margin`).
    `equals` are the measured configurations that cannot be told apart from it and reserve more.
    `rival` is the configuration that is the best compromise most often beside it, measured or not,
    with the probability that it is better by more than the margin; None where there is none.
    `leaner` reserves less and was not measured, while the model expects no objective to be worse by
    more than the margin; None where there is none. With a chance of `enough` it is settled
    (`search.settled`). Where it is not `modelled`, too little was measured for a model: `chance` is
    then among what was measured, and nothing is settled.
    """

    scenario: Configuration
    pooled: Pooled
    chance: float
    enough: float
    equals: tuple[Configuration, ...] = ()
    rival: tuple[Configuration, float] | None = None
    leaner: Configuration | None = None
    modelled: bool = True

    @property
    def configuration(self) -> Configuration:
        return self.pooled.configuration

    @property
    def settled(self) -> bool:
        return self.modelled and self.chance >= self.enough


def recommend(
    study: StudyRecord,
    scenario: Configuration,
    configurations: Sequence[Pooled],
    surrogate: Surrogate | None,
) -> Recommendation | None:
    """What is recommended among the measured `configurations` of a scenario.

    The best compromise of all objectives comes first. Then, of all that cannot be told apart from
    it (with even odds, each objective is not worse by more than the margin), the one that reserves
    least is taken. What nobody should deploy is left out: idle replicas, and too little memory
    (`tuner.results.reserving.deployable`). Without a `surrogate`, each configuration is known by
    its own bursts alone. None where nothing else is feasible.
    """
    may = _rule(study, configurations)
    measured = [p for p in configurations if p.eligible and may(p.configuration)]
    if not measured:
        return None
    every, draws, able = _worlds(scenario, measured, surrogate, may)
    count, margin = len(measured), np.log1p(study.answer.margin)
    all_regrets = _regrets(able)
    regrets = all_regrets[:, :count]
    behind = np.minimum(regrets, _HOPELESS).mean(axis=0)
    best = int(np.argmin(np.round(behind, 12)))
    serves = np.isfinite(able[:, :count]).all(axis=2).mean(axis=0)
    own = draws[:, :count]
    alike = ((own <= own[:, [best]] + margin).mean(axis=0) >= _ALIKE).all(axis=1)
    alike = np.flatnonzero(alike & (serves >= min(SURE, serves[best])))
    first, *others = sorted(
        alike.tolist(), key=lambda i: (reservation(study, measured[i].configuration), behind[i])
    )
    return Recommendation(
        scenario,
        measured[first],
        float((regrets[:, first] <= margin + _ROUNDING).mean()),
        study.settled,
        tuple(measured[i].configuration for i in others),
        _rival(all_regrets, first, margin, every),
        None
        if surrogate is None
        else _leaner(
            study, scenario, configurations, measured[first].configuration, surrogate, may
        ),
        surrogate is not None,
    )


def _rule(study: StudyRecord, configurations: Sequence[Pooled]) -> Callable[[Configuration], bool]:
    """What may be recommended; where all that was measured has too little memory, that may be."""
    may = deployable(study)
    if any(p.eligible and may(p.configuration) for p in configurations):
        return may
    return lambda configuration: not idle_replicas(study, configuration)


def _leaner(
    study: StudyRecord,
    scenario: Configuration,
    tried: Sequence[Pooled],
    chosen: Configuration,
    surrogate: Surrogate,
    may: Callable[[Configuration], bool],
) -> Configuration | None:
    """What reserves least of all that was not tried and is expected to be as good as the chosen."""
    own = surrogate.candidates.index(chosen)
    if own is None:
        return None
    rows = rows_of(surrogate, scenario)
    posterior = surrogate.posterior(rows)
    bound = surrogate.posterior([own]).mean[0] + np.log1p(study.answer.margin)
    alike = (posterior.mean <= bound).all(axis=1) & (posterior.feasible > SURE)
    seen = {p.configuration for p in tried}
    leaner = [
        c
        for row in rows[alike].tolist()
        if (c := surrogate.candidates.configurations[row]) not in seen
        and may(c)
        and reservation(study, c) < reservation(study, chosen)
    ]
    return min(leaner, key=lambda c: reservation(study, c), default=None)


def _rival(
    regrets: Floats, chosen: int, margin: float, configurations: Sequence[Configuration]
) -> tuple[Configuration, float] | None:
    """What is better than the chosen one most often, and how probable that is."""
    better = (regrets + margin < regrets[:, [chosen]] - _ROUNDING).mean(axis=0)
    likely = int(np.argmax(better))
    return (configurations[likely], float(better[likely])) if better[likely] > 0 else None


def _worlds(
    scenario: Configuration,
    measured: Sequence[Pooled],
    surrogate: Surrogate | None,
    may: Callable[[Configuration], bool],
) -> tuple[Sequence[Configuration], Floats, Floats]:
    """Configurations, the `measured` ones first, then what else may be on the scenario's front; and
    draws of their minimised logarithms, shape (count, n, m). The second array is infinite where a
    configuration cannot serve in a draw.
    """
    rows = [surrogate.candidates.index(p.configuration) for p in measured] if surrogate else []
    if surrogate is None or None in rows:
        mean, sd = (np.array([getattr(p, name) for p in measured]) for name in ("mean", "sd"))
        normal = np.random.default_rng(len(measured)).standard_normal((DRAWS, *mean.shape))
        draws = mean + sd * normal
        return [p.configuration for p in measured], draws, draws
    own = np.array(rows, dtype=np.intp)
    every = np.concatenate([own, _rivals(scenario, own, surrogate, may)])
    rng = np.random.default_rng([len(every), len(own)])
    draws = surrogate.draws(every, DRAWS, rng)
    able = able_in(draws, surrogate.posterior(every).feasible, rng)
    return [surrogate.candidates.configurations[row] for row in every], draws, able


def _rivals(
    scenario: Configuration,
    own: Indices,
    surrogate: Surrogate,
    may: Callable[[Configuration], bool],
) -> Indices:
    """The rows of what may be on the scenario's front, but for `own` and what may not be."""
    rows = rows_of(surrogate, scenario)
    likely = rows[plausible(surrogate.posterior(rows))]
    configurations = surrogate.candidates.configurations
    rivals = [row for row in np.setdiff1d(likely, own).tolist() if may(configurations[row])]
    return np.array(rivals, dtype=np.intp)


def _regrets(able: Floats) -> Floats:
    """How far each is behind the best compromise of its draw, shape (count, n): infinite where it
    cannot serve.
    """
    ideal = able.min(axis=1)
    some = np.isfinite(ideal).all(axis=1)
    regrets = np.full(able.shape[:2], np.inf)
    off = off_ideal(able[some], ideal[some])
    regrets[some] = off - off.min(axis=1, keepdims=True)
    return regrets


def sureness(study: StudyRecord, recommendation: Recommendation) -> str:
    """How sure a recommendation is, in words."""
    if not recommendation.modelled:
        return "Too little was measured to say how sure that is"
    return (
        f"{chance(recommendation.chance)} that nothing else is better by more than"
        f" {100 * study.answer.margin:g} %"
    )
