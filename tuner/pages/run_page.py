"""What a run says: its trials one by one, and at its end what to do next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from shlex import quote

from tuner.backends.absence import Absent, Returned
from tuner.backends.bench import Repeating
from tuner.backends.hosts import HostGone, HostJoined, HostLeftOut
from tuner.backends.quiet import HostBusy, HostQuiet
from tuner.interrupts import NOTHING_LEFT
from tuner.load.burst_progress import BurstProgress
from tuner.measure.record import StudyRecord, TrialRecord
from tuner.pages.blocks import Block, Commands, Log, Words
from tuner.results.recommendation import Recommendation
from tuner.results.summary import Summary
from tuner.results.wording import counted, duration, figure, metric_interval, together
from tuner.spec.metrics import PERCENTILES
from tuner.spec.space import as_levels
from tuner.study.loop import Failed, Finished
from tuner.study.plan import Plan

_MORE = 20
"""Trials that a run which found too little is advised to add."""


def burst_line(progress: BurstProgress) -> str:
    """What a burst has measured so far, in one line."""
    parts = []
    if progress.art_ms is not None:
        precision = progress.art_precision
        to = "" if precision is None else f" (known to {100 * precision:.0f} %)"
        parts.append(f"ART {figure(progress.art_ms)} ms{to}")
    if progress.p99_ms is not None:
        parts.append(f"p99 {figure(progress.p99_ms)} ms")
    parts.append(f"{progress.rate_rps:.0f} requests/s")
    if progress.late_share is not None:
        parts.append(f"{100 * progress.late_share:.0f} % sent late")
    parts.append(f"load engine at {100 * progress.client_cpu:.0f} % of a core")
    most = "at most " if progress.phase == "warm-up" else "about "
    parts.append(f"{most}{progress.seconds_left:.0f} s left")
    return f"{progress.phase}: {', '.join(parts)}"


def trial_line(study: StudyRecord, trial: TrialRecord) -> str:
    """A trial in one line."""
    start = f"trial {trial.number}: {trial.configuration} -> "
    if trial.same_as is not None:
        return f"{start}infeasible, {trial.reason}, as trial {trial.same_as} of the same deployment"
    if trial.measurement is None:
        return f"{start}infeasible, {trial.reason} ({trial.seconds:.1f} s)"
    metrics = trial.measurement.metrics
    names = [*(o.metric for o in study.objectives), *(c.metric for c in study.constraints)]
    if not PERCENTILES.keys() & set(names):
        names.append("p95_ms")
    values = [
        metric_interval(name, metrics[name]) for name in dict.fromkeys(names) if name in metrics
    ]
    how = ", deployment reused" if trial.stayed else ""
    return f"{start}{', '.join(values)}, {verdict(trial)} ({trial.seconds:.1f} s{how})"


def failure_line(event: Failed | Repeating | Finished) -> str:
    """Why a trial does not count, or is measured again, in one line."""
    match event:
        case Failed():
            mend = f". {event.mend}" if event.mend else ""
            return f"trial {event.number} failed and says nothing: {event.reason}{mend}"
        case Repeating():
            return f"trial {event.number} is measured again: {event.reason}"
        case Finished(record):
            return f"trial {record.number} failed, as it was INVALID twice: {record.reason}"


def brief_line(event: BurstProgress) -> str:
    """The progress of one of several bursts, short enough for a line beside the host's name."""
    art = "" if event.art_ms is None else f"ART {figure(event.art_ms)} ms, "
    return f"{event.phase}: {art}{event.rate_rps:.0f} requests/s, {event.seconds_left:.0f} s left"


def host_line(event: HostJoined | HostGone | HostLeftOut) -> str:
    """What became of one of several hosts, in one line."""
    match event:
        case HostJoined(host):
            return f"host {host} measures"
        case HostGone(host, None):
            return f"host {host} is lost"
        case HostGone(host, trial):
            return f"host {host} is lost; trial {trial} is measured elsewhere"
        case HostLeftOut(host, reason, mend):
            return f"host {host} is left out: {reason}" + (f". {mend}" if mend else "")


Waiting = HostBusy | HostQuiet | Absent | Returned
"""What an observer is told of a run that waits."""


