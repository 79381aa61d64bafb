"""Replicas on several machines: the deployer behind `--backend swarm`.

A deployment is one Swarm service whose replicas are anywhere on the nodes that take part
(`tuner.deploy.swarm_nodes`). Swarm places and starts them; all else is done through the engine of
each replica's node: limits set and read back, statistics read, packets dropped. Requests go to the
replicas directly, each at a port of its node.
"""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from threading import Event
from typing import Any, Self

from docker.errors import APIError, NotFound
from docker.models.containers import Container
from docker.models.services import Service

from tuner.deploy import docker_engine
from tuner.deploy.cpu_placement import CpuPlacement
from tuner.deploy.deployment import DockerDeployment
from tuner.deploy.docker_deployer import (
    DEPLOYMENT_LABEL,
    EVICTION_FAULTS,
    STUDY_LABEL,
    TRIAL_LABEL,
    explaining,
    golden_requests,
    name_part,
    refusals,
    wait_until_right,
)
from tuner.deploy.engine_statistics import EngineStatistics
from tuner.deploy.helper import FORGETFUL
from tuner.deploy.impairment import Links
from tuner.deploy.keeper import Keeper, keeper
from tuner.deploy.model_volume import model_volume
from tuner.deploy.network_tools import NetworkTools, common_tools, probe_tools
from tuner.deploy.null_container import MOST_PROCESSES, NullServer, null_container
from tuner.deploy.ownership import LABEL, RUN_LABEL, WORKERS, Owner, sweep, undo
from tuner.deploy.parallel import GivenUp, in_parallel
from tuner.deploy.reach import Reach
from tuner.deploy.replica import TOO_LITTLE, Replica, ReplicaStart, engine_time
from tuner.deploy.statistics_stream import StatisticsStreams, statistics_streams
from tuner.deploy.swarm_images import bring_image
from tuner.deploy.swarm_nodes import (
    SwarmNode,
    joined_nodes,
    labelled,
    node_facts,
    require_manager,
    require_present,
)
from tuner.deploy.swarm_placement import nodes_for
from tuner.deploy.swarm_service import (
    SwarmTask,
    create_service,
    removed_at_the_end,
    service_tasks,
    sweep_services,
    sweep_stacks,
)
from tuner.errors import Infeasible, SetupError, TrialError, TrialFailed, Unreachable
from tuner.serving.base import base_tag, image_exists
from tuner.serving.built_model import model_checksum, model_version, require_built
from tuner.serving.container_plan import ContainerPlan
from tuner.serving.servers.table import container_plan
from tuner.spec.host import MIB
from tuner.spec.study import DeploymentSpec, ModelSpec, ServingSpec

_LOOK_SECONDS = 0.05
_PLACED_SECONDS = 60.0
"""How long Swarm may take to place and start replicas."""


@dataclass(frozen=True)
class SwarmDeployment(DockerDeployment):
    """Replicas of a service; `nodes` has the node of each, `require` raises where one is lost."""

    nodes: tuple[SwarmNode, ...] = ()
    require: Callable[[], None] = lambda: None

    def verify(self) -> None:
        self.require()
        super().verify()

    def facts(self) -> Mapping[str, Any]:
        return {
            **super().facts(),
            "backend": "swarm",
            "placement": self.spec.serving.placement,
            "nodes": [node.name for node in self.nodes],
        }


@dataclass(frozen=True)
class _Prepared:
    """What all trials share on one node."""

    node: SwarmNode
    tools: NetworkTools
    keeper: Keeper


