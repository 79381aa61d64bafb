"""How much each parameter matters: by the trials that did best, and by the model's variance."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import optuna
from optuna.trial import create_trial

from tuner.arrays import Floats
from tuner.model.observations import Observation
from tuner.model.pareto import logarithms, minimised
from tuner.results.sample import Sample
from tuner.search.distributions import to_view, viewed
from tuner.spec.metrics import Direction
from tuner.spec.space import SearchSpace

ENOUGH_FOR_PED_ANOVA = 20
"""Fewer feasible trials say nothing about which values the best of them share."""

_BEST_SHARE, _BEST_AT_LEAST = 0.1, 5


@dataclass(frozen=True)
class Share:
    """A share of a variance, 0 to 1, with its 95 % interval over draws from the posterior."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, draws: npt.ArrayLike) -> Share:
        shares = np.clip(np.asarray(draws, dtype=np.float64), 0.0, 1.0)
        low, high = np.quantile(shares, [0.025, 0.975])
        return cls(float(shares.mean()), float(low), float(high))


@dataclass(frozen=True)
class Importance:
    """Of one parameter for one objective.

    `first` is the share of the variance of the objective's logarithm that the parameter explains
    alone; `total` that which is left when all others are fixed (Sobol, 1993; Homma and Saltelli,
    1996). The difference is what it does together with others. All configurations at which a
    server can be expected to serve count the same. `best` is the PED-ANOVA importance (shares
    that add up to one): how far the parameter decides whether a trial is among the best tenth; None
    where there are too few trials.
    """

    parameter: str
    metric: str
    first: Share
    total: Share
    best: float | None = None


@dataclass(frozen=True)
class Interaction:
    """What two parameters do together to one objective beyond what each does alone, as a share of
    the variance of its logarithm (the second-order Sobol index).
    """

    parameters: tuple[str, str]
    metric: str
    share: Share


def importances(
    sample: Sample, metric: str, best: Mapping[str, float] | None = None
) -> tuple[Importance, ...]:
    """The importance of each parameter with several values, the largest total first."""
    logs, by_parameter = sample.logs(metric), []
    for name, main in sample.factorial.mains.items():
        crossing = sample.where_served(main)
        first, total = variance_shares(logs[:, crossing.rows], crossing.share)
        by_parameter.append(
            Importance(name, metric, Share.of(first), Share.of(total), (best or {}).get(name))
        )
    return tuple(sorted(by_parameter, key=lambda i: -i.total.value))


def interactions(sample: Sample, metric: str) -> tuple[Interaction, ...]:
    """The interaction of each pair of the factorial, the largest first."""
    logs, by_pair = sample.logs(metric), []
    for names, pair in sample.factorial.pairs.items():
        crossing = sample.where_served(pair)
        share = Share.of(interaction_shares(logs[:, crossing.rows], crossing.share))
        by_pair.append(Interaction(names, metric, share))
    return tuple(sorted(by_pair, key=lambda i: -i.share.value))


def variance_shares(table: Floats, share: float) -> tuple[Floats, Floats]:
    """First-order and total index of a parameter, each of shape (draws,).

    `table`, shape (draws, V, S): a value of the parameter per row, a setting of all the others per
    column. Where these are a sample (`share` of all of them), the mean over them scatters by the
    interaction variance over S, which is taken off, with the correction for a finite population
    (Cochran, Sampling Techniques, 1977, section 2.6).
    """
    _, values, settings = table.shape
    whole = _safe(table.var(axis=(1, 2)))
    main = table.mean(axis=2)
    scatter = 0.0
    if share < 1 and settings > 1 and values > 1:
        left = (
            table
            - main[:, :, None]
            - table.mean(axis=1)[:, None]
            + main.mean(axis=1)[:, None, None]
        )
        scatter = (1 - share) * (left**2).mean(axis=(1, 2)) / (settings - 1)
    return (main.var(axis=1) - scatter) / whole, table.var(axis=1).mean(axis=1) / whole


def interaction_shares(table: Floats, share: float) -> Floats:
    """Second-order index of two parameters, shape (draws,); `table` has shape (draws, V, W, S)."""
    settings = table.shape[-1]
    both = _doubly_centred(table.mean(axis=3)[..., None])[..., 0]
    variances = (both**2).mean(axis=(1, 2))
    if share < 1 and settings > 1:
        left = _doubly_centred(table) - both[..., None]
        variances = variances - (1 - share) * (left**2).mean(axis=(1, 2, 3)) / (settings - 1)
    shares: Floats = variances / _safe(table.var(axis=(1, 2, 3)))
    return shares


def _doubly_centred(table: Floats) -> Floats:
    rows, columns = table.mean(axis=2, keepdims=True), table.mean(axis=1, keepdims=True)
    centred: Floats = table - rows - columns + table.mean(axis=(1, 2), keepdims=True)
    return centred


def _safe(variance: Floats) -> Floats:
    """Without zeros: where nothing varies, no share of it is anyone's."""
    return np.where(variance > 0, variance, np.inf)


def best_shares(
    space: SearchSpace,
    observations: Sequence[Observation],
    directions: Sequence[Direction],
    objective: int,
) -> dict[str, float] | None:
    """PED-ANOVA importances by parameter, adding up to one (Watanabe, Bansal and Hutter, IJCAI
    2023; with conditions as Optuna does them); None with fewer than `ENOUGH_FOR_PED_ANOVA` feasible
    observations.

    The best tenth of them, at least five, is compared with all of them, not with the space: the
    sampler's own taste is not mistaken for importance.
    """
    # With scikit-learn installed this import takes 0.8 s: Optuna's other evaluator wants it.
    from optuna.importance import PedAnovaImportanceEvaluator  # noqa: PLC0415

    feasible = [o for o in observations if o.values and all(v <= 0 for v in o.violations.values())]
    if len(feasible) < ENOUGH_FOR_PED_ANOVA:
        return None
    points = minimised(logarithms([o.values or () for o in feasible]), directions)[:, objective]
    storage = optuna.storages.InMemoryStorage()
    direction = optuna.study.StudyDirection.MINIMIZE
    number = storage.create_new_study([direction], "importance")
    seen = {p.name: viewed(p) for p in space if len(p.values() or (0, 1)) > 1}
    for o, point in zip(feasible, points, strict=True):
        active = {n: to_view(space[n], o.configuration[n]) for n in seen if n in o.configuration}
        trial = create_trial(
            params=active, distributions={n: seen[n] for n in active}, value=float(point)
        )
        storage.create_new_trial(number, trial)
    study = optuna.load_study(study_name="importance", storage=storage)
    share = max(_BEST_SHARE, _BEST_AT_LEAST / len(feasible))
    with warnings.catch_warnings():
        # It warns of conditional parameters that are active in hardly any trial; they get 0.
        warnings.simplefilter("ignore")
        importance = PedAnovaImportanceEvaluator(target_quantile=share).evaluate(study)
    whole = sum(importance.values())
    return {n: importance.get(n, 0.0) / whole if whole > 0 else 0.0 for n in seen}
