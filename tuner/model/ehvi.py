"""What a candidate may add to a front: expected hypervolume improvement and its relatives. Pure.

Objectives are minimised, and each candidate's are independent normal variables with known mean and
standard deviation, both of shape (n, m). A `front` has shape (f, m); only what lies below the
`reference` (m,) counts.

The improvement by a point y is the volume of all z below the reference that y dominates and the
front does not, so its expectation is the integral of P(y <= z) over what the front leaves free.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import erfcx, ndtr

from tuner.arrays import Floats
from tuner.model import pareto
from tuner.model.rays import expected_gain_by_rays

_LEAST_SD = 1e-9


def expected_below(bounds: Floats, mean: Floats, sd: Floats) -> Floats:
    """E[max(bound - Y, 0)] for each Y ~ N(mean, sd), shape (n, b) for (n,) and (b,).

    As a function of the bound it is the integral of P(Y <= z) up to there. With the best value so
    far as bound it is the expected improvement (Jones, Schonlau and Welch, Journal of Global
    Optimization 13, 1998). A bound of -inf gives 0.
    """
    sd = np.maximum(sd, _LEAST_SD)[:, None]
    finite = np.isfinite(bounds)
    distance = np.where(finite, bounds, 0.0)[None, :] - mean[:, None]
    scaled = distance / sd
    density = np.exp(-0.5 * scaled**2) / math.sqrt(2 * math.pi)
    expected: Floats = np.where(finite[None, :], distance * ndtr(scaled) + sd * density, 0.0)
    return np.maximum(expected, 0.0)


def log_expected_below(bound: float, mean: Floats, sd: Floats) -> Floats:
    """The logarithm of `expected_below` for one bound, shape (n,); exact however small it is.

    So the best of many hopeless candidates is told from the others (Ament et al., Unexpected
    Improvements to Expected Improvement for Bayesian Optimization, NeurIPS 2023).
    """
    sd = np.maximum(sd, _LEAST_SD)
    scaled = (bound - mean) / sd
    near = np.maximum(scaled, -1.0)
    density = np.exp(-0.5 * near**2) / math.sqrt(2 * math.pi)
    # Below, the sum of density and scaled x probability cancels: Mills' ratio does not.
    far = np.minimum(scaled, -1.0)
    ratio = math.sqrt(math.pi / 2) * erfcx(-far / math.sqrt(2)) * -far
    left = np.where(far > -1e4, 1.0 - ratio, far**-2)
    tail = -0.5 * far**2 - 0.5 * math.log(2 * math.pi) + np.log(left)
    logarithms: Floats = np.where(
        scaled > -1.0, np.log(near * ndtr(near) + density), tail
    ) + np.log(sd)
    return logarithms


def ehvi(mean: Floats, sd: Floats, front: Floats, reference: Floats) -> Floats:
    """Expected hypervolume improvement of each candidate, shape (n,).

    One objective: expected improvement. Two: exact, by the front's strips (Emmerich, Deutz and
    Klinkenberg, IEEE CEC 2011; Yang et al., Journal of Global Optimization 75, 2019), O(n f). More:
    the integral along rays (`tuner.model.rays`), O(n) with the same points for all candidates.
    """
    free = _useful(front, reference)
    if mean.shape[1] == 1:
        best = free.min(axis=0) if len(free) else reference
        return expected_below(best, mean[:, 0], sd[:, 0])[:, 0]
    if mean.shape[1] > 2:
        return expected_gain_by_rays(mean, sd, free, reference)
    left, ceilings = _strips(free, reference)
    widths = np.diff(expected_below(left, mean[:, 0], sd[:, 0]), axis=1)
    heights = expected_below(ceilings, mean[:, 1], sd[:, 1])
    improvements: Floats = np.maximum((widths * heights).sum(axis=1), 0.0)
    return improvements


def chance_undominated(mean: Floats, sd: Floats, front: Floats) -> Floats:
    """The probability of each candidate that no point of `front` dominates it, shape (n,).

    One or two objectives: exact. More: the product over the front's points of not being dominated
    by each, which is a lower bound (being dominated by one makes it likelier by another).
    """
    sd = np.maximum(sd, _LEAST_SD)
    if len(front) == 0:
        return np.ones(len(mean))
    if mean.shape[1] == 1:
        chances: Floats = ndtr((front.min() - mean[:, 0]) / sd[:, 0])
        return chances
    if mean.shape[1] == 2:
        left, ceilings = _strips(front, np.full(2, np.inf))
        below = ndtr((left[None, :] - mean[:, :1]) / sd[:, :1])
        under = ndtr((ceilings[None, :] - mean[:, 1:]) / sd[:, 1:])
        chances = (np.diff(below, axis=1) * under).sum(axis=1)
        return np.clip(chances, 0.0, 1.0)
    above = ndtr((mean[:, None, :] - front[None, :, :]) / sd[:, None, :])
    undominated: Floats = np.prod(1.0 - np.prod(above, axis=2), axis=1)
    return undominated


def _useful(front: Floats, reference: Floats) -> Floats:
    front = front[(front < reference).all(axis=1)]
    return front[pareto.front(front)]


def _strips(front: Floats, reference: Floats) -> tuple[Floats, Floats]:
    """What a front of two objectives leaves free, as strips from left to right.

    Strip i lies between the first objective's bounds i and i + 1, under ceiling i.
    """
    front = front[pareto.front(front)]
    left = np.concatenate([[-np.inf], front[:, 0], reference[:1]])
    return left, np.concatenate([reference[1:], front[:, 1]])
