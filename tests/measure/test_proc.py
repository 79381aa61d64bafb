from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.measure.proc import (
    LinkCounters,
    TcpCounters,
    cpu_model,
    host_counters,
    link_counters,
    pressure_ns,
    tcp_counters,
    wait_ns,
)

DEV = """\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo \
colls carrier compressed
"""
SNMP = """\
Ip: Forwarding DefaultTTL InReceives
Ip: 1 64 7
Tcp: RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens PassiveOpens AttemptFails EstabResets \
CurrEstab InSegs OutSegs RetransSegs InErrs OutRsts InCsumErrors
Tcp: 1 200 120000 -1 878 2 413 0 0 1534345 3801060 12 0 10 0
Udp: InDatagrams NoPorts
Udp: 5 0
"""
STAT = """\
cpu  1000 20 300 5000 60 7 8 90 40 10
cpu0 600 20 100 2500 30 7 0 45 40 0
cpu1 400 0 200 2500 30 0 8 45 0 10
intr 12345 0 0
ctxt 678
btime 1700000000
"""
counts = st.integers(0, 2**63)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def schedstat(proc: Path, pid: int, tid: int, text: str) -> None:
    write(proc / str(pid) / "task" / str(tid) / "schedstat", text)


@given(
    threads=st.dictionaries(
        st.tuples(st.integers(1, 3), st.integers(1, 50)), st.tuples(counts, counts), min_size=1
    )
)
def test_waiting_of_all_threads(threads: dict[tuple[int, int], tuple[int, int]]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        proc = Path(directory)
        for (pid, tid), (ran, waited) in threads.items():
            schedstat(proc, pid, tid, f"{ran} {waited} 3\n")
        assert wait_ns([1, 2, 3], proc) == sum(waited for _, waited in threads.values())
        (pid, tid), (_, waited) = min(threads.items())
        assert wait_ns([pid], proc) == sum(w for (p, _), (_, w) in threads.items() if p == pid)


def test_threads_and_processes_that_have_ended_are_left_out(tmp_path: Path) -> None:
    schedstat(tmp_path, 1, 1, "500 70 3\n")
    (tmp_path / "1/task/2").mkdir()
    assert wait_ns([1, 99], tmp_path) == 70


def test_waiting_that_the_kernel_does_not_count_is_not_zero(tmp_path: Path) -> None:
    (tmp_path / "1/task/1").mkdir(parents=True)
    assert wait_ns([1], tmp_path) is None
    assert wait_ns([], tmp_path) is None
    schedstat(tmp_path, 1, 1, "0 0 0\n")
    assert wait_ns([1], tmp_path) is None
    schedstat(tmp_path, 1, 1, "9 0 1\n")
    assert wait_ns([1], tmp_path) == 0


@given(
    interfaces=st.dictionaries(
        st.from_regex(r"eth[0-9]{1,3}|veth[0-9a-f]{7}|lowpan0", fullmatch=True),
        st.tuples(counts, counts),
        max_size=5,
    ),
    loopback=counts,
)
def test_bytes_of_all_links(interfaces: dict[str, tuple[int, int]], loopback: int) -> None:
    own = {"lo": (loopback, loopback), "ifb0": (loopback, loopback)}
    lines = [
        f"{name:>6}: {received:7} 1 0 0 0 0 0 0 {sent:8} 2 0 0 0 0 0 0\n"
        for name, (received, sent) in (own | interfaces).items()
    ]
    with tempfile.TemporaryDirectory() as directory:
        write(Path(directory) / "7/net/dev", DEV + "".join(lines))
        assert link_counters(7, Path(directory)) == LinkCounters(
            sum(received for received, _ in interfaces.values()),
            sum(sent for _, sent in interfaces.values()),
        )


def test_a_name_that_fills_its_column_is_read_too(tmp_path: Path) -> None:
    write(tmp_path / "7/net/dev", f"{DEV}enp129s0f0:123456789 1 0 0 0 0 0 0 42 2 0 0 0 0 0 0\n")
    assert link_counters(7, tmp_path) == LinkCounters(123456789, 42)


def test_segments_hold_those_sent_again(tmp_path: Path) -> None:
    write(tmp_path / "7/net/snmp", SNMP)
    assert tcp_counters(7, tmp_path) == TcpCounters(segments_sent=3801072, retransmitted=12)


def test_a_process_that_has_ended_has_no_network(tmp_path: Path) -> None:
    assert link_counters(7, tmp_path) is None
    assert tcp_counters(7, tmp_path) is None


def test_pressure_is_that_of_some_task(tmp_path: Path) -> None:
    file = tmp_path / "cpu.pressure"
    file.write_text(
        "some avg10=0.23 avg60=0.38 avg300=2.84 total=42315595\n"
        "full avg10=0.00 avg60=0.00 avg300=0.00 total=17\n"
    )
    assert pressure_ns(file) == 42315595000


def test_pressure_that_is_not_accounted_is_not_zero(tmp_path: Path) -> None:
    assert pressure_ns(tmp_path / "cpu.pressure") is None
    (tmp_path / "empty").touch()
    assert pressure_ns(tmp_path / "empty") is None


def test_the_machine_as_proc_states_it(tmp_path: Path) -> None:
    write(tmp_path / "proc/stat", STAT)
    zone = tmp_path / "sys/class/powercap/intel-rapl:0"
    for name, text in (("name", "package-0"), ("energy_uj", "5"), ("max_energy_range_uj", "9")):
        write(zone / name, f"{text}\n")
    found = host_counters(tmp_path / "proc", tmp_path / "sys")
    assert found is not None
    second = os.sysconf("SC_CLK_TCK")
    assert found.cpus == 2
    assert found.busy_ns * second == 1320 * 10**9, "user, nice and system: no guest a second time"
    assert found.steal_ns * second == 90 * 10**9
    assert found.energy_uj == {"intel-rapl:0 package-0": (5, 9)}


def test_no_machine_without_proc(tmp_path: Path) -> None:
    assert host_counters(tmp_path, tmp_path) is None


@pytest.mark.skipif(not Path("/proc/self/net/snmp").exists(), reason="needs Linux's proc(5)")
def test_this_machine() -> None:
    first, again = host_counters(), host_counters()
    assert first is not None
    assert again is not None
    assert first.cpus >= len(os.sched_getaffinity(0))
    assert first.time_ns < again.time_ns
    assert 0 < first.busy_ns <= again.busy_ns
    assert 0 < first.own_ns <= again.own_ns
    pid = os.getpid()
    assert link_counters(pid) is not None
    segments = tcp_counters(pid)
    assert segments is not None
    assert 0 <= segments.retransmitted <= segments.segments_sent
    waited = wait_ns([pid])
    assert (waited is not None) == Path("/proc/self/schedstat").exists()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("processor\t: 0\nmodel name\t: Some CPU @ 2.0GHz\n", "Some CPU @ 2.0GHz"),
        ("processor\t: 0\nBogoMIPS\t: 50\n", None),
    ],
)
def test_processors_have_a_name_where_the_kernel_says_it(
    tmp_path: Path, text: str, expected: str | None
) -> None:
    (tmp_path / "cpuinfo").write_text(text)
    assert cpu_model(tmp_path) == expected
