"""Two runs of one study, a run of another one, and readers of both, all at once."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import requests

from tests.chaos.leftovers import MARK, Watched, words
from tests.chaos.rows import Row
from tests.chaos.test_killed import STORED
from tests.dashboard.processes import dashboard, until
from tests.study.invariants import broken_invariants
from tests.study.small import opened, specification, url_of
from tuner.spec.load import results_directory
from tuner.spec.study import StudySpec

TRIALS = 80
LARGER = (
    ("trials: 8", f"trials: {TRIALS}"),
    ("[1, 4]", "[1, 2, 4, 8, 16]"),
    ("[8, 64, 256]", "[256, 512, 1024]"),
    ("high: 2", "high: 4"),
    ("tpe, cut_short: false, confirm: 0", "bayes, cut_short: false, confirm: 0, settled: 0"),
)
"""180 configurations that can serve; so many trials outlast a turn of all readers."""

PATIENCE_SECONDS = 300.0

READERS = (
    ("show",),
    ("list",),
    ("explain",),
    ("plan",),
    ("report", "--output", "report.html"),
    ("export", "--format", "json", "--output", "answer.json"),
    ("export", "--format", "study", "--output", "read.study.zip"),
)


@pytest.mark.chaos
def test_two_runs_of_a_study_another_study_and_all_that_reads_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, report_row: Callable[[Row], None]
) -> None:
    monkeypatch.chdir(tmp_path)
    shared, other = specification(*LARGER, name="shared"), specification(*LARGER, name="other")
    watched = Watched(mark=uuid.uuid4().hex, directory=tmp_path)
    codes, said, pages = Counter[int](), [], Counter[int]()
    with ExitStack() as stack:
        runs = [stack.enter_context(running(s, watched)) for s in (shared, shared, other)]
        until(lambda: all(measured(s) for s in (shared, other)))
        address, _ = stack.enter_context(dashboard("--study", "shared", "--backend", "simulated"))
        while any(run.poll() is None for run in runs):
            for reader in READERS:
                pages[requests.get(f"{address}/note", timeout=PATIENCE_SECONDS).status_code] += 1
                done = read(*reader)
                codes[done.returncode] += 1
                said.append(done.stderr)
        ends = [run.wait() for run in runs]
    broken = [
        f"{spec.name}: {words}"
        for spec in (shared, other)
        for words in broken_invariants(
            spec,
            opened(spec),
            results_directory(spec),
            Path(url_of(spec).removeprefix("sqlite:///")),
        )
    ]
    left = sorted(watched.found())
    report_row(
        Row(
            "two runs of one study, a run of another one, and meanwhile the dashboard and "
            + ", ".join(dict.fromkeys(words[0] for words in READERS)),
            codes.total() + pages.total(),
            f"runs: exit {', '.join(map(str, ends))}; readers: exit codes {dict(codes)};"
            f" dashboard: {dict(pages)}",
            "; ".join(broken) or STORED,
            words(left),
        )
    )
    assert ends == [0, 0, 0]
    assert codes.keys() == {0}, said
    assert pages.keys() == {200}
    assert broken == []
    assert left == []


@contextmanager
def running(spec: StudySpec, watched: Watched) -> Iterator[subprocess.Popen[bytes]]:
    """`tune run` of the study; killed where the block ends before it."""
    with subprocess.Popen(
        command("run", "--study", spec.name),
        env={**os.environ, MARK: watched.mark or ""},
        stdout=subprocess.DEVNULL,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def read(verb: str, *options: str) -> subprocess.CompletedProcess[str]:
    """A verb that reads the study which two runs share; `list` reads both."""
    of = () if verb == "list" else ("--study", "shared")
    return subprocess.run(
        command(verb, *of, *options),
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
    )


def command(verb: str, *options: str) -> list[str]:
    simulated = () if verb == "list" else ("--backend", "simulated")
    return [sys.executable, "-m", "tuner", verb, *options, *simulated]


def measured(spec: StudySpec) -> bool:
    """Whether a trial of the study is complete. What is not there yet is not created."""
    path = Path(url_of(spec).removeprefix("sqlite:///"))
    return path.exists() and any(t.state.is_finished() for t in opened(spec).trials)
