"""Reaches an engine by the user's own `ssh`, which has the keys, hosts and proxies."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tuner.addresses import address_parts

ENGINE_SOCKET = "/var/run/docker.sock"
_PATIENCE = 20.0


@contextmanager
def tunnel(address: str) -> Iterator[str]:
    """The path of a local socket that leads to the engine at `ssh://[user@]host[:port]`.

    Raises OSError with the words of ssh where that fails.
    """
    parts = address_parts(address)
    if parts is None or not parts.hostname:
        raise OSError(f"{address} names no host")
    words = ["ssh", "-N", "-o", "BatchMode=yes", "-o", "ExitOnForwardFailure=yes"]
    words += ["-o", "ServerAliveInterval=15"]
    words += ["-p", str(parts.port)] if parts.port else []
    words += ["-l", parts.username] if parts.username else []
    with tempfile.TemporaryDirectory(prefix="tune-ssh-") as directory:
        path = Path(directory, "docker.sock")
        # In a session of its own, so that Ctrl-C does not close it before everything is removed.
        with subprocess.Popen(
            [*words, "-L", f"{path}:{ENGINE_SOCKET}", "--", parts.hostname],
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
    options = subprocess.run(
        ["ssh", "-G", "--", host], check=False, capture_output=True, text=True
    ).stdout
    names = [line.split()[1] for line in options.splitlines() if line.startswith("hostname ")]
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
