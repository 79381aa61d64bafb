"""The commands of the page about exports are understood, and pick what the page says they do."""

from __future__ import annotations

import re
import shlex
from dataclasses import fields
from pathlib import Path

import pytest
import typer.main

from tests.export.small import holding, study, trial
from tuner.cli.app import app
from tuner.cli.export import Format
from tuner.export.render import ExportOptions, render
from tuner.measure.measurement import Estimate

PAGE = (Path(__file__).parents[2] / "docs/how-to/deploy-an-export.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"(?m)^tune export (.*)$", PAGE)

STUDY = study(
    *(holding(one, Estimate(120.0), 0.5) for one in (trial(0, 10.0, 40.0), trial(1, 40.0, 10.0))),
    trial(2, 60.0, 60.0, configuration={"concurrency": 4, "loss": 1.0}),
    trial(3, 50.0, 60.0, configuration={"concurrency": 4, "loss": 0.0}),
)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_page_is_understood(command: str, tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "1/saved_model.pb").touch()
    verb = typer.main.get_command(app).commands["export"]  # type: ignore[attr-defined]
    found = verb.make_context("export", shlex.split(command)).params
    form = found["format_"].value
    if form == "study":
        assert found["output"].name.endswith(".study.zip")
        return
    if form == "dask-workers":
        assert found["scheduler"].startswith("tcp://")
        assert found["output"]
        return
    options = {field.name: found[field.name] for field in fields(ExportOptions)}
    if form in ("compose", "stack", "docker-run"):
        options["model_path"] = tmp_path
    exported = render(STUDY, form, ExportOptions(**options))
    assert exported.text or exported.files


def test_the_page_shows_every_format_that_it_can_be_asked_for() -> None:
    shown = " ".join(COMMANDS)
    for form in set(Format) - {Format.json, Format.yaml, Format.replay}:
        assert f"--format {form.value}" in shown
