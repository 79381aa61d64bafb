from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tuner.spec.study import NetworkSpec

amounts = st.just(0.0) | st.floats(0.01, 99)
networks = st.builds(
    NetworkSpec,
    loss_in=amounts,
    loss_out=amounts,
    delay_ms=amounts,
    jitter_ms=amounts,
    bandwidth_mbit=st.none() | st.floats(0.01, 1e5),
)


@given(network=networks)
def test_clean_is_what_neither_drops_nor_shapes(network: NetworkSpec) -> None:
    assert network.lossy == (max(network.loss_in, network.loss_out) > 0)
    assert network.shaped == (network.delay_ms > 0 or network.bandwidth_mbit is not None)
    assert network.clean == (not network.lossy and not network.shaped)


def test_a_network_is_clean_unless_more_is_said() -> None:
    assert NetworkSpec().clean
    assert NetworkSpec(jitter_ms=5).clean, "there is no delay around which to vary"
