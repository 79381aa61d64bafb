"""Real containers on the nodes of a Docker Swarm, and the real load generator."""

from __future__ import annotations

from collections.abc import Mapping

from tuner.backends.backend import NO_OPTIONS, BackendOptions, DeployingBackend
from tuner.backends.docker import container_backend
from tuner.deploy.protocol import Deployer
from tuner.deploy.swarm_deployer import SwarmDeployer
from tuner.deploy.swarm_nodes import all_answer
from tuner.measure.measurement import Missing
from tuner.measure.powercap import ENERGY
from tuner.spec.study import StudySpec

_ELSEWHERE = Missing(
    "the replicas are on other machines, whose engines do not count it",
    "choose another metric, or use --backend docker",
)
_MISSING: Mapping[str, Missing] = {
    **ENERGY,
    **dict.fromkeys(
        (
            "cpu_pressure_percent",
            "foreign_percent",
            "io_pressure_percent",
            "memory_pressure_percent",
            "replica_wait_percent",
            "retransmitted_percent",
            "steal_percent",
        ),
        _ELSEWHERE,
    ),
}


def swarm_backend(
    study: StudySpec,
    options: BackendOptions = NO_OPTIONS,
    /,
    *,
    deployer: Deployer | None = None,
) -> DeployingBackend:
    """Services of the swarm that the engine manages (`tuner.deploy.swarm_deployer`).

    `deployer` takes the place of the one that deploys the study's configurations. Raises as
    `container_backend`.
    """
    deployer = deployer or SwarmDeployer(study.model, study.serving, study.name, study.servers())
    on = options.senders_on
    return container_backend("swarm", study, deployer, lambda _: None, _MISSING, all_answer, on)
