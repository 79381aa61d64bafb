"""`tune run`: a live view on a terminal, one plain line per trial elsewhere."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import optuna
from optuna.study import Study
from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tuner.backends import backend_named
from tuner.backends.backend import BackendOptions
from tuner.backends.replay import refuse_unfit
from tuner.backends.replay_file import read_table
from tuner.cli import INTERRUPTED, NOTHING_FEASIBLE, study_page, tables
from tuner.load.burst_progress import BurstProgress
from tuner.measure.record import StudyRecord, TrialRecord
from tuner.results.summary import Summary, summarise
from tuner.results.wording import difference, figure
from tuner.search.make_sampler import require_sampler
from tuner.spec.host import Host
from tuner.spec.load import load_study, results_directory
from tuner.spec.metrics import title
from tuner.spec.study import StudySpec
from tuner.study.loop import (
    Converged,
    Event,
    Failed,
    Finished,
    Repeating,
    Started,
    goal,
    run_study,
)
from tuner.study.next import Goal
from tuner.study.plan import Plan, plan_study
from tuner.study.queue import queue_repeat
from tuner.study.start import start_or_resume, warm_start
from tuner.study.storage import (
    default_url,
    open_storage,
    samples_directory,
    study_record,
)

_LAST = 5
_FRONT = 8


def run(
    spec: StudySpec,
    url: str,
    backend_name: str,
    trials: int | None,
    repeats: list[int],
    passes: int = 0,
    replay: Path | None = None,
    warm: str | None = None,
) -> int:
    """Run the study, or its full grid so often, and print its front; the exit code."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    # Before there is a database, which would be an empty one.
    require_sampler(spec.search.sampler, spec.search_space)
    if replay is not None:
        refuse_unfit(spec, read_table(replay), replay.name)
    results = results_directory(spec)
    storage = open_storage(url, create=True)
    study = start_or_resume(spec, storage, backend_name)
    if warm is not None:
        warm_start(study, warm, partial(_url_of, backend_name))
    for number in repeats:
        queue_repeat(spec, study, number)
    until = goal(spec, study, trials, len(repeats), passes)
    found = study_record(study)
    measured_by = backend_named(backend_name)(spec, BackendOptions(replay, found))
    if backend_name == "simulated":
        tables.console.print(f"[bold yellow]{tables.SIMULATED}[/]")
    if replay is not None:
        tables.console.print(f"[bold yellow]{tables.REPLAYED}[/]")
    if passes:
        _say_grid(plan_study(spec, found.trials), passes)
    again = _again(spec, url, backend_name, passes, replay)
    ended: list[str] = []
    try:
        with view(until, spec, found) as observe:
            run_study(spec, study, measured_by, results, until, _but_the_end(observe, ended))
    except KeyboardInterrupt:
        done = len(study_record(study).trials)
        tables.console.print(f"Interrupted after {done} trials; nothing is left running.")
        tables.console.print(f"Resume with: {again}")
        return INTERRUPTED
    for reason in ended:
        tables.console.print(f"[bold]Converged[/]: {reason}.")
    return _say_end(study, url, backend_name, results)


def _again(spec: StudySpec, url: str, backend: str, passes: int, replay: Path | None) -> str:
    """The command that goes on with this run."""
    grid = f" --sampler grid --passes {passes}" if passes else ""
    options = meant(url, backend, results_directory(spec), grid=bool(passes))
    recorded = "" if replay is None else f" --replay '{replay}'"
    return f"tune run --study {spec.name}{grid}{options}{recorded}"


def _say_end(study: Study, url: str, backend: str, results: Path) -> int:
    """Print the front and what to do next; the exit code."""
    record = study_record(study)
    summary = summarise(record)
    study_page.show_front(record, summary)
    study_page.show_doubts(record)
    tables.console.print(f"Trials:    {url}")
    if (samples := samples_directory(study, results)).exists():
        tables.console.print(f"Requests:  {samples}")
    options = meant(url, backend, results)
    tables.console.print(f"Look:      tune dashboard --study {record.name}{options}")
    if not summary.front:
        return NOTHING_FEASIBLE
    tables.console.print(
        f"Deploy:    tune export --study {record.name}{options} --format compose --pick knee"
    )
    return 0


