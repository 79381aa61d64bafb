"""Loss, delay and bandwidth by the queueing discipline netem: commands and what they print. Pure.

See tc-netem(8), tc-mirred(8) and ip-link(8), "ifb". A discipline works on what leaves an
interface. To impair what arrives, it is redirected to an interface of the type ifb, and the
discipline works on what leaves that. There, at the receiver, packets are as the link carries them:
Linux cuts TCP's data into segments only below the sender's discipline, whatever offloads are set.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

LISTING = ("tc", "-s", "-j", "qdisc", "show")

_QUEUE = 100_000
"""Packets in a queue: more than any burst has in flight, so that the queue itself loses none."""


@dataclass(frozen=True)
class Shape:
    """The options of netem. `distribution` names that of the jitter; None is uniform."""

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
    """netem on the IPv4 packets that arrive at `device`, or only on those from `source`.

    They pass through the interface `ifb<number>`, which is created for this.
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
        """Whether any part of it is in the listing."""
        return any(
            discipline.get("dev") == self.ifb
            or (discipline.get("dev") == self.device and discipline["kind"] == "ingress")
            for discipline in _disciplines(text)
        )


def redirection(device: str, ifb: str, source: str | None) -> list[list[str]]:
    """Commands that create `ifb` and send what arrives at `device` (from `source`) through it."""
    match = ["ip", "src", f"{source}/32"] if source else ["u32", "0", "0"]
    filtering = ["tc", "filter", "add", "dev", device, "parent", "ffff:", "protocol", "ip"]
    filtering += ["u32", "match"]
    return [
        ["ip", "link", "add", ifb, "type", "ifb"],
        ["ip", "link", "set", ifb, "up"],
        # The first redirection of a device creates this, the others leave it as it is.
        ["tc", "qdisc", "replace", "dev", device, "ingress"],
        [*filtering, *match, "action", "mirred", "egress", "redirect", "dev", ifb],
    ]


def _counted(text: str, device: str) -> tuple[int, int] | None:
    for discipline in _disciplines(text):
        if discipline["kind"] == "netem" and discipline.get("dev") == device:
            # `packets` counts those that left. Those in the queue are not lost.
            dropped = int(discipline["drops"])
            return int(discipline["packets"]) + int(discipline["qlen"]) + dropped, dropped
    return None


def _disciplines(text: str) -> list[dict[str, Any]]:
    disciplines: list[dict[str, Any]] = json.loads(text)
    return disciplines
