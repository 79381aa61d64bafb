"""`tune explain`: importances, interactions, curves and a reading in plain words."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Mapping, Sequence

import optuna

from tuner.cli.tables import console, plain, warn_if_simulated
from tuner.measure.measurement import Estimate
from tuner.measure.record import StudyRecord
from tuner.results.dependence import Curve
from tuner.results.explain import Explanation
from tuner.results.explain import explain as explained
from tuner.results.importance import ENOUGH_FOR_PED_ANOVA, Share
from tuner.results.statements import SETTLED, Kind, Statement
from tuner.results.wording import chance, interval
from tuner.results.wording import plain as spelled
from tuner.spec.metrics import METRICS, title

_BARS = "▁▂▃▄▅▆▇█"
_MOST_VALUES = 5
_LEAST_INTERACTION = 0.005

_LISTED: Mapping[Kind, str] = {
    "no effect": "hardly any effect (less than 3 %) on {}",
    "not settled": "not settled, the effect on {} of",
}
"""Kinds of which several make one line."""


def explain(study: StudyRecord, objective: str | None, at: Sequence[str], *, as_json: bool) -> None:
    """Print what a study says about its parameters, those of `at` (`loss=0`) held at a value.

    Raises InputError for an objective, parameter or value that the study does not have.
    """
    # Optuna says that it makes a study in memory, for the importances.
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    found = explained(study, objective, at)
    if as_json:
        print(json.dumps(found.to_json(), indent=2, allow_nan=False))
        return
    warn_if_simulated(study)
    console.print(
        f"What {found.trials} trials of study {found.study} ({found.infeasible} of them infeasible)"
        f" say about its parameters{_held(found)}"
    )
    if found.too_few:
        console.print(f"Not enough yet: {found.too_few}.")
        return
    for metric in found.metrics:
        console.print()
        _importances(found, metric)
        _interactions(found, metric)
        _curves(found, metric)
    console.print()
    _reading(found)


def _held(found: Explanation) -> str:
    values = ", ".join(f"{name} {spelled(value)}" for name, value in found.held.items())
    return f" at {values}" if values else ""


def _importances(found: Explanation, metric: str) -> None:
    table = plain("parameter", title=f"How much each parameter changes {title(metric)}")
    for heading in ("alone", "with others", "among the best"):
        table.add_column(heading, justify="right", no_wrap=True)
    for i in found.importances:
        if i.metric == metric:
            best = "-" if i.best is None else _percent(i.best)
            table.add_row(i.parameter, _share(i.first), _share(i.total), best)
    console.print(table)


def _interactions(found: Explanation, metric: str) -> None:
    pairs = [
        f"{' and '.join(i.parameters)} {_share(i.share)}"
        for i in found.interactions
        if i.metric == metric and i.share.value >= _LEAST_INTERACTION
    ]
    if pairs:
        _wrapped("Together: " + ", ".join(pairs[:5]))


def _curves(found: Explanation, metric: str) -> None:
    curves = [c for c in found.curves if c.metric == metric]
    table = plain(title=f"{title(metric)} at the values of each, with 95 % intervals")
    table.add_column("parameter")
    table.add_column("")
    for k in range(max((len(_picked(c)) for c in curves), default=0)):
        table.add_column("value: mean" if k == 0 else "", no_wrap=True)
    for curve in curves:
        cells = (_at(curve, k) for k in _picked(curve))
        table.add_row(curve.parameter, _sparkline(curve), *cells)
    console.print(table)


def _picked(curve: Curve) -> list[int]:
    """Positions of the values to print: all, or some from end to end."""
    count = len(curve.values)
    if count <= _MOST_VALUES:
        return list(range(count))
    return sorted({round(k * (count - 1) / (_MOST_VALUES - 1)) for k in range(_MOST_VALUES)})


def _at(curve: Curve, k: int) -> str:
    band = curve.typical
    mean, low, high = band.value[k], band.low[k], band.high[k]
    value = spelled(curve.values[k])
    if mean is None or low is None or high is None:
        return f"{value}: -"
    return f"{value}: {interval(Estimate(mean, low, high))}"


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


def _reading(found: Explanation) -> None:
    console.print("In words, each with its probability (P), averaged over the other parameters:")
    for statement in found.reading:
        if statement.kind not in _LISTED:
            _wrapped(f"{statement}", first="- ")
    for kind, heading in _LISTED.items():
        for metric in found.metrics:
            some = [s for s in found.reading if s.kind == kind and s.metric == metric]
            if len(some) == 1:
                _wrapped(f"{some[0]}", first="- ")
            elif some:
                names = ", ".join(_listed(s) for s in some)
                _wrapped(f"{heading.format(METRICS[metric].label)}: {names}", first="- ")
    whole = "all of the space" if found.whole else "drawn from a larger space"
    few = any(i.best is None for i in found.importances)
    note = (
        f"From a model of the trials, at {found.configurations} configurations ({whole})."
        " Means are geometric ones, variances those of logarithms: alone is the first-order Sobol"
        " index, with others the total one; among the best is PED-ANOVA, what the best tenth of the"
        " trials, at least five, have in common"
    )
    note += f" (needs {ENOUGH_FOR_PED_ANOVA} feasible trials)." if few else "."
    _wrapped(f"{note} What is less probable than {SETTLED:g} is not stated.")


def _listed(statement: Statement) -> str:
    # The probability of what is not stated would be read as that of a statement.
    (name,) = statement.parameters
    settled = statement.kind != "not settled"
    return f"{name} ({chance(statement.probability)})" if settled else name


def _wrapped(text: str, first: str = "") -> None:
    width = min(console.width, 100)
    # A number and what belongs to it stay on one line.
    kept = re.sub(r"(?<=\d) (?=[%a-zA-Z])|(?<=P) |(?<=P >) ", "\N{NO-BREAK SPACE}", text)
    lines = textwrap.wrap(kept, width, initial_indent=first, subsequent_indent="  ")
    console.print("\n".join(lines).replace("\N{NO-BREAK SPACE}", " "), markup=False)


def _percent(share: float) -> str:
    return f"{100 * share:.{_digits(share)}f} %"


def _share(share: Share) -> str:
    """`49 % (45-54)`."""
    digits = _digits(share.value)
    low, high = (f"{100 * x:.{digits}f}" for x in (share.low, share.high))
    return f"{_percent(share.value)} ({low}-{high})"


def _digits(share: float) -> int:
    return 0 if share >= 0.0095 else 1
