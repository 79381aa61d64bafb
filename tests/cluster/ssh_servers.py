"""OpenSSH's server on each node of a cluster, and a user's `ssh` that knows them by their names.

The server is not installed: that would start one on this machine. Its package is only unpacked.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.cluster.nodes import PATIENCE_SECONDS, Cluster, Node

PACKAGES = ("openssh-server", "libwrap0")
PROGRAMS = ("apt-get", "dpkg", "ssh", "ssh-keygen")

# The server wants a user of its own, which the node has without this machine having it.
_START = """
mkdir -p /run/sshd
{ cat /etc/passwd; echo "sshd:x:998:65534::/run/sshd:/usr/sbin/nologin"; } >/run/passwd
mount --bind /run/passwd /etc/passwd
exec "$1" -D -e -f "$2"
"""


@contextmanager
def ssh_servers(cluster: Cluster, directory: Path) -> Iterator[Path]:
    """A directory with an `ssh` that reaches the nodes; put it first in PATH."""
    program, libraries = _unpacked(directory)
    key = _key(directory / "user")
    known = directory / "known_hosts"
    hosts = [
        "IdentityAgent none",
        f"IdentityFile {key}",
        f"UserKnownHostsFile {known}",
        "User root",
    ]
    with ExitStack() as world:
        for node in cluster.nodes:
            host_key = _key(directory / node.name)
            public = host_key.with_suffix(".pub").read_text()
            with known.open("a") as file:
                file.write(f"{node.address} {public}")
            hosts += [f"Host {node.name}", f"  HostName {node.address}"]
            world.enter_context(_server(node, directory, program, libraries, host_key))
        configuration = directory / "ssh_config"
        configuration.write_text("\n".join(hosts) + "\n")
        programs = directory / "bin"
        programs.mkdir()
        wrapper = programs / "ssh"
        # `ssh` takes no configuration from the environment, and the user's own is not a test's.
        wrapper.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F "{configuration}" "$@"\n')
        wrapper.chmod(0o755)
        yield programs


def _unpacked(directory: Path) -> tuple[Path, Path]:
    """The server's program, and the directory of the library that it needs."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        pytest.skip(f"nodes with SSH need {', '.join(missing)}")
    fetched = subprocess.run(
        ["apt-get", "download", *PACKAGES],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
    )
    if fetched.returncode:
        pytest.skip(f"apt-get download {' '.join(PACKAGES)}: {fetched.stderr.strip()}")
    root = directory / "root"
    for package in directory.glob("*.deb"):
        subprocess.run(["dpkg", "-x", str(package), str(root)], check=True)
    (library,) = root.rglob("libwrap.so.0")
    return root / "usr/sbin/sshd", library.parent


def _key(path: Path) -> Path:
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(path)], check=True
    )
    return path


@contextmanager
def _server(
    node: Node, directory: Path, program: Path, libraries: Path, host_key: Path
) -> Iterator[None]:
    configuration = directory / f"{node.name}.sshd_config"
    configuration.write_text(
        f"ListenAddress {node.address}\nHostKey {host_key}\nPidFile none\nUsePAM no\n"
        f"AuthorizedKeysFile {directory / 'user.pub'}\nStrictModes no\n"
        "PermitRootLogin prohibit-password\nPasswordAuthentication no\n"
    )
    log = directory / f"{node.name}.sshd.log"
    with log.open("wb") as said:
        process = subprocess.Popen(
            [*node.inside, "sh", "-ec", _START, "sh", str(program), str(configuration)],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            env={**os.environ, "LD_LIBRARY_PATH": str(libraries)},
        )
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while "Server listening" not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait()
