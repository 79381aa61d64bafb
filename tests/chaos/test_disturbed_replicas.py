"""Whatever is done to a replica, a study loses nothing: the trial fails, and is tried again."""

from __future__ import annotations

import re
import threading
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from docker import DockerClient
from docker.models.containers import Container

from tests.chaos.leftovers import Watched, words
from tests.chaos.rows import Row
from tests.deploy.conftest import build_half_plus_two
from tests.deploy.replica_faults import FAULTS, Fault
from tests.study.small import FEASIBLE, opened, specification
from tuner.backends.docker import docker_backend
from tuner.deploy.docker_deployer import STUDY_LABEL, TRIAL_LABEL
from tuner.load.burst_progress import BurstProgress
from tuner.search.distributions import configuration_of
from tuner.spec.load import results_directory
from tuner.spec.study import StudySpec
from tuner.study.loop import Event, Failed, Started, goal, run_study
from tuner.study.storage import BROKE, records

pytestmark = [pytest.mark.docker, pytest.mark.chaos]

LOAD = (
    "max_seconds: 1, min_requests: 50",
    "max_seconds: 2, min_requests: 50, warmup_max_seconds: 0.5, timeout_seconds: 2",
)
TRIALS = 3
PATIENCE_SECONDS = 60.0


class Meddler:
    """Does something to the replica of the second trial while it starts, and in the burst of that
    trial's successor.
    """

    def __init__(self, engine: DockerClient, study: str, fault: Fault) -> None:
        self._engine = engine
        self._study = study
        self._fault = fault
        self._number = -1
        self._thread: threading.Thread | None = None
        self.done: list[str] = []
        self.reasons: list[str] = []

    def observe(self, event: Event) -> None:
        if isinstance(event, Started):
            self._number = event.number
        elif isinstance(event, Failed):
            self.reasons.append(event.reason)
        elif event == "deploy" and self._number == 1:
            self._thread = threading.Thread(target=self._meddle, args=("start",))
            self._thread.start()
        elif (
            isinstance(event, BurstProgress)
            and event.phase == "window"
            and self._number == 2
            and "burst" not in self.done
        ):
            self._meddle("burst")

    def _meddle(self, stage: str) -> None:
        labels = [f"{STUDY_LABEL}={self._study}", f"{TRIAL_LABEL}={self._number:04d}"]
        deadline = threading.Event()
        for _ in range(round(PATIENCE_SECONDS / 0.02)):
            found: list[Container] = self._engine.containers.list(
                filters={"label": labels}, ignore_removed=True
            )
            # Helpers of the network have these labels too, but not the names of replicas.
            replicas = [c for c in found if str(c.name).endswith("-0")]
            if replicas:
                self._fault(replicas[0])
                self.done.append(stage)
                return
            deadline.wait(0.02)

    def join(self) -> None:
        if self._thread is not None:
            self._thread.join()


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StudySpec:
    monkeypatch.chdir(tmp_path)
    name = f"chaos-{uuid.uuid4().hex[:8]}"
    small = specification(
        FEASIBLE, LOAD, ("budget: {trials: 8}", f"budget: {{trials: {TRIALS}}}"), name=name
    )
    load = replace(small.load, max_foreign_percent=100.0)
    search = replace(small.search, stay=False)
    return replace(small, model=build_half_plus_two(tmp_path / "model"), load=load, search=search)


@pytest.mark.parametrize("name", FAULTS)
def test_a_study_survives_what_something_else_does_to_replicas(
    engine: DockerClient,
    tune_images: list[str],
    spec: StudySpec,
    report_row: Callable[[Row], None],
    name: str,
) -> None:
    assert tune_images
    watched = Watched(client=engine, study=spec.name, directory=Path())
    before = watched.found()
    fault, said = FAULTS[name]
    meddler = Meddler(engine, spec.name, fault)
    study = opened(spec, backend="docker")
    backend = replace(docker_backend(spec), calibrator=lambda _: None, watch=lambda _: None)
    run_study(
        spec, study, backend, results_directory(spec), goal(spec, study, None, 0), meddler.observe
    )
    meddler.join()
    left = watched.left_since(before)
    trials = study.get_trials(deepcopy=False)
    states = [trial.state.name for trial in trials]
    broke = [trial for trial in trials if BROKE in trial.user_attrs]
    report_row(
        Row(
            f"{name}: a replica, while it starts and in its burst",
            len(meddler.done),
            "; ".join(dict.fromkeys(meddler.reasons)),
            ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states)),
            words(left),
        )
    )
    assert meddler.done == ["start", "burst"]
    assert len(records(study)) == TRIALS
    assert not {"RUNNING", "WAITING"} & set(states)
    assert [trial.number for trial in broke] == [1, 2]
    tried = {configuration_of(spec.search_space, trial) for trial in broke}
    assert len(tried) == 1
    assert tried <= {record.configuration for record in records(study)}
    assert all(re.search(said, reason) for reason in meddler.reasons)
    assert not left
