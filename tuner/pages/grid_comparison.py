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


def grid_comparison_blocks(study: StudyRecord, comparison: Comparison) -> Iterator[Block]:
    """The study against its grid: costs, worth of the fronts, and points that the grid refutes."""
    notices = [*not_measured(study)]
    if comparison.grid_backend == "simulated" and SIMULATED not in notices:
        notices.append(SIMULATED)
    yield from (Words(line, "doubt") for line in notices)
    passes = f"{comparison.passes} whole pass" + ("" if comparison.passes == 1 else "es")
    when = (
        ""
        if comparison.recorded is None
        else f", {comparison.recorded[0]} to {comparison.recorded[1]}"
    )
    yield Words(
        f"Study {comparison.study} against the grid {comparison.grid}"
        f" ({comparison.grid_backend}, {passes}{when})",
        "lead",
    )
    yield from _cost(comparison)
    yield from _scopes(study, comparison)
    yield from _dominated(study, comparison)
    for metric, ratio in comparison.ratios.items():
        yield Words(_ratio(metric, ratio))


def _cost(comparison: Comparison) -> Iterator[Block]:
    rows: list[tuple[str, ...]] = [
        (
            "trials",
            str(comparison.trials),
            str(comparison.configurations),
            _percent(comparison.trials_share),
        )
    ]
    if comparison.seconds is not None and comparison.grid_seconds is not None:
        seconds = [duration(s) for s in (comparison.seconds, comparison.grid_seconds)]
        rows.append(("time, ordered by deployment", *seconds, _percent(comparison.cost_share)))
    yield Table(("", "study", "one pass of the grid", "share"), tuple(rows))
    if comparison.seconds is None:
        yield Words("Simulated trials take no time, so costs are not compared.")
    if comparison.outside:
        yield Words(
            f"{counted(comparison.outside, 'configuration')} of the study"
            f" {'is' if comparison.outside == 1 else 'are'} not in the grid and count for no front."
        )


def _scopes(study: StudyRecord, comparison: Comparison) -> Iterator[Block]:
    names = columns_of(study, among=study.scenario_parameters) or ("scenario",)
    columns = ("trials", "front", "HV share", "predicted front", "its HV share", "refuted")
    yield Table(
        (*names, *columns, "HV share of one pass", "grid's front"),
        tuple(_scope_row(study, scope, len(names)) for scope in comparison.scopes),
        "The study's fronts, valued by what the grid measured",
        priorities=(*[0] * len(names), 3, 3, 0, 2, 0, 1, 1, 4),
    )
    if (mean := comparison.scenarios_share) is not None:
        rows = [("of what was measured in the scenario", _percent(mean))]
        if comparison.scenarios_predicted is not None:
            rows.append(("of the predicted front", _percent(comparison.scenarios_predicted)))
        if comparison.scenarios_passes:
            rows.append(("of one pass of the grid", _span(comparison.scenarios_passes)))
        yield Facts(tuple(rows), "Mean HV share over scenarios")
    yield Words(
        "HV share: the hypervolume of the front as a share of that of the grid's own front, on"
        " logarithmic axes. The predicted front is what the study's model expects, measured in that"
        " scenario or not; refuted are those of its points that the grid clearly dominates."
    )
    yield Words(
        "HV share of one pass: the same of a single pass of the grid, valued by all others. It is"
        " the most that noise allows."
        if any(scope.passes for scope in comparison.scopes)
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


def _dominated(study: StudyRecord, comparison: Comparison) -> Iterator[Block]:
    """The predicted points that the grid refutes, and what the grid has in place of each."""
    inner = [s for s in comparison.scopes if s.scenario is not None] or list(comparison.scopes)
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
