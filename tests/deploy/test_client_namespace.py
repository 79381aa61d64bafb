from __future__ import annotations

import socket
import sys
from ipaddress import IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.deploy.client_namespace import interface_to

# /proc/<pid>/net/route of a container on three networks, the first with a way out.
ROUTES = """\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t010018AC\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t000018AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
eth1\t000019AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
eth2\t00801AAC\t00000000\t0001\t0\t0\t0\t0080FFFF\t0\t0\t0
"""
little_endian = pytest.mark.skipif(sys.byteorder != "little", reason="recorded on such a machine")


@little_endian
@pytest.mark.parametrize(
    ("address", "interface"),
    [
        ("172.24.0.3", "eth0"),
        ("172.25.255.1", "eth1"),
        ("172.26.128.9", "eth2"),
        ("172.26.1.1", "eth0"),
    ],
)
def test_the_narrowest_route_leads_to_an_address(address: str, interface: str) -> None:
    assert interface_to(address, ROUTES) == interface


@little_endian
def test_no_route_is_an_error() -> None:
    with pytest.raises(LookupError, match=r"192\.0\.2\.1"):
        interface_to("192.0.2.1", "\n".join(ROUTES.splitlines()[:1] + ROUTES.splitlines()[2:]))


@given(st.integers(0, 2**32 - 1), st.integers(1, 32))
def test_an_address_of_a_network_is_found_in_it(number: int, length: int) -> None:
    network = IPv4Network((number, length), strict=False)

    def column(value: int) -> str:
        return f"{int.from_bytes(value.to_bytes(4, 'big'), sys.byteorder):08X}"

    destination, mask = column(int(network.network_address)), column(int(network.netmask))
    routes = f"Iface\nveth7\t{destination}\t0\t1\t0\t0\t0\t{mask}\t0\t0\t0\n"
    address = socket.inet_ntoa(number.to_bytes(4, "big"))
    assert interface_to(address, routes) == "veth7"
