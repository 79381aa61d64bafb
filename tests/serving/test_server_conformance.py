"""What holds for every server."""

from __future__ import annotations

import re
import stat
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from docker import DockerClient

from tests.export import up
from tests.serving.subjects import SERVICE_IMAGE, SUBJECTS, Subject
from tuner.deploy import logs
from tuner.deploy.adopted import AdoptingDeployer
from tuner.deploy.docker_deployer import DockerDeployer
from tuner.deploy.ownership import LABEL, Owner
from tuner.errors import Infeasible, InputError, TrialFailed
from tuner.export.docker_run import to_docker_run
from tuner.export.served import served_by
from tuner.load.sender import LoadGenerator
from tuner.measure.record import StudyRecord
from tuner.measure.samples import RequestOutcome
from tuner.serving.container_plan import ContainerPlan
from tuner.serving.servers.table import SERVERS
from tuner.spec.host import Host
from tuner.spec.load import load_search_space
from tuner.spec.study import DeploymentSpec, LoadProfile, LoadSpec, ServingSpec
from tuner.verify.bring_up import bring_up
from tuner.verify.differences import file_differences
from tuner.verify.exported_file import read_exported


@pytest.fixture(scope="module", params=SUBJECTS)
def subject(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Subject:
    return SUBJECTS[request.param](tmp_path_factory.mktemp(request.param))


def planned(subject: Subject, serving: ServingSpec | None = None) -> ContainerPlan:
    return subject.server.plan(serving or subject.serving, subject.model, "some-image:1")


def test_every_server_of_tune_is_tested_here() -> None:
    assert SUBJECTS.keys() == SERVERS.keys()


def test_its_container_has_what_every_deployer_and_export_needs(subject: Subject) -> None:
    plan = planned(subject)
    assert plan.image == "some-image:1"
    assert re.fullmatch(r"[1-9]\d*:\d+", plan.user)
    assert plan.ports.keys() == subject.server.requests.keys()
    assert len(set(plan.ports.values())) == len(plan.ports)
    assert (plan.model_mount is None) == (subject.server.model_file is None)
    assert plan.ready.path.startswith("/")
    re.compile(plan.ready.pattern)


def test_flags_and_variables_of_a_study_reach_it_unchanged(subject: Subject) -> None:
    serving = replace(subject.serving, flags={"a_flag": "a $value"}, env={"A_VARIABLE": "b 'c'"})
    plan = planned(subject, serving)
    assert any("a_flag" in word for word in plan.command)
    assert any("a $value" in word for word in plan.command)
    assert plan.environment["A_VARIABLE"] == "b 'c'"
    assert planned(subject).environment.items() <= plan.environment.items()


def test_what_the_plan_decides_itself_a_study_cannot_set(subject: Subject) -> None:
    flag, variable = subject.taken
    for name, serving in (
        (flag, replace(subject.serving, flags={str(flag): "1"})),
        (variable, replace(subject.serving, env={str(variable): "1"})),
    ):
        if name is not None:
            with pytest.raises(InputError, match=f"{name!r}, so a study cannot"):
                planned(subject, serving)


@pytest.mark.parametrize("host", [Host(1, 1024), Host(64, 262_144)])
def test_its_knobs_are_a_search_space_that_its_plan_takes(subject: Subject, host: Host) -> None:
    if subject.server.search_space is None:
        pytest.skip("its knobs are the user's")
    space = load_search_space(subject.server.search_space, host)
    knobs = [p for p in space if p.flag or p.env]
    assert knobs
    for knob in knobs:
        assert knob.role == "decision"
        assert str(knob.flag or knob.env) in knob.description
    flags, env = space.settings(space.baseline())
    assert planned(subject, replace(subject.serving, flags=flags, env=env))


def test_each_golden_request_is_a_call_in_each_protocol(subject: Subject) -> None:
    golden = subject.server.golden(subject.model)
    assert "rest" in subject.server.requests
    for protocol in subject.server.requests:
        calls = subject.server.requests_in(protocol, subject.model, golden).calls
        assert len(calls) == len(golden.bodies) > 0
        assert all(call.path.startswith("/") for call in calls)


def test_right_answers_are_told_from_wrong_ones(subject: Subject) -> None:
    golden = subject.server.golden(subject.model)
    assert subject.answers.keys() == subject.server.requests.keys()
    for protocol, (right, wrong) in subject.answers.items():
        requests = subject.server.requests_in(protocol, subject.model, golden)
        assert requests.wrong(0, right) == ""
        for answer in (wrong, b"", b"\xff", b'{"error": "no such model"}'):
            assert requests.wrong(0, answer)
            assert not requests.right(0, answer)


def test_a_protocol_that_it_lacks_is_refused(subject: Subject) -> None:
    golden = subject.server.golden(subject.model)
    deaf = replace(subject.server, requests={})
    with pytest.raises(InputError, match=f"{subject.server.title} does not speak grpc"):
        deaf.requests_in("grpc", subject.model, golden)


def test_where_the_model_is_read_can_be_changed(subject: Subject) -> None:
    read = subject.server.reading_from
    if read is not None:
        changed = read(planned(subject), "/mnt/models")
        assert any(
            "/mnt/models" in word for word in (*changed.command, *changed.environment.values())
        )


LOAD = LoadSpec(min_seconds=0.5, max_seconds=1.0, min_requests=50, precision=0.5, min_slow=0)
"""A burst that is short, however slow the host is."""


@pytest.fixture(scope="module")
def deployer(subject: Subject, engine: DockerClient) -> Iterator[DockerDeployer]:
    subject.image(engine)
    with DockerDeployer(subject.model, subject.serving, "conformance") as deployer:
        yield deployer
    if subject.serving.image == SERVICE_IMAGE:
        engine.images.remove(SERVICE_IMAGE, force=True)


@pytest.fixture
def spec(subject: Subject) -> DeploymentSpec:
    return DeploymentSpec(subject.model, subject.serving, replicas=1, cpu=1.0, memory_mib=256)


@pytest.fixture
def owned(engine: DockerClient) -> Callable[[], set[str]]:
    """Names of the containers that this process has on the engine."""

    def find() -> set[str]:
        chosen: dict[str, str | list[str] | bool] = {"label": f"{LABEL}={Owner.this()}"}
        containers = engine.containers.list(all=True, filters=chosen, ignore_removed=True)
        return {str(container.name) for container in containers}

    return find


@pytest.mark.docker
def test_under_its_limits_it_answers_a_burst_rightly_and_is_gone_after_it(
    subject: Subject,
    deployer: DockerDeployer,
    spec: DeploymentSpec,
    owned: Callable[[], set[str]],
) -> None:
    """Its limits are read back from the kernel before it is used."""
    before = owned()
    for protocol in subject.server.requests:
        golden = subject.server.golden(subject.model)
        requests = subject.server.requests_in(protocol, subject.model, golden)
        profile = LoadProfile(4, LOAD, seed=1, protocol=protocol)
        with (
            deployer.deploy(replace(spec, protocol=protocol), "burst") as deployment,
            LoadGenerator().connect(
                deployment, profile, requests.calls, check=requests.right
            ) as client,
        ):
            outcomes = client.run().samples.outcome
            log = deployment.log_tail()
            assert owned() > before
        assert len(outcomes) > 0
        assert np.all(outcomes == RequestOutcome.OK)
        assert len(log.splitlines()) <= logs.LINES + 1
        assert owned() == before


@pytest.mark.docker
def test_a_replica_that_answers_otherwise_is_not_used(
    subject: Subject, deployer: DockerDeployer, spec: DeploymentSpec
) -> None:
    golden = subject.server.golden(subject.model)
    requests = subject.server.requests_in("rest", subject.model, golden)
    strict = replace(requests, wrong=lambda _, body: f"expected another, got {body.decode()}")
    with deployer.deploy(spec, "wrong") as deployment:
        (replica,) = deployment.replicas
        with pytest.raises(TrialFailed, match=r"answers golden request 0 of .* wrongly: expected"):
            replica.check_answers(subject.model.name, strict)


@pytest.mark.docker
def test_one_that_is_not_ready_in_time_is_infeasible_with_what_was_seen(
    deployer: DockerDeployer, spec: DeploymentSpec
) -> None:
    hasty = replace(spec, serving=replace(spec.serving, ready_seconds=0.001))
    with (
        pytest.raises(Infeasible, match=r"not ready within 0.001 s: GET /\S*") as caught,
        deployer.deploy(hasty, "hasty"),
    ):
        pytest.fail("it was deployed")
    assert caught.value.kind == "never ready"


@pytest.mark.docker
def test_one_with_too_little_memory_is_infeasible_with_the_reason(
    subject: Subject, deployer: DockerDeployer, spec: DeploymentSpec
) -> None:
    with (
        pytest.raises(Infeasible) as caught,
        deployer.deploy(replace(spec, memory_mib=subject.too_little_mib), "little"),
    ):
        pytest.fail("it was deployed")
    assert caught.value.kind == "out of memory"


def recorded(subject: Subject, deployer: DockerDeployer) -> StudyRecord:
    """A study of the subject with one trial."""
    http = subject.model.http
    return replace(
        up.record(str(deployer.environment()["image"])),
        model=subject.model.name,
        serving={"image": subject.serving.image, "server": subject.serving.server},
        specification={"model": {"http": None if http is None else asdict(http)}},
    )


@pytest.mark.docker
def test_an_exported_file_brings_up_what_was_measured(
    subject: Subject, deployer: DockerDeployer, tmp_path: Path
) -> None:
    record = recorded(subject, deployer)
    served = served_by(record, record.trials[0])
    versions = None if served.plan.model_mount is None else subject.model.versions
    path = tmp_path / "up.sh"
    path.write_text(to_docker_run(served, versions, up.free_ports()))
    path.chmod(stat.S_IRWXU)
    file = read_exported(path)
    spec = DeploymentSpec(subject.model, subject.serving, served.replicas, served.cpu, 192)
    with AdoptingDeployer(
        bring_up(file), subject.model, subject.serving, "conformance"
    ) as adopting:
        with adopting.deploy(spec, "adopted") as deployment:
            assert len(deployment.replicas) == served.replicas
            deployment.verify()
        assert file_differences(adopting.inspected, spec, served.plan, file.provenance) == ()
        assert adopting.others == ()
