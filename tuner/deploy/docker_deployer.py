"""Real containers: the deployer behind `--backend docker`.

A deployment is one bridge network with its replicas, all labelled with owner, study, trial and
deployment. When the block ends, everything with the deployment's label is removed, whatever
happened inside. The next run sweeps what a killed process left.
"""

from __future__ import annotations

import platform
import re
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from threading import Event
from typing import Any, Self

from docker.errors import APIError, NotFound
from docker.models.networks import Network

from tuner.deploy import docker_engine
from tuner.deploy.bridge import Ways, create_bridge, first_bridge
from tuner.deploy.client_namespace import ClientNamespace, client_namespace
from tuner.deploy.cpu_placement import place_on_cpus
from tuner.deploy.deployment import DockerDeployment
from tuner.deploy.engine_client import FAULTS, engine_failure, refused_step
from tuner.deploy.impairment import Links
from tuner.deploy.keeper import Keeper, drop_page_cache, keeper
from tuner.deploy.model_volume import model_volume
from tuner.deploy.network_tools import NetworkTools, probe_tools
from tuner.deploy.null_container import MOST_PROCESSES, NullServer, null_container
from tuner.deploy.ownership import LABEL, RUN_LABEL, WORKERS, Owner, sweep, undo
from tuner.deploy.parallel import in_parallel
from tuner.deploy.projects import sweep_projects
from tuner.deploy.reach import Reach
from tuner.deploy.replica import Replica, ReplicaMaker
from tuner.errors import SetupError, TrialError, TrialFailed, Unreachable
from tuner.measure.proc import cpu_model
from tuner.serving.base import image_exists
from tuner.serving.built_model import model_checksum, model_version, require_built
from tuner.serving.container_plan import ContainerPlan
from tuner.serving.image import base_tag
from tuner.serving.servers.server import Requests
from tuner.serving.servers.table import container_plan, server_named
from tuner.spec.host import MIB
from tuner.spec.study import CpuPlacementRule, DeploymentSpec, ModelSpec, ServingSpec

STUDY_LABEL = "tune.study"
TRIAL_LABEL = "tune.trial"
DEPLOYMENT_LABEL = "tune.deployment"

EVICTION_FAULTS = 50
"""More major faults at a replica's start mean that its files were no longer in the page cache."""


