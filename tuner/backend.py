"""Who runs a study's trials: real containers, or a computed host. One table from name to both."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal

from tuner.deploy.docker import DockerDeployer
from tuner.deploy.protocol import Deployer, Deployment
from tuner.deploy.simulated import SimulatedDeployer, SimulatedSender
from tuner.load.calibrate import calibrate
from tuner.load.payload import PAYLOADS
from tuner.load.sender import LoadGenerator
from tuner.measure.calibration import Calibration
from tuner.measure.golden import load_golden
from tuner.serving.model import require_built
from tuner.spec.host import Host
from tuner.spec.study import LoadProfile, StudySpec
from tuner.trial import Client, Connect

BackendName = Literal["docker", "simulated"]


@dataclass(frozen=True)
class Backend:
    """A deployer and what sends bursts to its deployments.

    `calibrate` measures the load engine on the path that the deployer's requests take, once the
    deployer was entered; None where there is no such path.
    """

    name: BackendName
    deployer: Deployer
    connect: Connect
    calibrate: Callable[[Deployer], Calibration | None]


def docker_backend(study: StudySpec) -> Backend:
    """Containers and the real load generator, which checks a sample of the answers.

    The load engine is calibrated in the first of the study's protocols. Raises SetupError when the
    model is not built, InputError when its golden requests cannot be sent in one of them.
    """
    require_built(study.model)
    golden = load_golden(study.model.golden)
    payloads = {name: PAYLOADS[name](study.model, golden) for name in study.protocols()}
    generator = LoadGenerator()
    first = study.protocols()[0]

    def connect(target: Deployment, profile: LoadProfile) -> AbstractContextManager[Client]:
        payload = payloads[profile.protocol]
        return generator.connect(target, profile, payload.bodies, check=payload.check)

    def calibrated(deployer: Deployer) -> Calibration | None:
        bodies = payloads[first].bodies
        with deployer.null_server() as target:
            if target is None:
                return None
            return calibrate(generator, target, bodies, protocol=first)

    return Backend(
        "docker",
        DockerDeployer(study.model, study.serving, study.name, study.load.placement),
        connect,
        calibrated,
    )


def simulated_backend(study: StudySpec) -> Backend:
    """The queueing model; everything it makes says `simulated`."""
    sender = SimulatedSender()
    return Backend(
        "simulated",
        SimulatedDeployer(Host.this(), study.seed),
        lambda target, profile: sender.connect(target, profile, ()),
        lambda _: None,
    )


BACKENDS: dict[BackendName, Callable[[StudySpec], Backend]] = {
    "docker": docker_backend,
    "simulated": simulated_backend,
}
