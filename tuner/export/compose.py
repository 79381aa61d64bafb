"""One configuration as a compose file that starts as it is.

Only keys that both generations of the tool read the same way are used (docker-compose 1.29 and
the compose plugin): limits stand at the service, and there is neither `version` nor `name`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from tuner.errors import InputError
from tuner.record import StudyRecord, TrialRecord
from tuner.serving.image import image_tag
from tuner.serving.plan import PIDS_LIMIT, ContainerPlan, container_plan
from tuner.spec.metrics import METRICS
from tuner.spec.study import LoadProtocol, ServingSpec

_HIGHEST_PORT = 65535


def to_compose(
    study: StudyRecord, trial: TrialRecord, model_versions: Path, first_port: int = 8501
) -> str:
    """The replicas of `trial` as the services `<model>-0`, `<model>-1`, ...

    Replica i answers on 127.0.0.1, port `first_port` + i. `model_versions` is the directory on
    the engine's host that holds the model's numbered versions. Raises InputError where the ports
    do not exist or the study sets a flag or variable that tune decides.
    """
    replicas = int(trial.configuration["replicas"])
    ports = range(first_port, first_port + replicas)
    if not 1 <= ports[0] <= ports[-1] <= _HIGHEST_PORT:
        raise InputError(
            f"ports {ports[0]} to {ports[-1]} for {replicas} replicas are not all within"
            f" 1 to {_HIGHEST_PORT}",
            "choose another first port",
        )
    plan = container_plan(_serving(study, trial), study.model, _image(study))
    versions = model_versions.resolve()
    services = {
        f"{study.model}-{i}": _service(plan, trial, versions, port) for i, port in enumerate(ports)
    }
    body = yaml.safe_dump({"services": services}, sort_keys=False, width=1000, allow_unicode=True)
    lines = _header(study, trial, plan, versions, ports)
    # A line break inside a value must not end the comment.
    header = "".join(f"# {' '.join(line.split())}".rstrip() + "\n" for line in lines)
    return f"{header}\n{body}"


def _service(plan: ContainerPlan, trial: TrialRecord, versions: Path, port: int) -> dict[str, Any]:
    memory = f"{int(trial.configuration['memory'])}m"
    service: dict[str, Any] = {"image": _literal(plan.image)}
    if plan.entrypoint is not None:
        service["entrypoint"] = [_literal(word) for word in plan.entrypoint]
    if plan.command:
        service["command"] = [_literal(word) for word in plan.command]
    service |= {
        "environment": {name: _literal(value) for name, value in plan.environment.items()},
        "ports": [f"127.0.0.1:{port}:{plan.port_of(_protocol(trial))}"],
        "volumes": [
            {
                "type": "bind",
                "source": _literal(str(versions)),
                "target": plan.model_mount,
                "read_only": True,
            }
        ],
        "cpus": float(trial.configuration["cpu"]),
        "mem_limit": memory,
        "memswap_limit": memory,
        "pids_limit": PIDS_LIMIT,
        "user": plan.user,
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
    }
    if plan.tmpfs:
        service["tmpfs"] = [f"{path}:{options}" for path, options in plan.tmpfs.items()]
    return service | {"restart": "unless-stopped"}


def _protocol(trial: TrialRecord) -> LoadProtocol:
    """What the trial's requests were sent in."""
    return "grpc" if trial.deployment.get("protocol") == "grpc" else "rest"


def _literal(text: str) -> str:
    """`text` as compose reads it back: a single `$` would name a variable."""
    return text.replace("$", "$$")


def _serving(study: StudyRecord, trial: TrialRecord) -> ServingSpec:
    flags = {name: str(value) for name, value in study.serving.get("flags", {}).items()}
    env = {name: str(value) for name, value in study.serving.get("env", {}).items()}
    set_flags, set_env = study.search_space.settings(trial.configuration)
    return ServingSpec(image=_asked_image(study), flags=flags | set_flags, env=env | set_env)


def _asked_image(study: StudyRecord) -> str:
    return str(study.serving.get("image", "tune"))


def _image(study: StudyRecord) -> str:
    """The image that was run; a simulated study ran none, so the one that would be."""
    asked = _asked_image(study)
    return str(study.environment.get("image") or (image_tag() if asked == "tune" else asked))


def _header(
    study: StudyRecord, trial: TrialRecord, plan: ContainerPlan, versions: Path, ports: range
) -> list[str]:
    scenario = study.search_space.scenario_of(trial.configuration)
    how = _how(study, trial)
    listed = ", ".join(f"127.0.0.1:{port}" for port in ports)
    figures = ", ".join(_figure(study, trial, name) for name in ("art_ms", "cpu_percent"))
    lines = [
        f"Study {study.name}, model {study.model}, trial {trial.number}.",
        f"Configuration: {trial.configuration}",
        f"{how.capitalize()}: {figures}",
        f"Scenario in which that was {how}: {scenario or 'none'}",
        "Figures are for all replicas together; this file sets no network loss and no load.",
        "",
        f"Clients must spread their requests over all ports: {listed}",
        f"Needs the image {plan.image} (tune image build makes tune's own)",
        f"and the model's versions in {versions}",
    ]
    if how == "simulated":
        warning = [
            "WARNING: SIMULATED. No container of this configuration was run: the figures below",
            "are those of a modelled host. Measure it (--backend docker) before you rely on it.",
        ]
        rule = "!" * 88
        return [rule, *warning, rule, "", *lines]
    return lines


def _how(study: StudyRecord, trial: TrialRecord) -> str:
    """What the figures rest on; a replayed trial is as good as the grid that it is from."""
    replayed = study.environment.get("replayed", {})
    simulated = "simulated" in {trial.backend, replayed.get("backend")}
    return "simulated" if simulated else "measured"


def _figure(study: StudyRecord, trial: TrialRecord, name: str) -> str:
    metric = METRICS[name]
    estimate = study.estimate(trial, name)
    if estimate is None:
        return f"{metric.label} not measured"
    text = f"{metric.label} {estimate.value:.4g} {metric.unit}"
    if estimate.low is None or estimate.high is None:
        return text
    return f"{text} (95 % confidence {estimate.low:.4g} to {estimate.high:.4g})"
