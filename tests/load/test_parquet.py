from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tuner.errors import InputError
from tuner.load.parquet import read_samples, write_samples
from tuner.measure.samples import Burst, ClientCounters, CpuReadings, RequestSamples


def burst(n: int = 5) -> Burst:
    return Burst(
        samples=RequestSamples(
            start_ns=np.arange(n, dtype=np.int64) * 10**12,
            delay_ns=np.arange(n, dtype=np.int64) * 3,
            duration_ns=np.arange(n, dtype=np.int64) + 2**40,
            status=np.full(n, 200, np.int16),
            outcome=np.zeros(n, np.int8),
            replica=np.arange(n, dtype=np.int16) % 2,
            connection=np.arange(n, dtype=np.int32),
            request=np.arange(n, dtype=np.int32)[::-1].copy(),
        ),
        window_start_ns=10,
        window_end_ns=2**60,
        counters_start=(),
        counters_end=(),
        cpu=CpuReadings(np.zeros((1, 0), np.int64), np.zeros((1, 0), np.int64)),
        client_start=(ClientCounters(0, 0),),
        client_end=(ClientCounters(1, 1),),
        host_start=None,
        host_end=None,
        concurrency=5,
        stop_reason="",
    )


@pytest.mark.parametrize("n", [0, 5])
def test_what_is_written_is_read(tmp_path: Path, n: int) -> None:
    path = tmp_path / "samples" / "trial-0000.parquet"
    written = burst(n)
    write_samples(path, written)
    read = read_samples(path)
    for name in RequestSamples.__dataclass_fields__:
        before, after = getattr(written.samples, name), getattr(read.samples, name)
        assert after.dtype == before.dtype
        assert (after == before).all()
    assert (read.window_start_ns, read.window_end_ns, read.concurrency) == (10, 2**60, 5)
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_samples_of_format_1_have_no_delay(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    write_samples(path, burst())
    table = pq.read_table(path)
    metadata = table.schema.metadata | {b"tune.format": b"1"}
    pq.write_table(table.drop_columns("delay_ns").replace_schema_metadata(metadata), path)
    read = read_samples(path)
    assert read.samples.delay_ns.dtype == np.int64
    assert read.samples.delay_ns.tolist() == [0] * 5
    assert (read.samples.start_ns == burst().samples.start_ns).all()
    assert read.concurrency == 5


def test_a_failed_write_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    write_samples(path, burst())
    before = path.read_bytes()
    broken = burst()
    object.__setattr__(broken.samples, "status", np.array([object()] * 5))
    with pytest.raises(Exception, match="object"):
        write_samples(path, broken)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_files_that_are_not_samples_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    with pytest.raises(InputError, match=r"a\.parquet"):
        read_samples(path)
    path.write_bytes(b"no")
    with pytest.raises(InputError, match="not a readable"):
        read_samples(path)
    write_samples(path, burst())
    table = pq.read_table(path)
    pq.write_table(table.replace_schema_metadata({b"tune.format": b"999"}), path)
    with pytest.raises(InputError, match="format 999"):
        read_samples(path)
    pq.write_table(table.drop_columns(["duration_ns"]), path)
    with pytest.raises(InputError, match="not whole samples"):
        read_samples(path)
