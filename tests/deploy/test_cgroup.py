from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tuner.deploy.cgroup import Around, CgroupV1, CgroupV2, Limits, parse_proc_cgroup
from tuner.deploy.engine_statistics import from_statistics

V1 = """\
13:cpuset:/docker/4f0d
5:memory:/docker/4f0d
3:cpu,cpuacct:/docker/4f0d
1:name=systemd:/docker/4f0d
0::/docker/4f0d
"""


def tree(root: Path, **files: str) -> Path:
    """Files named `a_dot_b` for `a.b`."""
    root.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (root / name.replace("_dot_", ".")).write_text(text)
    return root


def around(root: Path) -> Around:
    """Two processes of two threads each, in one network namespace; pressure of CPU and memory."""
    for pid in (40, 41):
        for thread in (pid, pid + 100):
            tree(root / f"proc/{pid}/task/{thread}", schedstat=f"1 {thread} 3\n")
        tree(
            root / f"proc/{pid}/net",
            dev="Inter-|   Receive |  Transmit\n face |bytes packets|bytes packets\n"
            "    lo: 9 9 0 0 0 0 0 0 9 9 0 0 0 0 0 0\n"
            "  eth0: 5000 9 0 0 0 0 0 0 7000 9 0 0 0 0 0 0\n",
            snmp="Tcp: RtoAlgorithm OutSegs RetransSegs\nTcp: 1 90 10\n",
        )
    tree(root / "processes", cgroup_dot_procs="40\n41\n")
    tree(
        root / "pressure",
        cpu_dot_pressure="some avg10=0.00 avg60=0.00 avg300=0.00 total=7\n",
        memory_dot_pressure="some avg10=0.00 avg60=0.00 avg300=0.00 total=8\n",
    )
    processes = root / "processes" / "cgroup.procs"
    return Around(processes, 40, root / "pressure", root / "proc")


def v1(root: Path, memory_limit: int = 268435456) -> CgroupV1:
    return CgroupV1(
        tree(
            root / "cpu",
            cpu_dot_stat="nr_periods 18\nnr_throttled 15\nthrottled_time 719043944\n",
            cpu_dot_cfs_quota_us="50000\n",
            cpu_dot_cfs_period_us="100000\n",
        ),
        tree(root / "cpuacct", cpuacct_dot_usage="834492581\n"),
        tree(
            root / "memory",
            memory_dot_stat="cache 4096\npgmajfault 1\ntotal_pgmajfault 12\n",
            memory_dot_oom_control="oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
            memory_dot_max_usage_in_bytes="69165056\n",
            memory_dot_failcnt="7\n",
            memory_dot_limit_in_bytes=f"{memory_limit}\n",
            memory_dot_memsw_dot_limit_in_bytes=f"{memory_limit}\n",
        ),
        around(root),
    )


def v2(root: Path) -> CgroupV2:
    return CgroupV2(
        tree(
            root,
            cpu_dot_stat="usage_usec 834492\nuser_usec 1\nnr_periods 18\nnr_throttled 15\n"
            "throttled_usec 719043\n",
            cpu_dot_max="50000 100000\n",
            memory_dot_stat="anon 1\npgmajfault 12\n",
            memory_dot_events="low 0\nhigh 0\nmax 7\noom 2\noom_kill 2\n",
            memory_dot_peak="69165056\n",
            memory_dot_current="60000000\n",
            memory_dot_max="268435456\n",
            memory_dot_swap_dot_max="0\n",
        ),
        around(root),
    )


def test_a_proc_file_of_version_1_names_every_controller() -> None:
    groups = parse_proc_cgroup(V1.splitlines())
    assert groups["cpu"] == groups["cpuacct"] == groups["memory"] == groups[""] == "/docker/4f0d"
    assert groups["name=systemd"] == "/docker/4f0d"


def test_a_proc_file_of_version_2_has_one_line_whose_path_may_hold_colons() -> None:
    assert parse_proc_cgroup(["0::/system.slice/docker-4f0d:x.scope"]) == {
        "": "/system.slice/docker-4f0d:x.scope"
    }
    assert parse_proc_cgroup([]) == {}


def test_counters_of_version_1(tmp_path: Path) -> None:
    found = v1(tmp_path).counters()
    assert found.cpu_ns == 834492581
    assert (found.periods, found.throttled_periods, found.throttled_ns) == (18, 15, 719043944)
    assert (found.memory_peak_bytes, found.memory_limit_hits, found.oom_kills) == (69165056, 7, 2)
    assert (found.major_faults, found.source) == (12, "cgroup v1")


