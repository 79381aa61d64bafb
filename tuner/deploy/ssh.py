"""An engine behind ssh, by the user's own `ssh`, which knows his keys, hosts and proxies."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

ENGINE_SOCKET = "/var/run/docker.sock"
_PATIENCE = 20.0


@contextmanager
def tunnel(address: str) -> Iterator[str]:
    """The path of a socket here that is the engine's at `ssh://[user@]host[:port]`.

    Raises OSError, with what ssh says, when it cannot be had.
    """
    parts = urlsplit(address)
    words = ["ssh", "-N", "-o", "BatchMode=yes", "-o", "ExitOnForwardFailure=yes"]
    words += ["-o", "ServerAliveInterval=15"]
    words += ["-p", str(parts.port)] if parts.port else []
    words += ["-l", parts.username] if parts.username else []
    with tempfile.TemporaryDirectory(prefix="tune-ssh-") as directory:
        path = Path(directory, "docker.sock")
        # In a session of its own: Ctrl-C must not close it before everything is removed.
        with subprocess.Popen(
            [*words, "-L", f"{path}:{ENGINE_SOCKET}", "--", str(parts.hostname)],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                _wait(process, path)
                yield str(path)
            finally:
                process.terminate()


def host_name(host: str) -> str:
    """The name or address that ssh's configuration gives `host`."""
    if shutil.which("ssh") is None:
        return host
    # ssh -G prints the options for a host, one a line, without connecting.
    asked = subprocess.run(
        ["ssh", "-G", "--", host], check=False, capture_output=True, text=True
    ).stdout
    names = [line.split()[1] for line in asked.splitlines() if line.startswith("hostname ")]
    return names[0] if names else host


def _wait(process: subprocess.Popen[str], path: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not path.exists():
        if process.poll() is not None:
            assert process.stderr is not None
            said = process.stderr.read().strip()
            raise ConnectionError(f"ssh ended: {said}")
        if time.monotonic() >= deadline:
            raise TimeoutError(f"ssh did not connect within {_PATIENCE:g} s")
        time.sleep(0.02)
