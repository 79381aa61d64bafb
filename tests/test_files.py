from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from tuner.errors import InputError
from tuner.files import writable, written_whole

NULL = os.makedev(1, 3)


def write(path: Path, text: bytes) -> None:
    with written_whole(path) as file:
        file.write(text)


def fail(path: Path) -> None:
    with written_whole(path) as file:
        file.write(b"half")
        file.write(bytes([1 // 0]))


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write(path, b"first")
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    with pytest.raises(ZeroDivisionError):
        fail(path)
    assert path.read_bytes() == b"first"
    write(path, b"second")
    assert path.read_bytes() == b"second"
    assert names(tmp_path) == ["file"]


def test_a_replaced_file_keeps_its_permissions(tmp_path: Path) -> None:
    path = tmp_path / "private"
    path.touch(mode=0o600)
    write(path, b"text")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("exists", [True, False])
def test_a_link_leads_to_what_is_written(exists: bool, tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    link.symlink_to("target")
    if exists:
        target.write_bytes(b"before")
    write(link, b"after")
    assert link.is_symlink()
    assert target.read_bytes() == b"after"


def test_a_pipe_passes_what_is_written_and_stays_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    received: list[bytes] = []
    reader = threading.Thread(target=lambda: received.append(pipe.read_bytes()), daemon=True)
    reader.start()
    with written_whole(pipe) as file:
        file.write(b"one")
        file.seek(0)  # as writers of archives do
        file.write(b"ONE, two")
    reader.join(10)
    assert received == [b"ONE, two"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_pipe_receives_nothing_of_what_fails(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    descriptor = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with pytest.raises(ZeroDivisionError):
            fail(pipe)
        assert os.read(descriptor, 1) == b""
    finally:
        os.close(descriptor)


def test_a_device_stays_a_device(tmp_path: Path) -> None:
    device = tmp_path / "null"  # a node of its own: never one of the machine
    try:
        os.mknod(device, 0o600 | stat.S_IFCHR, NULL)
        device.write_bytes(b"")
    except PermissionError:
        pytest.skip("this user may not make device nodes, or not use them here")
    write(device, b"text")
    assert stat.S_ISCHR(device.stat().st_mode)
    assert device.stat().st_rdev == NULL


@pytest.mark.parametrize(
    "name", [".", "directory", "missing/file", "file/below", "a" * 300, "circle"]
)
def test_what_cannot_be_written_is_refused_and_leaves_nothing(name: str, tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "circle").symlink_to("circle")
    before = names(tmp_path)
    with pytest.raises(InputError) as error, writable("--output"):
        write(tmp_path / name, b"text")
    assert error.value.message.startswith("--output cannot be written: ")
    assert error.value.mend
    assert names(tmp_path) == before
