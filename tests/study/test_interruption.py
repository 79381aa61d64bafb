from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from docker import DockerClient
from optuna.trial import TrialState

from tests.study.small import configurations, opened, run, specification, url_of
from tuner.deploy.ownership import Owner
from tuner.search.distributions import distributions
from tuner.search.make_sampler import OWNER
from tuner.serving.image import build_image
from tuner.spec.host import Host
from tuner.spec.load import load_study, results_directory
from tuner.spec.space import Configuration
from tuner.study import tell
from tuner.study.loop import Event, Finished, Started
from tuner.study.storage import REASON, default_url, finished_trials, records
from tuner.study.tell import clear_dead

KILLED_WHILE_IT_RUNS = """
import os, signal
from pathlib import Path
from tuner.backends.simulated import simulated_backend
from tuner.spec.host import Host
from tuner.spec.load import load_study
from tuner.study.loop import Goal, Started, run_study
from tuner.study.start import start_or_resume
from tuner.study.storage import open_storage

def observe(event):
    if isinstance(event, Started) and event.number == 2:
        os.kill(os.getpid(), signal.SIGKILL)

spec = load_study("small", Host.this())
results = Path("studies/small/results")
storage = open_storage(f"sqlite:///{results}/killed.db", create=True)
study = start_or_resume(spec, storage, "simulated")
run_study(spec, study, simulated_backend(spec), results, Goal(8, None), observe)
"""


@pytest.mark.parametrize("phase", ["start", "burst", "end"])
def test_an_interrupted_trial_is_told_and_measured_by_the_next_run(phase: str) -> None:
    spec = specification(("[8, 64, 256]", "[64, 256]"))  # 8 MiB gets no burst
    asked: list[Started] = []

    def interrupt(event: Event) -> None:
        if isinstance(event, Started):
            asked.append(event)
        at = {"start": isinstance(event, Started), "burst": event == "burst",
              "end": isinstance(event, Finished)}[phase]  # fmt: skip
        if at and len(asked) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(spec, observe=interrupt)
    study = opened(spec)
    states = [t.state for t in study.get_trials()]
    assert TrialState.RUNNING not in states
    told = study.get_trials()[asked[3].number]
    if phase == "end":
        assert told.state is TrialState.COMPLETE
    else:
        assert told.state is TrialState.FAIL
        assert told.user_attrs[REASON] == "interrupted"
        assert states.count(TrialState.COMPLETE) == 3
    study = run(spec)
    trials = records(study)
    assert len({t.configuration for t in trials}) == len(trials) == 8
    assert asked[3].configuration in configurations(study)


@pytest.mark.parametrize("at", ["start", "burst"])
def test_a_study_that_was_interrupted_is_completed_by_a_later_run_of_the_process(at: str) -> None:
    spec = specification(("[8, 64, 256]", "[64, 256]"))  # 8 MiB gets no burst
    numbers: list[int] = []

    def press(event: Event) -> None:
        if isinstance(event, Started):
            numbers.append(event.number)
        if len(numbers) == 3 and (
            isinstance(event, Started) if at == "start" else event == "burst"
        ):
            signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run(spec, observe=press)
    assert numbers == [0, 1, 2]
    assert signal.getsignal(signal.SIGINT) is before
    assert len(records(run(spec))) == 8


@pytest.mark.parametrize("interrupted", [0, 1, 5])
def test_an_interrupted_study_proposes_what_another_one_does(interrupted: int) -> None:
    spec = specification()

    def interrupt(event: Event) -> None:
        if isinstance(event, Started) and event.number == interrupted:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(spec, database="interrupted", observe=interrupt)
    assert configurations(run(spec, database="interrupted")) == configurations(
        run(spec, database="whole")
    )


