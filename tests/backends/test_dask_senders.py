"""Load from the hosts of a Dask cluster: real workers, two of them with a clock of their own."""

from __future__ import annotations

import itertools
import json
import math
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.backends.dask_processes import (
    Cluster,
    dask_scheduler,
    of_another_clock,
    tune_process,
    until,
)
from tests.deploy.endpoints import Endpoint, endpoint, own_authority, predicted
from tests.load.loopback import CALLS, QUICK, Place, Start, started_servers
from tests.load.test_senders import RATE, Log, as_the_log_says
from tuner import Study
from tuner.backends.dask_senders import SenderHosts
from tuner.errors import InputError, SetupError, TrialFailed, Unreachable
from tuner.load.arrivals import Ramp, due_times, poisson_gaps
from tuner.load.burst_progress import BurstProgress
from tuner.load.division import connections_of
from tuner.load.sender import LoadGenerator
from tuner.measure.measuring import measure_burst
from tuner.measure.samples import Burst
from tuner.spec.study import LoadProfile, LoadSpec

HOSTS = ("beta", "gamma")
DAY_S = 86_400

STUDY = """\
endpoint:
  url: {url}
  ready_seconds: 0.2
{more}search_space:
  concurrency: {{role: scenario, type: int, choices: [2, 4], default: 2}}
load:
  requests: requests.jsonl
  min_seconds: 0.5
  max_seconds: {seconds}
  min_requests: 20
  precision: 0.5
  warmup_max_seconds: 0.3
  max_foreign_percent: 100
objectives: [art_ms, throughput_rps]
budget: {{trials: 2}}
"""


