"""Why a trial was proposed: figures, and the reason in plain words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tuner.model.choice import Choice, Sought
from tuner.model.surrogate import Surrogate
from tuner.spec.space import Parameter, Value, as_text

_DOUBTED = 0.85


def started() -> Mapping[str, Any]:
    """Of a trial that was proposed before there was a model."""
    return {"reason": "one of the first configurations: ends of the ranges, then spread evenly"}


def explained(surrogate: Surrogate, choice: Choice, sought: Sought) -> Mapping[str, Any]:
    """Of a choice: its gain (`acquisition`), predicted `mean` in the metrics' units, `sd` of their
    logarithms, P(`feasible`), whether it stays on the deployment, and the reason.
    """
    posterior = surrogate.posterior([choice.row])
    signs = np.array([1.0 if d == "minimize" else -1.0 for d in surrogate.directions])
    return {
        "acquisition": choice.gain,
        "mean": np.exp(signs * posterior.mean[0]).tolist(),
        "sd": posterior.sd[0].tolist(),
        "feasible": float(posterior.feasible[0]),
        "stays": choice.stays,
        "reason": "; ".join(_reasons(surrogate, choice, sought)),
    }


def _reasons(surrogate: Surrogate, choice: Choice, sought: Sought) -> list[str]:
    found = [_aim(surrogate, choice, sought)]
    feasible = float(surrogate.posterior([choice.row]).feasible[0])
    configuration = surrogate.candidates.configurations[choice.row]
    if feasible < _DOUBTED:
        memory = next((p for p in surrogate.candidates.space if p.name == "memory"), None)
        what = "it can serve and holds the constraints"
        if memory is not None and "memory" in configuration:
            what = f"{_with_unit(memory, configuration['memory'])} is enough"
        found.append(f"to learn whether {what} (probability {feasible:.0%})")
    costs = sought.costs
    if choice.stays and costs is not None:
        away = costs.burst + costs.deploy
        found.append(f"stays on the deployment: {costs.burst:.1f} s instead of {away:.1f} s")
    return found


def _aim(surrogate: Surrogate, choice: Choice, sought: Sought) -> str:
    per_second = " per second" if sought.costs is not None else ""
    if sought.target == "overall":
        return f"expected to enlarge the front most{per_second}"
    scenario = surrogate.candidates.scenarios[int(np.argmax(choice.about))]
    share = choice.about.max() / max(choice.about.sum(), 1e-300)
    about = f"{scenario}" if share > 0.5 else f"{scenario} and others"
    if sought.target == "robust":
        return f"tells most{per_second} about which decision is least behind, by {about}"
    return f"tells most{per_second} about the front of {about}"


def _with_unit(parameter: Parameter, value: Value) -> str:
    number = f"{value:g}" if isinstance(value, float) else as_text(value)
    return f"{number} {parameter.unit or 'MiB'}"
