"""A small study of real containers, and `tune run` on a private engine."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.leftovers import MARK
from tests.chaos.private_engine import PrivateEngine
from tests.deploy.conftest import build_half_plus_two

NAME = "faults"

STUDY = """\
model: half_plus_two
search_space:
  concurrency: {{role: scenario, type: int, choices: [1, 4], default: 1}}
  cpu: {{role: decision, type: float, choices: [0.5, 1], default: 1}}
  memory: {{role: decision, type: int, choices: [160, 192, 256], default: 192}}
  replicas: {{role: decision, type: int, choices: [1, 2], default: 1}}
  loss: {{role: scenario, type: float, choices: [0], default: 0}}
load:
  {{min_seconds: 1, max_seconds: 1, min_requests: 50, warmup_max_seconds: 0.5,
   max_foreign_percent: 100}}
objectives: [art_ms, cpu_percent]
budget: {{trials: {trials}}}
baseline_every: 0
search: {{sampler: random, cut_short: false, confirm: 0}}
seed: 1
"""
"""24 configurations."""

PATIENCE_SECONDS = 240.0


def write_study(directory: Path, trials: int) -> None:
    """The study of so many trials, and its model, in a working directory."""
    model = directory / "models" / "half_plus_two"
    build_half_plus_two(model)
    (model / "model.yaml").write_text("description: Half of x, plus two\n")
    path = directory / "studies" / NAME / "study.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(STUDY.format(trials=trials))


@dataclass
class Running:
    """`tune run` under way; its output goes to `log`."""

    process: subprocess.Popen[bytes]
    log: Path

    def said(self) -> str:
        return self.log.read_text()

    def measured(self) -> int:
        """How many trials it has said to be measured."""
        return len(re.findall(r"^\[\d+/\d+\]", self.said(), re.MULTILINE))

    def wait_for(self, trials: int) -> bool:
        """Until so many are measured; False where it ended before."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.measured() < trials:
            if self.process.poll() is not None:
                return False
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.05)
        return True


@contextmanager
def running(
    directory: Path, private: PrivateEngine, mark: str, also: Mapping[str, str]
) -> Iterator[Running]:
    """`tune run` of the study, in the network namespace of the engine."""
    log = directory / "log"
    command = private.inside([sys.executable, "-m", "tuner", "run", "--study", NAME])
    environment = {**private.environment(), MARK: mark, **also}
    with (
        log.open("ab") as output,
        subprocess.Popen(
            command,
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        try:
            yield Running(process, log)
        finally:
            if process.poll() is None:
                process.kill()
