"""Whether a study has converged: what a further trial promises is not worth its time."""

from __future__ import annotations

from optuna.study import Study

from tuner.search.make_sampler import StudySampler

GAINS = "expected gains"
"""Attribute of a study: the last looks, each the number of trials and the expected gain."""

IN_A_ROW = 3
"""One small gain may be chance: the model is fitted anew with each trial."""


class Convergence:
    """Looks at what the next trial promises, once for each number of complete trials.

    The looks are kept in the study, so that a resumed one goes on where it was.
    """

    def __init__(self, study: Study, sampler: StudySampler, threshold: float) -> None:
        self._study = study
        self._sampler = sampler
        self._threshold = threshold

    def reached(self, trials: int) -> str:
        """Why a study with so many complete trials may end, in words; empty while it may not.

        The expected gain is a share of the hypervolume; it must be below the threshold at three
        looks in a row.
        """
        looks = [(int(n), float(g)) for n, g in self._study.user_attrs.get(GAINS, [])]
        if not looks or looks[-1][0] < trials:
            gain = self._sampler.expected_gain(self._study)
            if gain is None:
                return ""
            looks = [*looks, (trials, gain)][-IN_A_ROW:]
            self._study.set_user_attr(GAINS, looks)
        if len(looks) < IN_A_ROW or any(gain >= self._threshold for _, gain in looks):
            return ""
        return (
            f"a further trial is expected to enlarge the hypervolume by {_percent(looks[-1][1])},"
            f" asked {_percent(self._threshold)}: converged after {trials} trials"
        )


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %"
