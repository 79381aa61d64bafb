"""What `--pick` says: one parser, from text to a choice. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tuner.errors import InputError
from tuner.spec.expressions import parse_constraint
from tuner.spec.metrics import METRICS, Direction
from tuner.spec.problems import nearest, short_text
from tuner.spec.study import Constraint, Objective

SHORT = {"art": "art_ms", "cpu": "cpu_percent"}
"""Names for metrics in `min-art` and `min-cpu`."""

EXPECTED = (
    "knee, recommended, robust, all, trial numbers such as 7,12, min-METRIC or max-METRIC of an"
    " objective (min-art, min-cpu), or a budget such as 'min art_ms where cpu_percent <= 40'"
)

_NUMBERS = re.compile(r"\s*[0-9]{1,18}(\s*,\s*[0-9]{1,18})*\s*")
_EXTREME = re.compile(r"\s*(min|max)-(\w+)\s*")
_BUDGET = re.compile(r"(min|max) (\w+)(?: where (.+))?")


@dataclass(frozen=True)
class Knee:
    """What is recommended for a scenario."""


@dataclass(frozen=True)
class EachScenario:
    """What is recommended for each scenario."""


@dataclass(frozen=True)
class LeastRegret:
    """The decision of least regret over all scenarios."""


@dataclass(frozen=True)
class Every:
    """Every trial of the front, or of all fronts."""


@dataclass(frozen=True)
class Numbers:
    """These trials, ascending."""

    numbers: tuple[int, ...]


@dataclass(frozen=True)
class Best:
    """What is best in one metric of what keeps within all bounds."""

    metric: str
    direction: Direction
    within: tuple[Constraint, ...] = ()

    def __str__(self) -> str:
        bounds = " and ".join(map(with_unit, self.within))
        return f"{self.direction[:3]} {self.metric}" + (f" where {bounds}" if bounds else "")


Choice = Knee | EachScenario | LeastRegret | Every | Numbers | Best


_BY_WORD: Mapping[str, Choice] = {
    "knee": Knee(),
    "recommended": EachScenario(),
    "robust": LeastRegret(),
    "all": Every(),
}


def parse(text: str, objectives: Sequence[Objective]) -> Choice:
    """The choice that `text` states; bounds are in the metrics' own units.

    Raises InputError for any other text, for a metric that is not known, and for `min-` or `max-`
    of what the study does not minimise or maximise.
    """
    if (choice := _BY_WORD.get(text.strip())) is not None:
        return choice
    if _NUMBERS.fullmatch(text):
        return Numbers(tuple(sorted({int(number) for number in text.split(",")})))
    if match := _EXTREME.fullmatch(text):
        return _extreme(match[1], match[2], objectives)
    if match := _BUDGET.fullmatch(" ".join(text.split())):
        metric = _metric(match[2])
        bounds = tuple(map(_bound, match[3].split(" and "))) if match[3] else ()
        return Best(metric, _direction(match[1]), bounds)
    raise InputError(f"cannot pick {short_text(text)}", f"expected {EXPECTED}")


def with_unit(bound: Constraint) -> str:
    """A bound as people read it: `cpu_percent <= 40 % of host`."""
    return f"{bound} {METRICS[bound.metric].unit}".rstrip()


def _extreme(word: str, name: str, objectives: Sequence[Objective]) -> Best:
    metric, direction = SHORT.get(name, name), _direction(word)
    if Objective(metric, direction) not in objectives:
        short = {metric: name for name, metric in SHORT.items()}
        available = ", ".join(
            f"{o.direction[:3]}-{short.get(o.metric, o.metric)}" for o in objectives
        )
        raise InputError(
            f"cannot pick {word}-{name}: the study has no such objective",
            f"it has {available or 'none'}; 'min METRIC where ...' takes any metric",
        )
    return Best(metric, direction)


def _bound(text: str) -> Constraint:
    try:
        return parse_constraint(text)
    except InputError as error:
        raise InputError(f"cannot pick by {short_text(text)}: {error.message}", _UNITS) from error


def _metric(name: str) -> str:
    if name in METRICS:
        return name
    hint = nearest(name, METRICS) or f"; the metrics are {', '.join(METRICS)}"
    raise InputError(f"cannot pick by {name!r}, which is no metric{hint}", _UNITS)


def _direction(word: str) -> Direction:
    return "minimize" if word == "min" else "maximize"


_UNITS = (
    "bounds are in the metric's unit: art_ms in ms, cpu_percent in % of host, memory_peak_mib in"
    " MiB, throughput_rps in requests/s; join several with 'and'"
)