def _but_the_end(observe: Callable[[Event], None], ended: list[str]) -> Callable[[Event], None]:
    """Tell all but why the run ended, which is kept for when the live view is gone."""

    def told(event: Event) -> None:
        if isinstance(event, Converged):
            ended.append(event.reason)
        else:
            observe(event)

    return told


def _url_of(backend: str, study: str) -> str:
    """Where the trials of a study are, if nothing else was said when it ran."""
    return default_url(results_directory(load_study(study, Host.this())), backend)


def _say_grid(found: Plan, passes: int) -> None:
    """What is ahead, before it begins."""
    if found.grid is None or found.ordered_seconds is None:
        return  # the sampler says why it cannot be
    times = "once" if passes == 1 else f"{passes} times"
    took = tables.duration(passes * found.ordered_seconds)
    tables.console.print(
        f"Full grid: {found.grid:,} configurations in {found.deployments:,} deployments, each"
        f" {times}: about {took} ({found.evidence})"
    )


def meant(url: str, backend: str, results: Path, *, grid: bool = False) -> str:
    """What must be added to a command so that it means this run."""
    words = "" if backend == "docker" else f" --backend {backend}"
    return (
        words if url == default_url(results, backend, grid=grid) else f"{words} --storage '{url}'"
    )


@dataclass(frozen=True)
class _Count:
    """How far a run is: trials of its budget, or points of its grid."""

    of: int | None
    grid: bool

    @classmethod
    def until(cls, until: Goal, spec: StudySpec) -> _Count:
        size = spec.search_space.size()
        if until.passes and until.trials is None and size is not None:
            return cls(until.passes * size, grid=True)
        return cls(until.trials, grid=False)

    def done(self, trials: Sequence[TrialRecord]) -> int:
        return sum(t.grid_pass is not None for t in trials) if self.grid else len(trials)

    def text(self, trials: Sequence[TrialRecord]) -> str:
        return f"{self.done(trials)}" + ("" if self.of is None else f"/{self.of}")


@contextmanager
def view(until: Goal, spec: StudySpec, record: StudyRecord) -> Iterator[Callable[[Event], None]]:
    count = _Count.until(until, spec)
    if tables.console.is_terminal:
        view = _LiveView(until, count, record)
        with Live(view, console=tables.console, refresh_per_second=8, transient=True):
            yield view.observe
    else:
        yield _Lines(count, record).observe


class _Lines:
    """One line per trial, for logs."""

    def __init__(self, count: _Count, record: StudyRecord) -> None:
        self._count = count
        self._study = record
        self._trials = list(record.trials)

    def observe(self, event: Event) -> None:
        if isinstance(event, Failed):
            print(f"trial {event.number} failed: {event.reason}", flush=True)
        if isinstance(event, Repeating):
            print(f"trial {event.number} is measured again: {event.reason}", flush=True)
        if isinstance(event, Finished) and event.record.outcome == "invalid":
            print(f"trial {event.record.number} failed, INVALID twice: {event.record.reason}")
        elif isinstance(event, Finished):
            self._trials.append(event.record)
            count = self._count.text(self._trials)
            print(f"[{count}] {describe(self._study, event.record)}", flush=True)


def describe(study: StudyRecord, trial: TrialRecord) -> str:
    """A trial in one line."""
    start = f"trial {trial.number}: {trial.configuration} -> "
    if trial.same_as is not None:
        return f"{start}infeasible, {trial.reason}, as trial {trial.same_as} of the same deployment"
    if trial.measurement is None:
        return f"{start}infeasible, {trial.reason} ({trial.seconds:.1f} s)"
    parts = [
        f"{title(o.metric)} {tables.estimate(trial.metric(o.metric))}" for o in study.objectives
    ]
    how = ", stayed" * trial.stayed
    return f"{start}{', '.join(parts)}, {tables.verdict(trial)} ({trial.seconds:.1f} s{how})"


