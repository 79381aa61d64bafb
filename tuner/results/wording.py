"""How values, amounts, changes and probabilities are put into words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tuner.arrays import Floats
from tuner.measure.measurement import Estimate
from tuner.spec.metrics import METRICS
from tuner.spec.space import Parameter, SearchSpace, Value, as_text

_NEXT_TO_NOTHING = 0.05
_EXACT = 1e-5
"""The width of an interval as a share of the value below which the value is exact."""


def figure(value: float) -> str:
    """Three significant digits, without an exponent where people would not write one."""
    if value == 0:
        return "0"
    if abs(value) < 0.001:
        return f"{value:.2g}"
    return f"{value:.3g}" if abs(value) < 999.5 else f"{value:,.0f}"


def reading(metric: str, value: float) -> str:
    """A metric's value with its unit: `3.14 ms`, `41 % of host`."""
    return f"{figure(value)} {METRICS[metric].unit}".rstrip()


def interval(estimate: Estimate) -> str:
    """A value, then its 95 % interval: `5.7 (4.5-7.2)`; the value alone where none is known.

    A hyphen before a sign would be misread, and so would one beside an exponent: then the ends are
    joined by `to`, as in `-3 (-5 to -1)`. Where the upper end is below 0.01, a number of more than
    four zeros that is next to nothing against it is 0.
    """
    high = estimate.high or 0.0

    def shown(number: float | None) -> float | None:
        least = min(1e-4, _NEXT_TO_NOTHING * high) if high < 0.01 else 0.0
        tiny = number is not None and 0 < number < least
        return 0.0 if tiny else number

    ends = interval_ends(Estimate(estimate.value, shown(estimate.low), estimate.high))
    value = figure(shown(estimate.value) or 0.0)
    return f"{value} ({ends})" if ends else value


def metric_interval(metric: str, estimate: Estimate) -> str:
    """A metric with its value, 95 % interval and unit: `ART 2.31 (2.24-2.38) ms`."""
    return f"{METRICS[metric].label} {interval(estimate)} {METRICS[metric].unit}".rstrip()


def interval_ends(estimate: Estimate) -> str:
    """The 95 % interval alone, `4.5-7.2`; empty where none is known, and of an exact value."""
    low, high = estimate.low, estimate.high
    if low is None or high is None or high - low <= _EXACT * abs(estimate.value):
        return ""
    return span(figure(low), figure(high))


def percent_interval(share: Estimate) -> str:
    """A share in percent with its 95 % interval: `41 % (38-45)`."""
    value = percent(share.value)
    if share.low is None or share.high is None:
        return value
    low, high = (percent(end).removesuffix(" %") for end in (share.low, share.high))
    return f"{value} ({span(low, high)})"


def difference(percent: Estimate) -> str:
    """A change in percent with its 95 % interval: `-12 % (-20 to +3)`."""
    if percent.low is None or percent.high is None:
        return f"{_signed(percent.value)} %"
    return f"{_signed(percent.value)} % ({span(_signed(percent.low), _signed(percent.high))})"


def _signed(number: float) -> str:
    """Without digits after the point; nothing is `+0`."""
    return f"{round(number) or 0:+d}"


def span(low: str, high: str) -> str:
    """Two ends as one text: `4.5-7.2`, or `-5 to -1` where a sign or an exponent is in them."""
    joint = " to " if any(sign in low + high for sign in "+-e") else "-"
    return f"{low}{joint}{high}"


