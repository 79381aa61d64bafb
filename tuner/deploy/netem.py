"""Loss, delay and bandwidth by the queueing discipline netem: commands and what they print. Pure.

See tc-netem(8), tc-mirred(8) and ip-link(8), "ifb". A discipline works on what leaves an
interface. What arrives is redirected to an interface of the type ifb, out of which it comes back
through the discipline. That is the receiver's side, where packets are as the link carries them:
Linux cuts TCP's data into segments only below the sender's discipline, whatever offloads are set.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

LISTING = ("tc", "-s", "-j", "qdisc", "show")

_QUEUE = 100_000
"""Packets: more than any burst has in flight, so that nothing is lost which was not to be."""


@dataclass(frozen=True)
class Shape:
    """What netem is told; `distribution` names the jitter's, None is uniform."""

    loss_percent: float = 0.0
    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    bandwidth_mbit: float | None = None
    distribution: str | None = None

    def words(self) -> list[str]:
        words = ["netem", "limit", str(_QUEUE)]
        if self.delay_ms:
            words += ["delay", f"{self.delay_ms:.3f}ms"]
            if self.jitter_ms:
                words += [f"{self.jitter_ms:.3f}ms"]
                words += ["distribution", self.distribution] if self.distribution else []
        if self.loss_percent:
            words += ["loss", "random", f"{self.loss_percent:.4f}%"]
        if self.bandwidth_mbit is not None:
            words += ["rate", f"{round(self.bandwidth_mbit * 1e6)}bit"]
        return words


@dataclass(frozen=True)
class Egress:
    """netem on what leaves `device`."""

    device: str
    shape: Shape

    method = "netem"
    listing = LISTING

    def add(self) -> list[list[str]]:
        return [["tc", "qdisc", "add", "dev", self.device, "root", *self.shape.words()]]

    def remove(self) -> list[list[str]]:
        return [["tc", "qdisc", "del", "dev", self.device, "root"]]

    def counted(self, text: str) -> tuple[int, int] | None:
        """(Packets seen, packets dropped); None where the discipline is not there."""
        return _counted(text, self.device)

    def present(self, text: str) -> bool:
        return _counted(text, self.device) is not None


@dataclass(frozen=True)
class Ingress:
    """netem on the IPv4 packets that arrive at `device`, those from `source` where it is given.

    They pass the interface `ifb<number>`, which is made for it.
    """

    device: str
    number: int
    shape: Shape
    source: str | None = None

    method = "netem"
    listing = LISTING

    @property
    def ifb(self) -> str:
        return f"ifb{self.number}"

    def add(self) -> list[list[str]]:
        return [
            *redirection(self.device, self.ifb, self.source),
            ["tc", "qdisc", "add", "dev", self.ifb, "root", *self.shape.words()],
        ]

    def remove(self) -> list[list[str]]:
        return [
            ["tc", "qdisc", "del", "dev", self.device, "ingress"],
            ["ip", "link", "del", self.ifb],
        ]

    def counted(self, text: str) -> tuple[int, int] | None:
        """(Packets seen, packets dropped); None where the discipline is not there."""
        return _counted(text, self.ifb)

    def present(self, text: str) -> bool:
        """Whether anything of it is there, whole or not."""
        return any(
            found.get("dev") == self.ifb
            or (found.get("dev") == self.device and found["kind"] == "ingress")
            for found in _disciplines(text)
        )


def redirection(device: str, ifb: str, source: str | None) -> list[list[str]]:
    """Send what arrives at `device` (from `source`) through `ifb`, which is made."""
    match = ["ip", "src", f"{source}/32"] if source else ["u32", "0", "0"]
    filtering = ["tc", "filter", "add", "dev", device, "parent", "ffff:", "protocol", "ip"]
    filtering += ["u32", "match"]
    return [
        ["ip", "link", "add", ifb, "type", "ifb"],
        ["ip", "link", "set", ifb, "up"],
        # Of all redirections of a device, the first makes this and the others find it.
        ["tc", "qdisc", "replace", "dev", device, "ingress"],
        [*filtering, *match, "action", "mirred", "egress", "redirect", "dev", ifb],
    ]


def _counted(text: str, device: str) -> tuple[int, int] | None:
    for found in _disciplines(text):
        if found["kind"] == "netem" and found.get("dev") == device:
            # `packets` are those that left; what waits is not lost.
            dropped = int(found["drops"])
            return int(found["packets"]) + int(found["qlen"]) + dropped, dropped
    return None


def _disciplines(text: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(text)
    return found
