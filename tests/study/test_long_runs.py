"""The benchmark of long studies takes the time of functions by their names; they must be there."""

from __future__ import annotations

from pathlib import Path

from benchmarks.long_runs import ran


def test_a_short_one_is_sampled(tmp_path: Path) -> None:
    samples = ran(tmp_path, "simulated", trials=4, every=2)
    assert [s.trials for s in samples] == [2, 4]
    assert all(s.tell and s.outside_mean > 0 and s.resident_mib > 0 for s in samples)
