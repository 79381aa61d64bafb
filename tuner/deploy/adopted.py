"""Deploys containers that a user's file brings up, for `tune verify`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event

from docker.models.containers import Container
from docker.models.networks import Network

from tuner.deploy.deployment import DockerDeployment
from tuner.deploy.docker_deployer import (
    TRIAL_LABEL,
    DockerDeployer,
    refusals,
    wait_until_right,
)
from tuner.deploy.inspected import (
    InspectedContainer,
    inspect_container,
    is_replica,
    published_address,
)
from tuner.deploy.keeper import drop_page_cache
from tuner.deploy.ownership import RUN_LABEL, WORKERS, undo
from tuner.deploy.projects import PROJECT_LABEL, project_of
from tuner.deploy.replica import Replica, ReplicaStart
from tuner.errors import InputError, SetupError
from tuner.serving.container_plan import ContainerPlan
from tuner.serving.servers.table import container_plan
from tuner.spec.study import CpuPlacementRule, DeploymentSpec, ModelSpec, ServingSpec

BringUp = Callable[[str], None]
"""Brings the file up under the name of a project, with which `PROJECT_LABEL` marks all containers
and networks. Returns once they are started. Raises SetupError where one could not be started."""


class AdoptingDeployer(DockerDeployer):
    """Deploys what `bring_up` brings up, whatever configuration it is asked for.

    Everything around the replicas is as for a trial: the keeper, the load engine's namespace,
    golden answers, impairment, counters. Limits are not checked: `inspected` holds what the last
    deployment really was, and the caller compares. `others` names the containers that are no
    replicas, such as a load balancer. At the end everything with the project's label is removed.
    """

    def __init__(
        self,
        bring_up: BringUp,
        model: ModelSpec,
        serving: ServingSpec,
        study: str,
        cpu_placement: CpuPlacementRule = "auto",
    ) -> None:
        super().__init__(model, serving, study, cpu_placement)
        self._start = bring_up
        self.inspected: tuple[InspectedContainer, ...] = ()
        self.others: tuple[str, ...] = ()

    @contextmanager
    def deploy(self, spec: DeploymentSpec, label: str) -> Iterator[DockerDeployment]:
        """As `Deployer.deploy`, but without a check of the limits.

        Raises SetupError where the file cannot be brought up, InputError where no container of it
        serves the model.
        """
        if self._reach.remote:
            raise SetupError(
                "the Docker Engine is on another machine, where the file's ports would be",
                "run `tune verify` on that machine",
            )
        self.inspected = ()
        plan = container_plan(spec.serving, self._model, self._images[spec.serving.server])
        project = project_of(self._labels[RUN_LABEL])
        labels = self._labels | {TRIAL_LABEL: label}
        if self._keeper is None:
            drop_page_cache()
        # Leaving the executor waits until everything is up, so the clean-up misses nothing.
        with (
            refusals(),
            self._blaming_the_engine(),
            undo(self._client, PROJECT_LABEL, project),
            ThreadPoolExecutor(WORKERS, "replica") as executor,
        ):
            containers = executor.submit(self._brought_up, project, plan).result()
            self.inspected = tuple(inspect_container(c, plan) for c in containers)
            network = self._network_of(containers)
            given_up = Event()
            replicas = [
                self._adopted(index, container, network, plan, spec, given_up)
                for index, container in enumerate(containers)
            ]
            with self._serving_on(
                network, lambda: replicas, spec, plan, labels, executor, given_up
            ) as deployment:
                yield deployment

    def _brought_up(self, project: str, plan: ContainerPlan) -> list[Container]:
        """The containers that serve, in the order of their names."""
        failed = None
        try:
            self._start(project)
        except SetupError as error:
            failed = error
        label: dict[str, str | list[str] | bool] = {"label": f"{PROJECT_LABEL}={project}"}
        started = self._client.containers.list(all=True, filters=label)
        replicas = [c for c in started if is_replica(c, plan)]
        self.others = tuple(sorted(str(c.name) for c in started if c not in replicas))
        # Replicas that run say better than the tool what is wrong.
        running = replicas and all(c.attrs["State"]["Running"] for c in replicas)
        if failed is not None and not running:
            raise failed
        if not replicas:
            what = f"has the image {plan.image}"
            if plan.model_mount is not None:
                what = f"mounts the model at {plan.model_mount}"
            raise InputError(
                f"none of the file's containers {what}",
                "export the file again: tune export",
            )
        return sorted(replicas, key=lambda c: natural(str(c.name)))

    def _network_of(self, containers: Sequence[Container]) -> Network:
        """The bridge that all of them are on. Raises InputError where there is none."""
        joined = [c.attrs["NetworkSettings"]["Networks"] for c in containers]
        for name, settings in joined[0].items():
            if all(name in others for others in joined):
                network = self._client.networks.get(settings["NetworkID"])
                if network.attrs["Driver"] == "bridge":
                    return network
        raise InputError(
            "the file's replicas have no bridge network in common",
            "export the file again: tune export",
        )

    def _adopted(
        self,
        index: int,
        container: Container,
        network: Network,
        plan: ContainerPlan,
        spec: DeploymentSpec,
        given_up: Event,
    ) -> Replica:
        reach = self._reach
        ours = plan.port_of(spec.protocol)
        # The readiness check goes where the file's clients go, the load where that of a trial goes.
        rest = published_address(container, plan.port) or reach.address(
            container, network, plan.port
        )
        address = reach.address(container, network, ours)
        # The engine may start it again when it dies, as exported files ask it to: from 0 times on.
        start = ReplicaStart(container.attrs["State"]["StartedAt"])
        source = reach.source(container)
        return Replica(index, container, rest, address, source, given_up, start, None, plan.port)

    def _bring_up(self, replica: Replica, spec: DeploymentSpec, plan: ContainerPlan) -> None:
        """Without a check of its limits: the caller compares them."""
        wait_until_right(replica, spec, plan, self._golden)


def natural(name: str) -> list[tuple[int, str]]:
    """A sort key by which `m-10` comes after `m-9`."""
    parts = re.split(r"(\d+)", name)
    return [(int(p), "") if p.isdecimal() else (-1, p) for p in parts]
