"""The first answers of a new model, from a real replica; see `tuner.serving.first_run`."""

from __future__ import annotations

from collections.abc import Sequence

import requests

from tuner.deploy import docker_engine
from tuner.deploy.docker_deployer import DockerDeployer
from tuner.deploy.reach import DirectSession
from tuner.errors import Infeasible, TrialFailed
from tuner.interrupts import ended_whole
from tuner.measure.golden import Golden
from tuner.serving.first_run import LOADER, refused
from tuner.serving.servers.call import Call
from tuner.serving.servers.table import server_named
from tuner.spec.host import Host
from tuner.spec.study import DeploymentSpec, ModelSpec, ServingSpec

READY_SECONDS = 300.0
ANSWER_SECONDS = 300.0
MEMORY_SHARE = 2
"""The replica may use the host's memory divided by this. A study finds out how little is enough."""


def can_run(serving: ServingSpec) -> None:
    """Raise SetupError where there is no engine or no image of the server."""
    with docker_engine.connect() as client:
        docker_engine.serving_image(client, serving)


def replica_answers(model: ModelSpec, bodies: Sequence[bytes]) -> Sequence[bytes]:
    """A `FirstRun` by one replica of the model's server, in tune's image of it, over REST.

    `model.golden` need not have answers. Raises SetupError where engine or image are missing,
    TrialFailed where the replica does not answer.
    """
    host = Host.this()
    serving = ServingSpec(server=model.server, ready_seconds=READY_SECONDS)
    unanswered = Golden(tuple(bodies), (None,) * len(bodies))
    server = server_named(model.server)
    loader = LOADER if model.server == "tensorflow-serving" else server.title
    calls = server.requests_in("rest", model, unanswered).calls
    spec = DeploymentSpec(model, serving, 1, host.cpus, host.memory_mib // MEMORY_SHARE)
    with ended_whole(DockerDeployer(model, serving, "first-run", golden=False)) as deployer:
        try:
            with deployer.deploy(spec, model.name) as deployment:
                (replica,) = deployment.replicas
                with DirectSession(replica.namespace) as session:
                    return [
                        _ask(session, replica.url, n, call, loader) for n, call in enumerate(calls)
                    ]
        except Infeasible as error:
            raise refused(_words(error), loader=loader) from error


def _ask(session: DirectSession, url: str, number: int, call: Call, loader: str) -> bytes:
    try:
        reply = session.ask(url, call, ANSWER_SECONDS)
    except requests.RequestException as error:
        raise TrialFailed(f"the replica did not answer request {number}: {error}") from error
    if reply.status_code == call.status:
        return reply.content
    try:
        words = str(reply.json()["error"])
    except (ValueError, KeyError, TypeError):
        words = reply.text
    raise refused(words, number, loader)


def _words(error: Infeasible) -> str:
    """What the server said last, without timestamps."""
    lines = [line for line in error.log_tail.splitlines() if line.strip()]
    own = [line for line in lines if line.startswith(("tfserver: ", "onnxserver: "))]
    return own[-1].partition(": ")[2] if own else " ".join([error.message, *lines[-3:]])
