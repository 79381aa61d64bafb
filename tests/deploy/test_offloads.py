from __future__ import annotations

from tuner.deploy.offloads import FEATURES, OFF, parse_offloads, show_offloads, switch_offloads

# The beginning of `ethtool -k eth0` of ethtool 6.1 in a container.
PRINTED = """\
Features for eth0:
rx-checksumming: on
tx-checksumming: on
	tx-checksum-ipv4: off [fixed]
scatter-gather: on
	tx-scatter-gather: on
tcp-segmentation-offload: on
	tx-tcp-segmentation: on
	tx-tcp-mangleid-segmentation: on
generic-segmentation-offload: on
generic-receive-offload: off [requested on]
large-receive-offload: off [fixed]
"""


def test_the_three_are_read_whatever_stands_behind_their_state() -> None:
    assert parse_offloads(PRINTED) == {"tso": True, "gso": True, "gro": False}


def test_what_an_interface_does_not_name_is_left_out() -> None:
    assert parse_offloads("Features for lo:\ngeneric-receive-offload: on\n") == {"gro": True}


def test_commands() -> None:
    assert show_offloads("eth1") == ["ethtool", "-k", "eth1"]
    assert " ".join(switch_offloads("eth1", OFF)) == "ethtool -K eth1 tso off gso off gro off"
    assert switch_offloads("eth0", {"tso": True}) == ["ethtool", "-K", "eth0", "tso", "on"]
    assert set(OFF) == set(FEATURES)
