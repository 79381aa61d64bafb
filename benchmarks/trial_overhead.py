"""The time around the burst as a share of a trial, by number of replicas, from a stored study.

    python benchmarks/trial_overhead.py --study mnist

Reads the finished trials of a study (run it first); medians over the trials of each row. "store" is
what the trial took beside its phases: its samples and its record were written, and it was told.
"next" is what passed from then until the next trial began: the proposal, and all that is read for
it.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median

from optuna.study import Study
from optuna.trial import TrialState

from tuner.measure.record import ATTRIBUTE, TrialRecord
from tuner.spec.load import results_directory
from tuner.study.storage import default_url, open_storage, stored

AROUND = ("deploy", "connect", "impair", "tear down")

_PAUSE = 60.0
"""Seconds after which the next trial was begun by another run."""


@dataclass(frozen=True)
class Spent:
    """Seconds of a trial, by what they were spent for."""

    record: TrialRecord
    store: float
    next: float | None

    @property
    def around(self) -> float:
        phases = sum(self.record.phases[name] for name in AROUND)
        return phases + self.store + (self.next or 0.0)

    @property
    def total(self) -> float:
        return self.record.seconds + self.store + (self.next or 0.0)


def spent(study: Study) -> Iterator[Spent]:
    """Of the trials that were measured; a study of one worker, or "next" means nothing."""
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    for trial, following in pairwise([*trials, None]):
        assert trial is not None
        assert trial.datetime_start is not None
        assert trial.datetime_complete is not None
        record = TrialRecord.from_json(trial.user_attrs[ATTRIBUTE])
        if record.outcome != "measured":
            continue
        whole = (trial.datetime_complete - trial.datetime_start).total_seconds()
        gap = None
        if following is not None and following.datetime_start is not None:
            gap = (following.datetime_start - trial.datetime_complete).total_seconds()
        yield Spent(record, whole - record.seconds, gap if gap and 0 < gap < _PAUSE else None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", default="mnist")
    parser.add_argument("--storage", help="default: the study's own SQLite file")
    arguments = parser.parse_args()
    url = arguments.storage or default_url(results_directory(arguments.study, Path()), "docker")
    rows: dict[int, list[Spent]] = {}
    for trial in spent(stored(arguments.study, open_storage(url, create=False))):
        rows.setdefault(int(trial.record.configuration["replicas"]), []).append(trial)
    head = "".join(f"{name:>11}" for name in (*AROUND, "store", "next", "burst"))
    print(f"{'replicas':>8}{'trials':>8}{head}{'around / trial':>16}   (seconds, medians)")
    for replicas, trials in sorted(rows.items()):
        columns = [median(t.record.phases[name] for t in trials) for name in AROUND]
        columns.append(median(t.store for t in trials))
        columns.append(median([t.next for t in trials if t.next is not None] or [0.0]))
        columns.append(median(t.record.phases["burst"] for t in trials))
        share = median(t.around / t.total for t in trials)
        print(f"{replicas:8}{len(trials):8}{''.join(f'{c:11.2f}' for c in columns)}{share:15.0%} ")


if __name__ == "__main__":
    main()
