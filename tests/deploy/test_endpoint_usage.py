"""Where CPU time and memory of an endpoint are counted."""

import json
import os
from pathlib import Path

import pytest

from tests.deploy.endpoints import endpoint, response
from tuner.deploy.cgroup import CgroupV2, control_group
from tuner.deploy.endpoint_usage import usage_source
from tuner.errors import SetupError
from tuner.spec.study import UsageSpec

FILES = {
    "cgroup.procs": f"{os.getpid()}\n",
    "cpu.stat": "usage_usec 1500\n",
    "memory.stat": "pgmajfault 2\n",
    "memory.events": "max 3\noom_kill 0\n",
    "memory.max": "max\n",
    "memory.current": "4096\n",
}


def test_a_control_group_is_found_by_its_path(tmp_path: Path) -> None:
    group = tmp_path / "my.slice"
    group.mkdir()
    for name, text in FILES.items():
        (group / name).write_text(text)
    found = control_group("/my.slice", tmp_path)
    assert isinstance(found, CgroupV2)
    counters = found.counters()
    assert (counters.cpu_ns, counters.memory_peak_bytes) == (1_500_000, 4096)
    assert control_group("/other.slice", tmp_path) is None
    (group / "cgroup.procs").write_text("")
    assert control_group("/my.slice", tmp_path) is None, "nothing runs in it"


def answering(rows: object, status: str = "200 OK") -> bytes:
    document = {"data": {"resultType": "vector", "result": rows}}
    return response(json.dumps(document).encode(), status=status)


def test_prometheus_gives_the_time_of_its_scrape() -> None:
    def reply(target: str, _body: bytes) -> bytes:
        value = "1700000000.5" if "timestamp" in target else "7.25"
        return answering([{"value": [1700000009, value]}])

    with endpoint(reply) as server:
        usage = UsageSpec(prometheus=server.url.partition("/v1")[0], cpu="cpu", memory="ram")
        with usage_source(usage) as source:
            assert source is not None
            assert source.cpu_time() == (1_700_000_000_500_000_000, 7_250_000_000)
            assert source.counters().memory_peak_bytes == 7


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (answering([]), "gives 0 series, expected 1"),
        (answering([{"value": [1, "1"]}] * 2), "gives 2 series, expected 1"),
        (answering([{"value": [1, "x"]}]), "is answered 200"),
        (response(b'{"error": "bad query"}', status="400 Bad"), "is answered 400: .*bad query"),
        (response(b"", "Location: /new", status="302 Found"), "is answered 302"),
    ],
)
def test_a_query_without_one_value_is_refused(reply: bytes, message: str) -> None:
    with endpoint(lambda _target, _body: reply) as server:
        usage = UsageSpec(prometheus=server.url.partition("/v1")[0], cpu="cpu")
        with pytest.raises(SetupError, match=message), usage_source(usage):
            pass
