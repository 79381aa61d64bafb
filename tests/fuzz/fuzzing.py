"""Seeded fuzzing: bad inputs, one after the other, and what each of them came to.

An input is accepted, or refused by an error that names the file and the mend. Anything else (an
other exception, a reader that does not come back, much memory, a file left behind) is a finding.
The same seed gives the same inputs.
"""

from __future__ import annotations

import random
import resource
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.fuzz.hanging import HangError, ended_if_it_hangs
from tuner.errors import TuneError

MOST_MIB = 300
MOST_VIRTUAL_MIB = 2048
"""More address space than this is refused: a machine is not to suffer from a finding."""


@dataclass(frozen=True)
class Case:
    """A bad input: the file that holds it, what it is in words, and its reading.

    A refusal names the file, or what else `names` calls it. `watched` is a directory in
    which a refusal must leave no file.
    """

    path: Path
    what: str
    read: Callable[[], object]
    watched: Path | None = None
    names: tuple[str, ...] = ()


Target = Callable[[random.Random], Case]
"""Writes one bad input."""


@dataclass
class Counts:
    """What the inputs of one target came to."""

    target: str
    seed: int
    accepted: int = 0
    refused: int = 0
    slowest_seconds: float = 0.0
    slowest: str = ""
    most_mib: float = 0.0
    findings: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)

    @property
    def total(self) -> int:
        return self.accepted + self.refused + self.findings.total()

    def __str__(self) -> str:
        return (
            f"{self.target:<16} seed {self.seed}: {self.total:6} inputs,"
            f" {self.accepted:6} accepted, {self.refused:6} refused,"
            f" {self.findings.total():3} findings;"
            f" slowest {self.slowest_seconds:.2f} s, most memory {self.most_mib:.0f} MiB"
        )

    def found(self) -> str:
        """The findings in words, empty without any."""
        return "\n".join(
            f"{count} x {kind}\n    first: {self.examples[kind]}"
            for kind, count in self.findings.most_common()
        )


def fuzz(name: str, target: Target, seed: int, inputs: int) -> Counts:
    """Read so many inputs of `target`."""
    counts, rng = Counts(name, seed), random.Random(f"{name} {seed}")
    for _ in range(inputs):
        case = target(rng)
        before = _files(case.watched)
        with _peak_mib() as growth:
            began = time.monotonic()
            finding = _outcome(case, counts)
            seconds = time.monotonic() - began
        if seconds > counts.slowest_seconds:
            counts.slowest_seconds, counts.slowest = seconds, case.what
        counts.most_mib = max(counts.most_mib, growth[0])
        if growth[0] > MOST_MIB:
            finding = finding or f"{growth[0]:.0f} MiB of memory"
        left = _files(case.watched) - before
        if left and not finding.startswith("accepted"):
            finding = finding or f"left behind: {min(left)}"
        if finding not in {"", "accepted"}:
            counts.findings[finding] += 1
            counts.examples.setdefault(finding, case.what)
    return counts


def _outcome(case: Case, counts: Counts) -> str:
    """A finding; `accepted` or empty (refused) where there is none."""
    try:
        with _bounded():
            case.read()
    except TuneError as error:
        if not any(name in error.message for name in (case.path.name, *case.names)):
            return f"the file is not named: {error.message[:150]}"
        if not error.mend:
            return f"no mend: {error.message[:150]}"
        counts.refused += 1
        return ""
    except HangError:
        return "hang"
    except Exception as error:  # noqa: BLE001 -- what no input may lead to
        return _where(error)
    counts.accepted += 1
    return "accepted"


def _where(error: BaseException) -> str:
    """The exception and the innermost line of the package that it came through."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if "/tuner/" in f.filename]
    last = (own or frames)[-1]
    place = "tuner/" + last.filename.rpartition("/tuner/")[2]
    return f"{type(error).__name__} at {place}:{last.lineno} ({last.name}): {str(error)[:80]}"


@contextmanager
def _bounded() -> Iterator[None]:
    """Inside, neither time nor address space is taken without end."""
    limits = resource.getrlimit(resource.RLIMIT_AS)
    size = int(_status_mib("VmSize")) * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (size + MOST_VIRTUAL_MIB * 2**20, limits[1]))
    try:
        with ended_if_it_hangs():
            yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


@contextmanager
def _peak_mib() -> Iterator[list[float]]:
    """By how much this process grows inside, at its largest."""
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark begins anew
    before = _status_mib("VmRSS")
    growth = [0.0]
    yield growth
    growth[0] = _status_mib("VmHWM") - before


def _status_mib(name: str) -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.partition(f"{name}:")[2].split()[0]) / 1024


def _files(directory: Path | None) -> set[str]:
    if directory is None:
        return set()
    return {str(p.relative_to(directory)) for p in directory.rglob("*")}
