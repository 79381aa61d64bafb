"""How a study stands against its full grid: the answer of `tune compare STUDY`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tuner.measure.measurement import Estimate
from tuner.measure.record import StudyRecord
from tuner.pages.blocks import Block, Facts, Table, Words
from tuner.pages.marks import columns_of, values_of
from tuner.results.against import Comparison, Judged, Scope
from tuner.results.in_words import SIMULATED, not_measured
from tuner.results.wording import counted, duration
from tuner.spec.metrics import title

_MOST_DOMINATED = 12
_CHANGED = 0.05
"""A host whose measurements differ by more than this share, and surely so, is said to differ."""


def grid_comparison_blocks(study: StudyRecord, found: Comparison) -> Iterator[Block]:
    """What both cost, what the study's fronts are worth by the grid, and what the grid refutes."""
    notices = [*not_measured(study)]
    if found.grid_backend == "simulated" and SIMULATED not in notices:
        notices.append(SIMULATED)
    yield from (Words(line, "doubt") for line in notices)
    passes = f"{found.passes} whole pass" + ("" if found.passes == 1 else "es")
    when = "" if found.recorded is None else f", {found.recorded[0]} to {found.recorded[1]}"
    yield Words(
        f"Study {found.study} against the grid {found.grid} ({found.grid_backend}, {passes}{when})",
        "lead",
    )
    yield from _cost(found)
    yield from _scopes(study, found)
    yield from _dominated(study, found)
    for metric, ratio in found.ratios.items():
        yield Words(_ratio(metric, ratio))


def _cost(found: Comparison) -> Iterator[Block]:
    rows: list[tuple[str, ...]] = [
        ("trials", str(found.trials), str(found.configurations), _percent(found.trials_share))
    ]
    if found.seconds is not None and found.grid_seconds is not None:
        seconds = [duration(s) for s in (found.seconds, found.grid_seconds)]
        rows.append(("time, ordered by deployment", *seconds, _percent(found.cost_share)))
    yield Table(("", "study", "one pass of the grid", "share"), tuple(rows))
    if found.seconds is None:
        yield Words("Simulated trials take no time, so costs are not compared.")
    if found.outside:
        yield Words(
            f"{counted(found.outside, 'configuration')} of the study"
            f" {'is' if found.outside == 1 else 'are'} not in the grid and count for no front."
        )


def _scopes(study: StudyRecord, found: Comparison) -> Iterator[Block]:
    names = columns_of(study, among=study.scenario_parameters) or ("scenario",)
    columns = ("trials", "front", "HV share", "predicted front", "its HV share", "refuted")
    yield Table(
        (*names, *columns, "HV share of one pass", "grid's front"),
        tuple(_scope_row(study, scope, len(names)) for scope in found.scopes),
        "The study's fronts, valued by what the grid measured",
        priorities=(*[0] * len(names), 3, 3, 0, 2, 0, 1, 1, 4),
    )
    if (mean := found.scenarios_share) is not None:
        rows = [("of what was measured in the scenario", _percent(mean))]
        if found.scenarios_predicted is not None:
            rows.append(("of the predicted front", _percent(found.scenarios_predicted)))
        if found.scenarios_passes:
            rows.append(("of one pass of the grid", _span(found.scenarios_passes)))
        yield Facts(tuple(rows), "Mean HV share over scenarios")
    yield Words(
        "HV share: the hypervolume of the front as a share of that of the grid's own front, on"
        " logarithmic axes. The predicted front is what the study's model expects, measured in that"
        " scenario or not; refuted are those of its points that the grid clearly dominates."
    )
    yield Words(
        "HV share of one pass: the same of a single pass of the grid, valued by all others. It is"
        " the most that noise allows."
        if any(scope.passes for scope in found.scopes)
        else "The grid was measured once, so how much noise allows is unknown."
    )


def _scope_row(study: StudyRecord, scope: Scope, names: int) -> tuple[str, ...]:
    where = ("overall", *[""] * (names - 1))
    if scope.scenario is not None:
        where = (
            values_of(study, scope.scenario, units=False, among=study.scenario_parameters) or where
        )
    return (
        *where,
        str(scope.trials),
        str(scope.study.points),
        _percent(scope.study.share),
        *_predicted(scope.predicted_front),
        _span([judged.share for judged in scope.passes]),
        str(scope.grid_front),
    )


def _predicted(judged: Judged | None) -> tuple[str, str, str]:
    """How many points the predicted front has, their share, and how many the grid refutes."""
    if judged is None:
        return "-", "-", "-"
    infeasible = f", {len(judged.infeasible)} infeasible" if judged.infeasible else ""
    return str(judged.points), _percent(judged.share), f"{len(judged.dominated)}{infeasible}"


def _dominated(study: StudyRecord, found: Comparison) -> Iterator[Block]:
    """Each point of a predicted front that is on none, and what the grid has instead."""
    inner = [s for s in found.scopes if s.scenario is not None] or list(found.scopes)
    fronts = [scope.predicted_front or scope.study for scope in inner]
    nothing = ["-"] * len(study.objectives)
    rows = [
        (str(configuration), *nothing, "infeasible in the grid")
        for front in fronts
        for configuration in front.infeasible
    ]
    rows += [
        (str(point.configuration), *(f"x {f:.2f}" for f in point.factors), str(point.by))
        for front in fronts
        for point in front.dominated
    ]
    if not rows:
        yield Words("The grid refutes no point of the predicted fronts.")
        return
    yield Table(
        ("predicted", *(title(o.metric) for o in study.objectives), "of what the grid has instead"),
        tuple(rows[:_MOST_DOMINATED]),
        "Points of predicted fronts that the grid clearly dominates"
        + (f" (the first {_MOST_DOMINATED} of {len(rows)})" if len(rows) > _MOST_DOMINATED else ""),
    )


def _ratio(metric: str, ratio: Estimate) -> str:
    text = f"{title(metric)} where both measured: {ratio.value:.3f} times the grid's"
    if ratio.low is None or ratio.high is None:
        return text
    text += f" ({ratio.low:.3f}-{ratio.high:.3f})"
    if ratio.low <= 1 <= ratio.high or abs(ratio.value - 1) <= _CHANGED:
        return f"{text}."
    return f"{text}. The host, or what else runs on it, has changed."


def _span(shares: Sequence[float]) -> str:
    if not shares:
        return "-"
    low, high = _percent(min(shares)), _percent(max(shares))
    return low if low == high else f"{low} to {high}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"
