"""The machine that a study is resolved for."""

from __future__ import annotations

import os
from dataclasses import dataclass

MIB = 2**20
"""Bytes."""


@dataclass(frozen=True)
class Host:
    """The numbers that bounds such as `host.cpus` refer to."""

    cpus: int
    memory_mib: int

    @classmethod
    def this(cls) -> Host:
        pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        return cls(cpus=os.cpu_count() or 1, memory_mib=pages // MIB)
