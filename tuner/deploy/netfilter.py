"""Packet loss by netfilter's `statistic` match: commands and what they print. Pure.

See iptables-extensions(8). In each direction a first rule (without a target) counts the packets of
the serving port, and a second one drops its share of them.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Tool = Literal["iptables", "iptables-legacy"]
IPTABLES_TOOLS: tuple[Tool, ...] = ("iptables", "iptables-legacy")
"""In the order in which they are tried: the distribution's default, then the older interface."""


@dataclass(frozen=True)
class Dropping:
    """The rules for one direction of one replica's link, in one chain of a network namespace.

    `port_flag` is `--dport` for requests and `--sport` for responses. `source` is the replica's
    address where the chain sees the packets of several replicas.
    """

    tool: Tool
    chain: Literal["INPUT", "OUTPUT"]
    port_flag: Literal["--dport", "--sport"]
    port: int
    loss_percent: float
    source: str | None = None

    @property
    def method(self) -> str:
        return f"{self.tool} -m statistic"

    @property
    def listing(self) -> tuple[str, ...]:
        """The command whose output `counted` and `present` read."""
        return self.tool, "-w", "-v", "-S"

    def add(self) -> list[list[str]]:
        # -w: wait while another process of the namespace holds the table's lock.
        match = [self.tool, "-w", "-A", self.chain]
        match += ["-s", self.source] if self.source else []
        match += ["-p", "tcp", self.port_flag, str(self.port)]
        share = f"{self.loss_percent / 100:.6f}"
        statistic = ["-m", "statistic", "--mode", "random", "--probability", share]
        return [match, [*match, *statistic, "-j", "DROP"]]

    def remove(self) -> list[list[str]]:
        """Empties the whole chain: nobody but tune has NET_ADMIN in the namespace."""
        return [[self.tool, "-w", "-F", self.chain]]

    def counted(self, text: str) -> tuple[int, int] | None:
        """(Packets seen, packets dropped); None unless both rules are in the listing."""
        seen = dropped = None
        for options in self._mine(text):
            packets = int(options["-c"])
            if options.get("-j") == "DROP":
                dropped = packets
            else:
                seen = packets
        return None if seen is None or dropped is None else (seen, dropped)

    def present(self, text: str) -> bool:
        """Whether any of its rules is in the listing."""
        return bool(self._mine(text))

    def _mine(self, text: str) -> list[Mapping[str, str]]:
        source = f"{self.source}/32" if self.source else None
        return [
            options
            for options in map(_options, text.splitlines())
            if options.get("-A") == self.chain
            and options.get(self.port_flag) == str(self.port)
            and options.get("-s") == source
        ]


def _options(line: str) -> Mapping[str, str]:
    """The word after each option of a rule that `-S` prints; after `-c` that is the packets."""
    words = shlex.split(line)
    return {word: words[n + 1] for n, word in enumerate(words[:-1]) if word.startswith("-")}
