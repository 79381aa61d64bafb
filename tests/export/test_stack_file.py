"""What `docker stack deploy` is given."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.export.small import FULL
from tuner.errors import InputError
from tuner.export.served import served_by
from tuner.export.stack import to_stack
from tuner.measure.record import StudyRecord

NODES = ["node2", "node1"]


def study_on(nodes: list[str]) -> StudyRecord:
    """The small study with a trial of two replicas on these nodes."""
    first = FULL.trials[0]
    configuration = type(first.configuration).of({**first.configuration, "replicas": 2})
    own = replace(first, configuration=configuration, deployment={"nodes": nodes})
    return replace(FULL, trials=(own,))


def stack(nodes: list[str], versions: Path | None, **options: Any) -> tuple[str, dict[str, Any]]:  # noqa: ANN401
    study = study_on(nodes)
    text = to_stack(served_by(study, study.trials[0]), versions, 9000, **options)
    return text, yaml.safe_load(text)


def test_each_replica_is_a_service_on_the_node_where_it_was_measured(tmp_path: Path) -> None:
    text, found = stack(NODES, tmp_path, name="m")
    assert list(found) == ["version", "services", "networks"]
    assert found["networks"] == {"default": {"external": True, "name": "bridge"}}
    assert list(found["services"]) == ["m-0", "m-1"]
    for index, service in enumerate(found["services"].values()):
        deploy = service["deploy"]
        assert deploy["placement"]["constraints"] == [f"node.hostname == {NODES[index]}"]
        assert (deploy["replicas"], deploy["endpoint_mode"]) == (1, "dnsrr")
        limits = deploy["resources"]["limits"]
        assert limits == {"cpus": "1", "memory": "192M", "pids": 1024}
        assert service["ports"][0] == {
            "target": 8501,
            "published": 9000 + index,
            "protocol": "tcp",
            "mode": "host",
        }
        assert service["environment"]["SALT"] in {"a", "$$HOME"}
        (mount,) = service["volumes"]
        assert (mount["source"], mount["read_only"]) == (str(tmp_path), True)
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
        assert service["user"] not in {"", "0", "root"}
        assert f"{NODES[index]}:{9000 + index}" in text


def test_where_no_node_is_known_swarm_chooses() -> None:
    study = replace(study_on([]), trials=(replace(study_on([]).trials[0], deployment={}),))
    text = to_stack(served_by(study, study.trials[0]), None)
    services = yaml.safe_load(text)["services"].values()
    assert all("placement" not in service["deploy"] for service in services)
    assert all("volumes" not in service for service in services)
    assert "NODE:8501" in text


def test_ports_that_do_not_exist_are_refused() -> None:
    study = study_on(NODES)
    with pytest.raises(InputError, match="not all within"):
        to_stack(served_by(study, study.trials[0]), None, 65535)
