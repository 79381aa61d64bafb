"""What people ask of a model server first, answered for one study: each in a few short sentences.

Overall answers are the statements of `tuner.results`, with their probabilities. Scenario by
scenario, a curve counts as rising or falling, and one value as better than another, only where the
95 % bands do not overlap: stricter than comparing draw by draw, so what is said may be relied on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tuner.measure.record import StudyRecord
from tuner.results.dependence import Curve
from tuner.results.explain import Explanation
from tuner.results.findings import Findings
from tuner.results.statements import STATED, Statement
from tuner.results.wording import (
    amount,
    bare,
    chance,
    figure,
    label,
    plain,
    reading,
    span,
    together,
)
from tuner.spec.metrics import METRICS
from tuner.spec.space import Parameter, SearchSpace, Value

LATENCIES = ("art_ms", "p50_ms", "p90_ms", "p95_ms", "p99_ms")
"""What a question about response time is answered in: the first that is an objective."""

_MOST_NAMED = 3
"""So many scenarios are named one by one; of more their number is said."""

_LOAD, _NETWORK = ("concurrency", "rate"), ("loss", "loss_in", "loss_out")
"""Of several parameters that a question may be about, the first that the study has."""


Numbers = tuple[float, float, float]
"""An estimate and its band's two ends."""


@dataclass(frozen=True)
class Answer:
    """`text` answers in a sentence or two; `scenarios` says in which scenarios that is so, `others`
    what the parameter does to the other objectives, `evidence` what all of it rests on.

    `settled` is False where the trials cannot answer: `text` says why, the rest may be empty.
    """

    parameter: str
    question: str
    text: str
    settled: bool
    scenarios: str = ""
    others: str = ""
    evidence: str = ""


def latency_objective(metrics: Sequence[str]) -> str:
    """The objective that stands for response time: the first of all where none is one."""
    return next((m for m in LATENCIES if m in metrics), metrics[0])


def answers(
    record: StudyRecord, explanation: Explanation, findings: Findings | None
) -> tuple[Answer, ...]:
    """An answer for each of five variables: load, replicas, CPU, memory and network loss."""
    metric = latency_objective(explanation.metrics)
    objective = label(metric)
    load, network = (
        next((n for n in names if _has(record.search_space, n)), names[0])
        for names in (_LOAD, _NETWORK)
    )
    questions = (
        (load, f"Does {objective} fall or rise with {load}?"),
        ("replicas", f"Which number of containers gives the best {objective}?"),
        ("cpu", f"How does CPU capacity move {objective}?"),
        ("memory", f"How does memory capacity move {objective}?"),
        (network, f"What does network loss do to {objective}?"),
    )
    return tuple(
        _answer(record, explanation, findings, metric, name, question)
        for name, question in questions
    )


def _has(space: SearchSpace, name: str) -> bool:
    return name in [p.name for p in space]


def _answer(
    record: StudyRecord,
    explanation: Explanation,
    findings: Findings | None,
    metric: str,
    name: str,
    question: str,
) -> Answer:
    cannot = _cannot_say(record, explanation, metric, name)
    if cannot:
        return Answer(name, question, cannot, settled=False)
    p = record.search_space[name]
    said = _said(explanation, name, metric)
    curve = _curve(explanation, name, metric)
    assert said is not None
    assert curve is not None
    ends = _ends(p, curve, said)
    parts = [ends or _sentence(said)]
    if name == "replicas":
        parts.insert(0, _best(p, curve, said))
    about = [s for s in explanation.reading if s.parameters == (name,)]
    parts += [_sentence(s) for s in about if s.metric is None]
    others = [_sentence(s) for s in about if s.metric not in (metric, None)]
    if name == "replicas":
        others += _compromise(p, findings)
    each = [c for c in explanation.scenario_curves if (c.parameter, c.metric) == (name, metric)]
    count = _best_by_scenario if name == "replicas" else _ways_by_scenario
    return Answer(
        name,
        question,
        " ".join(parts),
        bool(ends) or said.kind != "not settled",
        count(record.search_space, each) if each else "",
        " ".join(others),
        _evidence(curve),
    )


def _cannot_say(record: StudyRecord, explanation: Explanation, metric: str, name: str) -> str:
    """Why the question has no answer here; empty where it has one."""
    if not _has(record.search_space, name):
        return f"This study cannot say: {name} is no parameter of its search space."
    p = record.search_space[name]
    values = p.values()
    if values is not None and len(values) < 2:
        return f"This study cannot say: {name} has one value, {bare(p, values[0])}."
    if explanation.too_few:
        return "Not known yet: too few configurations were measured."
    measured = {
        t.configuration[name] for t in record.trials if t.eligible and name in t.configuration
    }
    if len(measured) < 2:
        alone = f"only at {bare(p, *measured)}" if measured else "nowhere"
        too = [
            _sentence(s) for s in explanation.reading if s.parameters == (name,) and not s.metric
        ]
        return " ".join((f"This study cannot say: feasible trials were measured {alone}.", *too))
    if _curve(explanation, name, metric) is None or _said(explanation, name, metric) is None:
        return (
            f"This study cannot say: hardly any setting of the other parameters is feasible at two"
            f" values of {name}."
        )
    return ""


