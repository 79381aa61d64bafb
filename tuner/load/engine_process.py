"""The engine's process: started, spoken to, and ended with the block that started it."""

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
"""The engine reports every tick; after so long without a word it hangs."""

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
        """The next frame, which must be one of `events`.

        It may take `SILENCE_SECONDS` and `patience` more. Raises TrialFailed when the engine says
        that it failed, is gone, or is silent; SetupError when it failed and says how to mend it.
        """
        self._sock.settimeout(SILENCE_SECONDS + patience)
        try:
            header, payload = wire.receive_frame(self._sock)
        except EOFError as error:
            raise self._died() from error
        except TimeoutError as error:
            raise TrialFailed("the load generator does not answer any more") from error
        if mend := header.get("mend"):
            raise SetupError(header["message"], mend)
        if header["event"] not in events:
            raise TrialFailed(f"load generator: {header.get('message', header['event'])}")
        return header, payload

    def _died(self) -> TrialFailed:
        self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, self._stderr.tell() - TAIL_BYTES))
        said = self._stderr.read().decode(errors="replace").strip()
        return TrialFailed("the load generator ended unexpectedly", said)


@contextmanager
def started_engine() -> Iterator[Engine]:
    """Start an engine; it is killed at the end of the block, whatever happens.

    It has a session of its own, so that Ctrl-C reaches only the parent, who then leaves the
    block. It dies with the *thread* that started it, too: enter and leave in one thread.
    """
    # The child finds exactly the modules that this process finds, wherever it is started.
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
        theirs.close()  # so that the engine's end is seen here as the end of the stream
        try:
            yield Engine(child.pid, mine, stderr)
        finally:
            child.kill()
            child.wait()
