"""What a process may do where it runs: `python3 -c` of this file prints it as JSON.

Its one argument is JSON too: `ports`, lists of an address and a port to connect to, by their names.
Run inside a container, it must need no package.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import socket
import stat
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

CLONE_NEWUSER = 0x10000000
SECONDS = 2
"""To connect. What is there answers within a few ms."""

KERNEL = ("/proc", "/sys")
"""File systems of the kernel's own: they have no room for data."""


def outcome(attempt: Callable[[], object]) -> str:
    """`allowed`, or the name of the error."""
    try:
        attempt()
    except TimeoutError:
        return "ETIMEDOUT"
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    return "allowed"


def called(name: str, *arguments: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def bind(port: int) -> None:
    with socket.socket() as sock:
        sock.bind(("0.0.0.0", port))


def connect(address: str, port: int) -> None:
    with socket.create_connection((address, port), SECONDS):
        pass


def connected(ports: dict[str, list[object]]) -> dict[str, str]:
    """The outcome of connecting to each of `ports`, all at once."""
    with ThreadPoolExecutor() as executor:
        answers = executor.map(lambda at: outcome(lambda: connect(*at)), ports.values())
        return dict(zip(ports, answers, strict=True))


def mounted(kind: Callable[[Path], bool]) -> list[str]:
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    points = {line.split()[4] for line in lines}
    return sorted(p for p in points if not p.startswith(KERNEL) and kind(Path(p)))


def mounts() -> list[str]:
    """The directories on which a file system is mounted that has files of its own."""
    return mounted(Path.is_dir)


def writable() -> dict[str, int]:
    """Mounts in which a file can be made, and how many bytes of room they have.

    Where only a directory below can be written, the mount counts.
    """
    found = {}
    for mount in mounts():
        room = os.statvfs(mount)
        read_only = bool(room.f_flag & os.ST_RDONLY)
        # All of a large file system that is not read-only would take long: its top will do.
        shallow = read_only or mount == "/"
        below = [mount] if shallow else list(within(mount))
        if any(makes_a_file(directory) for directory in below):
            found[mount] = room.f_blocks * room.f_frsize
    return found


def within(mount: str) -> Iterator[str]:
    """Its directories, without those of what is mounted below it."""
    device = Path(mount).stat().st_dev
    for directory, below, _ in os.walk(mount):
        if Path(directory).stat().st_dev == device:
            yield directory
        else:
            below.clear()


def makes_a_file(directory: str) -> bool:
    path = Path(directory, f"probe-{os.getpid()}")
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except OSError:
        return False
    path.unlink()
    return True


def writable_files() -> list[str]:
    """Regular files that can be written to: those that are mounts, and those on other mounts than
    the root's.
    """
    found = []
    below = (Path(d, n) for m in mounts() if m != "/" for d, _, names in os.walk(m) for n in names)
    for path in (*map(Path, mounted(Path.is_file)), *below):
        with contextlib.suppress(OSError):
            if stat.S_ISREG(path.stat().st_mode):
                os.close(os.open(path, os.O_WRONLY))
                found.append(str(path))
    return found


def devices() -> list[str]:
    """Devices that it can open."""
    found = []
    for directory, _, names in os.walk("/dev"):
        for name in names:
            path = Path(directory, name)
            with contextlib.suppress(OSError):
                mode = path.lstat().st_mode
                if stat.S_ISBLK(mode) or stat.S_ISCHR(mode):
                    os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK))
                    found.append(str(path))
    return sorted(found)


def settings() -> list[str]:
    """Settings of the kernel that it can change."""
    found = []
    for top in ("/proc/sys", "/sys"):
        for directory, _, names in os.walk(top):
            for name in names:
                path = Path(directory, name)
                with contextlib.suppress(OSError):
                    os.close(os.open(path, os.O_WRONLY))
                    found.append(str(path))
    return found


def status(process: str) -> dict[str, str]:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    pairs = (line.split(":\t", 1) for line in lines if ":\t" in line)
    wanted = {"Uid", "Gid", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"}
    wanted |= {"NoNewPrivs", "Seccomp"}
    return {name: value for name, value in pairs if name in wanted}


def most_processes() -> str:
    """As its control group says, in the file of either version."""
    top = Path("/sys/fs/cgroup")
    path = next(p for p in (top / "pids.max", top / "pids/pids.max") if p.exists())
    return path.read_text().strip()


def main(asked: dict[str, dict[str, list[object]]]) -> dict[str, object]:
    return {
        "self": status("self"),
        "server": status("1"),
        "others": sorted(int(p.name) for p in Path("/proc").iterdir() if p.name.isdecimal()),
        "most processes": most_processes(),
        "mount": outcome(lambda: called("mount", b"none", b"/mnt", b"tmpfs", 0, None)),
        "user namespace": outcome(lambda: called("unshare", CLONE_NEWUSER)),
        "raw socket": outcome(
            lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP).close()
        ),
        "writable": writable(),
        "writable files": writable_files(),
        "devices": devices(),
        "settings": settings(),
        "bind 80": outcome(lambda: bind(80)),
        "bind 1023": outcome(lambda: bind(1023)),
        "bind 1024": outcome(lambda: bind(1024)),
        "ports": connected(asked["ports"]),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(json.loads(sys.argv[1]))))
