"""Real containers on a Docker Engine, and the real load generator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial

from tuner.backends.backend import NO_NODES, NO_OPTIONS, BackendOptions, DeployingBackend
from tuner.backends.dask_senders import sender_place
from tuner.deploy import docker_engine
from tuner.deploy.docker_deployer import DockerDeployer
from tuner.deploy.protocol import Deployer, Deployment
from tuner.errors import InputError
from tuner.load.calibrate import LEAST_TIMEOUT, calibrate, calibrate_senders, study_level
from tuner.load.sender import LoadGenerator
from tuner.load.study_requests import study_requests, study_trace
from tuner.load.trace import replayed
from tuner.measure.calibration import Calibration
from tuner.measure.host_use import HostUse, watch_host
from tuner.measure.measurement import Missing
from tuner.measure.powercap import missing_energy
from tuner.measure.proc import SYS
from tuner.serving.built_model import model_checksum, require_built
from tuner.serving.servers.table import server_named
from tuner.spec.study import LoadProfile, StudySpec
from tuner.trial import Client


def docker_backend(
    study: StudySpec,
    _options: BackendOptions = NO_OPTIONS,
    /,
    *,
    deployer: Deployer | None = None,
) -> DeployingBackend:
    """Containers on one engine (`container_backend`).

    `deployer` takes the place of the one that deploys the study's configurations.
    """
    if deployer is None:
        deployer = DockerDeployer(
            study.model,
            study.serving,
            study.name,
            study.load.cpu_placement,
            servers=study.servers(),
        )
    if any(parameter.name == "placement" for parameter in study.search_space):
        raise InputError(
            "the parameter placement is about the nodes of a swarm; one engine has no choice",
            "use --backend swarm, or leave it out of the search space",
        )
    missing = {**missing_energy(SYS), **NO_NODES}
    made = container_backend("docker", study, deployer, _watch, missing, docker_engine.is_up)
    return replace(made, same=partial(_same, study))


def container_backend(
    name: str,
    study: StudySpec,
    deployer: Deployer,
    watch: Callable[[float], HostUse | None],
    missing: Mapping[str, Missing],
    reach: Callable[[], bool],
    senders_on: str | None = None,
) -> DeployingBackend:
    """A backend of containers, and a load generator that checks a sample of the answers.

    The load engine is calibrated with the baseline's server and protocol, as it will send: by as
    many processes as `load.senders` says, here or on the hosts of the Dask cluster `senders_on`.
    `watch`, `missing` and `reach` are those of `DeployingBackend`. Raises SetupError when the model
    is not built, InputError when its requests cannot be read, or sent to one of the servers in one
    of the protocols, or when there is no such server.
    """
    require_built(study.model)
    golden = study_requests(study)
    trace = study_trace(study, golden)
    servers, protocols = study.servers(), study.protocols()
    requests = {
        (server, protocol): server_named(server).requests_in(protocol, study.model, golden)
        for server in servers
        for protocol in protocols
    }
    place = sender_place(senders_on)
    generator = LoadGenerator(place.engines)

    def connect(target: Deployment, profile: LoadProfile) -> AbstractContextManager[Client]:
        sent = requests[profile.server, profile.protocol]
        if trace is not None:
            profile = replayed(profile, trace)
        return generator.connect(target, profile, sent.calls, check=sent.right)

    def calibrator(deployer: Deployer) -> Calibration | None:
        pin = deployer.place_client if isinstance(deployer, DockerDeployer) else _anywhere

        def measured(senders: int) -> Calibration | None:
            pin(senders)
            with deployer.null_server() as target:
                if target is None:
                    return None
                return calibrate(
                    generator,
                    target,
                    requests[servers[0], protocols[0]].calls,
                    protocol=protocols[0],
                    timeout_seconds=max(LEAST_TIMEOUT, study.load.timeout_seconds),
                    senders=senders,
                )

        level = study_level(study, trace)
        found = calibrate_senders(measured, study.load.senders, level, place.most, place.least)
        if found is not None:
            pin(found.senders)
        return found

    return DeployingBackend(
        name, study, deployer, connect, calibrator, watch, missing, reach, senders=place
    )


def _anywhere(_senders: int) -> None:
    """A deployer that does not say on which CPUs its replicas run."""


def _watch(seconds: float) -> HostUse | None:
    """Who uses this host; None where the engine is on another one."""
    return watch_host(seconds) if docker_engine.other_machine() is None else None


def _same(study: StudySpec) -> Mapping[str, str]:
    """What the engine serves: CPUs, model and images. Raises SetupError where it lacks an image."""
    with docker_engine.connect() as client:
        info = client.info()
        references = [
            docker_engine.serving_image(client, replace(study.serving, server=server))
            for server in study.servers()
        ]
        if study.serving.image != "tune":  # a name that may mean another image elsewhere
            references = [f"{name} ({client.images.get(name).id})" for name in references]
    here = docker_engine.other_machine() is None
    return {
        **({} if here else {"CPU model": "that of another machine"}),
        "CPUs": str(info["NCPU"]),
        "architecture": str(info["Architecture"]),
        "model checksum": model_checksum(study.model) or "in its image",
        "serving image": ", ".join(references),
    }
