"""The suite's own tools: they find what is left, and the private engine lives as it is told."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from docker import DockerClient

from tests.chaos.leftovers import MARK, Watched, words
from tests.chaos.private_engine import PrivateEngine
from tests.chaos.rows import LEAST_COLUMNS, Row, as_markdown, as_table
from tuner.deploy.docker_deployer import STUDY_LABEL
from tuner.serving.base import base_tag

ROWS = (
    Row("engine killed", 3, "waits, then goes on: [0] | [1]", "4 trials, 1 failed"),
    Row("disk full", 1, "one line", "2 trials", "file .tune.x"),
)


def test_the_table_has_every_cell_and_fits_a_terminal_of_80_columns() -> None:
    table = as_table(ROWS, 20)
    assert max(map(len, table.splitlines())) <= LEAST_COLUMNS
    assert all(word in table for row in ROWS for cell in row.cells for word in cell.split())


def test_the_table_as_markdown_has_a_line_for_each_row() -> None:
    lines = as_markdown(ROWS).splitlines()
    assert len(lines) == 2 + len(ROWS)
    assert lines[2].endswith(r"waits, then goes on: [0] \| [1] | 4 trials, 1 failed | nothing |")


def test_a_half_written_file_and_a_process_are_found(tmp_path: Path) -> None:
    watched = Watched(mark=uuid.uuid4().hex, directory=tmp_path)
    before = watched.found()
    (tmp_path / "trial-0001.parquet").touch()
    assert watched.found() == before
    (tmp_path / ".trial-0010.parquet.x").touch()
    command = [sys.executable, "-c", "print(flush=True); input()"]
    with subprocess.Popen(
        command,
        env={MARK: watched.mark or ""},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        left = sorted(watched.found() - before)
        process.kill()
    assert left[0] == "file .trial-0010.parquet.x"
    assert left[1].startswith(f"process {process.pid} (")
    assert words(watched.left_since(watched.found())) == "nothing"


@pytest.mark.docker
def test_a_labelled_container_network_and_volume_are_found(
    engine: DockerClient, tune_images: list[str]
) -> None:
    study = uuid.uuid4().hex
    watched = Watched(client=engine, study=study)
    labels = {STUDY_LABEL: study}
    with watched.nothing_left():
        network = engine.networks.create(f"tune-{study}", internal=True, labels=labels)
        volume = engine.volumes.create(labels=labels)
        container = engine.containers.create(tune_images[0], ["true"], labels=labels)
        found = {text.split()[0] for text in watched.found()}
        container.remove()
        network.remove()
        volume.remove()
    assert found == {"container", "network", "volume"}


@pytest.mark.chaos
@pytest.mark.docker
def test_a_private_engine_stops_dies_freezes_and_comes_back(
    engine: DockerClient, private_engine: PrivateEngine, report_row: Callable[[Row], None]
) -> None:
    rules_here = _rules([])
    watched = Watched(private=private_engine, directory=private_engine.directory)
    with watched.nothing_left():
        with private_engine.client() as client:
            container = client.containers.run(base_tag(), ["sleep", "infinity"], detach=True)
        assert not any(c.id == container.id for c in engine.containers.list(all=True))
        private_engine.freeze()
        assert not private_engine.answers()
        private_engine.thaw()
        assert private_engine.answers()
        private_engine.kill()
        assert not private_engine.answers()
        private_engine.start()
        private_engine.restart()
        with private_engine.client() as client:
            assert [c.status for c in client.containers.list(all=True)] == ["exited"]
        private_engine.clean()
    assert _rules([]) == rules_here
    report_row(Row("the private engine frozen, killed, restarted", 3, "-", "-"))


def _rules(prefix: list[str]) -> str:
    """The chains of the engine that is not private; its networks come and go."""
    command = [*prefix, "iptables", "--table", "nat", "--list-rules", "DOCKER"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
