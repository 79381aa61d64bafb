"""Starts the engine's process, talks to it, and ends it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from tuner.errors import SetupError, TrialFailed
from tuner.load import wire

SILENCE_SECONDS = 30.0
"""The engine reports every tick. If it is silent for this long it hangs."""

TAIL_BYTES = 2000


class Engine:
    """The parent's end of the socket pair; `pid` is the engine's process."""

    def __init__(self, pid: int, sock: socket.socket, stderr: IO[bytes]) -> None:
        self.pid = pid
        self._sock = sock
        self._stderr = stderr

    def send(self, data: bytes) -> None:
        """Raises TrialFailed when the engine is gone."""
        try:
            self._sock.sendall(data)
        except OSError as error:
            raise self._died() from error

    def receive(self, *events: str, patience: float = 0.0) -> tuple[dict[str, Any], bytes]:
        """The next frame, which must be one of `events`, within `SILENCE_SECONDS` + `patience`.

        Raises TrialFailed when the engine reports a failure, is gone or is silent. Raises
        SetupError when the failure that it reports comes with a mend.
        """
        self._sock.settimeout(SILENCE_SECONDS + patience)
        try:
            header, payload = wire.receive_frame(self._sock)
        except EOFError as error:
            raise self._died() from error
        except TimeoutError as error:
            raise TrialFailed("the load generator no longer answers") from error
        if mend := header.get("mend"):
            raise SetupError(header["message"], mend)
        if header["event"] not in events:
            raise TrialFailed(f"load generator: {header.get('message', header['event'])}")
        return header, payload

    def _died(self) -> TrialFailed:
        self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, self._stderr.tell() - TAIL_BYTES))
        output = self._stderr.read().decode(errors="replace").strip()
        return TrialFailed("the load generator ended unexpectedly", output)


@contextmanager
def started_engine() -> Iterator[Engine]:
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
            yield Engine(child.pid, mine, stderr)
        finally:
            child.kill()
            child.wait()
