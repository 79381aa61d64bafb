"""Who runs a study's trials: real containers, or a computed host. One table from name to both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from tuner.deploy.docker import DockerDeployer
from tuner.deploy.protocol import Deployer
from tuner.deploy.simulated import SimulatedDeployer, SimulatedSender
from tuner.load.sender import LoadGenerator
from tuner.measure.golden import load_golden
from tuner.serving.model import require_built
from tuner.spec.host import Host
from tuner.spec.study import StudySpec
from tuner.trial import Connect

BackendName = Literal["docker", "simulated"]


@dataclass(frozen=True)
class Backend:
    """A deployer and what sends bursts to its deployments."""

    name: BackendName
    deployer: Deployer
    connect: Connect


def docker_backend(study: StudySpec) -> Backend:
    """Containers and the real load generator, which checks a sample of the answers.

    Raises SetupError when the model is not built.
    """
    require_built(study.model)
    golden = load_golden(study.model.golden)
    tolerance = study.model.tolerance
    generator = LoadGenerator()
    return Backend(
        "docker",
        DockerDeployer(study.model, study.serving, study.name),
        lambda target, profile: generator.connect(
            target,
            profile,
            golden.bodies,
            check=lambda index, body: golden.answered(index, body, tolerance),
        ),
    )


def simulated_backend(study: StudySpec) -> Backend:
    """The queueing model; everything it makes says `simulated`."""
    sender = SimulatedSender()
    return Backend(
        "simulated",
        SimulatedDeployer(Host.this(), study.seed),
        lambda target, profile: sender.connect(target, profile, ()),
    )


BACKENDS: dict[BackendName, Callable[[StudySpec], Backend]] = {
    "docker": docker_backend,
    "simulated": simulated_backend,
}
