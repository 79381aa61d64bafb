import os
from pathlib import Path

import pytest

from tuner.serving.server.limits import body_limit, cpu_limit, memory_limit

ALL = float(len(os.sched_getaffinity(0)))


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cpu.max": "25000 100000\n"}, 0.25),
        ({"cpu.max": "max 100000\n"}, ALL),
        ({"cpu.max": "900000000 100000\n"}, ALL),
        ({"cpu/cpu.cfs_quota_us": "50000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 0.5),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, ALL),
        (
            {
                "cpu,cpuacct/cpu.cfs_quota_us": "10000\n",
                "cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            },
            0.1,
        ),
        ({}, ALL),
    ],
)
def test_the_limit_is_the_smaller_of_quota_and_affinity(
    files: dict[str, str], expected: float, tmp_path: Path
) -> None:
    for name, content in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
    assert cpu_limit(tmp_path) == expected


MIB = 2**20


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"memory.max": "67108864\n"}, 64 * MIB),
        ({"memory/memory.limit_in_bytes": "134217728\n"}, 128 * MIB),
    ],
)
def test_the_memory_limit_is_the_control_groups(
    files: dict[str, str], expected: int, tmp_path: Path
) -> None:
    for name, content in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
    assert memory_limit(tmp_path) == expected


def test_without_a_limit_it_is_the_machines_memory(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("max\n")
    assert memory_limit(tmp_path) == memory_limit(tmp_path / "nothing") > 64 * MIB


@pytest.mark.parametrize(
    ("memory", "largest"),
    [(16 * MIB, MIB), (128 * MIB, 4 * MIB), (2**40, 64 * MIB)],
)
def test_the_largest_body_fits_the_memory(memory: int, largest: int) -> None:
    assert body_limit(memory) == largest
