from __future__ import annotations

from pathlib import Path

import pytest
from optuna.storages import InMemoryStorage

from tests.study.small import EXPECTED, specification
from tuner.backends.simulated import simulated_backend
from tuner.measure.record import StudyRecord
from tuner.results.study_file import FinishedStudy, read_study, write_study
from tuner.spec.load import results_directory
from tuner.study.loop import goal, run_study
from tuner.study.start import start_or_resume
from tuner.study.storage import finished_study

SPACE = (
    (
        "loss: {role: scenario, type: float, choices: [0]",
        "loss: {role: scenario, type: float, choices: [0, 5]",
    ),
    ("budget: {trials: 8}", "budget: {trials: 18}"),
)
"""72 configurations in four scenarios, some of which cannot serve."""


@pytest.fixture(scope="session")
def study_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small simulated study, run once, as one file."""
    path = tmp_path_factory.mktemp("report") / "small.study.zip"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path.parent)
        spec, storage = specification(*SPACE, EXPECTED), InMemoryStorage()
        study, results = start_or_resume(spec, storage, "simulated"), results_directory(spec)
        run_study(
            spec,
            study,
            simulated_backend(spec),
            results,
            goal(spec, study, None, 0),
            lambda _: None,
        )
        write_study(path, finished_study(spec.name, storage, results))
    return path


@pytest.fixture(scope="session")
def small(study_file: Path) -> FinishedStudy:
    """The same, read."""
    return read_study(study_file)


HOSTILE = (
    """<script>window.__pwned=1</script></script><!--"'`{{7*7}}{% raw %}\\\n"""
    """<img src=x onerror="window.__pwned=1"><a href="javascript:window.__pwned=1">x</a>"""
    """<b>bold</b>&lt;i&gt;\u2028\x00\x1b[31m\ud800"""
)
"""What no report may be harmed by, wherever it stands."""


@pytest.fixture(scope="session")
def hostile(small: FinishedStudy) -> FinishedStudy:
    """The small study with such texts wherever a user or a container may have written them."""
    document = small.record.to_json()
    specification = dict(document["specification"])
    specification["description"] = HOSTILE
    specification["model"] = {**specification["model"], "name": HOSTILE, "description": HOSTILE}
    space = dict(specification["search_space"])
    space["cpu"] = {**space["cpu"], "description": HOSTILE}
    flavour = {
        **space["replicas"],
        "type": "categorical",
        "choices": [HOSTILE, "other"],
        "default": "other",
        "low": None,
        "high": None,
        "step": None,
        "flag": "flavour",
        "unit": HOSTILE,
    }
    specification["search_space"] = {**space, "flavour": flavour}
    environment = {
        **document["environment"],
        "host": {"name": HOSTILE, "cpus": 2},
        HOSTILE: HOSTILE,
    }
    trials = [
        {
            **trial,
            "log_tail": HOSTILE,
            "detail": HOSTILE,
            "reason": HOSTILE if trial["outcome"] == "infeasible" else "",
            "configuration": {
                **trial["configuration"],
                "flavour": (HOSTILE, "other")[trial["number"] % 2],
            },
        }
        for trial in document["trials"]
    ]
    record = StudyRecord.from_json(
        {
            **document,
            "study": HOSTILE,
            "specification": specification,
            "environment": environment,
            "trials": trials,
        }
    )
    return FinishedStudy(record, small.sample_file)
