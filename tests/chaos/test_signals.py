"""Signals and closed terminals at random moments, and a host that something else keeps busy."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import random
import shutil
import signal
import subprocess
import sys
import termios
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from docker import DockerClient
from optuna.trial import TrialState

from tests.chaos.leftovers import MARK, Watched, words
from tests.chaos.rows import Row
from tests.fuzz.command_lines import lines, run, workplace
from tests.study.test_interruption import HALF_PLUS_TWO, REAL
from tuner import Study

pytestmark = pytest.mark.chaos

PATIENCE_SECONDS = 180.0
TIMES = {"simulated": 40, "docker": 15}
LATEST = {"simulated": 5.0, "docker": 15.0}
"""The moments are drawn from so many seconds."""


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A study of four trials, of a model that a replica loads in no time; its name is its own."""
    monkeypatch.chdir(tmp_path)
    model = tmp_path / "models" / "half_plus_two"
    shutil.copytree(HALF_PLUS_TWO, model / "built" / "versions" / "123")
    (model / "model.yaml").write_text("description: Half of x, plus two\n")
    answers = ({"request": {"instances": [x]}, "response": {"predictions": [x / 2 + 2]}}
               for x in (0.0, 1.0, 2.5, -4.0))  # fmt: skip
    golden = "".join(f"{json.dumps(answer)}\n" for answer in answers)
    (model / "built" / "golden.jsonl").write_text(golden)
    name = f"chaos-{uuid.uuid4().hex[:8]}"
    path = Path(f"studies/{name}/study.yaml")
    path.parent.mkdir(parents=True)
    path.write_text(REAL + "baseline_every: 0\n")
    return name


@dataclass
class OnTerminal:
    """A process whose terminal can be closed; `text` is what it showed."""

    process: subprocess.Popen[bytes]
    master: int
    text: list[str] = field(default_factory=list)
    reader: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self) -> None:
        with suppress(OSError):  # closed at either end
            while piece := os.read(self.master, 65536):
                self.text.append(piece.decode(errors="replace"))

    def close(self) -> None:
        with suppress(OSError):
            os.close(self.master)


@contextmanager
def on_terminal(command: list[str], environment: Mapping[str, str]) -> Iterator[OnTerminal]:
    master, slave = pty.openpty()
    with subprocess.Popen(
        command,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 -- no threads here yet
        env={**os.environ, **environment, "TERM": "xterm"},
    ) as process:
        os.close(slave)
        terminal = OnTerminal(process, master)
        try:
            yield terminal
        finally:
            process.kill()
            terminal.close()


def twice(terminal: OnTerminal) -> None:
    terminal.process.send_signal(signal.SIGINT)
    time.sleep(0.2)
    terminal.process.send_signal(signal.SIGINT)


WAYS: Mapping[str, Callable[[OnTerminal], None]] = {
    "SIGINT": lambda t: t.process.send_signal(signal.SIGINT),
    "SIGTERM": lambda t: t.process.send_signal(signal.SIGTERM),
    "SIGHUP": lambda t: t.process.send_signal(signal.SIGHUP),
    "SIGINT twice": twice,
    "terminal closed": OnTerminal.close,
}


@pytest.mark.parametrize("backend", ["simulated", pytest.param("docker", marks=pytest.mark.docker)])
def test_a_run_is_interrupted_at_random_moments(
    backend: str,
    study: str,
    request: pytest.FixtureRequest,
    report_row: Callable[[Row], None],
    tmp_path: Path,
) -> None:
    client: DockerClient | None = None
    if backend == "docker":
        request.getfixturevalue("tune_images")
        client = request.getfixturevalue("engine")
    mark = uuid.uuid4().hex
    watched = Watched(client, study, mark, tmp_path)
    command = [*(sys.executable, "-m", "tuner", "run"), *("--study", study, "--backend", backend)]
    rng, codes, left = random.Random(13), Counter[int](), set[str]()
    before, tracebacks = watched.found(), 0
    for index in range(TIMES[backend]):
        way = list(WAYS)[index % len(WAYS)]
        with on_terminal([*command, "--trials", "4"], {MARK: mark}) as terminal:
            # Before this the interpreter has not come to tune's own code.
            time.sleep(1 + rng.uniform(0, LATEST[backend]))
            if terminal.process.poll() is None:
                WAYS[way](terminal)
            codes[terminal.process.wait(PATIENCE_SECONDS)] += 1
            terminal.reader.join(PATIENCE_SECONDS)
            tracebacks += "Traceback" in "".join(terminal.text)
        left |= set(watched.left_since(before))
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    optuna = Study.open(study, backend=backend).optuna
    states = Counter(trial.state for trial in optuna.get_trials(deepcopy=False))
    report_row(
        Row(
            f"{', '.join(WAYS)} at random moments of a {backend} run",
            TIMES[backend],
            f"exit codes {dict(codes)}, {tracebacks} tracebacks; then exit {ended.returncode}",
            ", ".join(f"{count} {state.name}" for state, count in states.items()),
            words(sorted(left)),
        )
    )
    assert not left
    assert not tracebacks
    # The last three before tune's own code: Python ends, and nothing was begun.
    assert codes.keys() <= {0, 130, -signal.SIGINT, -signal.SIGTERM, -signal.SIGHUP}
    assert ended.returncode == 0, ended.stderr
    assert {TrialState.RUNNING, TrialState.WAITING}.isdisjoint(states)


@pytest.mark.alone
@pytest.mark.docker
def test_a_host_that_something_else_keeps_busy(
    study: str, tune_images: list[str], report_row: Callable[[Row], None]
) -> None:
    assert tune_images
    path = Path(f"studies/{study}/study.yaml")
    path.write_text(path.read_text().replace("max_foreign_percent: 100", "max_foreign_percent: 40"))
    busy = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"])
        for _ in range(os.cpu_count() or 1)
    ]
    log = Path("log")
    command = [*(sys.executable, "-m", "tuner", "run"), *("--study", study, "--trials", "1")]
    try:
        with log.open("wb") as output, subprocess.Popen(command, stdout=output) as process:
            deadline = time.monotonic() + PATIENCE_SECONDS
            while "the host is busy" not in log.read_text() and time.monotonic() < deadline:
                time.sleep(0.1)
            for each in busy:
                each.kill()
            code = process.wait(PATIENCE_SECONDS)
    finally:
        for each in busy:
            each.kill()
            each.wait()
    said = log.read_text()
    lines_said = [line for line in said.splitlines() if "the host is" in line]
    report_row(Row("another process uses every CPU", 1, "; ".join(lines_said), f"exit {code}"))
    assert code == 0, said
    assert "waiting for quiet" in lines_said[0]
    assert "the host is quiet after" in said


def test_every_bad_command_line(tmp_path: Path, report_row: Callable[[Row], None]) -> None:
    tried, codes, faults = 0, Counter[int](), {}
    with workplace(tmp_path) as restore:
        for line in lines():
            done = run(line.words)
            restore()
            tried += 1
            codes[done.code] += 1
            if done.fault:
                faults[str(line)] = done.fault
    seen = f"exit codes {dict(sorted(codes.items()))}, {len(faults)} faults"
    report_row(Row("an option with a bad value", tried, seen, "-"))
    assert faults == {}
