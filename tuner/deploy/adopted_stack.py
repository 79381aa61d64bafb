"""Deploys the stack that a user's file brings up on a swarm, for `tune verify`."""

from __future__ import annotations

import tarfile
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Self

from docker.models.containers import Container
from docker.models.services import Service

from tuner.deploy.adopted import BringUp, natural
from tuner.deploy.docker_deployer import TRIAL_LABEL, refusals
from tuner.deploy.helper import execute
from tuner.deploy.inspected import InspectedContainer, inspect_elsewhere
from tuner.deploy.ownership import RUN_LABEL, WORKERS
from tuner.deploy.projects import STACK_LABEL, project_of
from tuner.deploy.replica import Replica
from tuner.deploy.statistics_stream import statistics_streams
from tuner.deploy.swarm_deployer import SwarmDeployer, SwarmDeployment
from tuner.errors import InputError
from tuner.serving.container_plan import ContainerPlan
from tuner.serving.servers.table import container_plan
from tuner.spec.study import DeploymentSpec, ModelSpec, ServingSpec


class StackDeployer(SwarmDeployer):
    """Deploys the stack that `bring_up` brings up, whatever configuration it is asked for.

    As `AdoptingDeployer` does on one engine: limits are not changed and not checked, `inspected`
    holds what the last deployment really was, `others` names the services that are no replicas. At
    the end the whole stack is removed.
    """

    def __init__(
        self, bring_up: BringUp, model: ModelSpec, serving: ServingSpec, study: str
    ) -> None:
        super().__init__(model, serving, study)
        self._start = bring_up
        self.inspected: tuple[InspectedContainer, ...] = ()
        self.others: tuple[str, ...] = ()

    def __enter__(self) -> Self:
        super().__enter__()
        # What is inspected is looked at when the deployment has gone.
        scratch = tempfile.TemporaryDirectory(prefix="tune-verify-")
        self._scratch = Path(self._world.enter_context(scratch))
        return self

    @contextmanager
    def deploy(self, spec: DeploymentSpec, label: str) -> Iterator[SwarmDeployment]:
        """As `Deployer.deploy`, but without a check of the limits.

        Raises SetupError where the file cannot be brought up, InputError where no service of it
        has the image that was measured.
        """
        self.inspected = ()
        plan = container_plan(spec.serving, self._model, self._images[spec.serving.server])
        project = project_of(self._labels[RUN_LABEL])
        labels = self._labels | {TRIAL_LABEL: label}
        self._require_nodes()
        with (
            refusals(),
            self._blaming_lost_nodes(),
            statistics_streams(WORKERS) as streams,
            ThreadPoolExecutor(WORKERS, "replica") as executor,
            self._removed(STACK_LABEL, project),
        ):
            asked = time.monotonic()
            executor.submit(self._start, project).result()
            services = self._services(project, plan)
            count = sum(
                service.attrs["Spec"]["Mode"]["Replicated"]["Replicas"] for service in services
            )
            found = replace(spec, replicas=count)
            tasks = self._running([str(s.id) for s in services], found)
            with self._serving(tasks, found, plan, labels, asked, streams, executor) as deployment:
                self.inspected = tuple(self._inspected(r, plan) for r in deployment.replicas)
                yield deployment

    def _services(self, project: str, plan: ContainerPlan) -> Sequence[Service]:
        """Those of the stack that serve, in the order of their names."""
        every = self._manager.services.list(filters={"label": f"{STACK_LABEL}={project}"})
        serving: list[Service] = []
        others: list[Service] = []
        for service in every:
            spec = service.attrs["Spec"]
            image = spec["TaskTemplate"]["ContainerSpec"]["Image"].partition("@")[0]
            serves = image == plan.image and "Replicated" in spec["Mode"]
            (serving if serves else others).append(service)
        self.others = tuple(sorted(str(service.name) for service in others))
        if not serving:
            raise InputError(
                f"none of the file's services has the image {plan.image}",
                "export the file again: tune export --format stack",
            )
        return sorted(serving, key=lambda service: natural(str(service.name)))

    def _limit_swap(self, container: Container, spec: DeploymentSpec) -> None:
        """Not here: the file is deployed as it stands."""

    def _check_limits(self, replica: Replica, spec: DeploymentSpec) -> None:
        """Not here: the caller compares."""

    def _inspected(self, replica: Replica, plan: ContainerPlan) -> InspectedContainer:
        """The facts of a replica, with a copy of the model that it mounts."""
        limits = replica.limits()
        if not _has_swap(replica.container):
            limits = replace(limits, swap_bytes=0)
        model = None
        if plan.model_mount is not None:
            model = self._scratch / str(replica.container.id)
            _copy(replica.container, plan.model_mount, model)
            model = model / Path(plan.model_mount).name
        return inspect_elsewhere(replica.container, limits, model)


def _has_swap(container: Container) -> bool:
    """Whether the machine of a container has any. `/proc/swaps` is the machine's own."""
    code, text, _ = execute(container, ["cat", "/proc/swaps"])
    return code != 0 or len(text.splitlines()) > 1


def _copy(container: Container, path: str, target: Path) -> None:
    """Copy what a container has at `path`, which may be on another machine."""
    parts, _ = container.get_archive(path)
    with tempfile.TemporaryFile() as packed:
        for part in parts:
            packed.write(part)
        packed.seek(0)
        with tarfile.open(fileobj=packed) as archive:
            archive.extractall(target, filter="data")
