"""TensorFlow Serving's configuration files, in protobuf's text form.

Each reader raises OSError, or ValueError with what is wrong where.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .app import PROMETHEUS_PATH
from .messages import Proto, read_text
from .versions import ModelConfig, Policy, every, latest, specific


def read_models(file: Path) -> tuple[ModelConfig, ...]:
    """The models of a `ModelServerConfig`, at least one."""
    models = tuple(map(_model, read_text("ModelServerConfig", file).model_config_list.config))
    names = [model.name for model in models]
    if not models or len(set(names)) < len(names) or "" in names:
        raise ValueError(f"{file} must have models, each with a name of its own")
    return models


def _model(config: Proto) -> ModelConfig:
    if config.model_platform not in {"", "tensorflow"}:
        raise ValueError(f"model_platform {config.model_platform} is not supported")
    return ModelConfig(
        config.name,
        Path(config.base_path),
        _policy(config.model_version_policy),
        dict(config.version_labels),
    )


def _policy(policy: Proto) -> Policy:
    choice = policy.WhichOneof("policy_choice")
    if choice == "all":
        return every()
    if choice == "specific":
        if not policy.specific.versions:
            raise ValueError("a specific model_version_policy needs at least one version")
        return specific(tuple(policy.specific.versions))
    return latest(policy.latest.num_versions or 1)


def read_batching(file: Path) -> dict[str, Any]:
    """The fields of a `BatchingParameters` that are set, by name."""
    found: dict[str, Any] = {}
    for field, value in read_text("BatchingParameters", file).ListFields():
        if field.name == "allowed_batch_sizes":
            found[field.name] = tuple(value)
        else:
            # Numbers and the name are in wrapper messages, the boolean is not.
            found[field.name] = getattr(value, "value", value)
    return found


def read_metrics_path(file: Path) -> str | None:
    """Where a `MonitoringConfig` wants the metrics; None where it does not want them."""
    config = read_text("MonitoringConfig", file).prometheus_config
    return (config.path or PROMETHEUS_PATH) if config.enable else None
