"""`tune` as processes of their own, which end with the test."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from subprocess import Popen

PATIENCE = 180.0


@contextmanager
def running(*arguments: str) -> Iterator[None]:
    """`tune run`, which talks to nobody; interrupted at the end."""
    command = [sys.executable, "-m", "tuner", "run", *arguments]
    quiet = subprocess.DEVNULL
    with Popen(command, stdout=quiet, stderr=quiet) as process:
        try:
            yield
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(PATIENCE)


@contextmanager
def dashboard(*arguments: str) -> Iterator[tuple[str, Popen[str]]]:
    """The address of the study whose note `tune dashboard` named, and its process, which is
    interrupted if it still runs.
    """
    command = [sys.executable, "-m", "tuner", "dashboard", *arguments, "--port", "0"]
    pipe = subprocess.PIPE
    with Popen(command, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            assert address.startswith("http://"), process.communicate()
            assert address.endswith("/note")
            yield address.removesuffix("/note"), process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                process.communicate(timeout=PATIENCE)


def until(true: Callable[[], bool]) -> None:
    """Wait for something that another process does; fails after `PATIENCE` seconds."""
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.3)
