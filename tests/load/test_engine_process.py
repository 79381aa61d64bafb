"""The engine as a process: how it ends, where it runs, what it may open."""

import os
import resource
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.load.loopback import CALLS, QUICK, Start, count, null_server, send
from tuner.errors import SetupError, TrialFailed
from tuner.load import wire
from tuner.load.burst_progress import BurstProgress
from tuner.load.engine_place import AUTOGROUP, NICE
from tuner.load.engine_process import started_engine
from tuner.load.sender import LoadGenerator
from tuner.measure.samples import RequestOutcome
from tuner.spec.study import LoadProfile


def test_more_connections_than_files_may_be_open(start: Start) -> None:
    with (
        pytest.raises(SetupError, match="open files"),
        LoadGenerator().connect(start(), LoadProfile(2**31, QUICK, 0), CALLS),
    ):
        pass


MANY = 4096


class Interrupted(Exception):  # noqa: N818 -- stands for whatever a caller may raise
    pass


@pytest.mark.parametrize("error", [KeyboardInterrupt, Interrupted])
def test_an_exception_ends_the_engine(start: Start, error: type[BaseException]) -> None:
    target = start()

    def interrupt(_: BurstProgress) -> None:
        raise error

    before = children()
    with pytest.raises(error):
        send(target, observe=interrupt)
    assert children() == before


def test_an_engine_that_crashes_says_why() -> None:
    with pytest.raises(TrialFailed, match="JSONDecodeError"), started_engine() as started:  # noqa: PT012
        started.send(b"\x00\x00\x00\x03\x00\x00\x00\x00 no")
        started.receive("connected")


def test_an_engine_that_is_killed_fails_the_trial(start: Start) -> None:
    def kill(_: BurstProgress) -> None:
        (child,) = children() - before
        os.kill(child, signal.SIGKILL)

    before = children()
    with pytest.raises(TrialFailed, match="ended unexpectedly"):
        send(start(), observe=kill)


def test_the_engine_dies_with_its_parent(start: Start) -> None:
    code = f"""
import os, signal
from tests.load.loopback import Place
from tuner.load.sender import LoadGenerator
from tuner.serving.servers.call import Call
from tuner.spec.study import LoadProfile, LoadSpec
def report(progress):
    print(open(f"/proc/self/task/{{os.getpid()}}/children").read(), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
target = Place([{start().addresses[0]}])
with LoadGenerator().connect(target, LoadProfile(1, LoadSpec(), 0), [Call("/", b"1")]) as client:
    client.run(report)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == -signal.SIGKILL, run.stderr
    child = int(run.stdout)
    deadline = time.monotonic() + 10
    while alive(child) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not alive(child)


def test_ctrl_c_at_the_terminal_does_not_reach_the_engine(start: Start) -> None:
    before = children()
    with LoadGenerator().connect(start(), LoadProfile(1, QUICK, 0), CALLS):
        (child,) = children() - before
        assert os.getsid(child) != os.getsid(0)
        assert os.getpgid(child) != os.getpgid(0)


def test_the_engine_imports_nothing_heavy() -> None:
    code = "import sys, tuner.load.engine; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"numpy", "scipy", "pydantic"} & set(run.stdout.split())


def test_outcome_codes_are_those_of_the_samples() -> None:
    codes = wire.OK, wire.HTTP_ERROR, wire.TIMEOUT, wire.RESET, wire.NOT_SENT
    expected = (
        RequestOutcome.OK,
        RequestOutcome.HTTP_ERROR,
        RequestOutcome.TIMEOUT,
        RequestOutcome.RESET,
        RequestOutcome.NOT_SENT,
    )
    assert codes == expected


linux = pytest.mark.skipif(sys.platform != "linux", reason="says what Linux does")
privileged = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="needs the privileges of root"
)


@linux
def test_where_the_engine_ran_is_told(start: Start) -> None:
    target = start()
    mine = os.sched_getaffinity(0)
    cpu = max(mine)
    target.client_cpus = (cpu,)
    client = send(target).client
    assert client["cpus"] == [cpu]
    assert client["namespace"] == "host"
    assert client["nice"] == NICE or "nice" in client["refused"][0]
    assert os.sched_getaffinity(0) == mine


@privileged
@pytest.mark.skipif(not AUTOGROUP.exists(), reason="this kernel does not group sessions")
def test_the_session_of_the_engine_has_its_priority(start: Start) -> None:
    before = children()
    with LoadGenerator().connect(start(), LoadProfile(1, QUICK, 0), CALLS):
        (child,) = children() - before
        group = Path(f"/proc/{child}/autogroup").read_text()
        assert group.split()[-1] == str(os.getpriority(os.PRIO_PROCESS, child)) == str(NICE)


@linux
def test_cpus_that_are_not_there_are_refused_and_told(start: Start) -> None:
    target = start()
    target.client_cpus = (1023,)
    burst = send(target)
    assert burst.client["cpus"] == sorted(os.sched_getaffinity(0))
    assert "CPUs 1023" in burst.client["refused"][0]
    assert count(burst, RequestOutcome.OK) > 0


@privileged
def test_connections_are_opened_from_the_namespace_that_is_asked_for() -> None:
    before = Path("/proc/self/ns/net").readlink()
    with null_server("--own-namespace") as (pid, target):
        with pytest.raises(TrialFailed, match="cannot connect"):
            send(target)
        target.client_namespace = f"/proc/{pid}/ns/net"
        burst = send(target)
    assert burst.client["namespace"] == "own"
    assert count(burst, RequestOutcome.OK) == len(burst.samples) > 0
    assert Path("/proc/self/ns/net").readlink() == before


@pytest.mark.parametrize("path", ["/proc/self/ns/nothing", "/dev/null"])
def test_a_namespace_that_cannot_be_entered_fails_the_trial(start: Start, path: str) -> None:
    target = start()
    target.client_namespace = path
    with pytest.raises(TrialFailed, match=f"cannot enter the network namespace {path}: .+"):
        send(target)


def test_as_many_connections_as_are_promised() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if resource.RLIM_INFINITY != hard < MANY + 100:
        pytest.skip(f"at most {hard} open files")
    # Each connection opened and used within what a busy machine may need.
    spec = replace(QUICK, timeout_seconds=20.0, warmup_max_seconds=0.1)
    with null_server() as (_, target):
        burst = send(target, MANY, spec)
    assert count(burst, RequestOutcome.OK) == len(burst.samples)
    assert len(np.unique(burst.samples.connection)) == MANY


def may_raise_hard_limits() -> bool:
    code = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
resource.setrlimit(resource.RLIMIT_NOFILE, (65, 65))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    return run.returncode == 0


@pytest.mark.parametrize("limits", ["64, hard", pytest.param("64, 64", marks=pytest.mark.thorough)])
def test_low_limits_of_open_files_are_raised_where_they_may_be(start: Start, limits: str) -> None:
    code = f"""
import resource
from tests.load.loopback import Place, send
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, ({limits}))
print(len(set(send(Place([{start().addresses[0]}]), 100).samples.connection.tolist())))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if limits == "64, hard" or may_raise_hard_limits():
        assert run.stdout.strip() == "100", run.stderr
    else:
        assert "concurrency 100 needs 164 open files, the limit is 64" in run.stderr


def children() -> set[int]:
    with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:  # noqa: PTH123
        return {int(pid) for pid in file.read().split()}


def alive(pid: int) -> bool:
    """Whether the process runs; one that nobody has waited for yet does not."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:  # noqa: PTH123
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