class DockerDeployer:
    """Deploys one study's model on the Docker Engine (`tuner.deploy.engine_address`).

    Entering checks that engine, image and model are there (SetupError) and sweeps dead runs. It
    tries what the kernel can do to the network, and starts what all trials share: the keeper, the
    load engine's network namespace, the model's volume on an engine elsewhere. Leaving removes all.
    `golden` says whether to check replicas by golden answers. `servers` are those that trials may
    ask for, by default the one of `serving`.
    """

    name = "docker"

    def __init__(
        self,
        model: ModelSpec,
        serving: ServingSpec,
        study: str,
        cpu_placement: CpuPlacementRule = "auto",
        *,
        golden: bool = True,
        servers: Sequence[str] = (),
    ) -> None:
        self._has_golden = golden
        self._servings = [replace(serving, server=name) for name in servers] or [serving]
        self._model = model
        self._study = study
        self._cpu_placement = cpu_placement

    def __enter__(self) -> Self:
        with ExitStack() as world:
            require_built(self._model)
            self._golden = golden_requests(self._model, self._servings) if self._has_golden else {}
            self._client = world.enter_context(docker_engine.connect())
            run = uuid.uuid4().hex[:12]
            self._labels = {LABEL: str(Owner.this()), RUN_LABEL: run, STUDY_LABEL: self._study}
            self._info = self._client.info()
            self.swept = [*sweep(self._client), *sweep_projects(self._client)]
            world.enter_context(undo(self._client, RUN_LABEL, run))
            self._images = {
                serving.server: docker_engine.serving_image(self._client, serving)
                for serving in self._servings
            }
            self._enter_network(world, f"tune-{self._study}-{run}")
            self._enter_page_cache(world)
            self._world = world.pop_all()
        return self

    @property
    def _first(self) -> ServingSpec:
        """What serves the baseline. Only the server differs between what the trials serve."""
        return self._servings[0]

    @property
    def _image(self) -> str:
        return self._images[self._first.server]

    def _enter_network(self, world: ExitStack, name: str) -> None:
        """Prepare the path to containers, the load engine's namespace and the tools for a bad
        network.
        """
        remote = docker_engine.other_machine()
        network, direct = first_bridge(self._client, name, self._labels, remote is None)
        self._network = network
        self._reach = Reach(not direct, remote or "127.0.0.1", remote is not None)
        self.place_client(1)
        self._tools = NetworkTools()
        client: ClientNamespace | str = "the base image is missing"
        if image_exists(self._client, base_tag()):
            self._tools = probe_tools(self._client, base_tag(), self._labels)
            client = "the engine's bridge is not on this machine"
            if direct:
                client = world.enter_context(
                    client_namespace(self._client, base_tag(), network, self._labels)
                )
        self._space = client if isinstance(client, ClientNamespace) else None
        self._client_facts = "own network namespace" if self._space else f"host: {client}"
        self._ways: Ways = "host" if direct else "out"
        if self._space is not None:
            # From there replicas are reached without an address of this machine on their bridge,
            # so they reach none of its ports.
            self._ways, self._reach = "none", replace(self._reach, namespace=self._space.path)

    def _enter_page_cache(self, world: ExitStack) -> None:
        """Put the model's files where containers can mount them, and start the keeper of their
        pages.
        """
        plan = container_plan(self._first, self._model, self._image)
        self._source = str(self._model.versions.resolve())
        if plan.model_mount is not None and self._reach.remote:
            self._source = world.enter_context(
                model_volume(self._client, self._image, Path(self._source), self._labels)
            )
        self._keeper: Keeper | None = None
        if self._first.page_cache == "shared":
            self._keeper = world.enter_context(
                keeper(
                    self._client,
                    self._image,
                    self._mounts(plan),
                    plan.model_mount,
                    plan.user,
                    self._labels,
                )
            )
        elif self._reach.remote:
            raise SetupError(
                "the page cache of another machine cannot be dropped from here",
                "set `serving.page_cache: shared` in the study, or run `tune` on that machine",
            )

    def _mounts(self, plan: ContainerPlan) -> dict[str, dict[str, str]]:
        if plan.model_mount is None:
            return {}
        return {self._source: {"bind": plan.model_mount, "mode": "ro"}}

    def __exit__(self, *exc: object) -> None:
        try:
            self._world.close()
        except Unreachable:
            # What was raised inside says more; above all it may be an interrupt. What is left is
            # removed later (`undo`).
            if exc[0] is None:
                raise

    def _require_shared(self) -> None:
        """Raise Unreachable where what all trials share has ended, as it does with the engine."""
        for name, shared in (("keeper", self._keeper), ("client's namespace", self._space)):
            if shared is None:
                continue
            try:
                shared.container.reload()
                state = shared.container.status
            except NotFound:
                state = "gone"
            if state != "running":
                raise Unreachable(
                    f"the Docker Engine was restarted, or somebody ended what all trials share:"
                    f" the container of the {name} is {state}",
                    "let nobody end tune's containers meanwhile",
                )

    def environment(self) -> Mapping[str, Any]:
        info = self._info
        images = {
            server: self._image_facts(reference) for server, reference in self._images.items()
        }
        return {
            "backend": self.name,
            "host": {
                "name": info["Name"] if self._reach.remote else platform.node(),
                "cpu": None if self._reach.remote else cpu_model(),
                "cpus": info["NCPU"],
                "memory_mib": info["MemTotal"] // MIB,
                "kernel": info["KernelVersion"],
                "cgroup": f"v{info.get('CgroupVersion', '1')}",
            },
            "engine": info["ServerVersion"],
            **images[self._first.server],
            **({"images": images} if len(images) > 1 else {}),
            "model": self._model.name,
            "model_checksum": model_checksum(self._model),
            "model_version": model_version(self._model),
            "page_cache": self._first.page_cache,
            "network_tools": asdict(self._tools),
            "client": self._client_facts,
            "cpus": self._placed.facts(),
        }

    def place_client(self, senders: int) -> None:
        """Where later deployments and the load engine run, of which so many processes send."""
        cpus = self._info["NCPU"]
        self._placed = place_on_cpus(self._cpu_placement, cpus, self._local, senders)

    def _image_facts(self, reference: str) -> Mapping[str, Any]:
        image = self._client.images.get(reference)
        digests = image.attrs.get("RepoDigests") or []
        return {"image": reference, "image_id": image.id, "image_digests": digests}

    @contextmanager
    def null_server(self) -> Iterator[NullServer | None]:
        """See `Deployer.null_server`. It runs in tune's own image where that is used: it has
        uvloop.
        """
        image = self._image if self._first.image == "tune" else base_tag()
        if not image_exists(self._client, image):
            yield None
            return
        with (
            refusals(),
            null_container(
                self._client,
                image,
                self._network,
                self._reach,
                self._placed,
                self._labels,
                self._model.name,
                self._space.path if self._space else None,
                self._local,
                min(MOST_PROCESSES, len(self._placed.replicas) or self._info["NCPU"]),
            ) as server,
        ):
            yield server

    @property
    def _local(self) -> bool:
        return not self._reach.published

    @contextmanager
    def deploy(self, spec: DeploymentSpec, label: str) -> Iterator[DockerDeployment]:
        """See `Deployer.deploy`. Replicas are created, probed and removed in parallel.

        Where the engine refuses a step it raises TrialFailed.
        """
        # Flags and variables may be the trial's own.
        plan = container_plan(spec.serving, self._model, self._images[spec.serving.server])
        identity = uuid.uuid4().hex[:12]
        labels = self._labels | {TRIAL_LABEL: label, DEPLOYMENT_LABEL: identity}
        if self._keeper is None:
            drop_page_cache()
        # Leaving the executor waits for creations under way, so the clean-up misses none.
        with (
            refusals(),
            self._blaming_the_engine(),
            undo(self._client, DEPLOYMENT_LABEL, identity),
            ThreadPoolExecutor(WORKERS, "replica") as executor,
        ):
            name = f"tune-{self._study}-{name_part(label)}-{identity}"
            # In a thread, so that no interrupt comes between the engine and its answer.
            network = executor.submit(
                create_bridge, self._client, name, labels, self._ways
            ).result()
            given_up = Event()
            make = ReplicaMaker(
                self._client,
                plan,
                self._mounts(plan),
                spec,
                network,
                labels,
                self._reach,
                self._placed.cpuset,
                given_up,
            )

            def replicas() -> list[Replica]:
                return in_parallel(executor, make, range(spec.replicas), given_up.set)

            with self._serving_on(
                network, replicas, spec, plan, labels, executor, given_up
            ) as deployment:
                yield deployment

    @contextmanager
    def _blaming_the_engine(self) -> Iterator[None]:
        """Whatever fails inside is the engine's fault where that was restarted meanwhile."""
        try:
            yield
        except (TrialError, APIError):
            self._require_shared()
            raise

    @contextmanager
    def _serving_on(
        self,
        network: Network,
        make: Callable[[], Sequence[Replica]],
        spec: DeploymentSpec,
        plan: ContainerPlan,
        labels: Mapping[str, str],
        executor: Executor,
        given_up: Event,
    ) -> Iterator[DockerDeployment]:
        """Make the replicas, all on `network`, and yield them as a deployment once they are
        ready.
        """
        with ExitStack() as world:
            space = self._space
            joined = world.enter_context(space.joined(network, executor)) if space else None
            replicas = make()
            if joined is not None:
                joined.result()

            def ready(replica: Replica) -> float | None:
                self._bring_up(replica, spec, plan)
                asked = replica.start.asked
                return None if asked is None else time.monotonic() - asked

            waited = in_parallel(executor, ready, replicas, given_up.set)
            self._mend_page_cache(executor, replicas)
            addresses = [replica.address[0] for replica in replicas]
            end = None
            if space is not None:
                end = space.end(addresses[0])
            links = Links(
                [replica.container for replica in replicas],
                addresses,
                plan.port_of(spec.protocol),
                end,
                self._tools,
                base_tag(),
                labels,
                executor,
            )
            deployment = DockerDeployment(
                spec,
                tuple(replicas),
                executor,
                self._space,
                self._placed,
                self._info["NCPU"],
                self._local,
                links,
                None if None in waited else max(s for s in waited if s is not None),
            )
            with explaining(deployment):
                yield deployment

    def _mend_page_cache(self, executor: Executor, replicas: Sequence[Replica]) -> None:
        """Let the keeper read evicted files again, so that its memory pays for them."""
        if self._keeper is not None:
            counters = in_parallel(executor, Replica.counters, replicas)
            if any(c.major_faults > EVICTION_FAULTS for c in counters):
                self._keeper.read()

    def _bring_up(self, replica: Replica, spec: DeploymentSpec, plan: ContainerPlan) -> None:
        """Wait until a replica serves as it should."""
        replica.check_limits(spec)
        wait_until_right(replica, spec, plan, self._golden)