class _LiveView:
    """Progress, the trial under way, the last ones, the front, and the best against baseline."""

    def __init__(self, until: Goal, count: _Count, record: StudyRecord) -> None:
        self._until = until
        self._count = count
        self._study = record
        self._began = time.monotonic()
        self._at_start = count.done(record.trials)
        self._current = Text("preparing: image, model, page cache")
        self._trial = ""
        self._last: deque[Text] = deque(maxlen=_LAST)
        self._front = self._front_now()

    def observe(self, event: Event) -> None:
        if isinstance(event, Started):
            self._trial = f"trial {event.number}: {event.configuration}"
            self._current = Text(self._trial)
        elif isinstance(event, str):
            self._current = Text(f"{self._trial}  {event}")
        elif isinstance(event, BurstProgress):
            self._current = Text(f"{self._trial}  {tables.burst_line(event)}")
        elif isinstance(event, Failed):
            self._last.append(Text(f"trial {event.number} failed: {event.reason}", style="red"))
        elif isinstance(event, Repeating):
            text = f"trial {event.number} is measured again: {event.reason}"
            self._last.append(Text(text, style="yellow"))
        elif isinstance(event, Converged):
            self._current = Text(event.reason)
        elif event.record.outcome == "invalid":
            text = f"trial {event.record.number} failed, INVALID twice: {event.record.reason}"
            self._last.append(Text(text, style="red"))
        else:
            trials = (*self._study.trials, event.record)
            self._study = replace(self._study, trials=trials)
            self._front = self._front_now()
            style = "" if event.record.eligible else "dim"
            self._last.append(Text(describe(self._study, event.record), style=style))

    def __rich__(self) -> Group:
        return Group(self._bar(), self._current, *self._last, *self._front)

    def _front_now(self) -> list[Text | Table]:
        """Made once per trial: the view is drawn many times a second, beside a measurement."""
        summary = summarise(self._study)
        if not summary.front:
            return []
        shown = summary.front[:_FRONT]
        heading = f"Front: {len(summary.front)} of {len(self._study.trials)} trials"
        found: list[Text | Table] = [
            tables.trial_table(self._study, shown, heading, summary.recommended),
        ]
        best = self._best(summary)
        return [*found, Text(best)] if best else found

    def _bar(self) -> Table:
        done = self._count.done(self._study.trials)
        spent = time.monotonic() - self._began
        fraction, left = 0.0, ""
        if self._count.of:
            fraction = done / self._count.of
            if done > self._at_start:
                rate = spent / (done - self._at_start)
                left = f", {tables.duration(rate * (self._count.of - done))} left"
        if self._until.seconds:
            used = sum(t.seconds for t in self._study.trials)
            fraction = max(fraction, used / self._until.seconds)
        grid = Table.grid(padding=(0, 1))
        bar = ProgressBar(total=1.0, completed=min(1.0, fraction), width=40)
        count = self._count.text(self._study.trials)
        grid.add_row(bar, Text(f"{count} trials, {tables.duration(spent)}{left}"))
        return grid

    def _best(self, summary: Summary) -> str:
        parts = []
        for index, objective in enumerate(self._study.objectives):
            pick = min if objective.direction == "minimize" else max
            eligible = [t for t in self._study.trials if t.eligible]
            best = pick(eligible, key=lambda t: t.values[index])
            by = summary.against_baseline[best.configuration][index]
            if by is not None:
                parts.append(
                    f"{title(objective.metric)} {figure(best.values[index])} ({difference(by)})"
                )
        return "Best against baseline: " + ", ".join(parts) if parts else ""