def duration(seconds: float) -> str:
    """Seconds as people say them: `45 s`, `12 min`, `3.1 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def counted(count: int, noun: str) -> str:
    """A number with its noun, in the plural where needed: `1 trial`, `3 trials`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def together(parts: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`; empty for none."""
    *most, last = parts or ("",)
    return f"{', '.join(most)} and {last}" if most else last


def sentence(text: str) -> str:
    """A text that begins in lower case as a sentence."""
    return f"{text[0].upper()}{text[1:]}."


def label(metric: str) -> str:
    """A metric as people call it: `ART`."""
    return METRICS[metric].label


def column(parameter: Parameter) -> str:
    """A parameter as a column or an axis names it: `memory (MiB)`."""
    return f"{parameter.name} ({parameter.unit})" if parameter.unit else parameter.name


def plain(value: Value) -> str:
    """A parameter's value without its unit."""
    return as_text(value) if isinstance(value, bool | str) else f"{value:g}"


def bare(parameter: Parameter, value: Value) -> str:
    """A value with its unit, if there is one: `96 MiB`, `1 connection`, `4`, `true`."""
    counted, per, denominator = parameter.unit.partition("/")
    if value == 1 and counted.endswith("s") and len(counted) > 3:
        counted = counted[:-1]
    unit = f"{counted}{per}{denominator}"
    return f"{plain(value)} {unit}".rstrip()


def amount(parameter: Parameter, value: Value) -> str:
    """A value that says what it is of: `4 replicas`, `96 MiB of memory`, `2 cores (cpu)`."""
    if counts(parameter):
        return f"{plain(value)} {one(parameter) if value == 1 else parameter.name}"
    if not parameter.unit:
        return f"{parameter.name} {plain(value)}"
    if parameter.unit.endswith("s"):
        return f"{bare(parameter, value)} ({parameter.name})"
    return f"{bare(parameter, value)} of {parameter.name}"


def deployment_text(space: SearchSpace, decision: Mapping[str, Value]) -> str:
    """What to deploy, as a person says it: `2 replicas with 0.5 cores and 128 MiB each`.

    Parameters other than replicas, cpu and memory follow by name: `, batching=true`.
    """
    if _of_endpoint(decision):
        settings = _other_settings(decision).removeprefix(", ")
        return f"the service with {settings}" if settings else "the service as it is"
    replicas = decision.get("replicas", 1)
    limits = [bare(space[name], decision[name]) for name in ("cpu", "memory") if name in decision]
    each = " each" if replicas != 1 and limits else ""
    text = f"{plain(replicas)} {'replica' if replicas == 1 else 'replicas'}"
    text += f" with {together(limits)}{each}" if limits else ""
    return text + _other_settings(decision)


def deployment_column(space: SearchSpace, decision: Mapping[str, Value]) -> str:
    """The same for a narrow column: `2 x 0.5 cores, 128 MiB`."""
    if _of_endpoint(decision):
        return _other_settings(decision).removeprefix(", ") or "as it is"
    limits = [bare(space[name], decision[name]) for name in ("cpu", "memory") if name in decision]
    return f"{plain(decision.get('replicas', 1))} x {', '.join(limits)}" + _other_settings(decision)


def _of_endpoint(decision: Mapping[str, Value]) -> bool:
    """Whether it says nothing of replicas, as that of a service which is there already may."""
    return not {"replicas", "cpu", "memory"} & decision.keys()


def _other_settings(decision: Mapping[str, Value]) -> str:
    return "".join(
        f", {name}={plain(value)}"
        for name, value in decision.items()
        if name not in ("replicas", "cpu", "memory")
    )


def scenario_text(space: SearchSpace, scenario: Mapping[str, Value]) -> str:
    """A scenario as a person says it: `4 connections and a loss of 1 %`."""
    parts = []
    for name, value in scenario.items():
        parameter = space[name]
        unit = parameter.unit
        parts.append(
            bare(parameter, value)
            if name in ("concurrency", "rate")
            else f"a {name} of {bare(parameter, value)}"
            if unit
            else f"{name}={plain(value)}"
        )
    return together(parts)


def counts(parameter: Parameter) -> bool:
    """Whether the parameter's name is what it counts, such as `replicas`."""
    return parameter.type == "int" and not parameter.unit and parameter.name.endswith("s")


def one(parameter: Parameter) -> str:
    """One unit of a parameter: `replica`, `core`, `% of loss`; `step of x` without a unit."""
    if counts(parameter):
        return parameter.name[:-1]
    if not parameter.unit:
        return f"step of {parameter.name}"
    if parameter.unit.endswith("s") and len(parameter.unit) > 3:
        return parameter.unit[:-1]
    return f"{parameter.unit} of {parameter.name}"


def percent(share: float) -> str:
    """A share in percent: `12 %`, below 10 % `3.4 %`."""
    digits = 0 if abs(share) >= 0.0995 else 1
    return f"{100 * share:.{digits}f} %"


def between(draws: Floats, scale: float = 1.0) -> str:
    """Where 95 % of the draws are: `2.2-4.0`."""
    low, high = np.quantile(draws * scale, [0.025, 0.975])
    return span(figure(low), figure(high))


def change(ratio: Floats) -> str:
    """A factor as people say it, by draws: `-61 % (-66 to -55)`, `a factor of 3.1 (2.8-3.4)`."""
    mean = float(ratio.mean())
    if mean >= 2:
        return f"a factor of {figure(mean)} ({between(ratio)})"
    low, high = np.quantile(100 * (ratio - 1), [0.025, 0.975])
    digits = 0 if abs(mean - 1) >= 0.0995 else 1
    ends = span(f"{low:+.{digits}f}", f"{high:+.{digits}f}")
    return f"{100 * (mean - 1):+.{digits}f} % ({ends})"


def chance(probability: float) -> str:
    """`P 0.93`; `P > 0.99` where it is hardly in doubt."""
    return "P > 0.99" if probability >= 0.995 else f"P {probability:.2f}"
