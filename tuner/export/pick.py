"""Which trials of a study are exported."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tuner.errors import InputError
from tuner.export.choice import (
    Best,
    EachScenario,
    Every,
    Knee,
    LeastRegret,
    Numbers,
    parse,
    with_unit,
)
from tuner.export.scenario import scenario
from tuner.measure.record import StudyRecord, TrialRecord
from tuner.pages.service_level_words import nearest_miss_sentence
from tuner.results.findings import find
from tuner.results.pooled import Pooled
from tuner.results.summary import Summary, summarise
from tuner.spec.metrics import METRICS
from tuner.spec.space import Configuration, as_levels

_SHOWN = 9
"""The most scenarios that a message lists."""


def pick(study: StudyRecord, choice: str, when: str | None = None) -> tuple[TrialRecord, ...]:
    """The feasible trials that `choice` means (`tuner.export.choice`), sorted by number.

    `knee` is what is recommended for a scenario (`tuner.results.recommendation`): for `when`, else
    for the one that the study expects, else for the only one. `recommended` is the same for each
    scenario. `robust` is the decision of least regret over all scenarios. `all` is every trial of
    the overall front and of the scenario fronts.
    `when` names a scenario (`tuner.export.scenario`): then only that one counts. A configuration
    with several bursts is judged by all of them; its trial is the one nearest to their mean. Raises
    InputError for a choice that cannot be understood, for a trial that is missing, infeasible or of
    another scenario, where a scenario must be named, and where no trial is left.
    """
    criterion = parse(choice, study.objectives)
    bound = None if when is None else scenario(study, when)
    if isinstance(criterion, Numbers):
        return tuple(_numbered(study, number, bound) for number in criterion.numbers)
    summary = summarise(study)
    if not summary.front:
        raise _nothing_feasible(study, None)
    match criterion:
        case Best():
            return (_best(study, summary, criterion, bound),)
        case Knee():
            return (_recommended(study, summary, bound),)
        case EachScenario():
            chosen_trials = [
                r.pooled.representative
                for scenario, r in summary.recommendations.items()
                if bound in (None, scenario)
            ]
            if not chosen_trials:
                raise _nothing_feasible(study, bound)
            return tuple(sorted(chosen_trials, key=lambda t: t.number))
        case LeastRegret():
            return (_least_regret(study, summary, bound),)
        case Every():
            fronts = [s.front for s in summary.scenarios if bound in (None, s.scenario)]
            fronts += [] if bound is not None else [summary.front]
            chosen = {trial.number: trial for front in fronts for trial in front}
            if not chosen:
                raise _nothing_feasible(study, bound)
            return tuple(chosen[number] for number in sorted(chosen))


def _recommended(study: StudyRecord, summary: Summary, bound: Configuration | None) -> TrialRecord:
    """The trial that stands for what is recommended in a scenario."""
    recommendations = summary.recommendations
    if bound is None and study.expected is None and len(recommendations) > 1:
        names = "; ".join(as_levels(s) for s in list(recommendations)[:_SHOWN])
        more = len(recommendations) - _SHOWN
        raise InputError(
            f"study {study.name!r} recommends something for each of {len(recommendations)}"
            " scenarios",
            f"name one with --when ({names}{f'; and {more} more' if more > 0 else ''}), mark it in"
            " the study as answer.expected, or pick robust: one decision for all",
        )
    chosen = summary.headline if bound is None else recommendations.get(bound)
    if chosen is None:
        raise _nothing_feasible(study, bound or study.expected)
    return chosen.pooled.representative


def _least_regret(study: StudyRecord, summary: Summary, bound: Configuration | None) -> TrialRecord:
    """A trial of the decision of least regret: of `bound`, else of the expected scenario, else of
    any.
    """
    findings = find(study)
    robust = None if findings is None else findings.robust
    if robust is None:
        raise InputError(
            f"study {study.name!r} knows no decision that serves in every scenario",
            "run more trials, or name a scenario with --when and pick knee",
        )
    measured = {
        study.scenario_of(p.configuration): p.representative
        for p in summary.pooled.values()
        if p.eligible and study.decision_of(p.configuration) == robust.decision
    }
    trial = measured.get(bound) if bound is not None else None
    if bound is None and measured:
        expected = study.expected
        trial = (measured.get(expected) if expected else None) or next(iter(measured.values()))
    if trial is None:
        where = "" if bound is None else f" at {bound}"
        raise InputError(
            f"the decision of least regret, {robust.decision}, was not measured{where}",
            f"run more trials: tune run --study {study.name}",
        )
    return trial


def only(trials: Sequence[TrialRecord]) -> TrialRecord:
    """The one trial picked, for a format that holds exactly one. Raises InputError otherwise."""
    if len(trials) == 1:
        return trials[0]
    numbers = ", ".join(str(t.number) for t in trials)
    raise InputError(
        f"this format holds exactly one configuration, and {len(trials)} trials are picked"
        + (f": {numbers}" if trials else ""),
        "pick one: knee, or a trial's number",
    )


def _best(
    study: StudyRecord, summary: Summary, criterion: Best, bound: Configuration | None
) -> TrialRecord:
    able = [
        p
        for p in summary.pooled.values()
        if p.eligible and bound in (None, study.scenario_of(p.configuration))
    ]
    if not able:
        raise _nothing_feasible(study, bound)
    for metric in (criterion.metric, *(b.metric for b in criterion.within)):
        if all(_value(study, p, metric) is None for p in able):
            raise InputError(
                f"no trial of study {study.name!r} measured {metric}",
                "give the study prices: {core_hour: ..., gib_hour: ...}; its trials follow"
                if metric == "cost_per_month"
                else "pick by another metric, such as"
                f" {', '.join(o.metric for o in study.objectives)}",
            )
    excess = [_excess(study, p, criterion) for p in able]
    fitting = [p for p, over in zip(able, excess, strict=True) if over == 0]
    if not fitting:
        nearest = able[excess.index(min(excess))]
        bounds = " and ".join(map(with_unit, criterion.within))
        raise InputError(
            f"none of {len(able)} feasible configurations has {bounds}",
            f"the nearest is trial {nearest.representative.number} with"
            f" {_figures(study, nearest, criterion)}",
        )
    return min(fitting, key=lambda p: _rank(study, p, criterion)).representative


def _value(study: StudyRecord, pooled: Pooled, metric: str) -> float | None:
    """An objective's value over all bursts; another metric's value in the representative trial.

    None where the metric was not measured.
    """
    for index, objective in enumerate(study.objectives):
        if objective.metric == metric:
            return pooled.values[index]
    estimate = pooled.representative.metric(metric)
    return None if estimate is None or not math.isfinite(estimate.value) else estimate.value


def _excess(study: StudyRecord, pooled: Pooled, criterion: Best) -> float:
    """By how much a configuration breaks the bounds, as a share of each; 0 where it keeps them.

    Infinite where a metric was not measured.
    """
    if _value(study, pooled, criterion.metric) is None:
        return math.inf
    total = 0.0
    for bound in criterion.within:
        value = _value(study, pooled, bound.metric)
        if value is None:
            return math.inf
        total += max(bound.violation(value), 0.0) / (abs(bound.bound) or 1.0)
    return total


def _rank(study: StudyRecord, pooled: Pooled, criterion: Best) -> tuple[float, ...]:
    """The sort key: the metric, then the objectives, so that of equals one on the front wins."""
    value = _value(study, pooled, criterion.metric)
    assert value is not None
    signed = [
        v if o.direction == "minimize" else -v
        for v, o in zip(pooled.values, study.objectives, strict=True)
    ]
    return value if criterion.direction == "minimize" else -value, *signed


def _figures(study: StudyRecord, pooled: Pooled, criterion: Best) -> str:
    names = dict.fromkeys([*(b.metric for b in criterion.within), criterion.metric])
    values = [(name, _value(study, pooled, name)) for name in names]
    return ", ".join(
        f"{name} {value:.4g} {METRICS[name].unit}".rstrip()
        for name, value in values
        if value is not None
    )


def _nothing_feasible(study: StudyRecord, bound: Configuration | None) -> InputError:
    finished = [t for t in study.trials if bound in (None, study.scenario_of(t.configuration))]
    where = "" if bound is None else f" at {bound}"
    nearest = nearest_miss_sentence(study, bound)
    return InputError(
        f"study {study.name!r} has no feasible trial among its {len(finished)}{where}"
        + (f". {nearest}" if nearest else ""),
        "run more trials, or relax the study's constraints",
    )


def _numbered(study: StudyRecord, number: int, bound: Configuration | None) -> TrialRecord:
    trial = study.trial(number)
    if trial is None:
        numbers = [t.number for t in study.trials]
        available = f"its trials are {min(numbers)} to {max(numbers)}" if numbers else "it has none"
        raise InputError(
            f"study {study.name!r} has no finished trial {number}: {available}",
            "pick knee, all or the number of a finished trial",
        )
    if not trial.feasible:
        raise InputError(
            f"trial {number} is infeasible: {_why(study, trial)}",
            "pick knee, all or the number of a feasible trial",
        )
    if trial.cut_short:
        raise InputError(
            f"the burst of trial {number} was cut short, so it says little: {trial.cut_short}",
            f"measure it to the end (tune run --study {study.name} --repeat {number}), or pick"
            " knee or all",
        )
    own = study.scenario_of(trial.configuration)
    if bound not in (None, own):
        raise InputError(
            f"trial {number} was measured at {own}, not at {bound}", "leave --when out"
        )
    return trial


def _why(study: StudyRecord, trial: TrialRecord) -> str:
    if trial.outcome == "infeasible":
        return ": ".join(filter(None, (trial.reason, trial.detail))) or "it could not serve"
    units = {str(c): METRICS[c.metric].unit for c in study.constraints}
    return "it breaks " + ", ".join(
        f"{text} by {violation:.4g} {units.get(text, '')}".rstrip()
        for text, violation in trial.violations.items()
        if violation > 0
    )
