"""Two studies side by side: two models, two hosts, before and after a change. Pure functions.

Both are read alike and nothing depends on which stands first: B against A is the inverse of A
against B.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from statistics import median
from typing import Any, Literal

import numpy as np

from tuner.errors import InputError
from tuner.measure.measurement import Estimate
from tuner.measure.record import StudyRecord
from tuner.measure.repeatability import FEWEST_DEGREES
from tuner.results.pooled import Pooled, pooled
from tuner.results.ratios import LEVEL, POWER, LogRatios, Overall, Ratio, judged, overall
from tuner.results.study_differences import Common, Difference, cautions, differences
from tuner.results.two_fronts import Ahead, FrontScope, Side, front_scope
from tuner.results.wording import counted, figure, interval_ends
from tuner.spec.metrics import METRICS, Direction
from tuner.spec.space import Configuration
from tuner.spec.study import Objective


@dataclass(frozen=True)
class Told:
    """A study in short: its configurations, those that the other could have measured too, and what
    measured them (`docker`, `simulated`, `replay`).
    """

    name: str
    model: str
    trials: int
    configurations: int
    common: int
    backends: tuple[str, ...]


@dataclass(frozen=True)
class Pair:
    """A configuration that both measured; B's values as multiples of A's by objective.

    `trials_a` and `trials_b` are the bursts behind them. An objective that was 0 in one has no
    ratio. Where `unstable` says why the bursts of a study do not agree, nothing was tested.
    """

    configuration: Configuration
    trials_a: tuple[int, ...]
    trials_b: tuple[int, ...]
    values_a: tuple[float, ...]
    values_b: tuple[float, ...]
    ratios: Mapping[str, Ratio]
    unstable: str = ""

    @property
    def differs(self) -> bool:
        return any(ratio.differs for ratio in self.ratios.values())


@dataclass(frozen=True)
class OneSided:
    """A configuration that serves, and keeps the constraints, in one study (`serves`) only."""

    configuration: Configuration
    serves: str
    reason: str


@dataclass(frozen=True)
class TwoStudies:
    """What two studies say about each other.

    `scopes` begins with everything that both could have measured, then come its scenarios. `pairs`
    are in A's order. `overall` has an objective only where a pair has a ratio of it. `cautions` say
    what a reader of the ratios must know.
    """

    a: Told
    b: Told
    objectives: tuple[Objective, ...]
    differences: tuple[Difference, ...]
    cautions: tuple[str, ...]
    scopes: tuple[FrontScope, ...]
    pairs: tuple[Pair, ...]
    overall: Mapping[str, Overall]
    one_sided: tuple[OneSided, ...]

    def ratios(self, metric: str) -> list[Ratio]:
        return [pair.ratios[metric] for pair in self.pairs if metric in pair.ratios]


def compare_studies(a: StudyRecord, b: StudyRecord) -> TwoStudies:
    """`a` and `b` side by side, as far as their search spaces overlap.

    Where they do not, as with two servers that have knobs of their own, the fronts of all that each
    measured are compared, scenario by scenario, and a caution says so.

    Raises InputError where their objectives are not the same metrics in the same directions.
    """
    _require_same_objectives(a, b)
    common = Common(a, b)
    in_a, in_b = (_by_key(study, common, a.objectives) for study in (a, b))
    both = [key for key in in_a if key in in_b]
    if in_a and in_b:
        of_a, of_b = (_with_scenario(measured, common) for measured in (in_a, in_b))
        overlap: tuple[str, ...] = ()
    else:
        of_a, of_b = (_by_scenario(study, common) for study in (a, b))
        overlap = (_WHOLE,)
    logs = _log_ratios(a, b, [(in_a[key], in_b[key]) for key in both])
    return TwoStudies(
        _told(a, len(in_a)),
        _told(b, len(in_b)),
        a.objectives,
        differences(a, b),
        (*overlap, *cautions(a, b)),
        _scopes(common, of_a, of_b, [o.direction for o in a.objectives]),
        _pairs({key: (in_a[key], in_b[key]) for key in both}, logs),
        {metric: mean for metric, tested in logs.items() if (mean := overall(tested.logs))},
        tuple(one_sided for key in both if (one_sided := _one_sided(key, in_a[key], in_b[key]))),
    )


def _require_same_objectives(a: StudyRecord, b: StudyRecord) -> None:
    directions_a, directions_b = (
        {o.metric: o.direction for o in study.objectives} for study in (a, b)
    )
    if directions_a == directions_b:
        return
    texts = [
        " and ".join(f"{how} {metric}" for metric, how in directions.items())
        for directions in (directions_a, directions_b)
    ]
    raise InputError(
        f"studies {a.name!r} and {b.name!r} have different objectives: A is to {texts[0]}, B to"
        f" {texts[1]}",
        "compare studies of the same metrics in the same directions",
    )


def _told(study: StudyRecord, common: int) -> Told:
    return Told(
        study.name,
        study.model,
        len(study.trials),
        len({t.configuration for t in study.trials}),
        common,
        tuple(sorted({t.backend for t in study.trials})),
    )


def _by_key(
    study: StudyRecord, common: Common, objectives: Sequence[Objective]
) -> dict[Configuration, Pooled]:
    """The measurements of each configuration that both studies can have, by its common key.

    Their objectives are in the order of `objectives`.
    """
    return {
        key: p
        for p in _ordered(study, objectives)
        if (key := common.key(study, p.configuration)) is not None
    }


def _ordered(study: StudyRecord, objectives: Sequence[Objective]) -> Iterator[Pooled]:
    """All configurations of a study, their objectives in the order of `objectives`."""
    metrics = [o.metric for o in study.objectives]
    order = [metrics.index(o.metric) for o in objectives]
    for p in pooled(study):
        yield replace(
            p, values=tuple(p.values[i] for i in order), mean=p.mean[order], sd=p.sd[order]
        )


_WHOLE = (
    "No configuration is in both search spaces. So the fronts of all that each measured are"
    " compared, scenario by scenario: each may decide what the other cannot."
)


_Placed = Sequence[tuple[Configuration, Pooled]]
"""Configurations of a study, each with its scenario."""


def _by_scenario(study: StudyRecord, common: Common) -> _Placed:
    """All that a study measured in the scenarios of both."""
    return [
        (scenario, p)
        for p in _ordered(study, common.a.objectives)
        if (scenario := common.scenario_in_both(study, p.configuration)) is not None
    ]


def _with_scenario(configurations: Mapping[Configuration, Pooled], common: Common) -> _Placed:
    """Each goes by the key that both studies share."""
    return [
        (common.scenario(key), replace(p, configuration=key)) for key, p in configurations.items()
    ]


def _scopes(
    common: Common, in_a: _Placed, in_b: _Placed, directions: Sequence[Direction]
) -> tuple[FrontScope, ...]:
    scenarios = {s for s, _ in (*in_a, *in_b)} if common.scenario_names else ()

    def within(placed: _Placed, scope: Configuration | None) -> list[Pooled]:
        return [p for scenario, p in placed if scope is None or scenario == scope]

    return tuple(
        front_scope(scope, within(in_a, scope), within(in_b, scope), directions)
        for scope in (None, *sorted(scenarios, key=common.rank))
    )


@dataclass(frozen=True, eq=False)
class _Tested:
    """The pairs, by their number, that have a ratio of one objective."""

    numbers: tuple[int, ...]
    logs: LogRatios


def _log_ratios(
    a: StudyRecord, b: StudyRecord, pairs: Sequence[tuple[Pooled, Pooled]]
) -> dict[str, _Tested]:
    """B against A by objective, of the pairs that have both values and whose bursts agree.

    The error is that of both averages (`tuner.results.pooled`), within a burst and between bursts.
    Its degrees of freedom are those of the part between bursts, joined by the rule of Welch and
    Satterthwaite (Satterthwaite, Biometrics Bulletin 2(6), 1946).
    """
    tested = {}
    for i, objective in enumerate(a.objectives):
        numbers = tuple(
            n for n, pair in enumerate(pairs) if not _unstable(pair) and _positive(pair, i)
        )
        kept = [pairs[n] for n in numbers]
        values = np.array([math.log(in_b.values[i] / in_a.values[i]) for in_a, in_b in kept])
        errors = np.array([[p.relative_sd(i) for p in pair] for pair in kept]).reshape(-1, 2)
        variances = errors**2
        study_degrees = np.array([_degrees(study, objective.metric) for study in (a, b)])
        total = variances.sum(axis=1)
        degrees = total**2 / (variances**2 / study_degrees).sum(axis=1)
        tested[objective.metric] = _Tested(numbers, LogRatios(values, np.sqrt(total), degrees))
    return tested


def _positive(pair: tuple[Pooled, Pooled], index: int) -> bool:
    return all(p.bursts and p.relative_sd(index) < math.inf and p.values[index] > 0 for p in pair)


def _unstable(pair: tuple[Pooled, Pooled]) -> str:
    return next((p.unstable for p in pair if p.unstable), "")


def _degrees(study: StudyRecord, metric: str) -> int:
    repeatability = study.repeatability.get(metric)
    return FEWEST_DEGREES + (0 if repeatability is None else repeatability.degrees)


def _pairs(
    both: Mapping[Configuration, tuple[Pooled, Pooled]], logs: Mapping[str, _Tested]
) -> tuple[Pair, ...]:
    """The pair of each configuration that both studies measured to the end."""
    ratios: list[dict[str, Ratio]] = [{} for _ in both]
    together = judged([tested.logs for tested in logs.values()])
    for (metric, tested), metric_ratios in zip(logs.items(), together, strict=True):
        for number, ratio in zip(tested.numbers, metric_ratios, strict=True):
            ratios[number][metric] = ratio
    return tuple(
        Pair(
            key,
            tuple(t.number for t in a.bursts),
            tuple(t.number for t in b.bursts),
            a.values,
            b.values,
            ratios[number],
            _unstable((a, b)),
        )
        for number, (key, (a, b)) in enumerate(both.items())
        if a.bursts and b.bursts
    )


def _one_sided(key: Configuration, a: Pooled, b: Pooled) -> OneSided | None:
    """None where both serve, or neither, or one of them was not measured to the end."""
    if bool(a.infeasible) == bool(b.infeasible):
        return None
    serves, good, reason = ("B", b, a.infeasible) if a.infeasible else ("A", a, b.infeasible)
    return OneSided(key, serves, reason) if good.bursts else None


_CHECKSUM = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{20,}\b")


def sentences(comparison: TwoStudies) -> tuple[str, ...]:
    """The verdict, the overall ratio of each objective, then the fronts."""
    return (
        verdict_sentence(comparison),
        *(ratio_sentence(comparison, o.metric) for o in comparison.objectives),
        front_sentence(comparison),
    )


def verdict_sentence(comparison: TwoStudies) -> str:
    """Such as "B is better in 3 of 9 scenarios, A in 1; elsewhere they cannot be told apart."

    Better is the study of whose front points clearly dominate some of the other's, or which alone
    has a front.
    """
    whole, *scenarios = comparison.scopes
    counts = Counter(scope.ahead for scope in scenarios or [whole])
    better = {side: counts[side] + counts[only] for side, only in _BETTER}
    first, second = sorted(better, key=lambda side: (-better[side], side))
    if not scenarios:
        sole: dict[Ahead, str] = {
            "each in part": "Neither is better throughout: each is ahead on a part of the front.",
            "neither": "A and B cannot be told apart.",
            "nothing": "Neither has anything feasible.",
        }
        return sole.get(whole.ahead, f"{first} is better.")
    count = len(scenarios)
    if not counts.keys() - {"neither"}:
        return f"A and B cannot be told apart in any of {count} scenarios."
    parts = [f"{first} is better in {better[first]} of {counted(count, 'scenario')}"]
    if not better[first]:
        parts = [f"Neither is better in any of {counted(count, 'scenario')}"]
    if better[second]:
        parts.append(f"{second} in {better[second]}")
    if counts["each in part"]:
        parts.append(f"each in part in {counts['each in part']}")
    if counts["nothing"]:
        parts.append(f"neither has anything feasible in {counts['nothing']}")
    rest = "; elsewhere they cannot be told apart" if counts["neither"] else ""
    return f"{', '.join(parts)}{rest}."


_BETTER: tuple[tuple[Literal["A", "B"], Ahead], ...] = (("A", "only A"), ("B", "only B"))


def ratio_sentence(comparison: TwoStudies, metric: str) -> str:
    """Such as "B's ART is 1.31 times A's (1.22-1.41) over 14 configurations. Tested one by one, 9
    differ (after correction for 14 tests, 5 % false discoveries)."
    """
    label = METRICS[metric].label
    overall = comparison.overall.get(metric)
    if overall is None:
        return f"{label}: no configuration was measured to the end by both, so there is no ratio."
    ratios = comparison.ratios(metric)
    count = sum(ratio.differs for ratio in ratios)
    seen = median(ratio.seen for ratio in ratios)
    noun = "configuration" if overall.count == 1 else "configurations"
    differing = f"{count} {'differs' if count == 1 else 'differ'}" if count else "none differs"
    return (
        f"B's {label} is {factor(overall.ratio)} over {overall.count} {noun}"
        f"{_doubt(overall.ratio)}{_spread(overall)}. Tested one by one, {differing} (after"
        f" correction for {len(ratios)} tests, {100 * LEVEL:.0f} % false discoveries). In a typical"
        f" configuration the test finds a true ratio of {seen:.2f} with probability {POWER:g}."
    )


def factor(ratio: Estimate) -> str:
    """Such as `1.31 times A's (1.22-1.41)`."""
    text = f"{figure(ratio.value)} times A's"
    ends = interval_ends(ratio)
    return f"{text} ({ends})" if ends else text


def shortened(text: str) -> str:
    """`text` with 12 digits of each checksum, as people compare them."""
    return _CHECKSUM.sub(r"\1...", text)


def _doubt(ratio: Estimate) -> str:
    clear = ratio.low is not None and ratio.high is not None and not ratio.low <= 1 <= ratio.high
    return "" if clear else ", which noise can explain"


def _spread(overall: Overall) -> str:
    if overall.count < 2 or overall.spread < 0.005:
        return ""
    return f", among which it varies by {100 * overall.spread:.0f} %"


def front_sentence(comparison: TwoStudies) -> str:
    """A sentence that says in how many scenarios which front is clearly ahead."""
    whole, *scenarios = comparison.scopes
    scopes = scenarios or [whole]
    counts = Counter(scope.ahead for scope in scopes)
    words: dict[Ahead, str] = {
        "A": "A's points clearly dominate some of B's",
        "B": "B's points clearly dominate some of A's",
        "each in part": "each dominates some of the other's",
        "neither": "neither clearly dominates any point of the other",
        "only A": "only A has a front",
        "only B": "only B has a front",
        "nothing": "neither has a front",
    }
    if not scenarios:
        return f"Fronts: {words[whole.ahead]}."
    parts = [f"in {counts[key]} {text}" for key, text in words.items() if counts[key]]
    noun = "scenario" if len(scopes) == 1 else "scenarios"
    return f"Fronts of {len(scopes)} {noun}: {'; '.join(parts)}."


# History of the format: 1 (first).
TWO_STUDIES_FORMAT = 1


def two_studies_document(comparison: TwoStudies) -> dict[str, Any]:
    """The whole comparison as JSON-able data; ratios are B's values as multiples of A's."""
    return {
        "format": TWO_STUDIES_FORMAT,
        "level": LEVEL,
        "power": POWER,
        **_plain(comparison),
        "sentences": list(sentences(comparison)),
    }


def _plain(value: Any) -> Any:  # noqa: ANN401 -- any part of it
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if not is_dataclass(value):
        return value
    return {f.name: _plain(getattr(value, f.name)) for f in fields(value)} | _derived(value)


def _derived(value: object) -> dict[str, Any]:
    match value:
        case Ratio() | Pair():
            return {"differs": value.differs}
        case FrontScope():
            return {"ahead": value.ahead}
        case Side():
            return {"beaten": value.beaten}
    return {}
