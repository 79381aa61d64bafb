"""Colours are for a terminal whose owner wants them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.command import Tune
from tests.cli.small_study import small_study

ESCAPE = re.compile("\x1b\\[[0-9;]*m")


@pytest.mark.thorough
def test_show_has_the_plot_and_a_pipe_gets_no_escape_codes(tune: Tune) -> None:
    path = Path("studies/small/study.yaml")
    path.parent.mkdir(parents=True)
    path.write_text(small_study())
    small = ("--study", "small", "--backend", "simulated")
    assert tune("run", *small).code == 0
    piped = subprocess.run(
        [sys.executable, "-m", "tuner", "show", *small], capture_output=True, text=True, check=True
    )
    assert "CPU usage (% of host)   o front" in piped.stdout
    assert "\x1b" not in piped.stdout + piped.stderr
    program = (
        "import os, pty, sys\n"
        "words = [sys.executable, '-m', 'tuner', 'show', *sys.argv[1:]]\n"
        "sys.exit(os.waitstatus_to_exitcode(pty.spawn(words)))\n"
    )
    told = {}
    for name, setting in (("colour", {}), ("plain", {"NO_COLOR": "1"})):
        ended = subprocess.run(
            [sys.executable, "-c", program, *small],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "80", **setting},
        )
        told[name] = ended.stdout
    coloured = re.compile("\x1b\\[[0-9;]*3[0-9][0-9;]*mo")
    assert coloured.search(told["colour"])
    assert not coloured.search(told["plain"])
    plot = [line for line in told["plain"].splitlines() if "│" in line]
    assert plot
    assert max(len(ESCAPE.sub("", line)) for line in plot) <= 80
