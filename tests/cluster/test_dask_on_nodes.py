"""One study whose trials are measured on three machines, each with a Docker Engine of its own."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from optuna.trial import TrialState

from tests.backends.dask_processes import Cluster as DaskProcesses
from tests.backends.dask_processes import dask_scheduler
from tests.cluster.nodes import Cluster, Node
from tests.cluster.small_swarm_study import write_swarm_study
from tests.study.invariants import broken_invariants
from tuner import Study
from tuner.backends.hosts import HostGone, HostJoined, OnHost
from tuner.load.burst_progress import BurstProgress
from tuner.spec.study import ModelSpec

pytestmark = [pytest.mark.docker, pytest.mark.thorough]

TRIALS = 12
CHANGES = (
    ("choices: [8], default: 8", "choices: [1, 2], default: 2"),
    ("min_seconds: 4, max_seconds: 4", "min_seconds: 1, max_seconds: 2, max_foreign_percent: 100"),
    ("trials: 2}", f"trials: {TRIALS}}}"),
)
"""16 configurations, of which half lose packets."""


@pytest.fixture
def hosts(
    swarm: Cluster, onnx_model: ModelSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[DaskProcesses]:
    """A scheduler on this machine, and a worker on each node, in a directory with the model."""
    write_swarm_study(onnx_model, *CHANGES)
    with swarm.manager.client() as manager:
        images = [tag for image in manager.images.list() for tag in image.tags]
        swarm.load(manager, images, *swarm.nodes[1:])
    with dask_scheduler(tmp_path, swarm.here) as made:
        monkeypatch.delenv("DOCKER_HOST")
        for node in swarm.nodes:
            start(made, node)
        made.joined(*(node.name for node in swarm.nodes))
        yield made
        for node in swarm.nodes:
            end(made, node, signal.SIGTERM)


def start(hosts: DaskProcesses, node: Node) -> None:
    # To enter a mount namespace is to be at its root.
    inside = [*node.inside, "env", f"--chdir={Path.cwd()}"]
    hosts.start(node.name, backend="docker", inside=inside, DOCKER_HOST=node.host)


def end(hosts: DaskProcesses, node: Node, how: signal.Signals) -> None:
    """End the worker itself: what entered the node for it passes no signal on."""
    entered = hosts.workers.pop(node.name)
    children = Path(f"/proc/{entered.pid}/task/{entered.pid}/children")
    for pid in children.read_text().split():
        os.kill(int(pid), how)
    entered.wait(120)


def test_three_engines_measure_one_study_and_one_worker_is_killed(
    swarm: Cluster, hosts: DaskProcesses
) -> None:
    lost = swarm.nodes[1]
    events: list[object] = []

    def observe(event: object) -> None:
        events.append(event)
        if not isinstance(event, OnHost) or not isinstance(event.event, BurstProgress):
            return
        if event.host == lost.name and not killed:
            killed.append(event.trial)
            end(hosts, lost, signal.SIGKILL)
            start(hosts, lost)

    killed: list[int | None] = []
    study = Study.open("small", backend="docker", on=hosts.on).run(on_event=observe)
    storage = Path(study.url.removeprefix("sqlite:///"))
    assert broken_invariants(study.specification, study.optuna, study.results, storage) == []
    states = Counter(t.state for t in study.optuna.get_trials())
    assert states[TrialState.COMPLETE] == TRIALS
    assert states.keys() <= {TrialState.COMPLETE, TrialState.FAIL}
    record = study.record
    by_host = Counter(record.host_of(trial) for trial in record.trials)
    assert set(by_host) == {node.name for node in swarm.nodes}
    # The trial of the worker that was killed was measured, under its number, by another one.
    (gone,) = [event for event in events if isinstance(event, HostGone)]
    assert [(gone.host, gone.trial)] == [(lost.name, number) for number in killed]
    again = record.trial(gone.trial or 0)
    assert again is not None
    assert again.outcome == "measured"
    assert record.host_of(again) != lost.name
    # It came back, and removed first what it had left.
    assert [e.host for e in events if isinstance(e, HostJoined)].count(lost.name) == 2
    assert swarm.existing() == set()
    lossy = [trial for trial in record.trials if trial.configuration["loss"]]
    assert lossy
    # With one connection the second replica is idle.
    assert all(any(rule["packets"] for rule in t.impairment["rules"]) for t in lossy)