def other_clocks() -> bool:
    """Whether a process here can have another monotonic clock (Linux time namespaces)."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        return False
    tried = [*of_another_clock(1), "true"]
    return subprocess.run(tried, capture_output=True, check=False).returncode == 0


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """With two hosts that send. Where this kernel can, their clocks are days ahead."""
    with dask_scheduler(tmp_path_factory.mktemp("dask")) as made:
        for days, name in enumerate(HOSTS, 3):
            started(made, name, days)
        made.joined(*HOSTS)
        yield made


def started(cluster: Cluster, name: str, days: int = 0) -> None:
    inside = of_another_clock(days) if days and other_clocks() else []
    cluster.start(name, inside=inside, options=("--sends",))


@pytest.fixture
def start() -> Iterator[Start]:
    with started_servers() as begin:
        yield begin


@pytest.fixture
def hosts(cluster: Cluster) -> Iterator[SenderHosts]:
    with SenderHosts(cluster.on) as made:
        yield made


def sent(
    hosts: SenderHosts,
    target: Place,
    senders: int,
    spec: LoadSpec = QUICK,
    rate: float | None = None,
    observe: Callable[[BurstProgress], None] | None = None,
) -> Burst:
    profile = LoadProfile(5, spec, seed=7, rate_rps=rate, senders=senders)
    with LoadGenerator(hosts.engines).connect(target, profile, CALLS) as client:
        return client.run(observe)


def engines(cluster: Cluster) -> set[int]:
    """The processes that send on hosts of the cluster."""
    parents, found = {}, set()
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            # The name, in parentheses, may hold anything; the parent is the second word after it.
            parent = int((directory / "stat").read_text().rpartition(")")[2].split()[1])
            command = (directory / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        parents[int(directory.name)] = parent
        if b"tuner.load.engine" in command:
            found.add(int(directory.name))
    workers = {process.pid for process in cluster.workers.values()}

    def of_a_worker(pid: int) -> bool:
        while pid not in workers and pid in parents:
            pid = parents[pid]
        return pid in workers

    return {pid for pid in found if of_a_worker(pid)}


# ---- one load on one clock ---------------------------------------------------------------------


@pytest.mark.parametrize("senders", [1, 2, 4])
def test_a_burst_from_other_hosts_is_what_the_servers_log_says(
    cluster: Cluster, hosts: SenderHosts, start: Start, senders: int
) -> None:
    log = Log()
    target = start(reply=log.reply)
    burst = sent(hosts, target, senders)
    told = burst.client["hosts"]
    apart_ns = round(1e6 * max(host["clock_known_to_ms"] for host in told))
    as_the_log_says(burst, target, log, apart_ns)
    assert [host["name"] for host in told] == [*HOSTS, *HOSTS][:senders]
    assert all(0 < host["clock_known_to_ms"] < 50 for host in told)
    if other_clocks():
        days = [3, 4, 3, 4][:senders]
        for host, ahead in zip(told, days, strict=True):
            assert host["clock_behind_s"] == pytest.approx(-ahead * DAY_S, abs=0.05)
    measurement = measure_burst(burst, 1, QUICK.batch_seconds)
    assert 0 < measurement.metrics["client_cpu_percent"].value < 100
    assert "client_wait_percent" in measurement.metrics
    assert not engines(cluster)


def test_an_open_loop_from_other_hosts_is_due_when_one_sender_would_send_it(
    hosts: SenderHosts, start: Start
) -> None:
    samples = sent(hosts, start(), 3, replace(QUICK, arrivals="poisson"), RATE).samples
    schedule = due_times(poisson_gaps(7), [Ramp(math.inf, RATE, RATE)])
    expected = np.diff(list(itertools.islice(schedule, len(samples)))) * 1e9
    due = np.sort(samples.start_ns)
    # They stop one after another; up to the first of that nothing is missing.
    mine = [np.isin(samples.connection, connections_of(sender, 3, 5, 1)) for sender in range(3)]
    certain = np.searchsorted(due, min(samples.start_ns[each].max() for each in mine))
    # Merged they are one schedule: each clock's offset is one number for the whole burst.
    assert np.abs(np.diff(due) - expected)[:certain].max() <= 1


# ---- faults ------------------------------------------------------------------------------------


def test_a_host_sends_for_one_run_at_a_time(cluster: Cluster, hosts: SenderHosts) -> None:
    with (
        pytest.raises(SetupError, match="host beta: this host sends for a run that process"),
        SenderHosts(cluster.on),
    ):
        pass
    assert hosts.answers()


def test_what_fails_on_a_host_names_it(cluster: Cluster, hosts: SenderHosts, start: Start) -> None:
    target = start()
    target.addresses = [("127.0.0.1", 1)]
    with pytest.raises(TrialFailed, match=r"host (beta|gamma): .*cannot connect to 127.0.0.1:1"):
        sent(hosts, target, 2)
    assert not engines(cluster)


def test_an_engine_that_is_killed_fails_the_trial(
    cluster: Cluster, hosts: SenderHosts, start: Start
) -> None:
    killed: list[int] = []

    def kill(_: BurstProgress) -> None:
        if not killed:  # what the others have told before is still seen
            killed.append(min(engines(cluster)))
            os.kill(killed[0], signal.SIGKILL)

    with pytest.raises(TrialFailed, match=r"host .*: the load generator ended unexpectedly"):
        sent(hosts, start(), 2, observe=kill)
    assert not engines(cluster)


def test_a_host_that_is_lost_is_waited_for(tmp_path: Path, start: Start) -> None:
    with dask_scheduler(tmp_path) as made:
        for name in HOSTS:
            started(made, name)
        made.joined(*HOSTS)
        target = start()

        def end(_: BurstProgress) -> None:
            if "gamma" in made.workers:
                made.end("gamma", signal.SIGKILL)

        with SenderHosts(made.on) as hosts:
            with pytest.raises(Unreachable, match="host gamma, which sends, does not answer"):
                sent(hosts, target, 2, observe=end)
            until(lambda: not hosts.answers(), 60)
        with pytest.raises(Unreachable, match="host gamma, which sends, is not there"):
            hosts.__enter__()
        started(made, "gamma")
        made.joined("gamma")
        until(hosts.answers, 60)
        with hosts:
            assert len(sent(hosts, target, 2).samples) > 20
        until(lambda: not engines(made), 60)


def test_a_service_that_hosts_do_not_reach_is_refused(cluster: Cluster) -> None:
    with (
        pytest.raises(SetupError, match=r"host beta, which sends, cannot connect to 127.0.0.1:1:"),
        SenderHosts(cluster.on, ("127.0.0.1", 1)),
    ):
        pass


def test_a_cluster_without_hosts_that_send_is_refused(tmp_path: Path) -> None:
    with dask_scheduler(tmp_path) as made:
        made.start("alpha")
        made.joined("alpha")
        with pytest.raises(SetupError, match="none with the resource tune_sender=1") as refused:
            SenderHosts(made.on).__enter__()
        assert refused.value.mend.endswith(f"tune worker --dask {made.address} --sends")


@pytest.mark.parametrize("backend", ["docker", "simulated", "replay"])
def test_what_other_hosts_cannot_reach_is_refused(backend: str) -> None:
    with pytest.raises(InputError, match="cannot be reached from other hosts"):
        Study.open("mnist", backend=backend, senders_on="dask://10.0.0.1:8786")


# ---- whole runs --------------------------------------------------------------------------------


def written(server: Endpoint, seconds: float = 0.8, more: str = "") -> None:
    place = Path("studies/service")
    place.mkdir(parents=True, exist_ok=True)
    pair = {"request": {"instances": [2.0]}, "response": {"predictions": [3.0]}}
    (place / "requests.jsonl").write_text(json.dumps(pair) + "\n")
    (place / "study.yaml").write_text(
        STUDY.format(url=server.url, seconds=seconds, more=f"  {more}\n" if more else "")
    )


@contextmanager
def run_of(cluster: Cluster, verb: str = "run") -> Iterator[subprocess.Popen[str]]:
    """It is killed at the end, where it still goes on: it would keep the hosts."""
    asked = ("--study", "service", "--backend", "endpoint", "--senders-on", cluster.on)
    with tune_process(verb, *asked) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_study_is_measured_by_other_hosts(cluster: Cluster) -> None:
    with endpoint() as server:
        written(server)
        with run_of(cluster, "check") as check:
            said = " ".join(check.communicate(timeout=300)[0].split())
        assert check.returncode == 0, said
        assert "beta (" in said
        assert "their clocks are known to" in said
        with run_of(cluster) as run:
            said = run.communicate(timeout=300)[0]
        assert run.returncode == 0, said
        with run_of(cluster, "measure") as by_hand:
            told = by_hand.communicate(timeout=300)[0]
        assert "The load came from beta, gamma." in told
        record = Study.open("service", backend="endpoint").record
    assert len(record.trials) == 2
    for trial in record.trials:
        assert trial.measurement is not None
        assert [host["name"] for host in trial.measurement.client["hosts"]] == list(HOSTS)
    assert record.environment["client"] == "hosts of a Dask cluster: beta, gamma"


@pytest.mark.thorough
def test_a_certificate_of_ones_own_is_known_on_other_hosts(
    cluster: Cluster, tmp_path: Path
) -> None:
    tls, certificate = own_authority(tmp_path)
    with endpoint(predicted, tls) as server:
        written(server, more=f"ca: {certificate}")
        with run_of(cluster) as run:
            said = run.communicate(timeout=300)[0]
        assert run.returncode == 0, said


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_ends_leaves_nobody_sending(cluster: Cluster, how: signal.Signals) -> None:
    with endpoint() as server:
        written(server, seconds=300)
        with run_of(cluster) as run:
            until(lambda: len(engines(cluster)) == 2, 120)
            run.send_signal(how)
            until(lambda: not engines(cluster), 60)
            said = run.communicate(timeout=60)[0]
        assert run.returncode == (-how if how is signal.SIGKILL else 130), said
        assert "Traceback" not in said
        time.sleep(0.5)
        sent_so_far = len(server.heads)
        time.sleep(0.5)
        assert len(server.heads) == sent_so_far
        # The hosts are free for the next one.
        with SenderHosts(cluster.on) as hosts:
            assert hosts.least == 2
