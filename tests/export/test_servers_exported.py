"""A study is exported where the files of its model are not, whatever server it used."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from tests.export.small import IMAGE, study, trial
from tuner.export.compose import to_compose
from tuner.export.served import served_by
from tuner.serving.servers.table import SERVERS

WITH_FILES = [name for name, server in SERVERS.items() if server.model_file is not None]


@pytest.mark.parametrize("name", WITH_FILES)
def test_no_server_needs_the_files_of_the_model(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    record = study(trial(0, 3.0, 30.0))
    record = replace(record, serving={**record.serving, "server": name, "image": IMAGE})
    served = served_by(record, record.trials[0])
    (service,) = yaml.safe_load(to_compose(served, Path("/versions")))["services"].values()
    assert service["image"] == IMAGE


@pytest.mark.parametrize(("environment", "version"), [({"model_version": "7"}, "7"), ({}, "1")])
def test_mlserver_is_given_the_version_that_was_measured(
    environment: dict[str, str], version: str
) -> None:
    record = study(trial(0, 3.0, 30.0))
    record = replace(
        record,
        serving={**record.serving, "server": "mlserver", "image": IMAGE},
        environment={**record.environment, **environment},
    )
    uri = served_by(record, record.trials[0]).plan.environment["MLSERVER_MODEL_URI"]
    assert uri == f"/models/{record.model}/{version}/model.joblib"
