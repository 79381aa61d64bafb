"""A study of real containers whose engine goes away in a trial, or refuses it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from docker import DockerClient
from optuna.trial import TrialState

from tests.deploy.conftest import build_half_plus_two
from tests.deploy.engine_proxy import EngineProxy, engine_proxy
from tests.study.small import specification
from tuner.backends.absence import Absent, Returned
from tuner.backends.docker import docker_backend
from tuner.deploy.ownership import LABEL, Owner
from tuner.errors import SetupError, Unreachable
from tuner.serving.image import build_image
from tuner.spec.load import results_directory
from tuner.spec.study import StudySpec
from tuner.study.loop import Event, Finished, Started, run_study
from tuner.study.next import Goal
from tuner.study.start import start_or_resume
from tuner.study.storage import default_url, open_storage

pytestmark = pytest.mark.docker


@pytest.fixture
def between(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[EngineProxy]:
    """What stands between `tune` and the engine."""
    with engine_proxy(tmp_path) as proxy:
        monkeypatch.setenv("DOCKER_HOST", proxy.host)
        yield proxy


@pytest.fixture
def left(engine: DockerClient) -> Callable[[], list[str]]:
    """Names of what this process has on the engine."""
    mine: dict[str, str | list[str] | bool] = {"label": f"{LABEL}={Owner.this()}"}

    def names() -> list[str]:
        containers = engine.containers.list(all=True, filters=mine, ignore_removed=True)
        networks = engine.networks.list(filters=mine)
        return [*(str(c.name) for c in containers), *(str(n.name) for n in networks)]

    return names


@pytest.fixture
def spec(engine: DockerClient, tmp_path: Path) -> StudySpec:
    build_image(engine, print)
    small = specification(
        ("choices: [8, 64, 256]", "choices: [256]"), ("min_requests: 50", "min_requests: 10")
    )
    load = replace(small.load, max_foreign_percent=100.0, warmup_max_seconds=0.5)
    return replace(small, model=build_half_plus_two(tmp_path / "half_plus_two"), load=load)


def run(spec: StudySpec, events: list[Event]) -> None:
    results = results_directory(spec)
    study = start_or_resume(
        spec, open_storage(default_url(results, "docker"), create=True), "docker"
    )
    run_study(spec, study, docker_backend(spec), results, Goal(1, None), events.append)


def states(spec: StudySpec) -> list[TrialState]:
    storage = open_storage(default_url(results_directory(spec), "docker"), create=False)
    return [t.state for t in start_or_resume(spec, storage, "docker").get_trials()]


def test_an_engine_that_goes_in_a_trial_is_waited_for_and_costs_that_trial(
    between: EngineProxy, left: Callable[[], list[str]], spec: StudySpec
) -> None:
    before = left()
    # It goes when all containers of the trial are there, and comes back after two looks.
    between.fault("^POST /networks/.*/connect", close=True, times=1)
    between.fault("^GET /version", close=True, after=1, times=2)
    events: list[Event] = []
    run(spec, events)
    shown = [type(e) for e in events if isinstance(e, Started | Absent | Returned | Finished)]
    assert shown == [Started, Absent, Returned, Started, Finished]
    (absent,) = [e for e in events if isinstance(e, Absent)]
    assert "does not answer: it closed the connection" in absent.what
    assert states(spec) == [TrialState.FAIL, TrialState.COMPLETE]
    assert left() == before


def test_an_engine_without_addresses_ends_the_run_with_a_mend(
    between: EngineProxy, left: Callable[[], list[str]], spec: StudySpec
) -> None:
    before = left()
    reason = "could not find an available, non-overlapping IPv4 address pool among the defaults"
    # The first network of a run is that of all its trials.
    between.fault("^POST /networks/create", after=1, times=1, status=500, message=reason)
    with pytest.raises(SetupError, match="no addresses left") as caught:
        run(spec, [])
    assert not isinstance(caught.value, Unreachable)
    assert "docker network prune" in caught.value.mend
    assert states(spec) == [TrialState.FAIL, TrialState.WAITING]
    assert left() == before
