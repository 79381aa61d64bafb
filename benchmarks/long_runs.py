"""What a long study costs as it grows: memory, files, CPU time of each part of a trial, database.

    python benchmarks/long_runs.py --json long.json                 2,000 simulated trials
    python benchmarks/long_runs.py --docker 300 --json docker.json  300 trials in real containers
    python benchmarks/long_runs.py --draw docs/images long.json     the figure `long-runs.png`

A simulated burst takes no time of its own, so that nearly all that is measured is the tuner. The
study never ends early: what is recommended is looked at after each trial, whether it is settled or
not. All times are CPU time of this process (with all of its threads), so that other work on the
machine does not count. Beside them stands the wall time between trials. Run it with `nice -n 19`
where others work.

When the study is whole, each command that reads it is run once, in a process of its own: its CPU
time and its largest resident memory.
"""

# ruff: noqa: ANN401 -- it takes the time of functions of any kind

from __future__ import annotations

import argparse
import functools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as `tune` does

import optuna

from tuner import Study
from tuner.api import Begun
from tuner.backends import bench
from tuner.search.study_sampler import StudySampler
from tuner.study import loop
from tuner.study.loop import Event, Finished
from tuner.study.settling import Decider

ROOT = Path(__file__).parent.parent
NAME = "long"
TRIALS = 2000
EVERY = 50

SIMULATED = """\
description: A long simulated study
model: mnist
search_space:
  concurrency: {role: scenario, type: int, choices: [1, 2, 4, 8, 16, 32], default: 4}
  cpu: {role: decision, type: float, choices: [0.25, 0.5, 0.75, 1, 1.5, 2], default: 1}
  memory: {role: decision, type: int, choices: [48, 64, 128, 192, 256, 512], default: 256}
  replicas: {role: decision, type: int, low: 1, high: 6, default: 1}
  loss: {role: scenario, type: float, choices: [0, 1, 5], default: 0}
load: {min_seconds: 0.5, max_seconds: 1, min_requests: 50}
objectives: [art_ms, cpu_percent]
constraints: [error_rate <= 0.01]
budget: {trials: 2000}
search: {sampler: bayes}
seed: 1
"""
"""3,888 configurations in 18 scenarios."""

DOCKER = ROOT / "studies/mnist/study.yaml"

READERS = (
    ("list",),
    ("show", "--study", NAME),
    ("explain", "--study", NAME),
    ("report", "--study", NAME, "--output", "long-report.html"),
    ("export", "--study", NAME, "--format", "csv", "--output", "long.csv"),
)


@dataclass
class Parts:
    """CPU seconds of the parts of the trials since the last sample."""

    proposal: list[float] = field(default_factory=list)
    look: list[float] = field(default_factory=list)
    tell: list[float] = field(default_factory=list)
    burst: list[float] = field(default_factory=list)
    outside: list[float] = field(default_factory=list)
    wall_outside: list[float] = field(default_factory=list)

    def clear(self) -> None:
        for seconds in vars(self).values():
            seconds.clear()


@dataclass(frozen=True)
class Sample:
    """A process and its study after so many trials.

    Seconds are CPU time and of the trials since the sample before: medians, and the mean where a
    name says so. `outside_mean` and `wall_outside_mean` are all of a trial but its burst.
    """

    trials: int
    resident_mib: float
    descriptors: int
    threads: int
    database_mib: float
    proposal: float | None
    proposal_mean: float | None
    look: float | None
    tell: float | None
    outside_mean: float
    wall_outside_mean: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--trials", type=int, default=TRIALS, help="of the simulated study")
    parser.add_argument("--docker", type=int, metavar="TRIALS", help="real containers instead")
    parser.add_argument("--every", type=int, default=EVERY, help="trials from sample to sample")
    parser.add_argument("--json", type=Path, help="file for the result")
    parser.add_argument("--directory", type=Path, help="keep the study here; it may be resumed")
    parser.add_argument("--draw", type=Path, metavar="DIRECTORY", help="draw results; needs those")
    parser.add_argument("results", type=Path, nargs="*", help="JSON files to draw")
    asked = parser.parse_args()
    if asked.draw:
        draw([json.loads(path.read_text()) for path in asked.results], asked.draw)
        return
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with ExitStack() as stack:
        directory = asked.directory or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        backend, trials = (
            ("simulated", asked.trials) if not asked.docker else ("docker", asked.docker)
        )
        samples = ran(directory.resolve(), backend, trials, asked.every)
        document = {
            "backend": backend,
            "trials": trials,
            "samples": [asdict(s) for s in samples],
            "readers": list(readers(directory.resolve(), backend)),
        }
    if asked.json:
        asked.json.write_text(json.dumps(document, indent=1) + "\n")


