"""How one load is divided between several engines ("senders"). Pure.

Each sender works out the whole load and takes its part of it. So what they send together is what
one sender would send: the same connections, and requests due at the same times for the same inputs.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import TypeVar

T = TypeVar("T")


def connections_of(sender: int, senders: int, connections: int, replicas: int) -> tuple[int, ...]:
    """The numbers of the connections of one sender, ascending.

    Of the connections with the lowest numbers, however many, no sender has more than one above
    another. Connection i goes to replica i modulo `replicas`. So the senders take turns, one step
    further after each round in which all pairs of sender and replica repeat: otherwise a sender
    might have the connections to one replica only.
    """
    together = math.lcm(senders, replicas)
    return tuple(n for n in range(connections) if (n + n // together) % senders == sender)


def part_of(whole: Iterator[T], sender: int, senders: int) -> Iterator[T]:
    """One sender's part of the requests: every `senders`-th."""
    return itertools.islice(whole, sender, None, senders)
