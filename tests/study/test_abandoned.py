"""What a killed run left in files is removed when the study is run again, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from optuna.trial import TrialState

from tests.study.invariants import broken_invariants
from tests.study.small import FEASIBLE, run, specification
from tuner.errors import SetupError
from tuner.files import remove_abandoned
from tuner.load.parquet import write_samples
from tuner.measure.samples import Burst
from tuner.spec.load import results_directory
from tuner.spec.study import StudySpec
from tuner.study.storage import samples_directory

WRITES = """
import os, signal, sys
from pathlib import Path
from tuner.files import written_whole
with written_whole(Path(sys.argv[1])) as file:
    file.write(b"half")
    file.flush()
    print("writing", flush=True)
    sys.stdin.read()
"""


def five(changes: tuple[tuple[str, str], ...] = ()) -> StudySpec:
    return specification(FEASIBLE, ("trials: 8", "trials: 5"), *changes)


def writer(path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", WRITES, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert process.stdout.readline() == "writing\n"
    return process


def test_temporary_files_of_the_dead_go_and_those_of_the_living_stay(tmp_path: Path) -> None:
    dead, alive = writer(tmp_path / "dead"), writer(tmp_path / "alive")
    (tmp_path / ".tune.yaml").touch()
    (tmp_path / ".tune.settings.yaml").touch()
    assert len(list(tmp_path.iterdir())) == 4
    dead.kill()
    dead.communicate()
    removed = remove_abandoned(tmp_path)
    assert len(removed) == 1
    assert remove_abandoned(tmp_path) == []
    alive.communicate("")
    assert alive.returncode == 0
    assert (tmp_path / "alive").read_bytes() == b"half"
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        ".tune.settings.yaml",
        ".tune.yaml",
        "alive",
    ]


def test_the_next_run_removes_files_and_samples_that_no_trial_names(
    caplog: pytest.LogCaptureFixture,
) -> None:
    spec = five()
    results = results_directory(spec)
    study = run(spec, more=2)
    directory = samples_directory(study, results)
    kept = sorted(p.name for p in directory.iterdir())
    killed = study.ask()
    study.tell(killed.number, state=TrialState.FAIL)
    left = [
        directory / f"trial-{killed.number:04d}.parquet",
        directory / ".trial-0010.parquet.a1b2c3d4",
        directory / ".tune.a1b2c3d4",
        results / ".tune.z_000000",
    ]
    others = [directory / "notes.txt", directory / "trial-0900.parquet", results / "report.html"]
    for path in (*left, *others):
        path.touch()
    run(spec, more=1)
    assert [path for path in left if path.exists()] == []
    assert [path for path in others if not path.exists()] == []
    assert {*kept} <= {p.name for p in directory.iterdir()}
    said = [r.getMessage() for r in caplog.records if "killed run" in r.getMessage()]
    assert said == [f"tune: removed 4 files that a killed run left in {results}"]
    caplog.clear()
    run(spec, more=1)
    assert "killed run" not in caplog.text


def test_a_disk_without_space_for_samples_is_told_and_the_study_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spec = five()
    results = results_directory(spec)
    run(spec, more=1)
    whole = write_samples

    def full(path: Path, burst: Burst) -> None:
        """The device that is always full, in the place of the file."""
        path.symlink_to("/dev/full")
        try:
            whole(path, burst)
        finally:
            path.unlink()

    with monkeypatch.context() as patch:
        patch.setattr("tuner.study.tell.write_samples", full)
        with pytest.raises(SetupError, match=r"samples .*trial-0001.parquet: No space left"):
            run(spec)
    assert broken_invariants(spec, run(spec), results) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_samples_that_may_not_be_written_are_told() -> None:
    spec = five()
    study = run(spec, more=1)
    directory = samples_directory(study, results_directory(spec))
    directory.chmod(0o500)
    with pytest.raises(SetupError, match="Permission denied"):
        run(spec)
    directory.chmod(0o700)
    assert broken_invariants(spec, run(spec), results_directory(spec)) == []
