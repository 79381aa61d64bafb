"""Starts the engine's process, talks to it, and ends it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import IO, Any

from tuner.errors import SetupError, TrialFailed
from tuner.load import wire
from tuner.measure import proc

SILENCE_SECONDS = 30.0
"""The engine reports every tick. If it is silent for this long it hangs."""

TAIL_BYTES = 2000


class Engine(ABC):
    """An engine's process, as the one who asked for it sees it."""

    host: EngineHost | None = None
    """Where it runs; None for this machine."""

    @abstractmethod
    def send(self, data: bytes) -> None:
        """Raises TrialFailed when the engine is gone."""

    @abstractmethod
    def wait_ns(self) -> int | None:
        """How long its process has waited for a CPU; None where the kernel does not count it.

        Raises TrialFailed where its machine cannot be asked.
        """

    @abstractmethod
    def frame(self, seconds: float) -> tuple[dict[str, Any], bytes]:
        """The next frame, within so many seconds; raises TrialFailed where there comes none."""

    @property
    def ahead_ns(self) -> int:
        """How far this machine's clock is ahead of the engine's."""
        return 0 if self.host is None else self.host.ahead_ns

    def receive(self, *events: str, patience: float = 0.0) -> tuple[dict[str, Any], bytes]:
        """The next frame, which must be one of `events`, within `SILENCE_SECONDS` + `patience`.

        Raises TrialFailed when the engine reports a failure, is gone or is silent. Raises
        SetupError when the failure that it reports comes with a mend.
        """
        header, payload = self.frame(SILENCE_SECONDS + patience)
        where = "" if self.host is None else f"host {self.host.name}: "
        if mend := header.get("mend"):
            raise SetupError(where + header["message"], mend)
        if header["event"] not in events:
            raise TrialFailed(f"{where}load generator: {header.get('message', header['event'])}")
        return header, payload


@dataclass(frozen=True)
class EngineHost:
    """Another machine with an engine: how far this one's clock is ahead of its clock, which is
    known to `apart_ns` on either side.
    """

    name: str
    ahead_ns: int
    apart_ns: int


class LocalEngine(Engine):
    """The parent's end of the socket pair; `pid` is the engine's process."""

    def __init__(self, pid: int, sock: socket.socket, stderr: IO[bytes]) -> None:
        self.pid = pid
        self._sock = sock
        self._stderr = stderr

    def send(self, data: bytes) -> None:
        try:
            self._sock.sendall(data)
        except OSError as error:
            raise self._died() from error

    def wait_ns(self) -> int | None:
        return proc.wait_ns([self.pid])

    def frame(self, seconds: float) -> tuple[dict[str, Any], bytes]:
        self._sock.settimeout(seconds)
        try:
            return wire.receive_frame(self._sock)
        except EOFError as error:
            raise self._died() from error
        except TimeoutError as error:
            raise TrialFailed("the load generator no longer answers") from error

    def _died(self) -> TrialFailed:
        self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, self._stderr.tell() - TAIL_BYTES))
        output = self._stderr.read().decode(errors="replace").strip()
        return TrialFailed("the load generator ended unexpectedly", output)


StartEngine = Callable[[], AbstractContextManager[Engine]]
"""Starts an engine, which is killed at the end of the block, whatever happens."""


@contextmanager
def started_engine() -> Iterator[LocalEngine]:
    """Start an engine. It is killed at the end of the block, whatever happens.

    It has a session of its own, so that Ctrl-C reaches only the parent, which then leaves the
    block. It also dies with the *thread* that started it: enter and leave in one thread.
    """
    # The child finds the same modules as this process, wherever it is started.
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    mine, theirs = socket.socketpair()
    with mine, theirs, tempfile.TemporaryFile() as stderr:
        child = subprocess.Popen(
            [
                *(sys.executable, "-P", "-m", "tuner.load.engine"),
                *(str(theirs.fileno()), str(os.getpid())),
            ],
            stdin=subprocess.DEVNULL,
            stdout=stderr,
            stderr=stderr,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
            env=environment,
        )
        theirs.close()  # so that the end of the engine is the end of the stream here
        try:
            yield LocalEngine(child.pid, mine, stderr)
        finally:
            child.kill()
            child.wait()
