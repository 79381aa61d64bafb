"""What holds for every backend (`tuner.backends.backend.Backend`)."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from docker import DockerClient

from tests.backends.grids import file_of, grid_of
from tests.deploy.conftest import build_half_plus_two
from tests.deploy.endpoints import endpoint, predicted, response
from tests.study.small import specification
from tuner.backends import BACKENDS, backend_named
from tuner.backends.backend import Backend, BackendOptions, run_until_valid
from tuner.errors import InputError
from tuner.serving.image import build_image
from tuner.spec.metrics import METRICS
from tuner.spec.reservation import RESERVED, reserved
from tuner.spec.space import Configuration, Value
from tuner.spec.study import Constraint, Prices, Stage
from tuner.trial import TrialRequest


@pytest.fixture(
    params=["simulated", "replay", "endpoint", pytest.param("docker", marks=pytest.mark.docker)],
)
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    """An entered one, of a study whose deployments are reused."""
    spec = specification()
    options = BackendOptions()
    if request.param == "replay":
        options = BackendOptions(recorded=file_of(grid_of(spec)))
    if request.param == "docker":
        engine: DockerClient = request.getfixturevalue("engine")
        build_image(engine, print)
        spec = replace(spec, model=build_half_plus_two(tmp_path / "half_plus_two"))
    with ExitStack() as world:
        if request.param == "endpoint":
            server = world.enter_context(endpoint(counted))
            spec = specification(*of_endpoint(server.url))
        yield world.enter_context(backend_named(request.param)(spec, options))


def counted(target: str, body: bytes) -> bytes:
    """A service that Prometheus counts: it answers predictions and queries."""
    if "/api/v1/query" not in target:
        return predicted(target, body)
    value = time.time() if "timestamp" in target else time.process_time()
    row = {"metric": {}, "value": [time.time(), str(value)]}
    return response(json.dumps({"data": {"resultType": "vector", "result": [row]}}).encode())


def of_endpoint(url: str) -> list[tuple[str, str]]:
    """The changes that make the small study one of an endpoint, switched by a command."""
    Path("studies/small").mkdir(parents=True, exist_ok=True)
    Path("studies/small/t.jsonl").write_text('{"instances": [1.0]}\n')
    Path("studies/small/set.py").write_text(
        "import sys\nsys.exit(3 if int(sys.argv[1]) < 64 else 0)\n"
    )
    words = [sys.executable, "set.py", "{memory}", "{cpu}", "{replicas}"]
    usage = {"prometheus": url.partition("/v1")[0], "cpu": "cpu_seconds", "memory": "bytes"}
    section = json.dumps({"url": url, "apply": words, "usage": usage})
    return [
        ("model: mnist", f"endpoint: {section}"),
        ("  loss: {role: scenario, type: float, choices: [0], default: 0}\n", ""),
        ("load: {", "load: {requests: t.jsonl, "),
    ]


def asked(backend: Backend, **changes: Value) -> Configuration:
    return Configuration.of({**backend.study.search_space.baseline(), **changes})


def test_its_environment_can_be_recorded_and_names_the_host(backend: Backend) -> None:
    environment = json.loads(json.dumps(backend.environment()))
    assert environment["backend"] == backend.name
    assert backend.name in BACKENDS
    assert environment["host"]["cpus"] > 0


def test_a_trial_is_measured_with_the_objectives_and_its_phases(backend: Backend) -> None:
    backend.calibrate()
    told: list[object] = []
    result = run_until_valid(
        backend, TrialRequest(asked(backend), "0000", observe=told.append)
    ).result
    assert result.measurement is not None
    assert result.score is not None
    assert {"art_ms", "cpu_percent"} <= result.measurement.metrics.keys()
    assert len(result.score.values) == len(backend.study.objectives)
    assert result.phases["deploy"] >= 0
    assert result.deployment["backend"] == backend.name
    assert told
    json.dumps(result.to_json())


def test_a_metric_is_measured_or_said_to_be_unmeasurable(backend: Backend) -> None:
    spec = replace(backend.study, prices=Prices(0.04, 0.005))
    if backend.name != "replay":  # it has what was recorded
        load = replace(spec.load, latency_bound_ms=1000.0, max_seconds=20.0)
        bound = Constraint("p99_ms", "<=", 1000.0)
        spec = replace(spec, load=load, constraints=(*spec.constraints, bound))
    backend.study = spec
    measurement = backend.run_trial(TrialRequest(asked(backend), "0000", fresh=True)).measurement
    assert measurement is not None
    exact = reserved(asked(backend), spec.prices)
    assert {n: e.value for n, e in measurement.metrics.items() if n in RESERVED} == exact
    if backend.name == "replay":
        return
    # Only an open loop can be late, only a lossy network delays.
    elsewhere = {"late_percent", "delayed_percent", "loss_delay_ms", "capacity_rps"}
    lacking = set(METRICS) - set(measurement.metrics) - elsewhere
    assert lacking <= set(backend.unmeasurable())
    assert 0 < measurement.metrics["ready_seconds"].value < 30
    assert measurement.metrics["goodput_rps"].value > 0
    reused = backend.run_trial(TrialRequest(asked(backend, concurrency=1), "0001")).measurement
    assert reused is not None
    assert "ready_seconds" not in reused.metrics


def test_what_cannot_serve_is_a_result(backend: Backend) -> None:
    result = backend.run_trial(TrialRequest(asked(backend, memory=8), "0000"))
    assert result.measurement is None
    assert result.infeasible is not None
    # Only the command says what became of an endpoint.
    expected = "never ready" if backend.name == "endpoint" else "out of memory"
    assert result.infeasible.kind == expected
    assert "deploy" in result.phases
    # The next trial is not affected.
    assert backend.run_trial(TrialRequest(asked(backend), "0001")).infeasible is None


def test_a_deployment_is_reused_unless_a_trial_is_fresh(backend: Backend) -> None:
    first, second, fresh = (
        backend.run_trial(TrialRequest(asked(backend, concurrency=n), f"{i:04d}", fresh=i == 2))
        for i, n in enumerate((4, 1, 4))
    )
    assert [r.deployment["stayed"] for r in (first, second, fresh)] == [False, True, False]
    assert [r.deployment["since"] for r in (first, second, fresh)] == ["0000", "0000", "0002"]
    assert second.phases["deploy"] < first.phases["deploy"] or backend.name == "simulated"


def test_levels_of_load_are_measured_or_refused(backend: Backend) -> None:
    stages = [Stage(2, 1, 1), Stage(2, 2, 2)]
    request = TrialRequest(asked(backend), "explore", fresh=True)
    if backend.name == "replay":
        with pytest.raises(InputError, match="replay"):
            backend.run_stages(request, stages)
        return
    measurements = backend.run_stages(request, stages)
    assert [m.requests > 0 for m in measurements] == [True, True]


def test_an_unknown_backend_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(InputError, match="no backend 'podman'") as caught:
        backend_named("podman")
    assert "docker, simulated, replay, endpoint" in caught.value.mend
