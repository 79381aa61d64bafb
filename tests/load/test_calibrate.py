import pytest

from tests.load.loopback import BODIES, BUSY, Start, null_server
from tuner.errors import TrialFailed
from tuner.load.calibrate import CAPACITIES, calibrate
from tuner.load.sender import LoadGenerator


@pytest.mark.alone
def test_floor_and_capacity() -> None:
    with null_server() as (_, target):
        found = calibrate(LoadGenerator(), target, BODIES, 0.8)
    floor, capacity = found.floor_ms, found.capacity_rps
    assert floor.low is not None
    assert floor.high is not None
    assert 0 < floor.low <= floor.value <= floor.high
    assert found.concurrency in CAPACITIES
    assert capacity.low is not None
    assert capacity.high is not None
    assert 0 <= capacity.low <= capacity.value <= capacity.high
    # The engine is one thread, so what it does in a second takes a second of CPU at most.
    assert 0 < found.client_cpu_us * capacity.value < 1.1e6


def test_a_floor_is_that_of_requests_that_succeed(start: Start) -> None:
    with pytest.raises(TrialFailed, match="failed during the calibration"):
        calibrate(LoadGenerator(), start(reply=lambda _n, _body: BUSY), BODIES, 0.65)
