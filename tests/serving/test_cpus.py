import os
from pathlib import Path

import pytest

from tuner.serving.server.cpus import cpu_limit

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