def wait_until_right(
    replica: Replica, spec: DeploymentSpec, plan: ContainerPlan, golden: Mapping[str, Requests]
) -> None:
    """Wait until a replica is ready, and answers rightly where its server has `golden` requests."""
    replica.wait_until_ready(plan.ready, spec.serving.ready_seconds)
    if golden:
        replica.check_answers(spec.model.name, golden[spec.serving.server])
    replica.check_alive()


@contextmanager
def explaining(deployment: DockerDeployment) -> Iterator[None]:
    """What befell a replica is raised in place of a burst that failed for it."""
    try:
        yield
    except (TrialFailed, APIError, FileNotFoundError, ProcessLookupError):
        # The last two are a file of a replica's process that is gone.
        deployment.verify()
        raise


def golden_requests(model: ModelSpec, servings: Sequence[ServingSpec]) -> Mapping[str, Requests]:
    """How replicas are checked, by server. The servers of a study share its golden answers."""
    servers = {serving.server: server_named(serving.server) for serving in servings}
    golden = next(iter(servers.values())).golden(model)
    return {n: server.requests_in("rest", model, golden) for n, server in servers.items()}


@contextmanager
def refusals() -> Iterator[None]:
    """Turns what Docker's client raises in a trial into a TuneError."""
    try:
        yield
    except APIError as error:
        raise refused_step(error) from error
    except FAULTS as error:
        raise engine_failure(error) from error


def name_part(label: str) -> str:
    """`label` without the characters that the engine refuses in a name."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", label)