def test_counters_of_version_2(tmp_path: Path) -> None:
    found = v2(tmp_path).counters()
    assert found.cpu_ns == 834492000
    assert (found.periods, found.throttled_periods, found.throttled_ns) == (18, 15, 719043000)
    assert (found.memory_peak_bytes, found.memory_limit_hits, found.oom_kills) == (69165056, 7, 2)
    assert (found.major_faults, found.source) == (12, "cgroup v2")


def test_before_linux_5_19_the_peak_of_version_2_is_what_is_used_now(tmp_path: Path) -> None:
    group = v2(tmp_path)
    (tmp_path / "memory.peak").unlink()
    assert group.counters().memory_peak_bytes == 60000000


def test_the_peak_is_counted_anew_where_the_kernel_can_do_that(tmp_path: Path) -> None:
    first = v1(tmp_path / "1")
    assert first.forget_peak()
    assert first.counters().memory_peak_bytes == 0
    second = v2(tmp_path / "2")
    assert not second.forget_peak()
    assert second.counters().memory_peak_bytes == 69165056


def test_counters_of_a_container_that_has_ended_are_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        CgroupV2(tmp_path / "gone", around(tmp_path)).counters()


@pytest.mark.parametrize("make", [v1, v2])
def test_what_the_kernel_knows_of_the_processes(
    make: Callable[[Path], CgroupV1 | CgroupV2], tmp_path: Path
) -> None:
    group = make(tmp_path)
    found = group.counters()
    assert found.wait_ns == 40 + 140 + 41 + 141
    assert (found.received_bytes, found.sent_bytes) == (5000, 7000)
    assert (found.segments_sent, found.retransmitted) == (100, 10)
    assert (found.cpu_pressure_ns, found.memory_pressure_ns) == (7000, 8000)
    assert found.io_pressure_ns is None
    time_ns, cpu_ns = group.cpu_time()
    assert cpu_ns == found.cpu_ns
    assert time_ns >= found.time_ns


def test_what_the_kernel_does_not_know_is_none(tmp_path: Path) -> None:
    known = around(tmp_path)
    bare = Around(known.processes, 1, None, tmp_path / "no-proc")
    assert set(bare.counters().values()) == {None}


@pytest.mark.parametrize("make", [v1, v2])
def test_limits(make: Callable[[Path], CgroupV1 | CgroupV2], tmp_path: Path) -> None:
    assert make(tmp_path).limits() == Limits(0.5, 268435456, 0)


def test_no_limits_of_version_1(tmp_path: Path) -> None:
    group = v1(tmp_path, memory_limit=9223372036854771712)
    (group.cpu / "cpu.cfs_quota_us").write_text("-1\n")
    assert group.limits() == Limits(None, None, None)


def test_swap_beside_the_memory_of_version_1(tmp_path: Path) -> None:
    group = v1(tmp_path)
    (group.memory / "memory.memsw.limit_in_bytes").write_text("536870912\n")
    assert group.limits().swap_bytes == 268435456


def test_no_limits_of_version_2(tmp_path: Path) -> None:
    group = v2(tmp_path)
    for name, text in (("cpu", "max 100000"), ("memory", "max"), ("memory.swap", "max")):
        (tmp_path / f"{name}.max").write_text(f"{text}\n")
    assert group.limits() == Limits(None, None, None)


def test_counters_from_the_engines_statistics() -> None:
    reply = {
        "read": "2024-05-06T07:08:09.123456789Z",
        "cpu_stats": {
            "cpu_usage": {"total_usage": 834492581},
            "throttling_data": {"periods": 18, "throttled_periods": 15, "throttled_time": 719},
        },
        "memory_stats": {"usage": 60000000, "stats": {"pgmajfault": 12}},
        "networks": {
            "eth0": {"rx_bytes": 5000, "tx_bytes": 7000},
            "eth1": {"rx_bytes": 1, "tx_bytes": 2},
        },
    }
    first = from_statistics(reply)
    assert first.cpu_ns == 834492581
    assert (first.periods, first.throttled_periods, first.throttled_ns) == (18, 15, 719)
    assert (first.memory_peak_bytes, first.major_faults) == (60000000, 12)
    assert (first.received_bytes, first.sent_bytes) == (5001, 7002)
    assert first.wait_ns is first.segments_sent is first.cpu_pressure_ns is None
    assert first.source == "engine statistics"
    later = from_statistics(reply | {"read": "2024-05-06T07:08:10.623456Z"})
    assert (later.time_ns - first.time_ns) / 1e9 == pytest.approx(1.5, abs=1e-5)
