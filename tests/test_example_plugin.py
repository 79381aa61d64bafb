"""The example package: installed by pip, then used by a study."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

CHECKOUT = Path(__file__).resolve().parents[1]
EXAMPLE = CHECKOUT / "examples" / "tune-example-plugin"

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the study, and the package installed below `site`."""
    place = tmp_path_factory.mktemp("plugin")
    source = shutil.copytree(EXAMPLE, place / "source")
    install = ["install", "--no-deps", "--no-build-isolation", "--no-index", "--quiet"]
    subprocess.run(
        [sys.executable, "-m", "pip", *install, "--target", str(place / "site"), str(source)],
        check=True,
        timeout=120,
        stdin=subprocess.DEVNULL,
    )
    (place / "studies" / "steady").mkdir(parents=True)
    shutil.copy(EXAMPLE / "study.yaml", place / "studies" / "steady" / "study.yaml")
    return place


@pytest.fixture(scope="module")
def tune(place: Path) -> Command:
    def run(*words: str, installed: bool = True) -> subprocess.CompletedProcess[str]:
        paths = [str(place / "site")] if installed else []
        return subprocess.run(
            [sys.executable, "-m", "tuner", *words],
            cwd=place,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([*paths, str(CHECKOUT)])},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    return run


STUDY = ("--study", "steady", "--backend", "small-host")


@pytest.fixture(scope="module")
def ran(tune: Command) -> Command:
    done = tune("run", *STUDY)
    assert done.returncode == 0, done.stderr
    return tune


def test_its_metric_is_an_objective_and_a_constraint_with_label_and_unit(ran: Command) -> None:
    shown = ran("show", *STUDY)
    assert shown.returncode == 0, shown.stderr
    assert "deviation" in shown.stdout
    trial = json.loads(ran("show", *STUDY, "--json", "0").stdout)["trials"][0]
    deviation = trial["objectives"]["deviation_ms"]
    assert deviation["unit"] == trial["metrics"]["deviation_ms"]["unit"] == "ms"
    assert trial["metrics"]["deviation_ms"]["value"] == deviation["value"] > 0
    violation = trial["violations"]["deviation_ms <= 500"]
    assert violation == pytest.approx(deviation["value"] - 500)


def test_its_metric_is_in_the_report(ran: Command, place: Path) -> None:
    done = ran("report", *STUDY, "--output", "report.html")
    assert done.returncode == 0, done.stderr
    assert "deviation (ms)" in (place / "report.html").read_text(encoding="utf-8")


def test_its_backend_ran_the_trials(ran: Command, place: Path) -> None:
    assert (place / "studies/steady/results/small-host.db").exists()
    study = json.loads(ran("show", *STUDY, "--json").stdout)
    assert study["environment"]["host"]["cpus"] == 2


def test_its_server_says_how_an_export_is_run(ran: Command) -> None:
    done = ran("export", *STUDY, "--format", "compose", "--when", "concurrency=4,loss=0")
    assert done.returncode == 0, done.stderr
    services = yaml.safe_load(done.stdout)["services"]
    assert any("--enable_batching=true" in s.get("command", ()) for s in services.values())


def test_without_the_package_the_study_names_what_is_missing(tune: Command) -> None:
    done = tune("show", *STUDY, installed=False)
    assert done.returncode == 2
    assert "small-host" in done.stderr
    done = tune("check", "--study", "steady", installed=False)
    assert done.returncode == 2
    assert "deviation_ms" in done.stderr


@pytest.mark.parametrize("file", ["pyproject.toml", "src/tune_example_plugin/__init__.py"])
def test_the_page_shows_the_package_as_it_is(file: str) -> None:
    page = (CHECKOUT / "docs/how-to/extend-by-entry-points.md").read_text(encoding="utf-8")
    language = "toml" if file.endswith("toml") else "python"
    source = (EXAMPLE / file).read_text(encoding="utf-8")
    blocks = re.findall(rf"(?s)```{language}\n(.*?)```", page)
    assert blocks
    assert all(block in source for block in blocks)
