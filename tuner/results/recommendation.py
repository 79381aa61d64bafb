"""What is recommended: the one configuration that `tune export` writes unless it is told otherwise.

Everything that names a recommended configuration (terminal, report, dashboard, exports, the Python
API) has it from `recommend`, through `tuner.results.summary`.
"""

from __future__ import annotations

from collections.abc import Sequence

from tuner.model.pareto import knee
from tuner.results.pooled import Pooled
from tuner.spec.study import Objective


def recommend(front: Sequence[Pooled], objectives: Sequence[Objective]) -> Pooled | None:
    """The configuration of a measured front that is the best compromise of all `objectives`.

    That is the front's knee (`tuner.model.pareto.knee`), by the average of each configuration's
    bursts. None where the front is empty.
    """
    if not front:
        return None
    return front[knee([pooled.values for pooled in front], [o.direction for o in objectives])]
