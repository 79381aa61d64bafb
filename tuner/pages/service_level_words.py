"""Service levels in words: how surely one is held, what less would miss, the nearest miss."""

from __future__ import annotations

from collections.abc import Iterator

from tuner.measure.capacity import CAPACITY
from tuner.measure.record import StudyRecord
from tuner.model.study_model import model_of
from tuner.results.service_level import (
    ConstraintOutlook,
    ServiceLevelAnswer,
    SmallerConfiguration,
    is_exhausted,
    nearest_miss,
    service_level,
)
from tuner.results.wording import (
    bare,
    label,
    metric_interval,
    one,
    plain,
    reading,
    scenario_text,
    together,
)
from tuner.spec.reservation import RESERVED
from tuner.spec.space import Configuration

_SURE = 0.995


def is_about_cost(study: StudyRecord) -> bool:
    """Whether all that is optimised is what a configuration reserves, as `tune init --slo` asks."""
    return all(o.metric in RESERVED for o in study.objectives)


def service_level_text(study: StudyRecord, configuration: Configuration) -> str:
    """The constraints at a configuration, without a full stop.

    `p95 9.1 (8.2-10.4) ms at 100 requests/s, within 15 ms with probability 0.98; 0.25 cores would
    miss it (p95 31 ms)`. An error rate that surely holds is not mentioned. Empty where no
    constraint is left or nothing is known of it. The value of an objective is left out: whoever
    says this has said it already.
    """
    answer = service_level(study, configuration, model_of(study))
    held = list(_held(study, answer))
    if not held:
        return ""
    return "; ".join([*held, *_less(answer)])


def nearest_miss_sentence(study: StudyRecord, scenario: Configuration | None = None) -> str:
    """What came nearest to holding all constraints; empty where nothing could be measured."""
    nearest = nearest_miss(study, scenario)
    if nearest is None:
        return ""
    trial = nearest.trial
    missed = together(
        [
            f"{metric_interval(o.constraint.metric, o.value)} where {o.constraint} is asked"
            for o in nearest.missed
            if o.value is not None
        ]
    )
    return f"The nearest miss is trial {trial.number} ({trial.configuration}): {missed}."


def exhausted_sentence(study: StudyRecord) -> str:
    """That there is nothing left to try; empty where there is."""
    if not is_exhausted(study):
        return ""
    return (
        f"All {study.search_space.size()} configurations of the search space were tried: more"
        " trials can only measure them again."
    )


def _held(study: StudyRecord, answer: ServiceLevelAnswer) -> Iterator[str]:
    load = f" {_load(study, answer.configuration)}"
    objectives = {o.metric for o in study.objectives}
    for outlook in answer.outlooks:
        chance, value = outlook.probability, outlook.value
        if value is None or outlook.constraint.metric in RESERVED:
            continue
        if outlook.constraint.metric == "error_rate" and chance is not None and chance >= _SURE:
            continue
        source = "" if outlook.measured else " predicted"
        probability = "" if chance is None else f" with probability {_chance(chance)}"
        metric = outlook.constraint.metric
        if metric in objectives:
            yield f"{label(metric)} {_bound(outlook)}{probability}"
            continue
        yield f"{metric_interval(metric, value)}{source}{load}, {_bound(outlook)}{probability}"
        load = ""


def _less(answer: ServiceLevelAnswer) -> Iterator[str]:
    missing = [s for s in answer.smaller if not s.reason]
    if missing:
        yield " and ".join(f"{_amount(s)} would miss it ({_values(s)})" for s in missing)
    for smaller in answer.smaller:
        if smaller.reason:
            yield f"{_amount(smaller)} cannot serve ({smaller.reason})"


def _amount(smaller: SmallerConfiguration) -> str:
    if smaller.parameter.name == "replicas":
        name = one(smaller.parameter) if smaller.value == 1 else smaller.parameter.name
        return f"{plain(smaller.value)} {name}"
    return bare(smaller.parameter, smaller.value)


def _values(smaller: SmallerConfiguration) -> str:
    return together(
        [
            f"{label(o.constraint.metric)} {reading(o.constraint.metric, o.value.value)}"
            + ("" if o.measured else " predicted")
            if o.value is not None
            else f"{o.constraint} with probability {_chance(o.probability or 0.0)}"
            for o in smaller.missed
        ]
    )


def _bound(outlook: ConstraintOutlook) -> str:
    of = outlook.constraint
    return f"{'within' if of.operator == '<=' else 'at least'} {reading(of.metric, of.bound)}"


def _load(study: StudyRecord, configuration: Configuration) -> str:
    """The load and the network of a configuration: `at 100 requests/s and a loss of 1 %`.

    Connections of an open loop, and what is 0, are left out. Where a trial searches for the
    capacity, its load is the rate that it found.
    """
    judged = [o.metric for o in study.objectives] + [c.metric for c in study.constraints]
    if CAPACITY in judged:
        return "at that rate"
    names = [p.name for p in study.search_space.with_role("scenario") if p.name in configuration]
    shown = [
        name
        for name in names
        if configuration[name] != 0 and not (name == "concurrency" and "rate" in names)
    ]
    return f"at {scenario_text(study.search_space, configuration.only(shown))}" if shown else ""


def _chance(probability: float) -> str:
    if probability >= _SURE:
        return "above 0.99"
    return "below 0.01" if probability < 1 - _SURE else f"{probability:.2f}"
