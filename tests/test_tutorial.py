"""The tutorial's commands, run as they stand, in its order; what it shows without numbers comes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[1] / "docs/tutorial/first-study.md"

SERVES_UNTIL_ENDED = "tune dashboard"
MEASURES_AGAIN = "tune verify"
"""Whether a busy machine repeats what it measured is the world's to say: 0, 4, or 5 (too busy)."""


HERE = {"max_foreign_percent: 50": "max_foreign_percent: 100", "trials: 18": "trials: 8"}
"""What differs here: other tests are busy, and fewer trials do."""


def steps() -> list[tuple[str, str]]:
    """Each command of the page, and what it shows of its output."""
    found = []
    for block in re.findall(r"(?s)```console\n(.*?)```", PAGE.read_text(encoding="utf-8")):
        for step in re.split(r"(?m)^\$ ", block)[1:]:
            first, _, rest = step.partition("\n")
            if here := re.search(r"<<'(\w+)'", first):
                body, _, rest = rest.partition(f"\n{here[1]}\n")
                first = f"{first}\n{body}\n{here[1]}"
            found.append((first, rest))
    return found


def said(text: str) -> str:
    return " ".join(text.split())


def served(command: str, environment: dict[str, str]) -> str:
    """The lines of what serves, up to how to end it; it is ended so, and must do it at once."""
    with subprocess.Popen(
        ["sh", "-c", f"exec {command}"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            lines: list[str] = []
            while "Ctrl-C" not in "".join(lines) and (line := process.stdout.readline()):
                lines.append(line)
            process.send_signal(signal.SIGINT)
            rest, _ = process.communicate(timeout=30)
        finally:
            process.kill()
    return "".join(lines) + rest


def ended(command: str, environment: dict[str, str]) -> str:
    process = subprocess.run(
        ["sh", "-ec", command], env=environment, capture_output=True, text=True, check=False
    )
    allowed = {0, 4, 5} if command.startswith(MEASURES_AGAIN) else {0}
    assert process.returncode in allowed, f"{command}\n{process.stdout}\n{process.stderr}"
    return process.stdout + process.stderr


@pytest.mark.docker
@pytest.mark.thorough
def test_the_tutorial_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "COLUMNS": "120",
    }
    commands = steps()
    assert all(any(text in command for command, _ in commands) for text in HERE)
    assert {f"tune {verb}" for verb in ("run", "show", "report", "export", "verify")} <= {
        " ".join(command.split()[:2]) for command, _ in commands
    }
    for asked, shown in commands:
        command = asked
        for as_it_stands, here in HERE.items():
            command = command.replace(as_it_stands, here)
        run = served if command.startswith(SERVES_UNTIL_ENDED) else ended
        output = run(command, environment)
        if command.startswith(MEASURES_AGAIN):
            continue
        for line in shown.splitlines():
            # What has a digit was measured, and measures differ.
            if line.strip(" .") and not re.search(r"\d", line):
                assert said(line) in said(output), f"{command} did not say {line!r}:\n{output}"
