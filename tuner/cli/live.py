"""A study while it runs: a live view on a terminal, one plain line for each trial elsewhere."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tuner.api import Begun, Study
from tuner.backends.absence import Absent, Returned
from tuner.backends.bench import Repeating
from tuner.backends.hosts import HostGone, HostJoined, HostLeftOut, OnHost
from tuner.backends.quiet import HostBusy, HostQuiet
from tuner.load.burst_progress import BurstProgress
from tuner.measure.record import StudyRecord, TrialRecord
from tuner.pages.blocks import Words
from tuner.pages.run_page import (
    brief_line,
    burst_line,
    failure_line,
    grid_ahead,
    host_line,
    time_left,
    trial_line,
    waiting_line,
)
from tuner.pages.study_page import best_words, front_table
from tuner.render.legible import legible
from tuner.render.terminal import console, lines, show
from tuner.results.in_words import announced
from tuner.results.summary import summarise
from tuner.study.loop import Converged, Event, Failed, Finished, Started
from tuner.study.next import Goal

_LAST = 5
_FRONT = 8


@dataclass
class LiveView:
    """Shows the events of a run; `reasons` are those for which it ended before its budget."""

    study: Study
    stack: ExitStack
    reasons: list[str] = field(default_factory=list)
    _shown: _Lines | _Screen | None = None

    def observe(self, event: Begun | Event) -> None:
        """Show one event of a run."""
        if isinstance(event, Begun):
            show(*(Words(line, "doubt") for line in announced(self.study.backend)))
            if event.goal.passes:
                show(*grid_ahead(self.study.plan(), event.goal.passes))
            count = _Count.until(event.goal, event.record)
            if console.is_terminal:
                self._shown = _Screen(event.goal, count, event.record)
                live = Live(self._shown, console=console, refresh_per_second=8, transient=True)
                self.stack.enter_context(live)
            else:
                self._shown = _Lines(count, event.record)
            return
        if isinstance(event, Converged):
            self.reasons.append(event.reason)
        assert self._shown is not None
        self._shown.observe(event)


@contextmanager
def live_view(study: Study) -> Iterator[LiveView]:
    """A view of one run of a study, gone when the block ends."""
    with ExitStack() as stack:
        yield LiveView(study, stack)


@dataclass(frozen=True)
class _Count:
    """How far a run is: trials of its budget, or points of its grid."""

    of: int | None
    grid: bool

    @classmethod
    def until(cls, until: Goal, record: StudyRecord) -> _Count:
        size = record.search_space.size()
        if until.passes and until.trials is None and size is not None:
            return cls(until.passes * size, grid=True)
        return cls(until.trials, grid=False)

    def done(self, trials: Sequence[TrialRecord]) -> int:
        return sum(t.grid_pass is not None for t in trials) if self.grid else len(trials)

    def text(self, trials: Sequence[TrialRecord]) -> str:
        return f"{self.done(trials)}" + ("" if self.of is None else f"/{self.of}")


def _say(line: str) -> None:
    """A reason may quote what a container answered."""
    print(legible(line), flush=True)


class _Lines:
    """One line per trial, for logs."""

    def __init__(self, count: _Count, record: StudyRecord) -> None:
        self._count = count
        self._study = record

    def observe(self, event: Event) -> None:
        if isinstance(event, Finished) and event.record.outcome != "invalid":
            self._study = self._study.with_trial(event.record)
            count = self._count.text(self._study.trials)
            where = f" on {event.host}" if event.host else ""
            trial = self._study.trial(event.record.number) or event.record
            _say(f"[{count}] {trial_line(self._study, trial)}{where}")
        elif (line := _notice(event)) is not None:
            _say(line)


def _notice(event: Event) -> str | None:
    """What is said of anything but a measured trial, in one line; None of mere progress."""
    match event:
        case Failed() | Repeating() | Finished():
            return failure_line(event)
        case HostBusy() | HostQuiet() | Absent() | Returned():
            return waiting_line(event)
        case HostJoined() | HostGone() | HostLeftOut():
            return host_line(event)
        case OnHost(host, _, told):
            line = _notice(told)
            return None if line is None else f"{host}: {line}"
    return None


class _Screen:
    """Progress, the trial under way, the last ones, the front, and the best against baseline."""

    def __init__(self, until: Goal, count: _Count, record: StudyRecord) -> None:
        self._until = until
        self._count = count
        self._study = record
        self._began = time.monotonic()
        self._at_start = count.done(record.trials)
        self._current = "preparing: image, model, page cache"
        self._trial = ""
        self._hosts: dict[str, str] = {}
        self._last: deque[Text] = deque(maxlen=_LAST)
        self._front = self._front_now()

    def observe(self, event: Event) -> None:
        if isinstance(event, Started | OnHost | HostJoined | HostGone | HostLeftOut):
            self._observe_host(event)
            return
        match event:
            case str():
                self._current = f"{self._trial}  {event}"
            case BurstProgress():
                self._current = f"{self._trial}  {burst_line(event)}"
            case Converged():
                self._current = event.reason
            case Finished(record, host) if record.outcome != "invalid":
                self._study = self._study.with_trial(record)
                stated = self._study.trial(record.number) or record
                self._front = self._front_now()
                self._note(trial_line(self._study, stated), "" if stated.eligible else "dim")
                self._idle(host, record.number)
            case HostBusy() | HostQuiet() | Absent() | Returned():
                self._current = waiting_line(event)
                self._note(self._current, "yellow")
            case Repeating():
                self._note(failure_line(event), "yellow")
            case Failed() | Finished():
                self._note(failure_line(event), "red")

    def _observe_host(self, event: Started | OnHost | HostJoined | HostGone | HostLeftOut) -> None:
        match event:
            case Started(number, configuration, ""):
                self._trial = self._current = f"trial {number}: {configuration}"
            case Started(number, _, host):
                self._hosts[host] = f"trial {number}"
            case OnHost(host, trial, str() | BurstProgress() as told):
                now = told if isinstance(told, str) else brief_line(told)
                self._hosts[host] = now if trial is None else f"trial {trial}  {now}"
            case HostJoined(host):
                self._hosts[host] = "ready"
            case HostGone(host) | HostLeftOut(host):
                self._hosts.pop(host, None)
                self._note(host_line(event), "yellow")
            case _:
                self._note(_notice(event) or "", "yellow")

    def _note(self, line: str, style: str) -> None:
        self._last.append(Text(line, style=style))

    def _idle(self, host: str, trial: int) -> None:
        if self._hosts.get(host, "").split("  ")[0] == f"trial {trial}":
            self._hosts[host] = "ready"

    def __rich__(self) -> Group:
        hosts = [Text(f"{host}  {now}") for host, now in self._hosts.items()]
        return Group(self._bar(), *(hosts or [Text(self._current)]), *self._last, *self._front)

    def _front_now(self) -> list[RenderableType]:
        """Made once per trial: the view is drawn many times a second, beside a measurement."""
        summary = summarise(self._study)
        if not summary.front:
            return []
        table = front_table(self._study, summary, _FRONT)
        return list(lines([table, *best_words(self._study, summary)], console.width))

    def _bar(self) -> Table:
        done = self._count.done(self._study.trials)
        spent = time.monotonic() - self._began
        fraction = done / self._count.of if self._count.of else 0.0
        if self._until.seconds:
            used = sum(t.seconds for t in self._study.trials)
            fraction = max(fraction, used / self._until.seconds)
        left = time_left(spent, done - self._at_start, self._count.of and self._count.of - done)
        bar = Table.grid(padding=(0, 1))
        count = self._count.text(self._study.trials)
        bar.add_row(
            ProgressBar(total=1.0, completed=min(1.0, fraction), width=40),
            Text(f"{count} trials, {left}"),
        )
        return bar
