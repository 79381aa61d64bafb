"""kill -9 of whatever belongs to a Docker study: nothing is lost, and nothing is left."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from docker import DockerClient
from docker.errors import APIError
from docker.models.containers import Container

from tests.chaos.leftovers import MARK, Watched, words
from tests.chaos.rows import Row
from tests.chaos.test_killed import SEED, STORED
from tests.study.forking import ROOT
from tests.study.invariants import broken_invariants
from tests.study.test_interruption import HALF_PLUS_TWO
from tuner.deploy.docker_deployer import STUDY_LABEL, TRIAL_LABEL
from tuner.spec.host import Host
from tuner.spec.load import load_study, results_directory
from tuner.study.storage import default_url, open_storage, optuna_study

KILLS = int(os.environ.get("TUNE_CHAOS_KILLS", "100"))
TRIALS = 4
VICTIMS = ("tuner", "load process", "keeper", "replica", "all replicas", "helper")
LONGEST_SECONDS = 15.0
PATIENCE_SECONDS = 300.0

STUDY = f"""\
model: half_plus_two
search_space:
  concurrency: {{role: scenario, type: int, choices: [1], default: 1}}
  cpu: {{role: decision, type: float, choices: [0.5, 1], default: 1}}
  memory: {{role: decision, type: int, choices: [192], default: 192}}
  replicas: {{role: decision, type: int, choices: [1, 2], default: 1}}
  loss: {{role: scenario, type: float, choices: [0, 0.01], default: 0}}
load:
  {{min_seconds: 0.5, max_seconds: 1, min_requests: 50, warmup_max_seconds: 0.5,
   max_foreign_percent: 100}}
objectives: [art_ms, cpu_percent]
budget: {{trials: {TRIALS}}}
baseline_every: 0
search: {{sampler: random, confirm: 0}}
seed: 1
"""


def write_study(name: str) -> None:
    model = Path("models/half_plus_two")
    if not model.exists():
        shutil.copytree(HALF_PLUS_TWO, model / "built" / "versions" / "123")
        (model / "model.yaml").write_text("description: Half of x, plus two\n")
        golden = (
            {"request": {"instances": [x]}, "response": {"predictions": [x / 2 + 2]}}
            for x in (0.0, 1.0, 2.5, -4.0)
        )
        lines = "".join(f"{json.dumps(line)}\n" for line in golden)
        (model / "built" / "golden.jsonl").write_text(lines)
    path = Path(f"studies/{name}/study.yaml")
    path.parent.mkdir(parents=True)
    path.write_text(STUDY)


def kill_one(
    victim: str, study: str, process: subprocess.Popen[bytes], engine: DockerClient
) -> bool:
    """Kill it where it is there; whether it was."""
    if victim == "tuner":
        process.kill()
        return True
    if victim == "load process":
        children = list(_load_processes(process.pid))
        for pid in children[:1]:
            os.kill(pid, 9)
        return bool(children)
    found = _containers(victim, study, engine)
    killed = [container for container in found if _killed(container)]
    return bool(killed)


def _containers(victim: str, study: str, engine: DockerClient) -> list[Container]:
    labelled: dict[str, str | list[str] | bool] = {"label": f"{STUDY_LABEL}={study}"}
    found = engine.containers.list(filters=labelled, ignore_removed=True)
    by_kind: dict[str, list[Container]] = {"replica": [], "helper": [], "keeper": []}
    for container in found:
        capabilities = container.attrs["HostConfig"]["CapAdd"] or []
        helps = any("NET_ADMIN" in capability for capability in capabilities)
        kind = "helper" if helps else "replica" if TRIAL_LABEL in container.labels else "keeper"
        by_kind[kind].append(container)
    return by_kind["replica"] if victim == "all replicas" else by_kind[victim][:1]


def _killed(container: Container) -> bool:
    try:
        container.kill()
    except APIError:
        return False  # it ended by itself
    return True


def _load_processes(parent: int) -> Iterator[int]:
    for path in Path("/proc").glob("[0-9]*"):
        try:
            command = (path / "cmdline").read_bytes()
            owner = (path / "stat").read_text().rpartition(")")[2].split()[1]
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended
        if b"tuner.load.engine" in command and int(owner) == parent:
            yield int(path.name)


@pytest.mark.chaos
@pytest.mark.alone
@pytest.mark.docker
def test_kill_9_of_anything_of_a_docker_study(
    engine: DockerClient,
    tune_images: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    report_row: Callable[[Row], None],
) -> None:
    assert tune_images
    monkeypatch.chdir(tmp_path)
    rng, kills, codes = random.Random(SEED), Counter[str](), Counter[int]()
    broken: list[str] = []
    left: list[str] = []
    log, number = tmp_path / "log", 0
    while kills.total() < KILLS:
        name, mark = f"killed-{number}", f"{os.getpid()}-{number}"
        number += 1
        write_study(name)
        watched = Watched(engine, name, mark, tmp_path)
        before = watched.found()
        while True:
            with log.open("ab") as output:
                process = subprocess.Popen(
                    [sys.executable, "-m", "tuner", "run", "--study", name],
                    stdout=output,
                    stderr=output,
                    env={**os.environ, "PYTHONPATH": str(ROOT), MARK: mark},
                )
            if kills.total() < KILLS:
                victim = rng.choice(VICTIMS)
                kills[victim] += _kill_some_time(victim, name, process, engine, rng)
            code = process.wait(PATIENCE_SECONDS)
            codes[code] += 1
            if code == 0:
                break
        spec = load_study(name, Host.this())
        url = default_url(results_directory(spec), "docker")
        study = optuna_study(name, open_storage(url, create=False))
        path = Path(url.removeprefix("sqlite:///"))
        broken += broken_invariants(spec, study, results_directory(spec), path)
        left += watched.left_since(before)
    said = log.read_text()
    report_row(
        Row(
            "kill -9 in a Docker study: "
            + ", ".join(f"{victim} {count}" for victim, count in sorted(kills.items())),
            kills.total(),
            f"{said.count('Traceback')} tracebacks; exit codes"
            f" {', '.join(f'{code}: {count}' for code, count in sorted(codes.items()))}",
            "; ".join(broken) or f"{number} studies: {STORED}",
            words(left),
        )
    )
    assert "Traceback" not in said, said
    assert codes.keys() <= {0, 2, -9}
    assert broken == []
    assert left == []


def _kill_some_time(
    victim: str, study: str, process: subprocess.Popen[bytes], engine: DockerClient,
    rng: random.Random,
) -> bool:  # fmt: skip
    """Kill it at a random moment, or as soon as it is there after that; whether it was killed."""
    time.sleep(rng.uniform(0, LONGEST_SECONDS))
    while process.poll() is None:
        if kill_one(victim, study, process, engine):
            return True
        time.sleep(0.005)
    return False
