"""One configuration measured by hand: the answers of `tune measure`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from tuner.backends.repeats import Repeats
from tuner.errors import Infeasible
from tuner.measure.capacity import Capacity, CapacityStep
from tuner.measure.measurement import Estimate, Measurement
from tuner.measure.repeatability import repeatability
from tuner.pages.blocks import Block, Facts, Points, Table, Words
from tuner.pages.capacity_words import capacity_sentence, replicas_sentence
from tuner.pages.trial_facts import burst_facts
from tuner.pages.trial_tables import metric_table, network, phase_table, replica_table
from tuner.results.in_words import announced
from tuner.results.replicas import parts
from tuner.results.told import measurement_doubts
from tuner.results.wording import figure, interval, metric_interval
from tuner.spec.metrics import METRICS, title
from tuner.spec.study import Stage, StudySpec
from tuner.trial import TrialResult

_MOST_COLUMNS = 6
_LEVELS = ("art_ms", "p50_ms", "p95_ms", "p99_ms", "throughput_rps", "cpu_percent")
_RATES = ("throughput_rps", "cpu_percent", "error_rate")
_IN_A_LINE = ("art_ms", "cpu_percent", "throughput_rps")


def about(spec: StudySpec, backend: str) -> Iterator[Words]:
    """What is about to be measured."""
    yield from (Words(line, "doubt") for line in announced(backend))
    yield Words(f"Model {spec.model.name}: {spec.search_space.baseline()}", "lead")


def could_not_serve(reason: Infeasible) -> Words:
    """That a configuration is infeasible, and why."""
    return Words(f"Infeasible, {reason.kind}: {reason.message}", "doubt")


def repeat_line(result: TrialResult) -> str:
    """A repeat in one line."""
    seconds = sum(result.phases.values())
    measurement = result.measurement
    if measurement is None:
        assert result.infeasible is not None
        reason = result.infeasible
        return f"infeasible, {reason.kind}: {reason.message} ({seconds:.1f} s)"
    parts = [
        metric_interval(name, measurement.metrics[name])
        for name in _IN_A_LINE
        if name in measurement.metrics
    ]
    return f"{', '.join(parts)}, {measurement.verdict} ({seconds:.1f} s)"


def repeats_blocks(repeats: Repeats) -> Iterator[Block]:
    """The metrics of one burst or of several side by side, the doubts, and the time per phase."""
    if not repeats.measurements:
        return
    if len(repeats.measurements) == 1:
        yield from _single(repeats.measurements[0])
    else:
        yield from _several(repeats)
    if repeats.calibration is not None:
        floor = repeats.calibration
        rate = f"{figure(floor.capacity_rps.value)} requests/s"
        senders = "" if floor.senders == 1 else f" of {floor.senders} senders"
        yield Facts(
            (
                ("fastest response", f"{figure(floor.floor_ms.value)} ms"),
                ("capacity", f"{rate} at {floor.concurrency} connections{senders}"),
                ("CPU time", f"{figure(floor.client_cpu_us)} us per request"),
            ),
            "The load engine alone, on the same path to a server that only answers",
        )
    hosts = [host["name"] for host in repeats.measurements[-1].client.get("hosts", ())]
    if hosts:
        yield Words(f"The load came from {', '.join(hosts)}.")
    last = next(r for r in reversed(repeats.results) if r.measurement is not None)
    yield from network(last.impairment)
    yield _phases(repeats)


def stage_blocks(
    spec: StudySpec, stages: Sequence[Stage], measurements: Sequence[Measurement]
) -> Iterator[Block]:
    """A row for each level of load, and what to be careful about."""
    is_open = spec.load.arrivals != "closed"
    level = "rate (requests/s)" if is_open else "concurrency"
    names = [*_LEVELS, *(["late_percent"] if is_open else []), "client_cpu_percent"]
    rows = []
    for stage, measured in zip(stages, measurements, strict=True):
        ends = dict.fromkeys(f"{level:g}" for level in (stage.start, stage.end))
        rows.append((" to ".join(ends), *_cells(measured, names), measured.verdict))
    priorities = {"art_ms": 0, "throughput_rps": 0, "cpu_percent": 0, "p95_ms": 1, "p99_ms": 2}
    yield Table(
        (level, *map(title, names), "verdict"),
        tuple(rows),
        "Each level of load, with 95 % intervals",
        priorities=(0, *(priorities.get(name, 3) for name in names), 1),
    )
    yield from _doubts(measurements)


def concurrency_blocks(spec: StudySpec, measurements: Mapping[int, Measurement]) -> Iterator[Block]:
    """A row for each number of connections, and what to be careful about."""
    stages = [Stage(0, level, level) for level in measurements]
    closed = replace(spec, load=replace(spec.load, arrivals="closed"))
    yield from stage_blocks(closed, stages, tuple(measurements.values()))


def capacity_blocks(
    capacity: Capacity, replicas: int, rate: float | None = None
) -> Iterator[Block]:
    """A row for each rate that was tried, in ascending order, and the capacity in a sentence.

    It is that of so many `replicas`; how many `rate` needs is said too.
    """
    names = [*dict.fromkeys([*(c.metric for c in capacity.constraints), *_RATES])]
    pairs = zip(capacity.search.steps, capacity.measurements, strict=True)
    rows = tuple(
        (figure(step.rate), *_cells(measured, names), _step_verdict(step))
        for step, measured in sorted(pairs, key=lambda pair: pair[0].rate)
    )
    yield Table(
        ("rate (requests/s)", *map(title, names), "holds"),
        rows,
        "Each rate that was tried, with 95 % intervals",
        priorities=(0, *(0 if name not in _RATES else 1 for name in names), 0),
    )
    yield Words(capacity_sentence(capacity), "lead")
    if rate is not None:
        yield Words(replicas_sentence(capacity, replicas, rate), "lead")
    yield from _doubts([capacity.with_measured(capacity.measurements[capacity.decisive])])


def _step_verdict(step: CapacityStep) -> str:
    if step.answered is not None:
        return "no, over-saturated"
    return ("yes" if step.holds else "no") + ("" if step.sure else ", but it is close")


def _cells(measured: Measurement, names: Sequence[str]) -> Iterator[str]:
    for name in names:
        yield interval(measured.metrics[name]) if name in measured.metrics else "-"


def _single(measured: Measurement) -> Iterator[Block]:
    yield metric_table(measured)
    if len(measured.replicas) > 1:
        yield replica_table(parts(measured, None))
    yield Facts(tuple(burst_facts(measured)))
    yield from (Words(text, "doubt") for text in measurement_doubts(measured))


def _several(repeats: Repeats) -> Iterator[Block]:
    """A row per metric: each repeat, their mean, and how far the repeats differ."""
    measurements = repeats.measurements
    shown = measurements[:_MOST_COLUMNS]
    names = [name for name in METRICS if name in repeats.together]
    rows = []
    for name in names:
        cells = (interval(m.metrics[name]) if name in m.metrics else "-" for m in shown)
        values = [m.metrics[name] for m in measurements if name in m.metrics]
        rows.append((title(name), *cells, interval(repeats.together[name]), _spread(values)))
    heads = [f"repeat {n + 1}" for n in range(len(shown))]
    yield Table(
        ("metric", *heads, f"all {len(measurements)}", "spread"),
        tuple(rows),
        "Each repeat with the 95 % interval of its burst. `all` is their mean; its interval also"
        " holds what differs between deployments. `spread` is the standard deviation of the"
        " repeats",
        priorities=(0, *range(3, 3 + len(heads)), 0, 1),
    )
    for name in ("art_ms", "cpu_percent"):
        between = repeatability([[m.metrics[name] for m in measurements if name in m.metrics]])
        if between is not None:
            yield Words(
                f"{METRICS[name].label} differs by {100 * between.relative_sd:.1f} % from"
                " deployment to deployment, which the intervals of single bursts do not explain."
            )
    last = measurements[-1]
    if len(last.replicas) > 1:
        yield Words(f"The replicas of repeat {len(measurements)}:")
        yield replica_table(parts(last, None))
    yield Points(
        "Why each burst ended",
        tuple(f"{n}: {m.verdict}, {m.stop_reason}" for n, m in enumerate(measurements, start=1)),
    )
    yield from _doubts(measurements)


def _doubts(measurements: Sequence[Measurement]) -> Iterator[Words]:
    """Each verdict and its remedy once, with the repeats that have it."""
    reasons: dict[tuple[str, str], list[tuple[int, str]]] = {}
    for index, measured in enumerate(measurements, start=1):
        for finding in measured.findings:
            key = finding.verdict, finding.remedy
            reasons.setdefault(key, []).append((index, finding.what))
    for (verdict, remedy), where in reasons.items():
        statements = "; ".join(f"{index}: {text}" for index, text in where)
        yield Words(f"{verdict}: {statements}. {remedy}", "doubt")


def _phases(repeats: Repeats) -> Table:
    names = dict.fromkeys(name for r in repeats.results for name in r.phases)
    of = len(repeats.results)
    means = {n: sum(r.phases.get(n, 0.0) for r in repeats.results) / of for n in names}
    return phase_table(means, "Where the time went" + (", mean of all repeats" if of > 1 else ""))


def _spread(values: Sequence[Estimate]) -> str:
    middle = sum(e.value for e in values) / len(values)
    if len(values) < 2 or not middle:
        return ""
    variance = sum((e.value - middle) ** 2 for e in values) / (len(values) - 1)
    return f"{100 * variance**0.5 / middle:.1f} %"
