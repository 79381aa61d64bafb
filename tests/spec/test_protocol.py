"""In what requests are sent: the load's key, or a parameter that overrides it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tuner.errors import InputError
from tuner.spec import yaml
from tuner.spec.host import Host
from tuner.spec.load import load_study
from tuner.spec.settings import only_configuration, study_of_model, with_settings
from tuner.spec.study import LoadProtocol, StudySpec
from tuner.trial import deployment_spec, load_profile

HOST = Host(cpus=2, memory_mib=8192)
SHIPPED = Path(__file__).parents[2]
CHOICES = {
    "role": "decision",
    "type": "categorical",
    "choices": ["rest", "grpc"],
    "default": "grpc",
}


def study(root: Path, protocol: LoadProtocol | None, *, parameter: bool) -> StudySpec:
    space = yaml.read_yaml(SHIPPED / "search_spaces/mnist.yaml").data["parameters"]
    document = {
        "model": "mnist",
        "budget": {"trials": 5},
        "load": {"protocol": protocol} if protocol else {},
        "search_space": space | ({"protocol": CHOICES} if parameter else {}),
    }
    (root / "mine.yaml").write_text(json.dumps(document))
    return load_study("mine.yaml", HOST, root)


def sent(spec: StudySpec, **changes: str) -> set[LoadProtocol]:
    """What both the deployment and the load of the baseline, so changed, are told."""
    values = spec.search_space.baseline()
    chosen = type(values).of({**values, **changes})
    return {deployment_spec(spec, chosen).protocol, load_profile(spec, chosen).protocol}


def test_requests_are_sent_in_rest_unless_the_load_says_otherwise(tmp_path: Path) -> None:
    assert sent(study(tmp_path, None, parameter=False)) == {"rest"}
    spec = study(tmp_path, "grpc", parameter=False)
    assert sent(spec) == {"grpc"}
    assert spec.protocols() == ("grpc",)


def test_a_parameter_wins(tmp_path: Path) -> None:
    spec = study(tmp_path, "rest", parameter=True)
    assert sent(spec) == {"grpc"}
    assert sent(spec, protocol="rest") == {"rest"}
    assert spec.protocols() == ("grpc", "rest")


def test_by_hand_it_is_a_key_of_load_or_the_parameter_of_the_study(tmp_path: Path) -> None:
    spec = study_of_model("mnist", ["protocol=grpc"], HOST, tmp_path)
    assert spec.load.protocol == "grpc"
    assert "protocol" not in only_configuration(spec)
    study(tmp_path, None, parameter=True)
    chosen = with_settings(load_study("mine.yaml", HOST, tmp_path), ["protocol=rest"], HOST)
    assert only_configuration(chosen)["protocol"] == "rest"
    assert sent(chosen) == {"rest"}


@pytest.mark.parametrize("parameter", [False, True])
def test_another_protocol_is_refused_by_hand(tmp_path: Path, parameter: bool) -> None:
    study(tmp_path, None, parameter=parameter)
    with pytest.raises(InputError, match="--set protocol: expected 'rest' or 'grpc', found 'http'"):
        with_settings(load_study("mine.yaml", HOST, tmp_path), ["protocol=http"], HOST)
