"""What holds for every server."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from tests.serving.subjects import SUBJECTS, Subject
from tuner.errors import InputError
from tuner.serving.container_plan import ContainerPlan
from tuner.serving.servers.table import SERVERS
from tuner.spec.host import Host
from tuner.spec.load import load_search_space
from tuner.spec.study import ServingSpec


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