def _said(explanation: Explanation, name: str, metric: str) -> Statement | None:
    return next(
        (s for s in explanation.reading if s.parameters == (name,) and s.metric == metric), None
    )


def _curve(explanation: Explanation, name: str, metric: str) -> Curve | None:
    return next((c for c in explanation.curves if (c.parameter, c.metric) == (name, metric)), None)


def _sentence(said: Statement) -> str:
    """A statement as a sentence; names in front of it stay as they are."""
    text = str(said)
    begins = text.startswith(("the effect ", "beyond ", "up to "))
    return f"{text[0].upper() + text[1:] if begins else text}."


def _ends(p: Parameter, curve: Curve, said: Statement) -> str:
    """A sentence that the two ends differ, where the steps between are not settled; else empty."""
    bands = curve.known
    # Bands may be apart where the curves together leave it open: then it is not said.
    if said.kind != "not settled" or said.probability < STATED or not p.ordered:
        return ""
    (first, at_first), *_, (last, at_last) = bands.items()
    if not _way(at_first, at_last):
        return ""
    way = _way(at_first, at_last)
    return (
        f"{label(curve.metric)} {way} from end to end, {_band(curve.metric, at_first)} at"
        f" {plain(first)} and {_band(curve.metric, at_last)} at {bare(p, last)} (95 % bands"
        f" apart); whether it {way} at every step between is not settled."
    )


def _way(first: Numbers, last: Numbers) -> str:
    """What a curve surely does from its first to its last value; empty where that is open."""
    return "rises" if last[1] > first[2] else "falls" if last[2] < first[1] else ""


def _best(p: Parameter, curve: Curve, said: Statement) -> str:
    """The value with the best estimate, and the values whose 95 % bands overlap its band."""
    if said.kind == "no effect":
        return "No number is better than another:"
    bands, best = curve.known, _best_of(curve)
    rivals = [v for v in bands if v != best and not _apart(curve.metric, bands[v], bands[best])]
    own = f"{amount(p, best)}: {_band(curve.metric, bands[best])}"
    if len(rivals) == len(bands) - 1:
        return f"No number is surely better than another; the best estimate is that of {own}."
    alike = together([bare(p, v) for v in rivals])
    also = f", its 95 % band overlapping that of {alike}" if rivals else ""
    return f"On average {own}{also}."


def _compromise(p: Parameter, findings: Findings | None) -> list[str]:
    """The number in the decision that is never far from the best, over all objectives."""
    robust = None if findings is None else findings.robust
    if robust is None or p.name not in robust.decision:
        return []
    has = f"{amount(p, robust.decision[p.name])} ({chance(robust.best)})"
    return [
        f"The decision with the least worst regret over all scenarios and objectives has {has}."
    ]


def _best_by_scenario(space: SearchSpace, curves: Sequence[Curve]) -> str:
    """In how many scenarios each number is the best and surely beats another one."""
    p, sure = space[curves[0].parameter], dict[Value, list[str]]()
    for c in curves:
        bands, best = c.known, _best_of(c)
        if any(_apart(c.metric, bands[v], bands[best]) for v in bands):
            sure.setdefault(best, []).append(_named(space, c))
    parts = [f"best {amount(p, v)} in {_some(sure[v])}" for v in curves[0].known if v in sure]
    if open_ := len(curves) - sum(map(len, sure.values())):
        parts.append(f"no number surely better than another in {open_}")
    return f"Of {len(curves)} scenarios: {'; '.join(parts)}."


def _ways_by_scenario(space: SearchSpace, curves: Sequence[Curve]) -> str:
    """In how many scenarios the metric surely rises from end to end, surely falls, or neither."""
    ways: dict[str, list[str]] = {"rises": [], "falls": [], "": []}
    for c in curves:
        first, *_, last = c.known.values()
        ways[_way(first, last)].append(_named(space, c))
    words = {"rises": "surely rises in", "falls": "surely falls in", "": "no sure change in"}
    parts = [f"{words[way]} {_some(where)}" for way, where in ways.items() if where]
    return f"Of {len(curves)} scenarios: {'; '.join(parts)}."


def _best_of(curve: Curve) -> Value:
    sign = _sign(curve.metric)
    bands = curve.known
    return min(bands, key=lambda v: sign * bands[v][0])


def _apart(metric: str, worse: Numbers, better: Numbers) -> bool:
    return worse[1] > better[2] if _sign(metric) > 0 else worse[2] < better[1]


def _sign(metric: str) -> float:
    return 1.0 if METRICS[metric].better == "minimize" else -1.0


def _band(metric: str, numbers: Numbers) -> str:
    mean, low, high = numbers
    return f"{reading(metric, mean)} ({span(figure(low), figure(high))})"


def _named(space: SearchSpace, curve: Curve) -> str:
    return ", ".join(f"{n} {bare(space[n], v)}" for n, v in curve.scenario.items())


def _some(scenarios: Sequence[str]) -> str:
    """Their number; named where they are few."""
    if len(scenarios) > _MOST_NAMED:
        return str(len(scenarios))
    return f"{len(scenarios)} ({'; '.join(scenarios)})"


def _evidence(curve: Curve) -> str:
    at = len({point.value for point in curve.measured})
    return f"Evidence: {len(curve.measured)} feasible trials at {at} values."
