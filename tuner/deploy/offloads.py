"""Segmentation offloads of an interface: commands and what they print. Pure.

With offloads one "packet" between containers is a whole request of up to 64 KiB, so losing it is
not like losing a packet. See ethtool(8) and the kernel's
Documentation/networking/segmentation-offloads.rst.
"""

from __future__ import annotations

from collections.abc import Mapping

FEATURES = {
    "tso": "tcp-segmentation-offload",
    "gso": "generic-segmentation-offload",
    "gro": "generic-receive-offload",
}
OFF: Mapping[str, bool] = dict.fromkeys(FEATURES, False)


def show_offloads(device: str) -> list[str]:
    """The command whose output `parse_offloads` reads."""
    return ["ethtool", "-k", device]


def switch_offloads(device: str, states: Mapping[str, bool]) -> list[str]:
    words = ["ethtool", "-K", device]
    for name, on in states.items():
        words += [name, "on" if on else "off"]
    return words


def parse_offloads(text: str) -> dict[str, bool]:
    """Whether each of FEATURES is on; those that the interface lacks are left out."""
    lines = (line.partition(":") for line in text.splitlines())
    states = {name.strip(): value.split()[:1] == ["on"] for name, _, value in lines}
    return {name: states[full] for name, full in FEATURES.items() if full in states}
