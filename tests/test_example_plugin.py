"""The example package: installed by pip, then used by a study."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

CHECKOUT = Path(__file__).resolve().parents[1]
EXAMPLE = CHECKOUT / "examples" / "tune-example-plugin"


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


STUDY = ("--study", "steady", "--backend", "small-host")

SAID = """
import contextlib, io, json, sys
from tuner.cli import main
for words in json.load(sys.stdin):
    sys.argv[1:], code, out, err = words, 0, io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as ended:
            code = ended.code or 0
    print(json.dumps([code, out.getvalue(), err.getvalue()]))
"""
"""A process that runs commands one after another: each of its own would begin for seconds."""


class Said(NamedTuple):
    code: int
    out: str
    err: str


def said(place: Path, *commands: Sequence[str], installed: bool = True) -> list[Said]:
    paths = [str(place / "site")] if installed else []
    done = subprocess.run(
        [sys.executable, "-c", SAID],
        input=json.dumps(commands),
        cwd=place,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([*paths, str(CHECKOUT)])},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    return [Said(*json.loads(line)) for line in done.stdout.splitlines()]


class Ran(NamedTuple):
    """What was said of a study that uses the package."""

    shown: Said
    trial: Said
    reported: Said
    document: Said
    exported: Said


@pytest.fixture(scope="module")
def ran(place: Path) -> Ran:
    run, *others = said(
        place,
        ("run", *STUDY),
        ("show", *STUDY),
        ("show", *STUDY, "--json", "0"),
        ("report", *STUDY, "--output", "report.html"),
        ("show", *STUDY, "--json"),
        ("export", *STUDY, "--format", "compose", "--when", "concurrency=4,loss=0"),
    )
    assert run.code == 0, run.err
    assert [(one.code, one.err) for one in others if one.code] == []
    return Ran(*others)


def test_its_metric_is_an_objective_and_a_constraint_with_label_and_unit(ran: Ran) -> None:
    assert "deviation" in ran.shown.out
    trial = json.loads(ran.trial.out)["trials"][0]
    deviation = trial["objectives"]["deviation_ms"]
    assert deviation["unit"] == trial["metrics"]["deviation_ms"]["unit"] == "ms"
    assert trial["metrics"]["deviation_ms"]["value"] == deviation["value"] > 0
    violation = trial["violations"]["deviation_ms <= 500"]
    assert violation == pytest.approx(deviation["value"] - 500)


@pytest.mark.usefixtures("ran")
def test_its_metric_is_in_the_report(place: Path) -> None:
    assert "deviation (ms)" in (place / "report.html").read_text(encoding="utf-8")


def test_its_backend_ran_the_trials(ran: Ran, place: Path) -> None:
    assert (place / "studies/steady/results/small-host.db").exists()
    assert json.loads(ran.document.out)["environment"]["host"]["cpus"] == 2


def test_its_server_says_how_an_export_is_run(ran: Ran) -> None:
    services = yaml.safe_load(ran.exported.out)["services"]
    assert any("--enable_batching=true" in s.get("command", ()) for s in services.values())


def test_without_the_package_the_study_names_what_is_missing(place: Path) -> None:
    check = ("check", "--study", "steady")
    shown, checked = said(place, ("show", *STUDY), check, installed=False)
    assert shown.code == checked.code == 2
    assert "small-host" in shown.err
    assert "deviation_ms" in checked.err


@pytest.mark.parametrize("file", ["pyproject.toml", "src/tune_example_plugin/__init__.py"])
def test_the_page_shows_the_package_as_it_is(file: str) -> None:
    page = (CHECKOUT / "docs/how-to/extend-by-entry-points.md").read_text(encoding="utf-8")
    language = "toml" if file.endswith("toml") else "python"
    source = (EXAMPLE / file).read_text(encoding="utf-8")
    blocks = re.findall(rf"(?s)```{language}\n(.*?)```", page)
    assert blocks
    assert all(block in source for block in blocks)
