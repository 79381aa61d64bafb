"""Why a study's objectives are what they are: importances, curves, and a reading in plain words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from tuner.errors import InputError
from tuner.measure.record import StudyRecord
from tuner.model.observations import Observation
from tuner.model.study_model import FEWEST, model_of
from tuner.model.surrogate import Surrogate
from tuner.results.dependence import Curve, Effect, parameter_effects, scenario_effects
from tuner.results.factorial import Factorial
from tuner.results.held import held, pinned
from tuner.results.importance import (
    Importance,
    Interaction,
    best_shares,
    importances,
    interactions,
)
from tuner.results.joint_effects import joint_statements
from tuner.results.sample import Sample
from tuner.results.statements import Statement, readings
from tuner.results.thresholds import feasibility
from tuner.spec.space import SearchSpace, Value

_FOCUS = 5
"""So many parameters are paired where the space is too large to pair all."""


@dataclass(frozen=True)
class Explanation:
    """What the model of a study says about its parameters.

    `importances` and `interactions` are sorted within each metric, the largest first; `curves` are
    averaged over scenarios, `scenario_curves` hold the other scenario parameters fixed. Everything
    speaks of configurations with the values `held`: so many `configurations`, `whole` says whether
    these are all. `trials`, made by `backends`, are behind it; `too_few` says what is missing, and
    nothing else is there then.
    """

    study: str
    metrics: tuple[str, ...]
    held: Mapping[str, Value]
    trials: int
    infeasible: int
    backends: tuple[str, ...]
    too_few: str = ""
    configurations: int = 0
    whole: bool = True
    importances: tuple[Importance, ...] = ()
    interactions: tuple[Interaction, ...] = ()
    curves: tuple[Curve, ...] = ()
    scenario_curves: tuple[Curve, ...] = ()
    reading: tuple[Statement, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """A document of plain types."""
        return asdict(self)


def explain(
    study: StudyRecord, objective: str | None = None, at: Sequence[str] = ()
) -> Explanation:
    """Of all objectives, or of one; `at` holds parameters at a value (`loss=0`). A pure function.

    The model knows all trials either way. Raises InputError where the study has no such objective,
    parameter or value.
    """
    metrics = tuple(o.metric for o in study.objectives)
    if objective is not None and objective not in metrics:
        raise InputError(
            f"--objective {objective!r} is no objective of study {study.name!r}",
            f"objectives: {', '.join(metrics)}",
        )
    chosen = metrics if objective is None else (objective,)
    fixed = held(study.search_space, at)
    space = pinned(study.search_space, fixed)
    observations = [
        Observation.of(t, metrics)
        for t in study.trials
        if all(t.configuration.get(name, value) == value for name, value in fixed.items())
    ]
    about = Explanation(
        study.name,
        chosen,
        fixed,
        len(study.trials),
        sum(not t.feasible for t in study.trials),
        tuple(sorted({t.backend for t in study.trials})),
    )
    sample = _sample(study, space)
    if sample is None:
        measured = len({t.configuration for t in study.trials if not t.imputed})
        return replace(
            about,
            too_few=f"{measured} configurations were measured; {FEWEST} are needed before anything"
            " can be said about parameters",
        )
    effects = {m: parameter_effects(sample, m) for m in metrics}
    pairs = {m: interactions(sample, m) for m in chosen}
    directions = [o.direction for o in study.objectives]
    columns = {m: metrics.index(m) for m in chosen}
    return replace(
        about,
        configurations=len(sample.factorial.configurations),
        whole=len(sample.factorial.configurations) == space.size(),
        importances=tuple(
            i
            for m in chosen
            for i in importances(
                sample, m, best_shares(space, observations, directions, columns[m])
            )
        ),
        interactions=tuple(i for m in chosen for i in pairs[m]),
        curves=tuple(e.curve(observations, columns[m]) for m in chosen for e in effects[m]),
        scenario_curves=tuple(
            e.curve(observations, columns[m]) for m in chosen for e in scenario_effects(sample, m)
        ),
        reading=_reading(sample, chosen, effects, pairs),
    )


def _sample(study: StudyRecord, space: SearchSpace) -> Sample | None:
    """Joint draws at the configurations to compare; None where too few were measured."""
    factorial = Factorial.of(space)
    surrogate = _surrogate(study, factorial)
    if surrogate is None:
        return None
    if not factorial.pairs and len(factorial.mains) > 1:
        # Too many to pair them all: those that matter most, by the mean of the model.
        means = Sample.of(surrogate, factorial, count=0)
        largest: dict[str, float] = {}
        for metric in means.metrics:
            for i in importances(means, metric):
                largest[i.parameter] = max(largest.get(i.parameter, 0.0), i.total.value)
        focus = sorted(largest, key=lambda n: -largest[n])[:_FOCUS]
        factorial = Factorial.of(space, focus)
        surrogate = _surrogate(study, factorial)
    assert surrogate is not None
    return Sample.of(surrogate, factorial)


def _surrogate(study: StudyRecord, factorial: Factorial) -> Surrogate | None:
    return model_of(study, factorial.configurations)


def _reading(
    sample: Sample,
    chosen: Sequence[str],
    effects_of: Mapping[str, Sequence[Effect]],
    pairs: Mapping[str, Sequence[Interaction]],
) -> tuple[Statement, ...]:
    """Statements by parameter: first what is feasible, then each metric. Interactions come last."""
    statements: list[Statement] = []
    for name, crossing in sample.factorial.mains.items():
        parameter = sample.factorial.space[name]
        active = [name in sample.factorial.configurations[r] for r in crossing.rows[0]]
        if any(active):
            table = sample.feasible[crossing.rows[:, np.array(active)]]
            statements += feasibility(parameter, crossing.values[0], table)
        by_metric = {m: e for m, es in effects_of.items() for e in es if e.parameter is parameter}
        statements += [s for s in readings(by_metric) if s.metric in chosen]
    for metric in chosen:
        statements += joint_statements(sample, pairs[metric])
    return tuple(statements)
