"""The ports on which a compose file or a script answers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.export.small import study, trial
from tuner.errors import InputError
from tuner.export.published import published_ports
from tuner.export.served import served_by

ONE = study(trial(0, 3.0, 30.0))
PORTS = st.integers(-10, 70_000)


@given(st.integers(1, 40), PORTS, st.none() | PORTS)
def test_ports_exist_and_none_is_published_twice_or_it_is_refused(
    count: int, rest: int, grpc: int | None
) -> None:
    try:
        ports = published_ports(count, rest, grpc)
    except InputError:
        first = rest - count if grpc is None else grpc
        inside = min(rest, first) >= 1 and max(rest, first) + count - 1 <= 65_535
        assert not inside or abs(rest - first) < count
        return
    published = [*ports.rest, *ports.grpc]
    assert len(set(published)) == 2 * count
    assert all(1 <= port <= 65_535 for port in published)
    assert ports.rest[0] == rest
    if grpc is None:
        assert ports.grpc[-1] == rest - 1
    else:
        assert ports.grpc[0] == grpc


def test_one_replica_has_tensorflow_servings_own_ports() -> None:
    plan = served_by(ONE, ONE.trials[0]).plan
    assert published_ports(1).of(0, plan) == ["127.0.0.1:8501:8501", "127.0.0.1:8500:8500"]


def test_ports_that_overlap_are_named() -> None:
    with pytest.raises(InputError, match=r"gRPC \(8502 to 8504\) and for REST \(8501 to 8503\)"):
        published_ports(3, 8501, 8502)
