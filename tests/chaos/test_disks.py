"""Disks that are full or cannot be written: one clear line, exit code 2, and the study goes on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.leftovers import Watched, words
from tests.chaos.rows import Row
from tests.study.forking import ROOT
from tests.study.invariants import broken_invariants
from tests.study.small import FEASIBLE, specification
from tuner.spec.load import results_directory
from tuner.spec.study import StudySpec
from tuner.study.storage import open_storage, optuna_study

pytestmark = [
    pytest.mark.chaos,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount"),
]


@contextmanager
def disk(path: Path, size: str) -> Iterator[Path]:
    """A disk of that size at `path`."""
    path.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", path], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", path], check=True)


def remount(path: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", path], check=True)


def fill(path: Path) -> None:
    """Leave two pages of space, which a trial needs more than."""
    status = os.statvfs(path)
    used = (status.f_blocks - status.f_bfree) * status.f_frsize
    remount(path, f"size={used + 8192}")


def tune(verb: str, url: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tuner", verb, "--study", "small", "--storage", url]
    return subprocess.run(
        [*command, "--backend", "simulated", *options],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def refused(ended: subprocess.CompletedProcess[str], words_of_it: str) -> str:
    """What the user saw of an error that is told in a sentence."""
    assert ended.returncode == 2, ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr + ended.stdout, ended.stderr
    (line,) = [line for line in ended.stderr.splitlines() if line.startswith("tune: ")]
    assert words_of_it in line, ended.stderr
    return line


def small(monkeypatch: pytest.MonkeyPatch, place: Path) -> StudySpec:
    monkeypatch.chdir(place)
    return specification(FEASIBLE, ("trials: 8", "trials: 12"), ("tpe", "random"))


def whole_again(spec: StudySpec, url: str) -> list[str]:
    """What does not hold once the study was run to its end."""
    ended = tune("run", url)
    assert ended.returncode == 0, ended.stderr
    storage = open_storage(url, create=False)
    study = optuna_study("small", storage)
    path = Path(url.removeprefix("sqlite:///"))
    try:
        return broken_invariants(spec, study, results_directory(spec), path)
    finally:
        # A disk with an open file cannot be made read-only.
        database: Any = getattr(storage, "_backend", storage)
        database.remove_session()
        database.engine.dispose()


@pytest.mark.parametrize(
    ("what", "said"),
    [("database", "space"), ("samples", "No space left on device"), ("results", "space")],
)
def test_a_disk_that_becomes_full(
    what: str,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    report_row: Callable[[Row], None],
) -> None:
    spec = small(monkeypatch, tmp_path)
    results = results_directory(spec)
    place = {"database": tmp_path / "data", "samples": results / "samples", "results": results}
    url = f"sqlite:///{(place[what] if what != 'samples' else tmp_path / 'data') / 'study.db'}"
    with disk(place[what], "50m"):
        assert tune("run", url, "--trials", "2").returncode == 0
        fill(place[what])
        line = refused(tune("run", url), said)
        left = sorted(Watched(directory=tmp_path).found())
        remount(place[what], "size=50m")
        broken = whole_again(spec, url)
    report_row(
        Row(f"disk full: {what}", 1, line, "; ".join(broken) or "the study goes on", words(left))
    )
    assert broken == []
    assert left == []


@pytest.mark.parametrize("what", ["database", "results"])
def test_a_disk_that_is_read_only(
    what: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    report_row: Callable[[Row], None],
) -> None:
    spec = small(monkeypatch, tmp_path)
    results = results_directory(spec)
    place = tmp_path / "data" if what == "database" else results / "samples"
    url = f"sqlite:///{tmp_path / 'data' / 'study.db'}"
    with disk(place, "50m"):
        remount(place, "ro")
        line = refused(tune("run", url), "ead-only")
        remount(place, "rw")
        broken = whole_again(spec, url)
        remount(place, "ro")
        shown = tune("show", url)
        assert shown.returncode == 0, shown.stderr
        remount(place, "rw")
    report_row(
        Row(f"read-only disk: {what}", 1, line, "; ".join(broken) or "it is run and read after it")
    )
    assert broken == []


def test_a_database_that_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, report_row: Callable[[Row], None]
) -> None:
    spec = small(monkeypatch, tmp_path)
    path = tmp_path / "study.db"
    url = f"sqlite:///{path}"
    assert whole_again(spec, url) == []
    kept = path.with_suffix(".kept")
    shutil.copy(path, kept)
    path.write_bytes(path.read_bytes()[:5000])
    line = refused(tune("run", url), "is damaged")
    kept.replace(path)
    assert whole_again(spec, url) == []
    report_row(Row("database cut off after 5,000 bytes", 1, line, "whole with a copy of it"))