class SwarmDeployer:
    """Deploys one study's model on the nodes of a swarm that have the label `tune.engine`.

    Entering checks manager, nodes, image and model (SetupError), and that every node's ports are
    reached from here. It removes what dead runs left on any node. It brings image and model to the
    nodes that lack them, and starts a keeper of their page cache on each. Leaving removes all but
    the images. `servers` are those that trials may ask for, by default the one of `serving`.
    """

    name = "swarm"

    def __init__(
        self, model: ModelSpec, serving: ServingSpec, study: str, servers: Sequence[str] = ()
    ) -> None:
        self._servings = [replace(serving, server=name) for name in servers] or [serving]
        self._model = model
        self._study = study

    def __enter__(self) -> Self:
        with ExitStack() as world:
            require_built(self._model)
            self._golden = golden_requests(self._model, self._servings)
            self._manager = world.enter_context(docker_engine.connect())
            run = uuid.uuid4().hex[:12]
            self._labels = {LABEL: str(Owner.this()), RUN_LABEL: run, STUDY_LABEL: self._study}
            require_manager(self._manager)
            taking = labelled(node_facts(self._manager))
            require_present(taking)
            self._nodes = world.enter_context(joined_nodes(self._manager, taking))
            self._require_shared_page_cache()
            self._images = {
                serving.server: docker_engine.serving_image(self._manager, serving)
                for serving in self._servings
            }
            if not image_exists(self._manager, base_tag()):
                raise SetupError(
                    f"the base image {base_tag()}, whose tools set packet loss, is missing",
                    "tune image build",
                )
            self.swept = [
                *sweep_services(self._manager),
                *(name for node in self._nodes for name in sweep(node.client)),
                *sweep_stacks(self._manager, [node.client for node in self._nodes]),
            ]
            self._prepared = self._prepare(world, run)
            self._world = world.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        try:
            self._world.close()
        except Unreachable:
            # As in `DockerDeployer`: what was raised inside says more.
            if exc[0] is None:
                raise

    @property
    def _first(self) -> ServingSpec:
        return self._servings[0]

    @property
    def _identities(self) -> list[str]:
        return [node.facts.identity for node in self._nodes]

    def _require_shared_page_cache(self) -> None:
        if self._first.page_cache != "shared":
            raise SetupError(
                "the page cache of another machine cannot be dropped from here",
                "set `serving.page_cache: shared` in the study",
            )

    def _prepare(self, world: ExitStack, run: str) -> tuple[_Prepared, ...]:
        """Image, model, keeper and network tools of each node, and the way there tried."""
        self._volume = f"tune-{name_part(self._study)}-{run}"
        opened = [world.enter_context(ExitStack()) for _ in self._nodes]
        image = self._images[self._first.server]
        plan = container_plan(self._first, self._model, image)
        references = dict.fromkeys([base_tag(), *self._images.values()])

        def prepare(index: int) -> _Prepared:
            node, mine = self._nodes[index], opened[index]
            with _naming(node):
                for reference in references:
                    bring_image(self._manager, node, reference)
                mine.enter_context(undo(node.client, RUN_LABEL, run))
                mounts = {}
                if plan.model_mount is not None:
                    versions = self._model.versions.resolve()
                    volume = mine.enter_context(
                        model_volume(node.client, image, versions, self._labels, self._volume)
                    )
                    mounts = {volume: {"bind": plan.model_mount, "mode": "ro"}}
                self._require_way_to(node)
                kept = mine.enter_context(
                    keeper(node.client, image, mounts, plan.model_mount, plan.user, self._labels)
                )
                return _Prepared(node, probe_tools(node.client, base_tag(), self._labels), kept)

        with ThreadPoolExecutor(len(opened), "node") as executor:
            return tuple(in_parallel(executor, prepare, range(len(opened))))

    def _require_way_to(self, node: SwarmNode) -> None:
        """Raise SetupError where this machine does not reach what a node publishes."""
        try:
            with self._null_on(node):
                return
        except SetupError as error:
            raise SetupError(
                f"this machine does not reach the ports that containers publish at"
                f" {node.facts.address}",
                "open the node's ports from 32768 on to this machine: a firewall refuses them",
            ) from error

    @contextmanager
    def _null_on(self, node: SwarmNode) -> Iterator[NullServer]:
        """A null server on a node, which was asked from here."""
        image = self._images[self._first.server] if self._first.image == "tune" else base_tag()
        with null_container(
            node.client,
            image,
            node.client.networks.get("bridge"),
            Reach(published=True, host=node.facts.address, remote=True),
            _PLACED,
            self._labels,
            self._model.name,
            None,
            False,
            min(MOST_PROCESSES, node.facts.cpus),
        ) as server:
            yield server

    @contextmanager
    def null_server(self) -> Iterator[NullServer]:
        """See `Deployer.null_server`. It is on the first node."""
        with refusals(), self._null_on(self._nodes[0]) as server:
            yield server

    @property
    def _cpus(self) -> int:
        """Of all nodes that take part, so that a share of them means the same in every trial."""
        return sum(node.facts.cpus for node in self._nodes)

    @property
    def _tools(self) -> NetworkTools:
        return common_tools(prepared.tools for prepared in self._prepared)

    def environment(self) -> Mapping[str, Any]:
        first = self._nodes[0].info
        images = {server: self._image_facts(image) for server, image in self._images.items()}
        return {
            "backend": self.name,
            "host": {
                "name": f"a swarm of {len(self._nodes)} nodes",
                "cpu": None,
                "cpus": self._cpus,
                "memory_mib": sum(node.facts.memory_mib for node in self._nodes),
                "kernel": first["KernelVersion"],
                "cgroup": f"v{first.get('CgroupVersion', '1')}",
            },
            "nodes": [_node_facts(node) for node in self._nodes],
            "engine": first["ServerVersion"],
            **images[self._first.server],
            **({"images": images} if len(images) > 1 else {}),
            "model": self._model.name,
            "model_checksum": model_checksum(self._model),
            "model_version": model_version(self._model),
            "page_cache": self._first.page_cache,
            "network_tools": asdict(self._tools),
            "client": "host: the nodes are other machines",
            "cpus": _PLACED.facts(),
        }

    def _image_facts(self, reference: str) -> Mapping[str, Any]:
        image = self._manager.images.get(reference)
        digests = image.attrs.get("RepoDigests") or []
        return {"image": reference, "image_id": image.id, "image_digests": digests}

    def _require_nodes(self) -> None:
        """Raise Unreachable where a node that takes part can run nothing now."""
        now = {facts.identity: facts for facts in node_facts(self._manager)}
        for node in self._nodes:
            if node.facts.identity not in now:
                raise Unreachable(f"node {node.name} has left the swarm", "let it join again")
        require_present([now[identity] for identity in self._identities])

    @contextmanager
    def deploy(self, spec: DeploymentSpec, label: str) -> Iterator[SwarmDeployment]:
        """See `Deployer.deploy`. Where a node is lost or drained meanwhile: Unreachable."""
        plan = container_plan(spec.serving, self._model, self._images[spec.serving.server])
        identity = uuid.uuid4().hex[:12]
        labels = self._labels | {TRIAL_LABEL: label, DEPLOYMENT_LABEL: identity}
        self._require_nodes()
        with (
            refusals(),
            self._blaming_lost_nodes(),
            statistics_streams(spec.replicas) as streams,
            ThreadPoolExecutor(WORKERS, "replica") as executor,
            self._removed(DEPLOYMENT_LABEL, identity),
        ):
            asked = time.monotonic()
            # In a thread, so that no interrupt comes between the engine and its answer.
            service = executor.submit(self._create, spec, plan, labels, identity, label).result()
            tasks = self._running([str(service.id)], spec)
            with self._serving(tasks, spec, plan, labels, asked, streams, executor) as deployment:
                yield deployment

    @contextmanager
    def _serving(
        self,
        tasks: Sequence[SwarmTask],
        spec: DeploymentSpec,
        plan: ContainerPlan,
        labels: Mapping[str, str],
        asked: float,
        streams: StatisticsStreams,
        executor: ThreadPoolExecutor,
    ) -> Iterator[SwarmDeployment]:
        """Yield the tasks, which run, as a deployment once they are ready."""
        given_up = Event()
        nodes = tuple(map(self._node, tasks))

        def replica(index: int) -> Replica:
            return self._replica(index, tasks[index], spec, plan, asked, streams, given_up)

        replicas = in_parallel(executor, replica, range(len(tasks)), given_up.set)

        def ready(one: Replica) -> float:
            wait_until_right(one, spec, plan, self._golden)
            return time.monotonic() - asked

        waited = in_parallel(executor, ready, replicas, given_up.set)
        in_parallel(executor, lambda one: self._check_limits(one, spec), replicas)
        self._mend_page_caches(executor, replicas, nodes)
        links = Links(
            [one.container for one in replicas],
            [node.facts.address for node in nodes],
            plan.port_of(spec.protocol),
            None,
            self._tools,
            base_tag(),
            labels,
            executor,
        )
        deployment = SwarmDeployment(
            spec,
            tuple(replicas),
            executor,
            None,
            _PLACED,
            self._cpus,
            False,
            links,
            max(waited),
            nodes,
            self._require_nodes,
        )
        with explaining(deployment):
            yield deployment

    @contextmanager
    def _blaming_lost_nodes(self) -> Iterator[None]:
        """Whatever fails inside is the fault of a node where one is lost meanwhile."""
        try:
            yield
        except (TrialError, APIError):
            self._require_nodes()
            raise

    @contextmanager
    def _removed(self, label: str, value: str) -> Iterator[None]:
        """At the end services with this label are gone, and what is left of them on the nodes."""
        with ExitStack() as world:
            for node in self._nodes:
                world.enter_context(undo(node.client, label, value))
            world.enter_context(removed_at_the_end(self._manager, label, value, self._identities))
            yield

    def _create(
        self,
        spec: DeploymentSpec,
        plan: ContainerPlan,
        labels: Mapping[str, str],
        identity: str,
        label: str,
    ) -> Service:
        taking = [node.facts for node in self._nodes]
        chosen = {node.identity for node in nodes_for(spec, taking)}
        every = (node.identity for node in node_facts(self._manager))
        barred = [node for node in every if node not in chosen]
        return create_service(
            self._manager,
            # A service has at most 63 letters.
            f"tune-{name_part(self._study)[:24]}-{name_part(label)[:16]}-{identity}",
            plan,
            str(self._manager.images.get(plan.image).id),
            replicas=spec.replicas,
            cpu=spec.cpu,
            memory_bytes=spec.memory_mib * MIB,
            ports=dict.fromkeys((plan.port, plan.port_of(spec.protocol))),
            volume=self._volume,
            sysctls=FORGETFUL | dict(plan.sysctls),
            barred=barred,
            labels=labels,
        )

    def _running(self, services: Sequence[str], spec: DeploymentSpec) -> Sequence[SwarmTask]:
        """The tasks once all run, in the order of services and their slots."""
        deadline = time.monotonic() + _PLACED_SECONDS
        while True:
            tasks = service_tasks(self._manager, services)
            for index, task in enumerate(tasks):
                if task.over:
                    self._raise_ended(index, task, spec)
            if len(tasks) == spec.replicas and all(task.running for task in tasks):
                return tasks
            if time.monotonic() > deadline:
                said = dict.fromkeys(f"{task.state}: {task.why}" for task in tasks)
                raise TrialFailed(
                    f"Swarm did not start {spec.replicas} replicas within {_PLACED_SECONDS:g} s"
                    f" ({'; '.join(said) or 'there are no tasks'})",
                    "look at the nodes (`docker node ls`)",
                )
            time.sleep(_LOOK_SECONDS)

    def _raise_ended(self, index: int, task: SwarmTask, spec: DeploymentSpec) -> None:
        """Raise what ended a task before it ran."""
        self._require_nodes()
        if re.search(TOO_LITTLE, task.why, re.IGNORECASE):
            raise Infeasible(
                "out of memory",
                f"replica {index} cannot be started with {spec.memory_mib} MiB of memory",
                task.why,
            )
        if task.container:
            node = self._node(task)
            try:
                container = node.client.containers.get(task.container)
            except NotFound:
                container = None
            if container is not None:
                started = ReplicaStart(container.attrs["State"]["StartedAt"])
                nowhere = (node.facts.address, 0)
                source = EngineStatistics(container)
                ended = Replica(index, container, nowhere, nowhere, source, Event(), started)
                ended.check_alive()
        raise TrialFailed(f"Swarm could not start replica {index}: {task.why or task.state}")

    def _replica(
        self,
        index: int,
        task: SwarmTask,
        spec: DeploymentSpec,
        plan: ContainerPlan,
        asked: float,
        streams: StatisticsStreams,
        given_up: Event,
    ) -> Replica:
        if given_up.is_set():
            raise GivenUp
        node = self._node(task)
        container = node.client.containers.get(task.container)
        self._limit_swap(container, spec)
        container.reload()
        rest, address = (
            _published(container, node.facts.address, port)
            for port in (plan.port, plan.port_of(spec.protocol))
        )
        state = container.attrs["State"]
        start = ReplicaStart(state["StartedAt"], 0, None, asked, engine_time(node.client))
        source = streams.of(container)
        return Replica(index, container, rest, address, source, given_up, start, None, plan.port)

    def _limit_swap(self, container: Container, spec: DeploymentSpec) -> None:
        """A service has no swap limit: without this a replica may swap as much again."""
        memory = spec.memory_mib * MIB
        container.update(mem_limit=memory, memswap_limit=memory)

    def _check_limits(self, replica: Replica, spec: DeploymentSpec) -> None:
        replica.check_limits(spec)

    def _node(self, task: SwarmTask) -> SwarmNode:
        for node in self._nodes:
            if node.facts.identity == task.node:
                return node
        raise TrialFailed(
            f"Swarm put a replica on node {task.node}, which joined the swarm meanwhile",
            "let no node join while a study runs",
        )

    def _mend_page_caches(
        self, executor: ThreadPoolExecutor, replicas: Sequence[Replica], nodes: Sequence[SwarmNode]
    ) -> None:
        """As in `DockerDeployer`, on each node where files were evicted."""
        counters = in_parallel(executor, Replica.counters, replicas)
        evicted = {
            node.facts.identity
            for node, counted in zip(nodes, counters, strict=True)
            if counted.major_faults > EVICTION_FAULTS
        }
        keepers = [p.keeper for p in self._prepared if p.node.facts.identity in evicted]
        in_parallel(executor, Keeper.read, keepers)


_PLACED = CpuPlacement("other machine")


@contextmanager
def _naming(node: SwarmNode) -> Iterator[None]:
    """Says which node it was that could not be prepared."""
    try:
        yield
    except SetupError as error:
        raise type(error)(f"node {node.name}: {error.message}", error.mend) from error


def _published(container: Container, address: str, port: int) -> tuple[str, int]:
    """Where a container's port is at the address of its node, of the same family."""
    # With IPv6 an engine publishes it twice, and the two ports may differ.
    for binding in container.attrs["NetworkSettings"]["Ports"].get(f"{port}/tcp") or ():
        if (":" in binding["HostIp"]) == (":" in address):
            return address, int(binding["HostPort"])
    # A container that has ended has no published ports. Nothing answers at port 0.
    return address, 0


def _node_facts(node: SwarmNode) -> Mapping[str, Any]:
    facts = node.facts
    return {
        "name": facts.name,
        "address": facts.address,
        "cpus": facts.cpus,
        "memory_mib": facts.memory_mib,
        "kernel": node.info["KernelVersion"],
    }
