"""Nodes and engines of a swarm as an engine describes them."""

from __future__ import annotations

from typing import Any

from tuner.deploy.swarm_nodes import ENGINE_LABEL, NodeFacts


def described(name: str, **changes: object) -> dict[str, Any]:
    """One object of `GET /nodes`, of 4 CPUs and 1 GiB."""
    engine = changes.pop("engine", f"ssh://{name}")
    return {
        "ID": f"id-{name}",
        "Spec": {"Availability": "active", "Labels": {ENGINE_LABEL: engine}},
        "Description": {
            "Hostname": name,
            "Resources": {"NanoCPUs": 4 * 10**9, "MemoryBytes": 2**30},
            "Engine": {"EngineVersion": "20.10.24"},
        },
        "Status": {"State": "ready", "Addr": "192.0.2.1"},
        **changes,
    }


def node(name: str, **changes: object) -> NodeFacts:
    return NodeFacts.of(described(name, **changes))
