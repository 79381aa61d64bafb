"""The lines of `tune check --backend swarm` about manager, nodes and image."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial

from tuner.deploy.docker_engine import connect, serving_image
from tuner.deploy.engine_client import PING_SECONDS
from tuner.deploy.swarm_nodes import (
    NodeFacts,
    joined_nodes,
    labelled,
    node_facts,
    require_manager,
    require_present,
)
from tuner.spec.study import StudySpec
from tuner.study.check_line import Check, checked


def swarm_checks(study: StudySpec) -> Iterator[Check]:
    """Each line as soon as it is known; a node that cannot be used does not hide another."""
    with ExitStack() as world:
        manager = None

        def engine() -> str:
            nonlocal manager
            client = world.enter_context(connect())
            info = require_manager(client)
            manager = client
            return f"Docker Engine {info['ServerVersion']} of {info['Name']}, a manager"

        yield checked("engine", engine)
        if manager is None:
            for name in ("nodes", "image"):
                yield Check(name, False, "not looked for: no manager", "see above")
            return
        swarm, taking = manager, list[NodeFacts]()

        def nodes() -> str:
            every = node_facts(swarm)
            taking.extend(labelled(every))
            others = [node.name for node in every if not node.engine]
            text = f"{len(taking)} of {len(every)} take part"
            return f"{text}; not {', '.join(others)}" if others else text

        def node(facts: NodeFacts) -> str:
            require_present([facts])
            with joined_nodes(swarm, [facts], PING_SECONDS):
                return (
                    f"{facts.cpus} CPUs, {facts.memory_mib} MiB of memory, at {facts.address},"
                    f" engine {facts.version} by {facts.engine}"
                )

        yield checked("nodes", nodes)
        for facts in taking:
            yield checked(f"node {facts.name}", partial(node, facts))
        yield checked("image", lambda: serving_image(swarm, study.serving))
