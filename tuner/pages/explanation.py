"""Which parameters matter, and how: the answer of `tune explain`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tuner.measure.measurement import Estimate
from tuner.pages.blocks import Block, Points, Section, Table, Words
from tuner.pages.importance_figure import LEAST_INTERACTION, share
from tuner.results.dependence import Curve
from tuner.results.explain import Explanation
from tuner.results.importance import ENOUGH_FOR_PED_ANOVA
from tuner.results.in_words import SIMULATED
from tuner.results.statements import STATED, Kind, Statement
from tuner.results.wording import chance, interval, label, percent
from tuner.results.wording import plain as spelled
from tuner.spec.metrics import title

_BARS = "▁▂▃▄▅▆▇█"
_MOST_VALUES = 5
_MOST_PAIRS = 5

_LISTED: Mapping[Kind, str] = {
    "no effect": "Hardly any effect on {} (less than 3 %)",
    "not settled": "The effect on {} is not settled yet for",
}
"""Kinds of statements of which several make one line."""


def explanation_blocks(explanation: Explanation) -> Iterator[Block | Section]:
    """How much each parameter matters, what each does, and both in words."""
    if "simulated" in explanation.backends:
        yield Words(SIMULATED, "doubt")
    yield Words(
        f"What {explanation.trials} trials of study {explanation.study}"
        f" ({explanation.infeasible} of them infeasible) say about its"
        f" parameters{_held(explanation)}",
        "lead",
    )
    if explanation.too_few:
        yield Words(f"Not enough yet: {explanation.too_few}.")
        return
    for metric in explanation.metrics:
        blocks: list[Block] = [
            _importances(explanation, metric),
            *_interactions(explanation, metric),
            _curves(explanation, metric),
        ]
        yield Section(metric, title(metric), tuple(blocks))
    yield Section("words", "In words", tuple(_reading(explanation)))


def _held(explanation: Explanation) -> str:
    values = ", ".join(f"{name} {spelled(value)}" for name, value in explanation.held.items())
    return f" at {values}" if values else ""


def _importances(explanation: Explanation, metric: str) -> Table:
    rows = (
        (i.parameter, share(i.first), share(i.total), "-" if i.best is None else percent(i.best))
        for i in explanation.importances
        if i.metric == metric
    )
    return Table(
        ("parameter", "alone", "with others", "among the best"),
        tuple(rows),
        f"How much each parameter changes {title(metric)}",
        priorities=(0, 0, 0, 1),
    )


def _interactions(explanation: Explanation, metric: str) -> Iterator[Points]:
    pairs = [
        f"{' and '.join(i.parameters)}: {share(i.share)}"
        for i in explanation.interactions
        if i.metric == metric and i.share.value >= LEAST_INTERACTION
    ]
    if pairs:
        yield Points("What pairs do beyond each alone", tuple(pairs[:_MOST_PAIRS]))


def _curves(explanation: Explanation, metric: str) -> Table:
    rows = (
        (curve.parameter, _sparkline(curve), ", ".join(_at(curve, k) for k in _picked(curve)))
        for curve in explanation.curves
        if curve.metric == metric
    )
    return Table(
        ("parameter", "course", "mean"),
        tuple(rows),
        f"{title(metric)} at the values of each parameter, with 95 % intervals",
    )


def _picked(curve: Curve) -> list[int]:
    """Positions of the values to print: all, or a few from end to end."""
    count = len(curve.values)
    if count <= _MOST_VALUES:
        return list(range(count))
    return sorted({round(k * (count - 1) / (_MOST_VALUES - 1)) for k in range(_MOST_VALUES)})


def _at(curve: Curve, k: int) -> str:
    band = curve.typical
    mean, value = band.value[k], spelled(curve.values[k])
    return (
        f"{'-' if mean is None else interval(Estimate(mean, band.low[k], band.high[k]))} at {value}"
    )


def _sparkline(curve: Curve) -> str:
    """Heights between the curve's least and largest mean; flat where these hardly differ."""
    means = [m for m in curve.typical.value if m is not None]
    low, high = min(means), max(means)
    # What is within the doubt must not look like a slope.
    span = max(high - low, 0.2 * high)
    return "".join(
        "·" if m is None else _BARS[round((m - low) / span * (len(_BARS) - 1))]
        for m in curve.typical.value
    )


def _reading(explanation: Explanation) -> Iterator[Block]:
    items = [f"{s}" for s in explanation.reading if not _is_listed(s)]
    for kind, heading in _LISTED.items():
        for metric in explanation.metrics:
            alike = [
                s
                for s in explanation.reading
                if s.kind == kind and s.metric == metric and _is_listed(s)
            ]
            if len(alike) == 1:
                items.append(f"{alike[0]}")
            elif alike:
                names = ", ".join(_listed(s) for s in alike)
                items.append(f"{heading.format(label(metric))}: {names}")
    yield Points(
        "Each statement is an average over the other parameters. P is the probability that it is"
        f" true; nothing is stated below P {STATED:g}.",
        tuple(items),
    )
    yield Words(_method(explanation))


def _is_listed(statement: Statement) -> bool:
    """Whether it says no more than its kind. What is not settled step by step may be from end to
    end, and then it is said.
    """
    stated = statement.kind == "not settled" and statement.probability >= STATED
    return statement.kind in _LISTED and not stated


def _listed(statement: Statement) -> str:
    # The probability of what is not stated would be read as that of a statement.
    (name,) = statement.parameters
    settled = statement.kind != "not settled"
    return f"{name} ({chance(statement.probability)})" if settled else name


def _method(explanation: Explanation) -> str:
    whole = "all of the space" if explanation.whole else "drawn from a larger space"
    few = any(i.best is None for i in explanation.importances)
    needs = f" It needs {ENOUGH_FOR_PED_ANOVA} feasible trials." if few else ""
    return (
        "These numbers come from a model of the trials, at"
        f" {explanation.configurations} configurations ({whole}). Means are geometric, variances"
        " are those of logarithms. `alone` is the first-order Sobol index and `with others` the"
        " total one. `among the best` is PED-ANOVA: how far the parameter decides whether a trial"
        " is among the best tenth, at least five"
        f" trials.{needs}"
    )