def ran(directory: Path, backend: str, trials: int, every: int) -> list[Sample]:
    """The study of so many trials in `directory`, and a sample after each `every` of them."""
    file = directory / f"studies/{NAME}/study.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    # Whether a measurement can be trusted is no question here: nothing waits for a quiet host.
    whatever = DOCKER.read_text().replace("max_foreign_percent: 25", "max_foreign_percent: 100")
    file.write_text(SIMULATED if backend == "simulated" else whatever)
    for shared in ("models", "search_spaces"):
        if not (directory / shared).exists():
            (directory / shared).symlink_to(ROOT / shared)
    study = Study.open(NAME, backend=backend, root=directory)
    database = Path(study.url.removeprefix("sqlite:///"))
    parts, samples = Parts(), []
    count, since = 0, (time.process_time(), time.perf_counter())

    def observe(event: Begun | Event) -> None:
        nonlocal count, since
        if not isinstance(event, Finished):
            return
        count += 1
        now = time.process_time(), time.perf_counter()
        cpu, wall = now[0] - since[0], now[1] - since[1]
        burst = sum(parts.burst[-1:])
        phases = event.record.phases
        waited = phases.get("burst", 0.0) if backend == "docker" else burst
        parts.outside.append(cpu - burst)
        parts.wall_outside.append(wall - waited)
        since = now
        if count % every == 0 or count == trials:
            samples.append(sample(count, parts, database))
            print(line(samples[-1]), flush=True)
            parts.clear()
            since = time.process_time(), time.perf_counter()

    with (
        timed(StudySampler, "propose", parts.proposal.append),
        timed(Decider, "deciding", parts.look.append),
        timed(loop, "tell", parts.tell.append),
        timed(bench, "run_until_valid", parts.burst.append),
    ):
        study.run(trials, on_event=observe)
    return samples


@contextmanager
def timed(owner: Any, name: str, took: Callable[[float], None]) -> Iterator[None]:
    """Inside, each call of that attribute of `owner` tells how much CPU time it took."""
    call = getattr(owner, name)

    @functools.wraps(call)
    def measured(*arguments: Any, **named: Any) -> Any:
        since = time.process_time()
        try:
            return call(*arguments, **named)
        finally:
            took(time.process_time() - since)

    setattr(owner, name, measured)
    try:
        yield
    finally:
        setattr(owner, name, call)


def sample(trials: int, parts: Parts, database: Path) -> Sample:
    status = dict(
        entry.split(":", 1) for entry in Path("/proc/self/status").read_text().splitlines()
    )

    def middle(seconds: Sequence[float]) -> float | None:
        return median(seconds) if seconds else None

    def mean(seconds: Sequence[float]) -> float:
        return sum(seconds) / max(1, len(seconds))

    return Sample(
        trials,
        int(status["VmRSS"].split()[0]) / 1024,
        sum(1 for _ in Path("/proc/self/fd").iterdir()) - 1,  # that of the listing
        int(status["Threads"]),
        sum(p.stat().st_size for p in database.parent.glob(database.name + "*")) / 2**20,
        middle(parts.proposal),
        mean(parts.proposal) if parts.proposal else None,
        middle(parts.look),
        middle(parts.tell),
        mean(parts.outside),
        mean(parts.wall_outside),
    )


def line(found: Sample) -> str:
    """A row of the terminal: milliseconds, MiB."""
    times = (found.proposal, found.proposal_mean, found.look, found.tell, found.outside_mean)
    shown = " ".join("     -" if s is None else f"{1000 * s:6.0f}" for s in times)
    return (
        f"{found.trials:5} trials: {found.resident_mib:5.0f} MiB, {found.descriptors} descriptors,"
        f" {found.threads} threads, database {found.database_mib:5.1f} MiB;"
        f" ms of proposal (mean) look tell outside: {shown};"
        f" wall outside {1000 * found.wall_outside_mean:.0f}"
    )


