"""A swarm on three machines, and its load from two of them, which Dask workers send."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.backends.dask_processes import Cluster as DaskProcesses
from tests.backends.dask_processes import dask_scheduler
from tests.cluster.nodes import Cluster
from tests.cluster.small_swarm_study import write_swarm_study
from tuner import Study
from tuner.backends.dask_senders import SenderHosts
from tuner.errors import InputError
from tuner.spec.study import ModelSpec

pytestmark = [pytest.mark.docker, pytest.mark.thorough]


@pytest.fixture(scope="module")
def senders(swarm: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskProcesses]:
    with dask_scheduler(tmp_path_factory.mktemp("dask"), swarm.here) as made:
        nodes = swarm.nodes[1:]
        for node in nodes:
            inside = ["nsenter", f"--net=/run/netns/{node.space}"]
            made.start(node.name, inside=inside, options=("--sends",))
        made.joined(*(node.name for node in nodes))
        yield made


def test_replicas_and_senders_are_on_other_machines(
    swarm: Cluster, senders: DaskProcesses, onnx_model: ModelSpec
) -> None:
    write_swarm_study(onnx_model)
    study = Study.open("small", backend="swarm", senders_on=senders.on)
    found = study.check()
    assert all(check.ok for check in found), [check for check in found if not check.ok]
    study.run()
    record = study.record
    assert [trial.outcome for trial in record.trials] == ["measured", "measured"]
    for trial in record.trials:
        assert trial.measurement is not None
        hosts = trial.measurement.client["hosts"]
        assert [host["name"] for host in hosts] == ["node2", "node3"]
        assert trial.measurement.errors == {}
    lossy = [trial for trial in record.trials if trial.configuration["loss"]]
    assert lossy
    assert all(r["dropped"] for trial in lossy for r in trial.impairment["rules"])
    assert record.environment["calibration"]["senders"] == 2
    _verify(study)
    assert swarm.existing() == set()


def _verify(study: Study) -> None:
    """The load of a verified stack comes from the same hosts; where it does not, that is said."""
    path = Path("stack.yaml")
    pick = str(study.record.trials[0].number)
    study.export("stack", pick=pick, output=path)
    verified = study.verify(path)
    (result,) = verified.results
    assert result.measurement is not None
    assert [host["name"] for host in result.measurement.client["hosts"]] == ["node2", "node3"]
    assert not [note for note in verified.notes if "load came from" in note]
    from_here = Study.open("small", backend="swarm").verify(path)
    assert [note for note in from_here.notes if "load came from" in note]


def test_what_only_this_machine_reaches_is_refused(senders: DaskProcesses) -> None:
    with pytest.raises(InputError, match=r"127.0.0.1 is this machine .* host node2 another one"):
        SenderHosts(senders.on, ("127.0.0.1", 8501)).__enter__()
