"""`tune run`: a live view on a terminal, one plain line per trial elsewhere."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import optuna
from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tuner.backend import BACKENDS, BackendName
from tuner.cli import INTERRUPTED, NOTHING_FEASIBLE, tables
from tuner.load.sender import Progress
from tuner.record import StudyRecord, TrialRecord
from tuner.spec.load import results_directory
from tuner.spec.study import StudySpec
from tuner.study.loop import (
    Event,
    Failed,
    Finished,
    Goal,
    Repeating,
    Started,
    goal,
    run_study,
)
from tuner.study.queue import repeat
from tuner.study.storage import open_storage, samples_directory, start_or_resume, study_record
from tuner.study.summary import delta_percent, summarise

_LAST = 5
_FRONT = 8


def run(
    spec: StudySpec, url: str, backend_name: BackendName, trials: int | None, repeats: list[int]
) -> int:
    """Run the study and print its front; the exit code."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    results = results_directory(spec)
    storage = open_storage(url, create=True)
    study = start_or_resume(spec, storage, backend_name)
    for number in repeats:
        repeat(spec, study, number)
    until = goal(spec, study, trials, len(repeats))
    backend = BACKENDS[backend_name](spec)
    if backend_name == "simulated":
        tables.console.print(f"[bold yellow]{tables.SIMULATED}[/]")
    again = f"tune run --study {spec.name}" + _options(url, backend_name, results)
    try:
        with _view(until, study_record(study)) as observe:
            run_study(spec, study, backend, results, until, observe)
    except KeyboardInterrupt:
        done = len(study_record(study).trials)
        tables.console.print(f"Interrupted after {done} trials; nothing is left running.")
        tables.console.print(f"Resume with: {again}")
        return INTERRUPTED
    record = study_record(study)
    summary = summarise(record)
    tables.show_front(record, summary)
    tables.show_doubts(record)
    tables.console.print(f"Trials:    {url}")
    tables.console.print(f"Requests:  {samples_directory(study, results)}")
    options = _options(url, backend_name, results)
    tables.console.print(f"Look:      tune dashboard --study {spec.name}{options}")
    if not summary.front:
        return NOTHING_FEASIBLE
    tables.console.print(
        f"Deploy:    tune export --study {spec.name}{options} --format compose --pick knee"
    )
    return 0


def _options(url: str, backend: BackendName, results: object) -> str:
    """What must be added to a command so that it means this run."""
    words = "" if backend == "docker" else f" --backend {backend}"
    return words if str(results) in url else f"{words} --storage '{url}'"


@contextmanager
def _view(until: Goal, record: StudyRecord) -> Iterator[Callable[[Event], None]]:
    if tables.console.is_terminal:
        view = _LiveView(until, record)
        with Live(view, console=tables.console, refresh_per_second=8, transient=True):
            yield view.observe
    else:
        yield _Lines(until, record).observe


class _Lines:
    """One line per trial, for logs."""

    def __init__(self, until: Goal, record: StudyRecord) -> None:
        self._until = until
        self._study = record
        self._done = len(record.trials)

    def observe(self, event: Event) -> None:
        if isinstance(event, Failed):
            print(f"trial {event.number} failed: {event.reason}", flush=True)
        if isinstance(event, Repeating):
            print(f"trial {event.number} is measured again: {event.reason}", flush=True)
        if isinstance(event, Finished) and event.record.outcome == "invalid":
            print(f"trial {event.record.number} failed, INVALID twice: {event.record.reason}")
        elif isinstance(event, Finished):
            self._done += 1
            of = "" if self._until.trials is None else f"/{self._until.trials}"
            print(f"[{self._done}{of}] {describe(self._study, event.record)}", flush=True)


def describe(study: StudyRecord, trial: TrialRecord) -> str:
    """A trial in one line."""
    start = f"trial {trial.number}: {trial.configuration} -> "
    if trial.measurement is None:
        return f"{start}infeasible, {trial.reason} ({trial.seconds:.1f} s)"
    parts = [
        f"{tables.title(o.metric)} {tables.estimate(trial.metric(o.metric))}"
        for o in study.objectives
    ]
    return f"{start}{', '.join(parts)}, {tables.verdict(trial)} ({trial.seconds:.1f} s)"


class _LiveView:
    """Progress, the trial under way, the last ones, the front, and the best against baseline."""

    def __init__(self, until: Goal, record: StudyRecord) -> None:
        self._until = until
        self._study = record
        self._began = time.monotonic()
        self._at_start = len(record.trials)
        self._current = Text("preparing: image, model, page cache")
        self._trial = ""
        self._last: deque[Text] = deque(maxlen=_LAST)

    def observe(self, event: Event) -> None:
        if isinstance(event, Started):
            self._trial = f"trial {event.number}: {event.configuration}"
            self._current = Text(self._trial)
        elif isinstance(event, str):
            self._current = Text(f"{self._trial}  {event}")
        elif isinstance(event, Progress):
            self._current = Text(f"{self._trial}  {tables.burst_line(event)}")
        elif isinstance(event, Failed):
            self._last.append(Text(f"trial {event.number} failed: {event.reason}", style="red"))
        elif isinstance(event, Repeating):
            text = f"trial {event.number} is measured again: {event.reason}"
            self._last.append(Text(text, style="yellow"))
        elif event.record.outcome == "invalid":
            text = f"trial {event.record.number} failed, INVALID twice: {event.record.reason}"
            self._last.append(Text(text, style="red"))
        else:
            trials = (*self._study.trials, event.record)
            self._study = replace(self._study, trials=trials)
            style = "" if event.record.feasible else "dim"
            self._last.append(Text(describe(self._study, event.record), style=style))

    def __rich__(self) -> Group:
        parts: list[Text | Table | Group] = [self._bar(), self._current, *self._last]
        summary = summarise(self._study)
        if summary.front:
            shown = summary.front[:_FRONT]
            heading = f"Front: {len(summary.front)} of {len(self._study.trials)} trials"
            parts.append(tables.trial_table(self._study, shown, heading, summary.knee))
            best = self._best()
            if best:
                parts.append(Text(best))
        return Group(*parts)

    def _bar(self) -> Table:
        done = len(self._study.trials)
        spent = time.monotonic() - self._began
        fraction, left = 0.0, ""
        if self._until.trials:
            fraction = done / self._until.trials
            if done > self._at_start:
                rate = spent / (done - self._at_start)
                left = f", {tables.duration(rate * (self._until.trials - done))} left"
        if self._until.seconds:
            used = sum(t.seconds for t in self._study.trials)
            fraction = max(fraction, used / self._until.seconds)
        of = "" if self._until.trials is None else f"/{self._until.trials}"
        grid = Table.grid(padding=(0, 1))
        bar = ProgressBar(total=1.0, completed=min(1.0, fraction), width=40)
        grid.add_row(bar, Text(f"{done}{of} trials, {tables.duration(spent)}{left}"))
        return grid

    def _best(self) -> str:
        parts = []
        for index, objective in enumerate(self._study.objectives):
            pick = min if objective.direction == "minimize" else max
            feasible = [t for t in self._study.trials if t.feasible]
            best = pick(feasible, key=lambda t: t.values[index])
            delta = delta_percent(self._study, best, index)
            if delta is not None:
                parts.append(
                    f"{tables.title(objective.metric)} {tables.number(best.values[index])}"
                    f" ({delta:+.0f} %)"
                )
        return "Best against baseline: " + ", ".join(parts) if parts else ""