def waiting_line(event: Waiting) -> str:
    """Why a run waits, or how long it has waited, in one line."""
    match event:
        case Absent(what, trial, seconds):
            again = "" if trial is None else f"trial {trial} is queued again; "
            return f"{what}; {again}waiting up to {duration(seconds)}"
        case Returned(seconds):
            return f"it answers again after {duration(seconds)}; the run goes on"
        case HostBusy(what, seconds):
            return f"the host is busy: {what}; waiting for quiet, at most {duration(seconds)}"
        case HostQuiet(seconds, ""):
            return f"the host is quiet after {duration(seconds)}"
        case HostQuiet(seconds, what):
            return f"the host is still busy after {duration(seconds)}: {what}; measuring anyway"


def verdict(trial: TrialRecord) -> str:
    """How far a trial can be trusted, and whether it may be on a front."""
    if trial.measurement is None:
        return trial.reason
    return (
        trial.measurement.verdict
        + ("" if trial.feasible else f", breaks {together(broken(trial))}")
        + (", cut short" if trial.cut_short else "")
    )


def broken(trial: TrialRecord) -> tuple[str, ...]:
    """The constraints that a trial breaks: `p95_ms <= 15`."""
    return tuple(text for text, violation in trial.violations.items() if violation > 0)


def time_left(spent: float, done: int, left: int | None) -> str:
    """For how long a run went on, and how much longer it needs at this pace: in seconds."""
    if left is None or not done:
        return duration(spent)
    return f"{duration(spent)}, {duration(spent / done * left)} left"


def converged(reasons: Sequence[str]) -> Iterator[Words]:
    """Why a run ended before its budget."""
    yield from (Words(f"Converged: {reason}.", "lead") for reason in reasons)


def grid_ahead(plan: Plan, passes: int) -> Iterator[Words]:
    """How much a full grid will measure, and how long that takes; nothing where it is endless."""
    if plan.grid is None or plan.deployments is None or plan.ordered_seconds is None:
        return
    times = "once" if passes == 1 else f"{passes} times"
    yield Words(
        f"Full grid: {counted(plan.grid, 'configuration')} in"
        f" {counted(plan.deployments, 'deployment')}, each {times}: about"
        f" {duration(passes * plan.ordered_seconds)} ({plan.evidence})"
    )


def interrupted(record: StudyRecord | None, command: str) -> Iterator[Block]:
    """What is left behind, and how to go on; no record where nothing was stored."""
    trials = counted(0 if record is None else len(record.trials), "trial")
    yield Words(f"Interrupted after {trials}; {NOTHING_LEFT}.", "lead")
    yield Commands("Resume with:", command)


def next_steps(
    record: StudyRecord, summary: Summary, selecting: str, resume: str
) -> Iterator[Block]:
    """The commands for what one does next.

    `selecting` are the options that select this study, its backend and its storage; `resume` is
    the command that goes on with it. Nothing is exported yet where too little was measured to say
    how sure the answer is, and there is more to measure.
    """
    chosen = _headline(summary)
    too_little = chosen is None or not chosen.modelled
    size = record.search_space.size()
    if too_little and (size is None or len(summary.pooled) < size):
        further = [f"{resume} --trials {_MORE}"]
    else:
        further = apply_commands(record, summary, selecting)[:1]
    yield Log("", "\n".join([f"tune show {selecting}", *further]))


def _headline(summary: Summary) -> Recommendation | None:
    """What is deployed: for the scenario that the study expects, else the first one with any."""
    return summary.headline or next(iter(summary.recommendations.values()), None)


def apply_commands(record: StudyRecord, summary: Summary, selecting: str) -> list[str]:
    """The commands that export the answer and verify it.

    None where nothing is recommended, and none for an endpoint, which the user switches.
    """
    if record.of_endpoint:
        return []
    chosen = _headline(summary)
    if chosen is None:
        return []
    several = len(summary.scenarios) > 1 and chosen.scenario != record.expected
    when = f" --when {quote(as_levels(chosen.scenario))}" if several else ""
    form = "stack" if "--backend swarm" in selecting else "compose"
    export = f"tune export {selecting} --format {form}{when} --output {form}.yaml"
    verify = f"tune verify {form}.yaml {selecting}"
    return [export] if "--backend replay" in selecting else [export, verify]
