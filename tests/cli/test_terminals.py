"""Standard output that is no good terminal."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from tests.cli.command import Tune
from tuner.cli.output import guarded_output, write_text
from tuner.pages.blocks import Words
from tuner.render.terminal import show

CHECKOUT = str(Path(__file__).parents[2])


def shell(script: str) -> subprocess.CompletedProcess[str]:
    """Run a script with `$TUNE`; a pipe's exit code is that of its first command that fails."""
    known = {"TUNE": f"{sys.executable} -m tuner", "PYTHONPATH": CHECKOUT}
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", script],
        env={**os.environ, **known},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )


def test_a_reader_that_leaves_is_no_error() -> None:
    ended = shell("$TUNE --version | true")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_a_full_disk_is_said() -> None:
    ended = shell("$TUNE --version >/dev/full")
    assert ended.returncode == 2
    assert ended.stderr.splitlines() == [
        "tune: standard output cannot be written: No space left on device",
        "  mend: free space there, or write to somewhere else",
    ]


def test_standard_output_may_be_closed() -> None:
    ended = shell("$TUNE --version >&-")
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_working_directory_that_was_deleted_is_said(
    tune: Tune, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    for words in (["list"], ["plan", "--study", "mnist"], ["init", "new"]):
        ended = tune(*words)
        assert ended.code == 2
        assert ended.err.splitlines() == [
            "tune: the working directory was deleted",
            "  mend: change to a directory that exists",
        ]


def received_in_ascii(write: Callable[[], object]) -> bytes:
    """What a terminal of that encoding receives."""
    received = io.BytesIO()
    terminal = io.TextIOWrapper(received, encoding="ascii")
    with redirect_stdout(terminal), guarded_output():
        write()
    return received.getvalue()


def test_a_character_that_the_terminal_lacks_is_a_question_mark() -> None:
    shown = received_in_ascii(lambda: show(Words("\u0394 of the caf\u00e9 \u2264 5")))
    assert shown == b"? of the caf? ? 5\n"
    assert received_in_ascii(lambda: sys.stdout.write("\u0394")) == b"?"


def test_a_document_is_utf_8_on_every_terminal() -> None:
    text = "name: caf\u00e9\n"
    assert received_in_ascii(lambda: write_text(text, None)) == text.encode()