def readers(directory: Path, backend: str) -> Iterator[dict[str, Any]]:
    """Each reading command, run once."""
    selected = () if backend == "docker" else ("--backend", backend)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path[:1]])}
    for command in READERS:
        words = [sys.executable, "-m", "tuner", *command]
        words += () if command == ("list",) else selected
        since = time.perf_counter()
        with subprocess.Popen(
            words, cwd=directory, env=environment, stdout=subprocess.DEVNULL
        ) as process:
            ended, peak = 0, 0.0
            while not ended:
                peak = max(peak, peak_mib(process.pid))
                ended, status, used = os.wait4(process.pid, os.WNOHANG)
                time.sleep(0.05)
            process.returncode = os.waitstatus_to_exitcode(status)
        found = {
            "command": command[0],
            "exit": process.returncode,
            "cpu": used.ru_utime + used.ru_stime,
            "wall": time.perf_counter() - since,
            "resident_mib": peak,
        }
        print(
            f"tune {command[0]}: exit {found['exit']}, {found['cpu']:.1f} s of CPU,"
            f" {found['wall']:.1f} s, {found['resident_mib']:.0f} MiB",
            flush=True,
        )
        yield found


def peak_mib(pid: int) -> float:
    """The most that a process had in memory so far; 0 where it has ended.

    Not `ru_maxrss`, which begins with what the process had that started it.
    """
    with suppress(FileNotFoundError, ProcessLookupError):
        for entry in Path(f"/proc/{pid}/status").read_text().splitlines():
            if entry.startswith("VmHWM:"):
                return int(entry.split()[1]) / 1024
    return 0.0


def draw(documents: Sequence[dict[str, Any]], directory: Path) -> None:
    """`long-runs.png`: a panel for each quantity, against trials; needs Chromium."""
    from plotly import graph_objects  # noqa: PLC0415 -- only who draws needs it
    from plotly.subplots import make_subplots  # noqa: PLC0415

    from tuner.pages import theme  # noqa: PLC0415
    from tuner.pages.blocks import Figure, Page, Section, Table  # noqa: PLC0415
    from tuner.render.images import write_figures  # noqa: PLC0415

    panels = (
        ("proposal, ms of CPU (median)", "proposal", 1000),
        ("look at what is settled, ms of CPU", "look", 1000),
        ("all outside the burst, ms of CPU (mean)", "outside_mean", 1000),
        ("tell, ms of CPU", "tell", 1000),
        ("resident memory, MiB", "resident_mib", 1),
        ("open file descriptors", "descriptors", 1),
        ("database, MiB", "database_mib", 1),
        ("outside the burst, ms of wall time (mean)", "wall_outside_mean", 1000),
    )
    plot = make_subplots(
        rows=4, cols=2, subplot_titles=[p[0] for p in panels], vertical_spacing=0.08
    )
    for document, colour in zip(documents, (theme.BLUE, theme.ORANGE, theme.GREY), strict=False):
        for place, (_, name, factor) in enumerate(panels):
            points = [s for s in document["samples"] if s[name] is not None]
            plot.add_trace(
                graph_objects.Scatter(
                    x=[s["trials"] for s in points],
                    y=[factor * s[name] for s in points],
                    mode="lines",
                    name=document.get("name", document["backend"]),
                    line={"color": colour},
                    showlegend=place == 0,
                ),
                row=place // 2 + 1,
                col=place % 2 + 1,
            )
    plot.update_yaxes(rangemode="tozero")
    plot.update_xaxes(title_text="trials", row=4)
    plot.update_layout(
        template="none",
        height=980,
        font={"family": "system-ui, sans-serif", "size": 12},
        margin={"l": 56, "r": 16, "t": 48, "b": 56},
        legend={"orientation": "h", "y": -0.06},
    )
    figure = Figure("long-runs", "", "", plot, Table((), ()))
    write_figures(Page("", "", (Section("", "", (figure,)),)), directory, "png")


if __name__ == "__main__":
    main()
