"""A PostgreSQL server of a test's own, which it may stop and start again."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

USER = "postgres"
"""Whom Debian's package makes: PostgreSQL does not run as root."""


def programs() -> Path | None:
    """The directory of PostgreSQL's programs; None where it is not installed."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
    found = shutil.which("pg_ctl")
    path = debian[-1] if debian else Path(found) if found else None
    return None if path is None else path.resolve().parent


def why_no_server() -> str:
    """Why none can be started here; empty where one can."""
    if programs() is None:
        return "PostgreSQL is not installed (Debian: postgresql)"
    if os.geteuid() == 0 and shutil.which("runuser") is None:
        return "PostgreSQL does not run as root, and there is no runuser"
    return ""


@dataclass(frozen=True)
class Server:
    """Its files and its socket are below `directory`, which its user may write."""

    directory: Path
    database: str = "postgres"

    @property
    def url(self) -> str:
        return self.url_of(self.database)

    def url_of(self, database: str) -> str:
        return f"postgresql://{USER}@/{database}?host={self.directory}"

    def create_database(self, name: str) -> str:
        """An empty one; its URL."""
        run(["createdb", "-h", str(self.directory), "-U", USER, name], self.directory)
        return self.url_of(name)

    def start(self) -> None:
        # No TCP, and no wait for a disk that a test need not survive.
        options = (
            f"-c listen_addresses='' -c unix_socket_directories='{self.directory}' -c fsync=off"
        )
        self._ctl("start", "-w", "-o", options, "-l", str(self.directory / "log"))

    def stop(self, mode: str = "immediate") -> None:
        """`immediate` is what a power failure is; `fast` ends all sessions first."""
        self._ctl("stop", "-w", "-m", mode)

    @property
    def data(self) -> Path:
        return self.directory / "data"

    def _ctl(self, *arguments: str) -> None:
        run(["pg_ctl", "-D", str(self.data), *arguments], self.directory)


def run(command: Sequence[str], place: Path) -> None:
    directory = programs()
    assert directory is not None
    whole = [str(directory / command[0]), *command[1:]]
    if os.geteuid() == 0:
        whole = ["runuser", "-u", USER, "--", *whole]
    # Its output would keep a pipe open as long as the server runs.
    with (place / "output").open("ab") as output:
        subprocess.run(whole, check=True, cwd="/", stdout=output, stderr=output)


@contextmanager
def running() -> Iterator[Server]:
    """A new server in a directory with a short path: a socket's has 107 bytes at most."""
    directory = Path(tempfile.mkdtemp(prefix="pg"))
    try:
        with _running(directory) as server:
            yield server
    finally:
        shutil.rmtree(directory)


@contextmanager
def _running(directory: Path) -> Iterator[Server]:
    server = Server(directory)
    if os.geteuid() == 0:
        shutil.chown(directory, USER)
    run(["initdb", "-D", str(server.data), "-U", USER, "-A", "trust", "-N"], directory)
    server.start()
    try:
        yield server
    finally:
        if (server.data / "postmaster.pid").exists():
            server.stop()
