"""`tune measure`: one configuration by hand, as often as asked, with everything that is known."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.markup import escape
from rich.status import Status

from tuner.backends import backend_named
from tuner.backends.repeats import Repeats, explored, repeated
from tuner.cli import NOTHING_FEASIBLE, tables
from tuner.cli.tables import console, estimate, plain
from tuner.cli.trial_page import facts, phases, show_measurement, show_network, show_replicas
from tuner.errors import Infeasible, InputError
from tuner.load.burst_progress import BurstProgress
from tuner.measure.measurement import Estimate, Measurement
from tuner.measure.repeatability import repeatability
from tuner.results.wording import figure
from tuner.spec.metrics import METRICS, title
from tuner.spec.settings import only_configuration
from tuner.spec.study import Stage, StudySpec
from tuner.trial import Observe, TrialResult

_MOST_COLUMNS = 6
_LEVELS = ("art_ms", "p50_ms", "p95_ms", "p99_ms", "throughput_rps", "cpu_percent")


def measure(spec: StudySpec, backend_name: str, times: int, *, as_json: bool) -> int:
    """Measure and print; the exit code."""
    asked = only_configuration(spec)
    measured_by = backend_named(backend_name)(spec)
    if not as_json:
        if backend_name == "simulated":
            console.print(f"[bold yellow]{tables.SIMULATED}[/]")
        console.print(f"Model {spec.model.name}: {asked}")

    def each(index: int, result: TrialResult) -> None:
        if not as_json:
            console.print(f"[{index + 1}/{times}] {_line(result)}", soft_wrap=True)

    with status(quiet=as_json) as observe:
        found = repeated(measured_by, asked, times, observe, each)
    if as_json:
        json.dump(found.to_json(), sys.stdout, indent=2, allow_nan=False)
        print()
    else:
        _show(found)
    return 0 if found.measurements else NOTHING_FEASIBLE


def explore(spec: StudySpec, backend_name: str, stages: Sequence[Stage]) -> int:
    """Measure at one level of load after another and print a row for each; the exit code."""
    asked = only_configuration(spec)
    measured_by = backend_named(backend_name)(spec)
    console.print(f"Model {spec.model.name}: {asked}")
    try:
        with status(quiet=False) as observe:
            measurements = explored(measured_by, asked, stages, observe)
    except Infeasible as reason:
        console.print(f"Infeasible, {reason.kind}: {escape(reason.message)}")
        return NOTHING_FEASIBLE
    is_open = spec.load.arrivals != "closed"
    level = "rate (requests/s)" if is_open else "concurrency"
    names = [*_LEVELS, *(["late_percent"] if is_open else []), "client_cpu_percent"]
    table = plain(level, *(title(name) for name in names), "verdict")
    for stage, found in zip(stages, measurements, strict=True):
        ends = dict.fromkeys(f"{level:g}" for level in (stage.start, stage.end))
        cells = (estimate(found.metrics.get(name)) for name in names)
        table.add_row(" to ".join(ends), *cells, found.verdict)
    console.print(table)
    _show_findings(measurements)
    return 0


def stages(steps: str | None, ramp: str | None, seconds: float) -> tuple[Stage, ...]:
    """Stages of `seconds` each from `--steps 1,2,4` or `--ramp 10:500`; raises InputError.

    A ramp is cut into ten stages.
    """
    try:
        if steps is not None:
            levels = [float(text) for text in steps.split(",")]
            found = tuple(Stage(seconds, level, level) for level in levels)
        else:
            first, last = (float(text) for text in str(ramp).split(":"))
            ends = [first + (last - first) * i / _RAMP_STAGES for i in range(_RAMP_STAGES + 1)]
            found = tuple(Stage(seconds, a, b) for a, b in itertools.pairwise(ends))
    except ValueError as error:
        raise InputError(
            f"{'--steps ' + steps if steps is not None else '--ramp ' + str(ramp)}: not levels",
            "give numbers: --steps 1,2,4,8 or --ramp 10:500",
        ) from error
    if min(min(s.start, s.end) for s in found) <= 0:
        raise InputError("a level of load must be more than 0", "see --steps and --ramp")
    return found


_RAMP_STAGES = 10


@contextmanager
def status(*, quiet: bool) -> Iterator[Observe]:
    """The phase and the burst's progress, on a terminal; nothing elsewhere."""
    if quiet or not console.is_terminal:
        yield lambda _: None
        return
    with console.status("preparing") as shown:
        yield lambda event: _tell(shown, event)


