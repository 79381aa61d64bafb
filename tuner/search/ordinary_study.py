"""The trials of an ordinary Optuna study as observations of the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from tuner.arrays import Floats
from tuner.model.improving import Search
from tuner.model.observations import Observation
from tuner.model.queue_prior import OUTPUTS
from tuner.model.scales import Linked, Scale, Warp
from tuner.search.inferred_conditions import conditions_of
from tuner.search.inferred_space import InferredSpace, named_in
from tuner.spec.metrics import Direction

WORKS = "works"
"""The constraint that says whether a configuration has values: above zero it has none."""


def search_of(
    study: Study, trial: FrozenTrial, search_space: Mapping[str, BaseDistribution]
) -> tuple[InferredSpace, Search]:
    """What `study` knows of `search_space` when `trial` asks."""
    others = [t for t in study.get_trials(deepcopy=False) if t.number != trial.number]
    directions: list[Direction] = [
        "minimize" if d == StudyDirection.MINIMIZE else "maximize" for d in study.directions
    ]
    signs = np.array([1.0 if d == "minimize" else -1.0 for d in directions])
    metrics = study.metric_names or [f"objective {j}" for j in range(len(signs))]
    named = named_in(search_space) and not OUTPUTS.keys().isdisjoint(metrics)
    inferred = InferredSpace.of(search_space, conditions_of(others, search_space), named=named)
    observations = observed(inferred, others, signs)
    values = np.array([o.values for o in observations], dtype=np.float64).reshape(-1, len(signs))
    scales = [
        _scale(metric if named else "", column[np.isfinite(column)], sign)
        for metric, column, sign in zip(metrics, values.T, signs, strict=True)
    ]
    waiting = [t for t in others if t.state in (TrialState.RUNNING, TrialState.WAITING)]
    pending = [c for t in waiting if (c := inferred.configuration(_params(t))) is not None]
    return inferred, Search(
        inferred.space,
        metrics,
        directions,
        scales,
        observations,
        pending,
        frozenset([*pending, *(o.configuration for o in observations)]),
        inferred.values(_params(trial)),
    )


def observed(
    inferred: InferredSpace, trials: Sequence[FrozenTrial], signs: Floats
) -> list[Observation]:
    """Of the trials that are finished and have all parameters of the space, by number.

    - A complete trial: its values. One that is infinitely good counts as the best finite one. Where
      one is infinitely bad, the configuration does not work.
    - A pruned trial: its last value, but none better than the median of the complete ones nor worse
      than the worst. It does not count as measured to the end.
    - A failed trial: the configuration does not work.

    What does not work has NaN for values and breaks the constraint `WORKS`, which is there where
    anything does not work.
    """
    complete = [t for t in trials if t.state == TrialState.COMPLETE]
    lost = np.array([t.values for t in complete], dtype=np.float64).reshape(-1, len(signs)) * signs
    finite = lost[np.isfinite(lost).all(axis=1)]
    observations: list[Observation] = []
    for trial in sorted(trials, key=lambda t: t.number):
        configuration = inferred.configuration(trial.params)
        if configuration is None or not trial.state.is_finished():
            continue
        own = (
            np.full(len(signs), np.inf) if trial.values is None else np.array(trial.values) * signs
        )
        cut_short = trial.state == TrialState.PRUNED
        if cut_short and len(finite):
            own = np.clip(own, np.median(finite, axis=0), finite.max(axis=0))
        elif len(finite):
            own = np.maximum(own, finite.min(axis=0))
        works = bool(np.isfinite(own).all())
        values = tuple(map(float, own * signs)) if works else (np.nan,) * len(signs)
        constraints = {f"constraint {name}": v for name, v in trial.constraints.items()}
        if works or not cut_short:
            constraints[WORKS] = -1.0 if works else 1.0
            observations.append(
                Observation(trial.number, configuration, values, constraints, cut_short=cut_short)
            )
    if all(o.violations[WORKS] < 0 for o in observations):
        observations = [replace(o, violations=_but(o.violations, WORKS)) for o in observations]
    return observations


def _but(constraints: Mapping[str, float], name: str) -> dict[str, float]:
    return {n: v for n, v in constraints.items() if n != name}


def _scale(metric: str, values: Floats, sign: float) -> Scale:
    """Logarithms of what the queueing model speaks of; of all else a curve that fits the values."""
    if metric in OUTPUTS and (values > 0).all():
        return Linked()
    return Warp.of(values, sign)


def _params(trial: FrozenTrial) -> dict[str, Any]:
    return {**trial.system_attrs.get("fixed_params", {}), **trial.params}
