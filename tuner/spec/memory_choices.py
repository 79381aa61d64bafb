"""What a replica of a model needs, and the memory limits that are worth trying for it."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Annotated, Any

from annotated_types import Gt

from tuner.spec.model_card import model_card, unreadable
from tuner.spec.model_versions import version_number
from tuner.spec.study import ModelSpec
from tuner.spec.typed import WrongTypeError, mapping_at, typed

SERVER_MIB = 64.0
"""About what a server without a model uses, the pages of shared libraries left out."""

_PER_MIB = 1.5
"""About how much memory a MiB of a model's files takes: the weights, and what is made of them."""

_FACTORS = (1.1, 1.5, 2.0, 3.0, 4.0)
_DEFAULT = 2


CARD_KEY = "replica"
"""The key of a `ReplicaNeed` in a model's `card.json`."""


@dataclass(frozen=True)
class ReplicaNeed:
    """What a replica used in the first run of its model: memory at most, and CPU time until it was
    ready. With a CPU limit of `c` it is ready after `start_cpu_seconds` / c at the earliest.
    """

    memory_mib: Annotated[float, Gt(0)]
    start_cpu_seconds: Annotated[float, Gt(0)]

    def to_json(self) -> dict[str, Any]:
        return {name: round(value, 2) for name, value in asdict(self).items()}


def replica_need(model: ModelSpec) -> ReplicaNeed | None:
    """As measured in the model's first run; None where no replica ran it then.

    Raises InputError for a `card.json` that cannot be read.
    """
    found = model_card(model).get(CARD_KEY)
    try:
        return None if found is None else typed(ReplicaNeed, mapping_at(found, (CARD_KEY,)))
    except WrongTypeError as error:
        raise unreadable(model, error) from error


def memory_choices(working_set_mib: float) -> tuple[int, ...]:
    """Limits in MiB, ascending: from barely enough to four times the need.

    Each is a multiple of 16 above `working_set_mib`, the most that a replica is known, or
    estimated, to use. The third is a good default: there is room, and it is not out of the way.
    """
    return tuple(
        dict.fromkeys(16 * math.ceil(working_set_mib * factor / 16) for factor in _FACTORS)
    )


def estimated_working_set(model: ModelSpec) -> float | None:
    """What a replica of the model may use, in MiB, from the size of its files; None before it is
    built.
    """
    versions = sorted(
        (path for path in model.versions.glob("*") if version_number(path.name) is not None),
        key=lambda path: int(path.name),
    )
    if not versions:
        return None
    size = sum(file.stat().st_size for file in versions[-1].rglob("*") if file.is_file())
    return SERVER_MIB + _PER_MIB * size / 2**20


def ready_seconds(need: ReplicaNeed, least_cpu: float) -> int:
    """How long a replica may take to be ready: twice what it needs with the least CPU limit."""
    return 10 * math.ceil(2 * need.start_cpu_seconds / least_cpu / 10)


def memory_parameter(model: ModelSpec) -> str:
    """The parameter `memory` of a search space for the model, as YAML with a comment."""
    need, working_set = replica_need(model), estimated_working_set(model)
    if need is not None:
        choices = memory_choices(need.memory_mib)
        why = f"in its first run a replica of {model.name} used {need.memory_mib:.0f} MiB"
    elif working_set is None:
        choices = (128, 256, 512, 768, 1024)
        where = "is not built yet" if model.http is None else "is inside an image"
        why = f"{model.name} {where}, so its need is not known"
    else:
        choices = memory_choices(working_set)
        why = (
            f"by the size of its files a replica of {model.name} needs about {working_set:.0f} MiB"
        )
    return f"""
  # Memory choices: {why}.
  # The first trial measures what it uses (memory_peak_mib in `tune show`): adapt them then.
  memory:
    description: memory limit of each replica
    role: decision
    type: int
    choices: {list(choices)}
    high: host.memory_mib // 2
    default: {choices[_DEFAULT]}
"""
