"""The first answers of a new model, from a real replica; see `tuner.serving.first_run`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import requests
from docker.errors import APIError
from docker.models.containers import Container

from tuner.deploy import docker_engine
from tuner.deploy.docker_deployer import DockerDeployer
from tuner.deploy.helper import execute
from tuner.deploy.reach import DirectSession, HttpReply
from tuner.deploy.replica import Replica
from tuner.deploy.unfit_answers import refuse_unfit_answer
from tuner.errors import Infeasible, InputError, TrialFailed
from tuner.interrupts import ended_whole
from tuner.measure.golden import Golden
from tuner.measure.statistics import NANOSECONDS
from tuner.serving.added_service import ServiceAnswers
from tuner.serving.container_plan import HEALTH_CHECKS
from tuner.serving.first_run import LOADER, FirstAnswers, refused
from tuner.serving.servers.call import Call
from tuner.serving.servers.http import service_of
from tuner.serving.servers.table import server_named
from tuner.spec.host import MIB, Host
from tuner.spec.memory_choices import ReplicaNeed
from tuner.spec.study import DeploymentSpec, ModelSpec, ServingSpec

READY_SECONDS = 300.0
ANSWER_SECONDS = 300.0
MEMORY_SHARE = 2
"""The replica may use the host's memory divided by this. A study finds out how little is enough."""


def can_run(serving: ServingSpec) -> None:
    """Raise SetupError where there is no engine or no image of the server."""
    with docker_engine.connect() as client:
        docker_engine.serving_image(client, serving)


def replica_answers(model: ModelSpec, bodies: Sequence[bytes]) -> FirstAnswers:
    """A `FirstRun` by one replica of the model's server, in tune's image of it, over REST.

    `model.golden` need not have answers. Raises SetupError where engine or image are missing,
    TrialFailed where the replica does not answer.
    """
    unanswered = Golden(tuple(bodies), (None,) * len(bodies))
    server = server_named(model.server)
    loader = LOADER if model.server == "tensorflow-serving" else server.title
    calls = server.requests_in("rest", model, unanswered).calls
    try:
        with _first_replica(model, READY_SECONDS) as (replica, session):
            started = replica.counters()
            answers = [
                _answered(_ask(replica, session, call, number), call, number, loader)
                for number, call in enumerate(calls)
            ]
            peak = replica.counters().memory_peak_bytes
            return FirstAnswers(answers, ReplicaNeed(peak / MIB, started.cpu_ns / NANOSECONDS))
    except Infeasible as error:
        raise refused(_words(error), loader=loader) from error


def service_answers(model: ModelSpec, ready_seconds: float) -> ServiceAnswers:
    """What a new service answers to each of its requests, twice over.

    Raises InputError, with what was seen, where it is not ready in time or gives an answer by which
    nothing can be measured; otherwise as `replica_answers`.
    """
    server = server_named(model.server)
    calls = server.requests_in("rest", model, server.golden(model)).calls
    answers = []
    try:
        with _first_replica(model, ready_seconds) as (replica, session):
            for number, call in enumerate((*calls, *calls)):
                answer = _ask(replica, session, call, number % len(calls))
                refuse_unfit_answer(answer, call)
                answers.append((answer.status, answer.body))
            health = _working_check(replica.container, model)
    except Infeasible as error:
        image = ServingSpec.of(model).image
        raise InputError(
            f"the image {image} does not serve: {error.message}\n{error.log_tail}".rstrip(),
            "see its log above; correct --port, --ready, --command, --env, --user, or --writable"
            " for what it must write",
        ) from error
    return ServiceAnswers(answers, health)


def _working_check(container: Container, model: ModelSpec) -> tuple[str, ...]:
    """A health check that works in the container, as the user that runs it; empty if none does."""
    service = service_of(model)
    for check in HEALTH_CHECKS:
        command = [*check, str(service.port), service.ready]
        try:
            code, _, _ = execute(container, command, user=service.user)
        except APIError:  # the image has no such program
            continue
        if code == 0:
            return check
    return ()


@contextmanager
def _first_replica(
    model: ModelSpec, ready_seconds: float
) -> Iterator[tuple[Replica, DirectSession]]:
    """One replica with plenty of everything, ready but unchecked. Raises Infeasible as well."""
    host = Host.this()
    serving = replace(ServingSpec.of(model), ready_seconds=ready_seconds)
    spec = DeploymentSpec(model, serving, 1, host.cpus, host.memory_mib // MEMORY_SHARE)
    with (
        ended_whole(DockerDeployer(model, serving, "first-run", golden=False)) as deployer,
        deployer.deploy(spec, model.name) as deployment,
    ):
        (replica,) = deployment.replicas
        with DirectSession(replica.namespace) as session:
            yield replica, session


def _ask(replica: Replica, session: DirectSession, call: Call, number: int) -> HttpReply:
    try:
        return session.ask(replica.url, call, ANSWER_SECONDS)
    except requests.RequestException as error:
        raise TrialFailed(f"the replica did not answer request {number}: {error}") from error


def _answered(answer: HttpReply, call: Call, number: int, loader: str) -> bytes:
    if answer.status == call.status:
        return answer.body
    try:
        words = str(json.loads(answer.body)["error"])
    except (ValueError, KeyError, TypeError):
        words = answer.text
    raise refused(words, number, loader)


def _words(error: Infeasible) -> str:
    """What the server said last, without timestamps."""
    lines = [line for line in error.log_tail.splitlines() if line.strip()]
    own = [line for line in lines if line.startswith(("tfserver: ", "onnxserver: "))]
    return own[-1].partition(": ")[2] if own else " ".join([error.message, *lines[-3:]])
