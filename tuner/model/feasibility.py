"""How likely a configuration can serve at all, learned from what could and what could not."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, partial

import numpy as np

from tuner.arrays import Floats, Mask
from tuner.model.candidates import Candidates
from tuner.model.gp import grouped
from tuner.model.memo import Keyed, digest
from tuner.model.memory_floor import (
    OTHER_CAUSES,
    MemoryEvidence,
    expected_floor,
    memory_and_load_of,
)
from tuner.model.observations import Observation, served
from tuner.model.probit import Classifier

LIKELY, SURE = 0.5, 0.9
"""From these probabilities on something is likely feasible, and surely. What is recommended, and
what a front is made of, surely is."""

_SUSPECTED = 0.2
_ROUNDS = 3


def probability_of_serving(candidates: Candidates, observations: Sequence[Observation]) -> Floats:
    """P(can serve) of every candidate, shape (n,): memory suffices, and nothing else is wrong.

    Failures that memory does not explain are learned by a classifier over all coordinates; what it
    says decides in turn which failures teach how much memory is needed.
    """
    serves = np.array([served(o) for o in observations], dtype=np.bool_)
    points = candidates.encoded([o.configuration for o in observations])
    memory = MemoryEvidence.of(candidates.space, observations)
    key = (candidates, digest(points, serves, *memory.good, *memory.bad, *memory.peaks))
    return once_told(Keyed(key, partial(_probability, candidates, memory, serves, points)))


@lru_cache(maxsize=4)
def once_told(keyed: Keyed[Floats]) -> Floats:
    return keyed.compute()


def _probability(
    candidates: Candidates, memory: MemoryEvidence, serves: Mask, points: Floats
) -> Floats:
    # Of each round only what failed is asked, of the last one every candidate.
    failed = np.full(np.count_nonzero(~serves), 1.0 - OTHER_CAUSES)
    enough, weights = np.ones(len(candidates)), np.ones(len(points))
    expected = expected_floor(candidates)
    names, groups = grouped(candidates.owners)
    classifier: Classifier | None = None
    for _ in range(_ROUNDS):
        if expected is not None:
            floor = expected.learned(memory.good, memory.bad, failed, memory.peaks)
            enough = floor.probability(*memory_and_load_of(candidates))
            weights[~serves] = 1.0 - floor.blamed(*memory.bad, failed)
        if not (weights[~serves] > _SUSPECTED).any():
            break
        classifier = Classifier.of(points, serves, weights, groups, len(names))
        failed = classifier.probability(points[~serves])
    if classifier is None:
        return np.full(len(candidates), 1.0 - OTHER_CAUSES) * enough
    probabilities: Floats = enough * classifier.probability(candidates.coordinates)
    return probabilities
