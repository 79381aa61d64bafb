"""A Docker Engine that takes ten seconds before it begins to answer."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from docker import DockerClient

from tests.chaos.leftovers import MARK, Watched, words
from tests.chaos.rows import Row
from tests.chaos.slow_engine import SlowEngine
from tests.chaos.small_docker import NAME, write_study
from tests.chaos.test_engine import said_of, stored

SOCKET = Path("/var/run/docker.sock")
SECONDS = 10.0
TRIALS = 2
PATIENCE_SECONDS = 1200.0


@pytest.mark.chaos
@pytest.mark.alone
@pytest.mark.docker
@pytest.mark.skipif(not SOCKET.exists(), reason=f"no engine listens at {SOCKET}")
def test_an_engine_that_is_slow_is_waited_for(
    engine: DockerClient,
    tune_images: list[str],
    tmp_path: Path,
    report_row: Callable[[Row], None],
) -> None:
    assert tune_images
    write_study(tmp_path, TRIALS)
    watched = Watched(engine, NAME, uuid.uuid4().hex, tmp_path)
    before = watched.found()
    with SlowEngine(tmp_path / "docker.sock", SOCKET, SECONDS).listening() as slow:
        ended = subprocess.run(
            [sys.executable, "-m", "tuner", "run", "--study", NAME],
            cwd=tmp_path,
            env={**os.environ, "DOCKER_HOST": slow.host, MARK: watched.mark or ""},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_SECONDS,
        )
        left = watched.left_since(before)
    trials = stored(tmp_path)
    report_row(
        Row(
            f"each call of the engine takes {SECONDS:.0f} s longer",
            slow.requests,
            f"exit {ended.returncode}, {ended.stderr.count('Traceback')} tracebacks",
            said_of(tmp_path, trials),
            words(left),
        )
    )
    assert ended.returncode == 0, ended.stderr
    assert [t.outcome for t in trials] == ["measured"] * TRIALS
    assert "Traceback" not in ended.stderr
    assert not left
