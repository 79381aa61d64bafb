"""What starts workers: shells run it with stand-ins for ssh and srun, schemas read the rest."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from tests.study.small import specification
from tuner import Study
from tuner.errors import InputError
from tuner.export.dask_workers import KUBERNETES, SLURM, SSH

SCHEDULER = "tcp://10.0.0.1:8786"
WORKER = f"worker --dask {SCHEDULER} --backend simulated"


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    specification()
    study = Study.open("small", backend="simulated")
    study.export("dask-workers", scheduler=SCHEDULER, image="registry/tune:1", output="workers")
    return tmp_path / "workers"


@pytest.fixture
def commands(tmp_path: Path) -> dict[str, str]:
    """An environment in which `ssh` and `srun` run what they get here, and `tune` says it."""
    place = tmp_path / "bin"
    place.mkdir()
    scripts = {
        "ssh": 'shift; echo "host $1 in $PWD"; shift; exec sh -c "$*"',
        "srun": 'shift; exec "$@"',
        "tune": 'echo "tune $* in $PWD"',
    }
    for name, text in scripts.items():
        (place / name).write_text(f"#!/bin/sh\n{text}\n")
        (place / name).chmod(0o755)
    return {**os.environ, "PATH": f"{place}:{os.environ['PATH']}"}


def test_the_script_for_ssh_starts_a_worker_on_each_host(
    written: Path, commands: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "my tune").mkdir()
    done = subprocess.run(
        ["sh", str(written / SSH), "one", "two"],
        env={**commands, "TUNE_DIRECTORY": "my tune"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert sorted(done.stdout.splitlines()) == sorted(
        f"{line} in {where}"
        for host in ("one", "two")
        for line, where in ((f"host {host}", tmp_path), (f"tune {WORKER}", tmp_path / "my tune"))
    )
    bare = subprocess.run(["sh", str(written / SSH)], capture_output=True, text=True, check=False)
    assert (bare.returncode, bare.stderr) == (2, "usage: sh ssh.sh HOST...\n")


def test_the_job_for_slurm_starts_a_worker_that_is_called_like_its_node(
    written: Path, commands: dict[str, str], tmp_path: Path
) -> None:
    done = subprocess.run(
        ["bash", str(written / SLURM)],
        env={**commands, "SLURMD_NODENAME": "node7"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"tune {WORKER} --name node7 in {tmp_path}\n"
    options = [s for s in (written / SLURM).read_text().splitlines() if s.startswith("#SBATCH ")]
    assert "#SBATCH --exclusive" in options


def test_the_objects_for_kubernetes_are_valid(written: Path) -> None:
    text = (written / KUBERNETES).read_text()
    manifest = yaml.safe_load(text)
    kubernetes_validate.validate(manifest, "1.31", strict=True)
    worker = manifest["spec"]["template"]["spec"]["containers"][0]
    assert worker["image"] == "registry/tune:1"
    assert " ".join(worker["command"]) == f"tune {WORKER} --name $(NODE)"
    assert "never run" in text


def test_each_says_how_the_study_is_run_then(written: Path) -> None:
    for name in (SSH, SLURM, KUBERNETES):
        text = (written / name).read_text()
        assert "#   tune run --study small --on dask://10.0.0.1:8786\n" in text


def test_it_is_written_anew_and_over_nothing_else(written: Path) -> None:
    study = Study.open("small", backend="simulated")
    study.export("dask-workers", scheduler="tls://other:1", output=written)
    assert "--dask tls://other:1" in (written / SSH).read_text()
    assert "--on dask+tls://other:1" in (written / SSH).read_text()
    (written / "mine").touch()
    with pytest.raises(InputError, match="mine"):
        study.export("dask-workers", scheduler=SCHEDULER, output=written)


def test_it_needs_a_scheduler_and_a_directory(written: Path) -> None:
    study = Study.open("small", backend="simulated")
    for options in ({"output": written}, {"scheduler": SCHEDULER}):
        with pytest.raises(InputError, match="about one Dask scheduler"):
            study.export("dask-workers", **options)
    with pytest.raises(InputError, match="is no address"):
        study.export("dask-workers", scheduler="here", output=written)
