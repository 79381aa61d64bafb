"""What a model's builder, or `tune models add`, wrote of it: `built/card.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tuner.errors import InputError
from tuner.spec.study import ModelSpec
from tuner.spec.typed import mapping_at


def model_card(model: ModelSpec) -> Mapping[str, Any]:
    """The card; empty where there is none. Raises InputError where it cannot be read."""
    path = model.built / "card.json"
    if not path.is_file():
        return {}
    try:
        return mapping_at(json.loads(path.read_bytes()), ())
    except (OSError, ValueError) as error:
        raise unreadable(model, error) from error


def unreadable(model: ModelSpec, error: Exception) -> InputError:
    """A card that is not as it should be."""
    return InputError(
        f"{model.built / 'card.json'} cannot be read: {error}",
        f"remove it, or build model {model.name} again",
    )