def _tell(status: Status, event: str | BurstProgress) -> None:
    status.update(event if isinstance(event, str) else escape(tables.burst_line(event)))


def _line(result: TrialResult) -> str:
    """A repeat in one line."""
    seconds = sum(result.phases.values())
    found = result.measurement
    if found is None:
        assert result.infeasible is not None
        reason = result.infeasible
        return f"infeasible, {reason.kind}: {escape(reason.message)} ({seconds:.1f} s)"
    parts = [
        f"{METRICS[name].label} {estimate(found.metrics.get(name))} {METRICS[name].unit}"
        for name in ("art_ms", "cpu_percent", "throughput_rps")
    ]
    return f"{', '.join(parts)}, {found.verdict} ({seconds:.1f} s)"


def _show(found: Repeats) -> None:
    floor = found.calibration
    if floor is not None:
        console.print(
            f"The load engine on this path: floor {figure(floor.floor_ms.value)} ms, capacity"
            f" {figure(floor.capacity_rps.value)} requests/s at {floor.concurrency} connections,"
            f" {figure(floor.client_cpu_us)} us of CPU per request"
        )
    some = found.measurements
    if not some:
        return
    if len(some) == 1:
        show_measurement(some[0], {})
    else:
        _show_repeats(found)
    last = next(r for r in reversed(found.results) if r.measurement is not None)
    show_network(last.impairment)
    names = dict.fromkeys(name for r in found.results for name in r.phases)
    of = len(found.results)
    means = {n: sum(r.phases.get(n, 0.0) for r in found.results) / of for n in names}
    console.print(phases(means) + (" (means)" if of > 1 else ""))


def _show_repeats(found: Repeats) -> None:
    """A row per metric: the repeats, what they say together, and how far they differ."""
    some = found.measurements
    shown = some[:_MOST_COLUMNS]
    heads = [str(n + 1) for n in range(len(shown))]
    table = plain("metric", "unit", *heads, f"all {len(some)}, 95 %", "spread")
    for name, metric in METRICS.items():
        if name not in found.together:
            continue
        cells = (estimate(m.metrics.get(name)) for m in shown)
        values = [m.metrics[name] for m in some if name in m.metrics]
        row = (estimate(found.together[name]), _spread(values))
        table.add_row(metric.label, metric.unit, *cells, *row)
    console.print(table)
    console.print(
        "Columns hold each burst's own interval; `all` is the mean with what differs between"
        " deployments; `spread` is their standard deviation."
    )
    for name in ("art_ms", "cpu_percent"):
        between = repeatability([[m.metrics[name] for m in some if name in m.metrics]])
        if between is not None:
            console.print(
                f"{METRICS[name].label} differs by {100 * between.relative_sd:.1f} % between"
                " deployments, beyond what the bursts' own intervals explain."
            )
    if len(some[-1].replicas) > 1:
        console.print(f"Replicas of repeat {len(some)}:")
        show_replicas(some[-1].replicas)
    for number_, measured in enumerate(some, start=1):
        console.print(f"{number_}: {measured.verdict}, {escape(measured.stop_reason)}")
    _show_findings(some)
    if some[-1].source:
        console.print(f"Counters: {some[-1].source}. Load engine: {facts(some[-1].client)}")


def _show_findings(measurements: Sequence[Measurement]) -> None:
    """Each reason to doubt with its remedy, and where it was found."""
    found: dict[tuple[str, str], list[tuple[int, str]]] = {}
    for index, measured in enumerate(measurements, start=1):
        for finding in measured.findings:
            key = finding.verdict, finding.remedy
            found.setdefault(key, []).append((index, finding.what))
    for (verdict, remedy), where in found.items():
        what = "; ".join(f"{index}: {text}" for index, text in where)
        console.print(f"  {verdict}: {escape(what)}. {escape(remedy)}", soft_wrap=True)


def _spread(values: Sequence[Estimate]) -> str:
    middle = sum(e.value for e in values) / len(values)
    if len(values) < 2 or not middle:
        return ""
    variance = sum((e.value - middle) ** 2 for e in values) / (len(values) - 1)
    return f"{100 * variance**0.5 / middle:.1f} %"
