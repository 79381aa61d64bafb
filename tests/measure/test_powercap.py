from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.measure.powercap import energy, joules

RANGE = 262143328850
"""What the kernel says of a counter of 32 bits in steps of 61 microjoules."""


def zone(sys: Path, directory: str, name: str, microjoules: int, wraps: int = RANGE) -> Path:
    """A powercap zone, as the kernel lays them out: one flat directory of links."""
    path = sys / "class/powercap" / directory
    path.mkdir(parents=True)
    (path / "name").write_text(f"{name}\n")
    (path / "energy_uj").write_text(f"{microjoules}\n")
    (path / "max_energy_range_uj").write_text(f"{wraps}\n")
    return path


@pytest.fixture
def server(tmp_path: Path) -> Path:
    """Two packages with their parts, and the whole platform."""
    (tmp_path / "class/powercap/intel-rapl").mkdir(parents=True)  # the control type itself
    zone(tmp_path, "intel-rapl:0", "package-0", 5_000_000)
    zone(tmp_path, "intel-rapl:0:0", "core", 3_000_000)
    zone(tmp_path, "intel-rapl:0:1", "dram", 700_000, wraps=65712999613)
    zone(tmp_path, "intel-rapl:1", "package-1-die-0", 6_000_000)
    zone(tmp_path, "intel-rapl:1:0", "uncore", 10)
    zone(tmp_path, "intel-rapl:2", "psys", 99_000_000)
    zone(tmp_path, "intel-rapl-mmio:0", "package-0", 5_000_000)  # the same package once more
    return tmp_path


def test_packages_and_their_memory_are_counted_once(server: Path) -> None:
    assert energy(server) == {
        "intel-rapl:0 package-0": (5_000_000, RANGE),
        "intel-rapl:0:1 dram": (700_000, 65712999613),
        "intel-rapl:1 package-1-die-0": (6_000_000, RANGE),
    }


def test_energy_of_all_domains_together(server: Path) -> None:
    before = energy(server)
    (server / "class/powercap/intel-rapl:0/energy_uj").write_text("7500000\n")
    (server / "class/powercap/intel-rapl:0:0/energy_uj").write_text("4900000\n")
    (server / "class/powercap/intel-rapl:0:1/energy_uj").write_text("1200000\n")
    assert joules(before, energy(server)) == 3.0


def test_without_rapl_there_is_no_energy_rather_than_none_used(tmp_path: Path) -> None:
    assert energy(tmp_path) == {}
    assert joules({}, {}) is None


def test_a_counter_that_cannot_be_read_is_left_out(server: Path) -> None:
    # A directory in its place, because root may read any file.
    counter = server / "class/powercap/intel-rapl:1/energy_uj"
    before = energy(server)
    counter.unlink()
    counter.mkdir()
    after = energy(server)
    assert after.keys() == {"intel-rapl:0 package-0", "intel-rapl:0:1 dram"}
    assert joules(after, after) == 0.0
    assert joules(before, after) is None, "what is left is not the machine's energy"
    assert joules(after, before) is None


@given(
    readings=st.lists(
        st.integers(1, 2**40).flatmap(
            lambda wraps: st.tuples(st.just(wraps), st.integers(0, wraps), st.integers(0, wraps))
        ),
        min_size=1,
        max_size=6,
    )
)
def test_what_was_used_is_found_though_counters_start_again(
    readings: list[tuple[int, int, int]],
) -> None:
    before = {str(i): (start, wraps) for i, (wraps, start, _) in enumerate(readings)}
    after = {
        str(i): ((start + used) % (wraps + 1), wraps)
        for i, (wraps, start, used) in enumerate(readings)
    }
    assert joules(before, after) == sum(used for _, _, used in readings) / 1e6
