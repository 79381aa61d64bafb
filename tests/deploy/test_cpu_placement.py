from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.deploy.cpu_placement import FEWEST_APART, CpuPlacement, place_on_cpus
from tuner.errors import SetupError


@given(st.integers(2, 256))
def test_apart_gives_every_cpu_to_one_of_both(cpus: int) -> None:
    placed = place_on_cpus("apart", cpus, local=True)
    assert placed.client == (cpus - 1,)
    assert (*placed.replicas, *placed.client) == tuple(range(cpus))
    assert placed.cpuset == ",".join(str(n) for n in range(cpus - 1))
    assert placed.placement == "apart"


@given(st.integers(2, 256), st.integers(1, 64))
def test_each_sender_gets_a_cpu_as_long_as_the_replicas_have_half(cpus: int, senders: int) -> None:
    placed = place_on_cpus("apart", cpus, local=True, senders=senders)
    assert (*placed.replicas, *placed.client) == tuple(range(cpus))
    assert len(placed.client) == min(senders, cpus // 2)


@given(st.integers(1, 256))
def test_shared_leaves_both_anywhere(cpus: int) -> None:
    placed = place_on_cpus("shared", cpus, local=True)
    assert placed == CpuPlacement("shared")
    assert placed.cpuset is None


@given(st.integers(1, 256))
def test_auto_is_apart_where_a_cpu_can_be_spared(cpus: int) -> None:
    apart = cpus >= FEWEST_APART
    assert place_on_cpus("auto", cpus, local=True) == place_on_cpus(
        "apart" if apart else "shared", cpus, True
    )


def test_one_cpu_cannot_be_shared_out() -> None:
    with pytest.raises(SetupError, match="has only one"):
        place_on_cpus("apart", 1, local=True)


def test_another_machine_has_no_client_to_keep_apart() -> None:
    assert place_on_cpus("apart", 1, local=False) == CpuPlacement("other machine")