def test_what_a_killed_run_left_is_cleared_and_its_budget_completed() -> None:
    spec = specification()
    command = [sys.executable, "-c", KILLED_WHILE_IT_RUNS]
    killed = subprocess.run(command, check=False, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    left = opened(spec, "killed").get_trials(states=(TrialState.RUNNING,))
    assert [t.number for t in left] == [2]
    study = run(spec, database="killed")
    assert study.get_trials()[2].state is TrialState.FAIL
    assert study.get_trials(states=(TrialState.RUNNING,)) == []
    assert len(records(study)) == 8
    assert Configuration.of(left[0].params) in configurations(study)
    assert configurations(study) == configurations(run(spec, database="whole"))


def test_a_trial_of_a_live_process_or_of_another_host_is_left_alone() -> None:
    spec = specification()
    study = opened(spec)
    for owner in (str(Owner.this()), "elsewhere.invalid/boot/1/1"):
        study.ask(distributions(spec.search_space)).set_user_attr(OWNER, owner)
    assert clear_dead(spec, study) == []
    assert [t.state for t in study.get_trials()] == [TrialState.RUNNING] * 2


@pytest.mark.parametrize("clock", ["-1 day", "+1 day"])  # the second: it was set back since
def test_a_trial_without_an_owner_is_given_some_time(
    monkeypatch: pytest.MonkeyPatch, clock: str
) -> None:
    monkeypatch.setattr(tell, "NAMELESS_SECONDS", 60.0)  # a busy machine stalls for seconds
    spec = specification()
    study = opened(spec)
    trial = study.ask(distributions(spec.search_space))
    assert clear_dead(spec, study) == []
    path = url_of(spec).removeprefix("sqlite:///")
    with sqlite3.connect(path) as database:
        database.execute("UPDATE trials SET datetime_start = datetime('now', ?)", [clock])
    database.close()
    study = opened(spec)
    assert clear_dead(spec, study) == [trial.number]
    states = [t.state for t in study.get_trials()]
    assert states == [TrialState.FAIL, TrialState.WAITING]
    again = study.get_trials()[1]
    assert again.params == trial.params
    assert clear_dead(spec, study) == []


HALF_PLUS_TWO = Path(__file__).parents[1] / "data" / "half_plus_two" / "00000123"
NAME = "interrupted-half-plus-two"
REAL = """\
model: half_plus_two
search_space:
  concurrency: {role: scenario, type: int, choices: [1], default: 1}
  cpu: {role: decision, type: float, choices: [1], default: 1}
  memory: {role: decision, type: int, choices: [24, 192], default: 192}
  replicas: {role: decision, type: int, choices: [1, 2], default: 1}
  loss: {role: scenario, type: float, choices: [0], default: 0}
load:
  {min_seconds: 0.5, max_seconds: 1, min_requests: 50, warmup_max_seconds: 0.5,
   max_foreign_percent: 100}
objectives: [art_ms, cpu_percent]
budget: {trials: 4}
search: {sampler: random}
seed: 1
"""


def left_on(engine: DockerClient, pid: int) -> list[str]:
    """Names of containers and networks that the run `pid` of this file's study made."""
    mine: dict[str, str | list[str] | bool] = {"label": f"tune.study={NAME}"}
    found = [(c.name, c.labels) for c in engine.containers.list(all=True, filters=mine,
                                                              ignore_removed=True)]  # fmt: skip
    found += [(n.name, n.attrs["Labels"]) for n in engine.networks.list(filters=mine)]
    owners = [(name, Owner.parse(labels["tune.owner"])) for name, labels in found]
    return [str(name) for name, owner in owners if owner is not None and owner.pid == pid]


@contextmanager
def started(log: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "tuner", "run", "--study", NAME]
    with (
        log.open("wb") as output,
        subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT) as process,
    ):
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def within_trial(url: str, process: subprocess.Popen[bytes], engine: DockerClient) -> None:
    """Wait until a trial runs and has its container."""
    path = url.removeprefix("sqlite:///")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if Path(path).exists() and _running(path):
            labels = [f"tune.study={NAME}", "tune.trial"]
            if engine.containers.list(filters={"label": labels}, ignore_removed=True):
                return
        time.sleep(0.02)
    pytest.fail("no trial came to run")


def _running(path: str) -> bool:
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        query = "SELECT count(*) FROM trials WHERE state = 'RUNNING'"
        return bool(database.execute(query).fetchone()[0])
    except sqlite3.OperationalError:
        return False  # its tables are being made
    finally:
        database.close()


@pytest.mark.docker
@pytest.mark.thorough
def test_a_real_study_survives_an_interrupt_and_a_kill(
    engine: DockerClient, tmp_path: Path
) -> None:
    build_image(engine, print)
    model = tmp_path / "models" / "half_plus_two"
    shutil.copytree(HALF_PLUS_TWO, model / "built" / "versions" / "123")
    (model / "model.yaml").write_text("description: Half of x, plus two\n")
    (model / "built" / "golden.jsonl").write_text(
        "".join(
            json.dumps({"request": {"instances": [x]}, "response": {"predictions": [x / 2 + 2]}})
            + "\n"
            for x in (0.0, 1.0, 2.5, -4.0)
        )
    )
    path = Path(f"studies/{NAME}/study.yaml")
    path.parent.mkdir(parents=True)
    path.write_text(REAL)
    spec = load_study(NAME, Host.this())
    url = default_url(results_directory(spec), "docker")
    log = tmp_path / "log"

    with started(log) as process:
        within_trial(url, process, engine)
        os.kill(process.pid, signal.SIGINT)
        assert process.wait(60) == 130, log.read_text()
    assert f"tune run --study {NAME}" in log.read_text()
    assert "Traceback" not in log.read_text()
    assert left_on(engine, process.pid) == []

    with started(log) as process:
        within_trial(url, process, engine)
        process.kill()
        process.wait(60)
    killed = process.pid
    assert left_on(engine, killed)
    assert _running(url.removeprefix("sqlite:///"))

    with started(log) as process:
        assert process.wait(90) == 0, log.read_text()
    assert left_on(engine, killed) == left_on(engine, process.pid) == []
    assert not _running(url.removeprefix("sqlite:///"))
    trials = finished_trials(NAME, url)
    assert len(trials) == 4
    assert {t.configuration for t in trials} == set(spec.search_space.grid())
    for trial in trials:
        assert trial.backend == "docker"
        if trial.configuration["memory"] == 24:
            assert (trial.outcome, trial.reason) == ("infeasible", "out of memory")
        else:
            assert trial.outcome == "measured", trial.detail
            assert trial.measurement is not None
            assert trial.measurement.errors == {} or not any(trial.measurement.errors.values())
