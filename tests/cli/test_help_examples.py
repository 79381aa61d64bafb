"""The examples of the help, run as they stand, where a simulated study is what they read."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from tests.cli.command import Tune
from tuner.cli.reference import verbs
from tuner.spec.host import Host
from tuner.spec.load import load_study, results_directory
from tuner.study.storage import default_url

EXAMPLES = {verb.name.removeprefix("tune "): verb.example for verb in verbs() if verb.example}

ELSEWHERE = {
    "run", "measure", "confirm", "verify",  # need an engine: the tutorial, and tests of their own
    "check",  # tells of the machine
    "dashboard",  # serves until it is ended: the tutorial
    "worker",  # as well: tests of Dask hosts
    "image build", "models build", "models check", "models add", "models convert",  # minutes
}  # fmt: skip

WRITTEN = {"report": "mnist-report.html", "compare": "change.html", "init": "studies/mine"}

RUN = ("run", "--study", "mnist", "--backend", "simulated", "--sampler", "random", "--trials", "14")


def test_each_is_run_or_is_run_elsewhere() -> None:
    assert set(EXAMPLES) >= ELSEWHERE | set(WRITTEN)


@pytest.mark.usefixtures("chromium")
@pytest.mark.thorough
def test_the_examples_work(tune: Tune) -> None:
    spec = load_study("mnist", Host(cpus=2, memory_mib=8192))
    url = default_url(results_directory(spec), "docker")
    ran = tune(*RUN, "--storage", url)
    assert ran.code == 0, ran.err
    for file in ("before.study.zip", "after.study.zip"):
        assert tune("export", "--study", "mnist", "--format", "study", "--output", file).code == 0
    for verb, example in EXAMPLES.items():
        if verb in ELSEWHERE:
            continue
        ended = tune(*shlex.split(example)[1:])
        assert ended.code == 0, f"{example}\n{ended.err}"
        assert ended.out, example
    for file in WRITTEN.values():
        assert Path(file).exists(), file
    assert list(Path("figures").glob("*.svg"))
